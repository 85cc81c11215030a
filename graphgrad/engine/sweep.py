"""The reverse sweep: sends gradients from outputs back through the graph.

It knows nodes and rules, no Tensor. In an ordinary sweep the rules are fed plain arrays.
When a graph of the gradient is wanted, the caller passes ``wrap``, which turns an array
and its node into a recorded value; the same rules then record themselves. Gradients of
float16 nodes travel in float32, and are cast where they are handed out.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, final

import numpy as np

from graphgrad.engine.accumulate import Scatter, gather, scatter_add, settled
from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import KEPT_ELEMENTS, Freed, Node, ancestors
from graphgrad.engine.hooks import run_hooks
from graphgrad.engine.memory import check_values, clock
from graphgrad.engine.plan import HALF
from graphgrad.engine.recording import Observer, latest, switches
from graphgrad.engine.source import call_site
from graphgrad.errors import GraphError, GraphgradError
from graphgrad.typing import Array

Wrap = Callable[[Any, Node], Any]


@final
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
        Nodes with a smaller serial number are not entered; a target among them still gets its
        gradient.
    hooks
        Whether the hooks on the way are called.
    observers
        Who is shown the sweep; None means the observers whose blocks are open.

    Attributes
    ----------
    grads
        The gradients that are not complete yet.
    useful
        The nodes that lead to a target; None where every node leads to a leaf.
    results
        The gradient of each target (or leaf) that was reached.
    swept
        The nodes whose rules ran.
    flows
        Gradients of at most eight elements, by serial number of their node, for pictures.
    """

    # what an ordinary sweep, from one root to all leaves, does not ask for
    targets: Collection[Node] | None = None
    useful: Collection[Node] | None = None
    ends: Collection[Node] = ()  # targets below which no other target lies
    observers: tuple[Observer, ...] = ()
    observers_error: Exception | None = None
    floor = 0
    hooks = True
    wrap: Wrap | None = None
    scatter: Callable[..., Any] | None = None
    where_passed = False

    def __init__(
        self,
        seeds: Mapping[Node, Any],
        *,
        targets: Collection[Node] | None = None,
        wrap: Wrap | None = None,
        scatter: Callable[..., Any] | None = None,
        floor: int = 0,
        hooks: bool = True,
        observers: Iterable[Observer] | None = None,
    ) -> None:
        self.grads: dict[Node, Any] = dict(seeds)
        if targets is not None:
            self.targets, self.floor = targets, floor
            self.useful, self.ends = _leading_to(seeds, targets, floor)
            self.grads = {n: g for n, g in seeds.items() if n in self.useful}
        self.queue: list[tuple[int, Node]] = []
        for node in self.grads:
            if node.plan is not None:  # leaves have no rules: they wait in grads until the end
                self.queue.append((-node.serial, node))
        heapify(self.queue)
        self.owned: set[Node] = set()  # whose entry in grads is ours alone to write into
        if not hooks:
            self.hooks = False
        if wrap is not None:
            self.wrap, self.scatter = wrap, scatter
        self.results: dict[Node, Any] = {}
        self.swept: list[Node] = []
        self.flows: dict[int, Any] = {}
        if observers is not None:
            self.observers = tuple(observers)
        elif latest().observers:
            self.observers = switches().observers

    def run(self) -> "Sweep":
        """Send the gradients from the seeds to the targets.

        Raises
        ------
        GraphError
            If part of the graph was freed or a value that a rule needs was overwritten.
        ShapeError
            If a rule returns a gradient that does not fit its input.
        """
        before = ignore_warnings()
        try:
            if self.observers:
                self._send_all_observed()
            else:
                self._send_all()
        finally:
            restore_warnings(before)
        return self

    def _send_all_observed(self) -> None:
        """Ask the open observers who observes this sweep, and show it to them."""
        asked, self.observers, finished = self.observers, (), False
        try:
            for one in asked:
                observer = one.sweeping(self)
                if observer is not None:
                    self.observers += (observer,)
            if self.observers:
                self.uses = self._uses_of_leaves()
            self._send_all()
            finished = True
        finally:
            self.observers_error = None  # whose traceback holds this sweep
            for observer in self.observers:
                observer.ended(finished=finished)

    def _send_all(self) -> None:  # noqa: C901, PLR0912 - every node pays for a call made here
        """Take the newest node, run its rules, and so on; in the end, the leaves."""
        queue, grads, useful, observers = self.queue, self.grads, self.useful, self.observers
        while queue:
            node = heappop(queue)[1]
            g = grads.pop(node)
            if g.__class__ is not list:  # a list holds a gradient for each of several outputs
                g = self._arrived(node, g)
                if node in self.ends:
                    continue
            values = node.values
            if values.__class__ is Freed or clock.latest > node.serial:
                check_values(node)
            if self.wrap is not None:
                values = _wrapped(node, self.wrap)
            for observer in observers:
                observer.before_rules(node)
            plan, parents = node.plan, node.parents
            try:
                rules = plan.rules or joint_rules(node, g, values, useful)
                for position, rule, first, second in rules:
                    parent = parents[position]
                    if useful is None or parent in useful:
                        if first is None:
                            c = rule(g)
                        elif second is None:
                            c = rule(g, values[first])
                        else:
                            c = rule(g, values[first], values[second])
                        self._send(node, position, parent, c, g, values)
            except GraphgradError:
                raise
            except Exception as error:
                if error is self.observers_error:
                    raise
                message = f"{node.describe()}: its gradient rule failed: {error}"
                raise GraphError(message) from error
            self.swept.append(node)
            if plan.op.masks:
                self.where_passed = True
            if observers:
                self._rules_ran(node)
        for leaf, g in grads.items():
            self._arrived(leaf, g)

    def _arrived(self, node: Node, g: Array) -> Array:
        """Take the complete gradient of a node: give it its dtype, and show it to hooks.

        Return what its rules are given: of a float16 node the gradient in float32.
        """
        wide = None
        if g.dtype is not node.dtype and g.dtype != node.dtype:
            if node.dtype == HALF:
                wide = g if g.dtype == np.float32 else g.astype(np.float32)
            g = g.astype(node.dtype)
        if node.hooks is not None and self.hooks:
            shown = g
            g = run_hooks(node, node.hooks, g)
            if g is not shown:
                wide = None
        if node.value is not None and self.wrap is None and g.size <= KEPT_ELEMENTS:
            # a leaf's gradient is handed out, and .grad may be written to
            shared = node.plan is None and not isinstance(g, np.generic)
            self.flows[node.serial] = g.copy() if shared else g
        if node.plan is None or node.retain if self.targets is None else node in self.targets:
            self.results[node] = g
        onward = g if wide is None else wide
        if self.observers:
            for observer in self.observers:
                observer.complete(node, self.results.get(node, onward))
        return onward

    def _send(  # noqa: C901 - in one piece, for every contribution pays for a call made here
        self, node: Node, position: int, parent: Node, c: Array, g: Array, values: Array
    ) -> None:
        """Add what a rule returned to the gradient of the parent."""
        try:
            shape = c.shape
        except AttributeError:  # no array, but one of the other things a rule may return
            c = self._unpacked(node, position, parent, c, g)
            if c is None:
                return
            shape = c.shape
        if self.where_passed or shape != parent.shape:
            recorded = self.wrap is not None
            c = settled(c, node, parent, g, where_passed=self.where_passed, recorded=recorded)
        if self.observers:
            self._show("sent", node, position, c, g)
        grads = self.grads
        before = grads.get(parent)
        if before is None:
            if parent.plan is not None:
                heappush(self.queue, (-parent.serial, parent))
            elif self.wrap is None:
                c = _unshared(c, g, values)
            grads[parent] = c
            return
        if parent in self.owned and before.dtype == c.dtype:
            before += c
        else:
            grads[parent] = total = before + c
            if self.wrap is None and total.shape:
                self.owned.add(parent)
        if self.observers:
            self._show("summed", parent, grads[parent])

    def _unpacked(self, node: Node, position: int, parent: Node, c: Array, g: Array) -> Any:
        """Return an array for what a rule returned; None where it has been dealt with."""
        if c.__class__ is Scatter and self.scatter is not None:
            return self.scatter(c.values, c.index, parent.shape)
        if c.__class__ is not Scatter and c.__class__ is not tuple:
            return np.asarray(c)
        self._show("sent", node, position, c, g)
        if not (parent in self.grads or parent.is_leaf):
            heappush(self.queue, (-parent.serial, parent))
        if c.__class__ is Scatter:
            self._add_scatter(parent, c)
        else:
            gather(self.grads, parent, c)
        return None

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

    def _show(self, event: str, *what: Any) -> None:
        """Show observers what a rule did; an error of theirs is not the rule's."""
        try:
            for observer in self.observers:
                getattr(observer, event)(*what)
        except Exception as error:
            self.observers_error = error
            raise

    def _uses_of_leaves(self) -> Counter[Node]:
        """Count the contributions that each leaf will get: after the last, observers see it."""
        uses: Counter[Node] = Counter()
        for node in ancestors(self.grads, self.floor, self.targets or ()):
            if node.plan is not None and node.serial >= self.floor and node not in self.ends:
                uses.update(p for i in node.plan.wants if (p := node.parents[i]).plan is None)
        return uses

    def _rules_ran(self, node: Node) -> None:
        """Show observers that the rules of a node ran, and leaves that are complete by that."""
        for observer in self.observers:
            observer.after_rules(node)
        for leaf in [node.parents[i] for i in node.plan.wants]:
            if leaf.plan is None:
                self.uses[leaf] -= 1
                # hooks of leaves run at the end, whether anybody observes or not
                if self.uses[leaf] == 0 and leaf in self.grads and not leaf.hooks:
                    self._arrived(leaf, self.grads.pop(leaf))


def joint_rules(
    node: Node, g: Array, values: Array, useful: Collection[Node] | None = None
) -> list[tuple[int, Any, None, None]]:
    """Run a joint rule for the useful inputs; return its gradients in the form of rules."""
    plan = node.plan
    if plan.joint is None:
        return []
    wanted = plan.wanted
    if useful is not None:
        wanted = tuple(w and p in useful for w, p in zip(wanted, node.parents, strict=True))
    gs = plan.joint(g, values, wanted)
    return [(i, lambda _, c=gs[i]: c, None, None) for i in plan.wants if gs[i] is not None]


def _unshared(c: Array, g: Array, values: tuple[Array, ...]) -> Array:
    """Copy a leaf's gradient if anything else may hold its memory, for it is handed out."""
    if isinstance(c, np.generic):
        return c
    if c is g or c.base is not None:
        return c.copy()
    for value in values:
        if c is value:
            return c.copy()
        # in a long list of inputs, looking for it would take longer than copying
        if value.__class__ is tuple and (len(value) > 8 or any(c is v for v in value)):
            return c.copy()
    return c


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


def _wrapped(node: Node, wrap: Wrap) -> tuple[Array, ...]:
    """Turn the kept arrays of a node into recorded values, tied to where they came from."""
    return tuple(
        [
            _tied(v, source, node, wrap)
            for v, source in zip(node.values, node.plan.sources, strict=True)
        ]
    )


def _tied(value: Array, source: int | str | None, node: Node, wrap: Wrap) -> Array:
    if source == "out":
        return wrap(value, node)
    if source == "inputs":
        return tuple([_tied(v, i, node, wrap) for i, v in enumerate(value)])
    if isinstance(source, int) and node.plan.wanted[source]:
        return wrap(value, node.parents[source])
    return value


def release(nodes: Iterable[Node], by: str) -> None:
    """Drop the saved arrays of a swept graph; its structure stays to be looked at."""
    freed = Freed(by, *call_site(3))
    for node in nodes:
        if node.plan is not None:
            node.values = freed
