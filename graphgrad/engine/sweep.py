"""The reverse sweep: sends gradients from outputs back through the graph.

It deals with nodes and rules, not with Tensors. Ordinarily the rules get plain arrays. For a graph
of the gradient, the caller passes ``wrap``, which turns an array and its node into a recorded
value; the same rules then record themselves. Gradients of float16 nodes are float32 until they are
complete.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any, final

import numpy as np

from graphgrad.engine.accumulate import (
    Scatter,
    fitted_contribution,
    gather_outputs,
    scatter_add,
    unshared,
)
from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import KEPT_ELEMENTS, Freed, Node, ancestors, paths_to
from graphgrad.engine.hooks import run_hooks
from graphgrad.engine.memory import check_values, clock
from graphgrad.engine.plan import HALF, joint_rules
from graphgrad.engine.recording import Observer, latest, switches
from graphgrad.engine.rows import hooks_for_rows, rules_for_rows, scatter_add_rows
from graphgrad.engine.source import call_site
from graphgrad.errors import GraphError, GraphgradError
from graphgrad.typing import Array

Wrap = Callable[[Any, Node], Any]


@final
class Sweep:
    """One reverse sweep, newest node first.

    Parameters
    ----------
    seeds
        The upstream gradient of each node to start from.
    targets
        The nodes whose gradients are wanted; None means every leaf.
    wrap, scatter
        Both, for a sweep that is recorded: ``wrap(array, node)`` makes a recorded value,
        ``scatter(values, index, shape)`` is the op that replaces the sweep's buffer.
    floor
        Nodes with a smaller serial number are not entered; targets among them still get their
        gradients.
    hooks
        Whether gradient hooks are called.
    observers
        The observers to notify; None means those whose blocks are open.
    rows
        Whether each seed has an axis more, for several upstream gradients (see `rows.py`). Such a
        sweep has targets, is not recorded, and notifies no observer.

    Attributes
    ----------
    grads
        By node: the incomplete gradients.
    useful
        The nodes on paths to a target; None without targets.
    results
        By target (or leaf) that was reached: the gradient.
    swept
        The nodes whose rules ran.
    flows
        Gradients of at most eight elements, by serial number of their node, for pictures.
    """

    # defaults of an ordinary sweep, from one root to all leaves
    targets: Collection[Node] | None = None
    useful: Collection[Node] | None = None
    ends: Collection[Node] = ()  # targets from which no other target is reached
    observers: tuple[Observer, ...] = ()
    observers_error: Exception | None = None
    floor = 0
    hooks = True
    wrap: Wrap | None = None
    scatter: Callable[..., Any] | None = None
    after_where = False
    rows = False

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
        rows: bool = False,
    ) -> None:
        if targets is None:
            self.grads: dict[Node, Any] = {**seeds}
        else:
            self.targets, self.floor = targets, floor
            self.useful, self.ends = paths_to(seeds, targets, floor)
            self.grads = {n: g for n, g in seeds.items() if n in self.useful}
        self.queue: list[tuple[int, Node]] = []
        for node in self.grads:
            if node.plan is not None:  # leaves have no rules: they stay in grads until the end
                heappush(self.queue, (-node.serial, node))
        self.owned: set[Node] = set()  # nodes whose entry in grads may be written into
        if not hooks:
            self.hooks = False
        if wrap is not None:
            self.wrap, self.scatter = wrap, scatter
        self.results: dict[Node, Any] = {}
        self.swept: list[Node] = []
        self.small_gradients: dict[int, Any] = {}
        if rows:
            self.rows = True
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
                self._run_observed()
            else:
                self._run_rules()
        finally:
            restore_warnings(before)
        return self

    def _run_observed(self) -> None:
        """Run the sweep with the observers that want to observe it."""
        open_observers, self.observers, finished = self.observers, (), False
        try:
            for opened in open_observers:
                observer = opened.sweeping(self)
                if observer is not None:
                    self.observers += (observer,)
            if self.observers:
                self.uses = self._uses_of_leaves()
            self._run_rules()
            finished = True
        finally:
            self.observers_error = None  # its traceback refers to this sweep
            for observer in self.observers:
                observer.ended(finished=finished)

    def _run_rules(self) -> None:  # noqa: C901, PLR0912, PLR0915 - hot: calls are inlined
        """Run the rules of the newest node until the queue is empty; then complete the leaves."""
        queue, grads, useful, observers = self.queue, self.grads, self.useful, self.observers
        small_gradients, swept = self.small_gradients, self.swept
        # most gradients and contributions need no more than a few tests; the methods do the rest
        quick, keeps = not observers, self.wrap is None and not self.rows
        fits, targets = quick, self.targets or ()
        while queue:
            node = heappop(queue)[1]
            g = grads.pop(node)
            if g.__class__ is not list:  # a list has the gradients of several outputs
                if (
                    quick
                    and g.dtype is node.dtype
                    and node.hooks is None
                    and not node.retain
                    and node not in targets
                ):
                    if keeps and node.value is not None:
                        small_gradients[node.serial] = g
                else:
                    g = self._complete(node, g)
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
                if self.rows:
                    rules = rules_for_rows(node, g, values, useful, after_where=self.after_where)
                else:
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
                        if fits and getattr(c, "shape", None) == parent.shape:
                            before = grads.get(parent)
                            if before is not None:
                                self._add(parent, before, c)
                                continue
                            if parent.plan is not None:
                                heappush(queue, (-parent.serial, parent))
                            elif c.__class__ is np.ndarray and self.wrap is None:
                                c = unshared(c, g, values)
                            grads[parent] = c
                        else:
                            self._send(node, position, parent, c, g, values)
            except GraphgradError:
                raise
            except Exception as error:
                if error is self.observers_error:
                    raise
                message = f"{node.describe()}: its gradient rule failed: {error}"
                raise GraphError(message) from error
            swept.append(node)
            if plan.op.masks:
                self.after_where, fits = True, False
            if observers:
                self._after_rules(node)
        for leaf, g in grads.items():
            if quick and self.targets is None and g.dtype is leaf.dtype and leaf.hooks is None:
                self.results[leaf] = g
                if g.size <= KEPT_ELEMENTS:  # copied, since the user may write to .grad
                    small_gradients[leaf.serial] = g.copy() if g.__class__ is np.ndarray else g
            else:
                self._complete(leaf, g)

    def _complete(self, node: Node, g: Array) -> Array:
        """Finish the gradient of a node: cast it, run hooks, store it, notify observers.

        Return it for the rules: for a float16 node in float32.
        """
        wide = None
        if g.dtype is not node.dtype and g.dtype != node.dtype:
            if node.dtype == HALF:
                wide = g if g.dtype == np.float32 else g.astype(np.float32)
            g = g.astype(node.dtype)
        if node.hooks is not None and self.hooks:
            shown = g
            g = hooks_for_rows(node, g) if self.rows else run_hooks(node, node.hooks, g)
            if g is not shown:
                wide = None
        if node.value is not None and self.wrap is None and g.size <= KEPT_ELEMENTS:
            # copied for a leaf, since the user may write to .grad
            shared = node.plan is None and not isinstance(g, np.generic)
            self.small_gradients[node.serial] = g.copy() if shared else g
        if node.plan is None or node.retain if self.targets is None else node in self.targets:
            self.results[node] = g
        for_rules = g if wide is None else wide
        if self.observers:
            for observer in self.observers:
                observer.complete(node, self.results.get(node, for_rules))
        return for_rules

    def _send(
        self, node: Node, position: int, parent: Node, c: Array, g: Array, values: Array
    ) -> None:
        """Add what a rule returned to the gradient of the parent, in the parent's shape."""
        try:
            shape = c.shape
        except AttributeError:  # a number, a Scatter, or the gradient of one output
            c = self._as_array(node, position, parent, c, g)
            if c is None:
                return
            shape = c.shape
        if not self.rows and (self.after_where or shape != parent.shape):
            recorded = self.wrap is not None
            c = fitted_contribution(
                c, node, parent, g, after_where=self.after_where, recorded=recorded
            )
        if self.observers:
            self._notify("sent", node, position, c, g)
        before = self.grads.get(parent)
        if before is not None:
            self._add(parent, before, c)
            if self.observers:
                self._notify("summed", parent, self.grads[parent])
            return
        if parent.plan is not None:
            heappush(self.queue, (-parent.serial, parent))
        elif self.wrap is None:
            c = unshared(c, g, values)
        self.grads[parent] = c

    def _add(self, parent: Node, before: Array, c: Array) -> None:
        """Add to the gradient of a parent what one more use of it contributes."""
        if parent in self.owned and before.dtype == c.dtype:
            before += c
        else:
            self.grads[parent] = total = before + c
            if self.wrap is None and total.shape:
                self.owned.add(parent)

    def _as_array(self, node: Node, position: int, parent: Node, c: Array, g: Array) -> Any:
        """Return the result of a rule as an array; None if it was added already."""
        if c.__class__ is Scatter and self.scatter is not None:
            return self.scatter(c.values, c.index, parent.shape)
        if c.__class__ is not Scatter and c.__class__ is not tuple:
            return np.asarray(c)
        self._notify("sent", node, position, c, g)
        if not (parent in self.grads or parent.is_leaf):
            heappush(self.queue, (-parent.serial, parent))
        if c.__class__ is Scatter:
            self._add_scatter(parent, c)
        else:
            gather_outputs(self.grads, parent, c)
        return None

    def _add_scatter(self, parent: Node, contribution: Scatter) -> None:
        """Add into one buffer of the parent, instead of an array of zeros per slice."""
        buffer = self.grads.get(parent)
        if buffer is None or parent not in self.owned:
            dtype = np.promote_types(parent.dtype, np.float32)
            values = contribution.values
            shape = (len(values), *parent.shape) if self.rows else parent.shape
            fresh = np.zeros_like(values if buffer is None else buffer, shape=shape, dtype=dtype)
            if buffer is not None:
                fresh += buffer
            self.grads[parent] = buffer = fresh
            self.owned.add(parent)
        add = scatter_add_rows if self.rows else scatter_add
        add(buffer, contribution.index, contribution.values)

    def _notify(self, event: str, *what: Any) -> None:
        """Notify observers; remember an error of theirs, which is not the rule's."""
        try:
            for observer in self.observers:
                getattr(observer, event)(*what)
        except Exception as error:
            self.observers_error = error
            raise

    def _uses_of_leaves(self) -> Counter[Node]:
        """Count the contributions that each leaf will get, after which it is complete."""
        uses: Counter[Node] = Counter()
        for node in ancestors(self.grads, self.floor, self.targets or ()):
            if node.plan is not None and node.serial >= self.floor and node not in self.ends:
                uses.update(p for i in node.plan.wants if (p := node.parents[i]).plan is None)
        return uses

    def _after_rules(self, node: Node) -> None:
        """Notify observers that the rules of a node ran; complete leaves that got everything."""
        for observer in self.observers:
            observer.after_rules(node)
        for leaf in [node.parents[i] for i in node.plan.wants]:
            if leaf.plan is None:
                self.uses[leaf] -= 1
                # hooks of leaves run at the end, with or without observers
                if self.uses[leaf] == 0 and leaf in self.grads and not leaf.hooks:
                    self._complete(leaf, self.grads.pop(leaf))


def _wrapped(node: Node, wrap: Wrap) -> tuple[Array, ...]:
    """Turn the kept arrays of a node into recorded values with their nodes."""
    return tuple(
        [
            _wrap_value(v, source, node, wrap)
            for v, source in zip(node.values, node.plan.sources, strict=True)
        ]
    )


def _wrap_value(value: Array, source: int | str | None, node: Node, wrap: Wrap) -> Array:
    if source == "out":
        return wrap(value, node)
    if source == "inputs":
        return tuple([_wrap_value(v, i, node, wrap) for i, v in enumerate(value)])
    if isinstance(source, int) and node.plan.wanted[source]:
        return wrap(value, node.parents[source])
    return value


def release(nodes: Iterable[Node], by: str) -> None:
    """Drop the saved arrays of swept nodes; the structure of the graph remains."""
    freed = Freed(by, *call_site(3))
    for node in nodes:
        if node.plan is not None:
            node.values = freed
