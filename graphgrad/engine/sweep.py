"""The reverse sweep: sends gradients from outputs back through the graph.

It knows nodes and rules, no Tensor. In an ordinary sweep the rules are fed plain arrays.
When a graph of the gradient is wanted, the caller passes ``wrap``, which turns an array
and its node into a recorded value; the same rules then record themselves. Gradients of
float16 nodes travel in float32, and are cast where they are handed out.
"""

import copy
from collections.abc import Callable, Collection, Mapping
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter, fitted, scatter_add, silenced, unshared
from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import KEPT_ELEMENTS, Freed, Node, Recorded, ancestors
from graphgrad.engine.memory import clock, overwritten
from graphgrad.engine.operands import as_array
from graphgrad.engine.plan import HALF
from graphgrad.engine.recording import switches
from graphgrad.errors import GraphError, GraphgradError, ShapeError

Wrap = Callable[[Any, Node], Any]


class Sweep:
    """One reverse sweep: gradients on their way, newest node first.

    Parameters
    ----------
    seeds
        The upstream gradient of each node to start from.
    targets
        The nodes whose gradients are wanted; None means every leaf.
    wrap, scatter
        Given together when the sweep itself must be recorded: ``wrap(array, node)``
        makes a recorded value, ``scatter(values, index, shape)`` is the recorded form of
        the sweep's own buffer.
    floor
        Nodes with a smaller serial number are not entered; targets among them get theirs.
    hooks
        Whether the hooks on the way are called.

    Attributes
    ----------
    results
        The gradient of each target (or leaf) that was reached.
    swept
        The nodes whose rules ran.
    flows
        The gradients of a few elements, by serial number of their node, for pictures.
    """

    # what an ordinary sweep, from one root to all leaves, does not ask for
    targets: Collection[Node] | None = None
    useful: Collection[Node] | None = None  # None: every node leads to a leaf
    ends: Collection[Node] = ()  # targets below which no other target lies
    where_passed = False
    careful = False  # whether gradients must be looked at: behind a where, or for anomalies
    anomaly: Any = None

    def __init__(
        self,
        seeds: Mapping[Node, Any],
        *,
        targets: Collection[Node] | None = None,
        wrap: Wrap | None = None,
        scatter: Callable[..., Any] | None = None,
        floor: int = 0,
        hooks: bool = True,
    ) -> None:
        """Get ready: nothing runs yet."""
        self.grads: dict[Node, Any] = dict(seeds)
        if targets is not None:
            self.targets = targets
            self.useful, self.ends = _leading_to(seeds, targets, floor)
            self.grads = {n: g for n, g in seeds.items() if n in self.useful}
        anomaly = switches().anomaly
        if anomaly is not None:
            self.anomaly, self.careful = anomaly, True
        # leaves have no rules: they wait in grads until everything has arrived
        self.queue = [(-node.serial, node) for node in self.grads if node.plan is not None]
        heapify(self.queue)
        self.owned: set[Node] = set()  # whose entry in grads is ours alone to write into
        self.hooks = hooks
        self.wrap = wrap
        self.scatter = scatter
        self.results: dict[Node, Any] = {}
        self.swept: list[Node] = []
        self.flows: dict[int, Any] = {}

    def run(self) -> "Sweep":
        """Send the gradients from the seeds to the targets.

        Raises
        ------
        GraphError
            If part of the graph was freed or a value that a rule needs was overwritten.
        ShapeError
            If a rule returns a gradient that does not fit its input.
        """
        queue, grads, useful = self.queue, self.grads, self.useful
        before = ignore_warnings()
        try:
            while queue:
                node = heappop(queue)[1]
                g = grads.pop(node)
                plan = node.plan
                if g.__class__ is not list:  # a list holds a gradient for each of several outputs
                    g = self._arrived(node, g)
                    if node in self.ends:
                        continue
                values = self._values(node)
                parents = node.parents
                try:
                    for position, rule in plan.steps or self._joint_steps(node, g, values):
                        parent = parents[position]
                        if useful is None or parent in useful:
                            self._send(node, parent, rule(g, values), g, values)
                except GraphgradError:
                    raise
                except Exception as error:
                    message = f"{node.describe()}: its gradient rule failed: {error}"
                    raise GraphError(message) from error
                self.swept.append(node)
                if plan.op.masks:
                    self.where_passed = self.careful = True
            for leaf, g in grads.items():
                self._arrived(leaf, g)
        finally:
            restore_warnings(before)
        return self

    def _arrived(self, node: Node, g: Any) -> Any:
        """Take the complete gradient of a node: give it its dtype, and show it to hooks.

        Return what its rules are given: of a float16 node the gradient in float32.
        """
        if g.dtype is not node.dtype and g.dtype != node.dtype:
            own = g.astype(node.dtype)
            if node.dtype == HALF:
                shown = Sweep._arrived(self, node, own)
                if shown is not own:  # by a hook
                    return shown
                return g if g.dtype == np.float32 else g.astype(np.float32)
            g = own
        if node.hooks is not None and self.hooks:
            g = _run_hooks(node, node.hooks, g)
        if node.value is not None and self.wrap is None and g.size <= KEPT_ELEMENTS:
            # a leaf's gradient is handed out, and .grad may be written to
            shared = node.plan is None and not isinstance(g, np.generic)
            self.flows[node.serial] = g.copy() if shared else g
        if node.plan is None or node.retain if self.targets is None else node in self.targets:
            self.results[node] = g
        return g

    def _values(self, node: Node) -> Any:
        """Return what the rules of a node need, unless it is gone or was overwritten."""
        values = node.values
        if values.__class__ is Freed:
            message = (
                f"{node.describe()}: this graph was freed by {values.by}; call that with "
                "retain_graph=True to differentiate it again, or build the graph anew"
            )
            raise GraphError(message)
        if clock.latest > node.serial:
            _check_unwritten(node)
        if self.anomaly is not None:
            self.anomaly.check_unwritten(node)
        return values if self.wrap is None else _wrapped(node, self.wrap)

    def _joint_steps(self, node: Node, g: Any, values: Any) -> list[tuple[int, Any]]:
        """Run a joint rule for the useful inputs; return its gradients in the form of steps."""
        plan, useful = node.plan, self.useful
        if plan.joint is None:
            return []
        wanted = plan.wanted
        if useful is not None:
            wanted = tuple(w and p in useful for w, p in zip(wanted, node.parents, strict=True))
        gs = plan.joint(g, values, wanted)
        return [(i, lambda _g, _v, c=gs[i]: c) for i in plan.wants if gs[i] is not None]

    def _send(self, node: Node, parent: Node, c: Any, g: Any, values: Any) -> None:
        """Add what a rule returned to the gradient of the parent."""
        try:
            shape = c.shape
        except AttributeError:  # no array, but one of the other things a rule may return
            c = self._unpacked(parent, c)
            if c is None:
                return
            shape = c.shape
        if self.careful:
            c = self._examined(node, c, g)
        if shape != parent.shape:
            c = fitted(c, node, parent, g)
        grads = self.grads
        before = grads.get(parent)
        if before is None:
            if parent.plan is not None:
                heappush(self.queue, (-parent.serial, parent))
            elif self.wrap is None:
                c = unshared(c, g, values)
            grads[parent] = c
        elif parent in self.owned and before.dtype == c.dtype:
            before += c
        else:
            grads[parent] = total = before + c
            if self.wrap is None and total.shape:
                self.owned.add(parent)

    def _examined(self, node: Node, c: Any, g: Any) -> Any:
        """Silence branches that were not taken, and look for anomalies."""
        if self.where_passed and node.plan.op.elementwise:
            c = silenced(c, g, recorded=self.wrap is not None)
        if self.anomaly is not None:
            self.anomaly.check_gradient(node, g, c)
        return c

    def _unpacked(self, parent: Node, c: Any) -> Any:
        """Return an array for what a rule returned; None where it has been dealt with."""
        if c.__class__ is Scatter:
            if self.scatter is not None:
                return self.scatter(c.values, c.index, parent.shape)
            if parent not in self.grads and parent.plan is not None:
                heappush(self.queue, (-parent.serial, parent))
            self._add_scatter(parent, c)
            return None
        if c.__class__ is tuple:  # (output number, its gradient)
            if parent not in self.grads:
                heappush(self.queue, (-parent.serial, parent))
                self.grads[parent] = [None] * parent.plan.op.outputs
            before = self.grads[parent][c[0]]  # a recorded sweep makes several nodes of one output
            self.grads[parent][c[0]] = c[1] if before is None else before + c[1]
            return None
        return np.asarray(c)

    def _add_scatter(self, parent: Node, contribution: Scatter) -> None:
        """Add into the parent's one buffer instead of making an array of zeros per slice."""
        buffer = self.grads.get(parent)
        if buffer is None or parent not in self.owned:
            dtype = np.promote_types(parent.dtype, np.float32)
            fresh = np.zeros_like(contribution.values, shape=parent.shape, dtype=dtype)
            if buffer is not None:
                fresh += buffer
            self.grads[parent] = buffer = fresh
            self.owned.add(parent)
        scatter_add(buffer, contribution.index, contribution.values)


def _leading_to(
    roots: Collection[Node], targets: Collection[Node], floor: int
) -> tuple[set[Node], set[Node]]:
    """Return the nodes from which a target is reached, and the targets that reach no other.

    What is older than every target was not computed from one, so a transform inside a loop
    looks at its own part of the graph alone.
    """
    floor = max(floor, min([target.serial for target in targets], default=floor))
    nodes = ancestors(roots, floor, targets)
    useful = {node for node in nodes if node in targets}
    ends = set(useful)
    for node in reversed(nodes):
        if node.plan is None or node.serial < floor:
            continue
        if any(node.parents[i] in useful for i in node.plan.wants):
            useful.add(node)
            ends.discard(node)
    return useful, ends


def _check_unwritten(node: Node) -> None:
    """Raise where a value that the rules of a node need is no longer what it was."""
    plan = node.plan
    for value, source, name in zip(node.values, plan.sources, plan.kept_names, strict=True):
        kept: list[tuple[str, Any, Any]]
        if source == "out":
            kept = [("its output", node, value)]
        elif source == "inputs":
            pairs = zip(node.parents, value, strict=True)
            kept = [(f"its input {i}", parent, array) for i, (parent, array) in enumerate(pairs)]
        elif isinstance(source, int):
            kept = [(f"its input {source}", node.parents[source], value)]
        else:  # an argument, or what the forward handed over
            kept = [(f"'{name}'", None, value)]
        for what, of, array in kept:
            if overwritten(of, array, node.serial):
                label = f" '{of.name}'" if isinstance(of, Node) and of.name else ""
                message = (
                    f"{node.describe()} needs the value of {what}{label}, which was overwritten "
                    "in place after the graph used it; change it after backward(), or use a .copy()"
                )
                raise GraphError(message)


def _wrapped(node: Node, wrap: Wrap) -> tuple[Any, ...]:
    """Turn the kept arrays of a node into recorded values, tied to where they came from."""
    return tuple(
        [
            _tied(v, source, node, wrap)
            for v, source in zip(node.values, node.plan.sources, strict=True)
        ]
    )


def _tied(value: Any, source: int | str | None, node: Node, wrap: Wrap) -> Any:
    if source == "out":
        return wrap(value, node)
    if source == "inputs":
        return tuple([_tied(v, i, node, wrap) for i, v in enumerate(value)])
    if isinstance(source, int) and node.plan.wanted[source]:
        return wrap(value, node.parents[source])
    return value


def _run_hooks(node: Node, hooks: dict[int, Any], g: Any) -> Any:
    """Show a gradient to the hooks, read-only, and take what they return instead."""
    given = g
    for hook in list(hooks.values()):
        shown = _read_only(g)
        recorded = isinstance(shown, Recorded)
        before: Any = (shown._array, shown._node) if recorded else None
        try:
            changed = hook(shown)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise GraphError(_written_by_hook(node)) from error
        if recorded and (shown._array is not before[0] or shown._node is not before[1]):
            raise GraphError(_written_by_hook(node))
        if changed is not None:
            if np.shape(changed) != node.shape:
                message = (
                    f"{node.describe()}: a gradient hook returned shape {np.shape(changed)}; "
                    f"return {node.shape}, or None to leave the gradient as it is"
                )
                raise ShapeError(message)
            # a copy: the caller may keep the array, and a leaf hands its gradient out
            g = as_array(changed, f"{node.describe()}: a gradient hook").astype(node.dtype)
    # hooks may have kept what they were shown
    return g.copy() if g is given and node.plan is None and isinstance(g, np.ndarray) else g


def _read_only(g: Any) -> Any:
    """Return a view of a gradient that cannot be written to."""
    if isinstance(g, Recorded):
        shown: Any = copy.copy(g)
        shown._array = _read_only(g._array)
        return shown
    if not isinstance(g, np.ndarray):
        return g
    view = g.view()
    view.flags.writeable = False
    return view


def _written_by_hook(node: Node) -> str:
    return (
        f"{node.describe()}: a gradient hook changed its argument in place, which others need; "
        "return the new gradient instead, e.g. lambda g: g * 10"
    )
