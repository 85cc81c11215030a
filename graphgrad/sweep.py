"""The reverse sweep: sends gradients from outputs back through the graph.

It knows nodes and rules, no Tensor. In an ordinary sweep the rules are fed plain arrays.
When a graph of the gradient is wanted, the caller passes ``wrap``, which turns an array
and its node into a recorded value; the same rules then record themselves.
"""

from collections.abc import Callable, Collection, Mapping
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from graphgrad.errors import GraphError, GraphgradError, ShapeError
from graphgrad.node import Freed, Node, ancestors, memory_owners, recording
from graphgrad.registry import Plan, Scatter

Wrap = Callable[[Any, Node], Any]
HALF = np.dtype(np.float16)


def sweep(
    seeds: Mapping[Node, Any],
    *,
    targets: Collection[Node] | None = None,
    wrap: Wrap | None = None,
    scatter: Callable[..., Any] | None = None,
    floor: int = 0,
    flows: list[tuple[Node, Any]] | None = None,
) -> tuple[dict[Node, Any], list[Node]]:
    """Run the rules of all nodes between the seeds and the targets, newest first.

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
    flows
        Receives ``(node, gradient)`` of the small nodes, for pictures.

    Returns
    -------
    The gradient of each target (or leaf) that was reached, and the nodes swept.

    Raises
    ------
    GraphError
        If part of the graph was freed or a value that a rule needs was overwritten.
    ShapeError
        If a rule returns a gradient that does not fit its input.
    """
    useful: Collection[Node] | None = None  # None: every node on the way to a leaf
    ends: Collection[Node] = ()  # targets below which no other target lies
    if targets is not None:
        useful, ends = _leading_to(seeds, targets, floor)
        seeds = {node: g for node, g in seeds.items() if node in useful}
    grads: dict[Node, Any] = dict(seeds)
    queue = [(-node.serial, node) for node in grads]  # newest first: inputs before outputs
    heapify(queue)
    owned: set[Node] = set()  # nodes whose entry in grads is the sweep's own to write into
    results: dict[Node, Any] = {}
    swept: list[Node] = []
    where_passed = False
    anomaly = recording.anomaly
    with np.errstate(all="ignore"):
        while queue:
            node = heappop(queue)[1]
            g = grads.pop(node)
            plan = node.plan
            if g.__class__ is not list:  # a list: several outputs, a gradient for each
                if g.dtype is not node.dtype and g.dtype != node.dtype:
                    g = g.astype(node.dtype)
                if node.hooks is not None:
                    g = _run_hooks(node, g)
                if flows is not None and node.value is not None:
                    flows.append((node, g))
                if plan is None:
                    results[node] = g
                    continue
                if targets is None:
                    if node.retain:
                        results[node] = g
                elif node in targets:
                    results[node] = g
                    if node in ends:
                        continue
            op = plan.op
            parents = node.parents
            values = node.values
            if values.__class__ is Freed:
                raise GraphError(_freed(node))
            for position in plan.saved_inputs:
                parent = parents[position]
                if parent.__class__ is Node and (parent.changed or parent.is_view):
                    _check_unchanged(node, parent, f"its input {position}")
            if plan.keeps_out and (node.changed or node.is_view):
                _check_unchanged(node, node, "its output")
            if anomaly is not None:
                anomaly.check_unwritten(node)
            if wrap is not None:
                values = _wrapped(node, wrap)
            try:
                steps = plan.steps
                if plan.joint is not None:
                    steps = _run_joint(plan, g, values, parents, useful)
                for position, rule in steps:
                    parent = parents[position]
                    if useful is not None and parent not in useful:
                        continue
                    c = rule(g, values)
                    try:
                        shape = c.shape
                    except AttributeError:  # no array: one of the other things a rule may return
                        if c.__class__ is Scatter:
                            if scatter is None:
                                if parent not in grads:
                                    heappush(queue, (-parent.serial, parent))
                                _add_scatter(grads, owned, parent, c)
                                continue
                            c = scatter(c.values, c.index, parent.shape)
                        elif c.__class__ is tuple:  # (output number, its gradient)
                            if parent not in grads:
                                heappush(queue, (-parent.serial, parent))
                                grads[parent] = [None] * parent.plan.op.outputs
                            grads[parent][c[0]] = c[1]
                            continue
                        else:
                            c = np.asarray(c)
                        shape = c.shape
                    if where_passed and op.elementwise:
                        c = _silenced(c, g)
                    if shape != parent.shape:
                        c = _fitted(c, node, parent, g)
                    if anomaly is not None:
                        anomaly.check_gradient(node, g, c)
                    if parent not in grads:
                        if parent.plan is None and wrap is None:
                            # nothing else may hold the memory of a gradient that is handed out
                            if c is g or c.base is not None or _is_among(c, values):
                                c = c.copy()
                        grads[parent] = c
                        heappush(queue, (-parent.serial, parent))
                    elif parent in owned and grads[parent].dtype == c.dtype:
                        grads[parent] += c
                    else:
                        grads[parent] = total = _added(grads[parent], c)
                        if wrap is None and total.shape:
                            owned.add(parent)
            except GraphgradError:
                raise
            except Exception as error:
                message = f"{node.describe()}: its gradient rule failed: {error}"
                raise GraphError(message) from error
            swept.append(node)
            if op.masks:
                where_passed = True
    return results, swept


def _run_joint(
    plan: Plan, g: Any, values: Any, parents: tuple[Any, ...], useful: Collection[Node] | None
) -> list[tuple[int, Any]]:
    """Run a joint rule for the useful inputs; return its gradients in the form of steps."""
    wanted = plan.wanted
    if useful is not None:
        wanted = tuple(w and p in useful for w, p in zip(wanted, parents, strict=True))
    gradients = plan.joint(g, values, wanted)  # type: ignore[misc]
    return [
        (i, lambda _g, _v, c=gradients[i]: c) for i in plan.wants if gradients[i] is not None
    ]


def _freed(node: Node) -> str:
    return (
        f"{node.describe()}: this graph was freed by {node.values.by}; call that with "
        "retain_graph=True to differentiate it again, or build the graph anew"
    )


def _is_among(c: Any, values: tuple[Any, ...]) -> bool:
    for value in values:
        if c is value or (value.__class__ is tuple and any(c is v for v in value)):
            return True
    return False


def _leading_to(
    roots: Collection[Node], targets: Collection[Node], floor: int
) -> tuple[set[Node], set[Node]]:
    """Return the nodes from which a target is reached, and the targets that reach no other."""
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


def _check_unchanged(node: Node, kept: Node, what: str) -> None:
    for owner in memory_owners(kept):
        if owner.changed > node.serial:
            label = f" '{owner.name}'" if owner.name else ""
            message = (
                f"{node.describe()} needs the value of {what}{label}, which was overwritten "
                "in place after the graph used it; change it after backward(), or use a .copy()"
            )
            raise GraphError(message)


def _wrapped(node: Node, wrap: Wrap) -> tuple[Any, ...]:
    """Turn the kept arrays of a node into recorded values, tied to where they came from."""

    def tied(value: Any, source: int | str | None) -> Any:
        if source == "out":
            return wrap(value, node)
        if source == "inputs":
            return tuple(tied(v, i) for i, v in enumerate(value))
        if isinstance(source, int):
            parent = node.parents[source]
            if source in node.plan.wants:
                return wrap(value, parent)
        return value

    return tuple(map(tied, node.values, node.plan.sources))


def _run_hooks(node: Node, g: Any) -> Any:
    for hook in list(node.hooks.values()):
        changed = hook(g)
        if changed is not None:
            if np.shape(changed) != node.shape:
                message = (
                    f"{node.describe()}: a gradient hook returned shape {np.shape(changed)}; "
                    f"return {node.shape}, or None to leave the gradient as it is"
                )
                raise ShapeError(message)
            g = changed if hasattr(changed, "dtype") else np.asarray(changed, dtype=node.dtype)
    return g


def _silenced(c: Any, g: Any) -> Any:
    """Let a branch that `where` did not take contribute exactly 0.

    There g is 0 and a local derivative that is not finite gives 0 · inf = NaN. Elsewhere
    nothing changes: masking on g == 0 alone would lose second derivatives.
    """
    broken = np.isnan(c)
    if not broken.any():
        return c
    return np.where(broken & (g == 0), np.zeros((), c.dtype), c)


def unbroadcast(c: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its input was broadcast."""
    extra = c.ndim - len(shape)
    stretched = tuple(
        i for i, n in enumerate(c.shape) if i < extra or (shape[i - extra] == 1 and n != 1)
    )
    if c.dtype == HALF:  # half-precision sums accumulate in single precision
        c = c.astype(np.float32)
    if stretched:
        c = np.add.reduce(c, stretched)
    return c if c.shape == shape else np.reshape(c, shape)


def _fitted(c: Any, node: Node, parent: Node, g: Any) -> Any:
    """Un-broadcast a contribution, or say that the rule returned a wrong shape."""
    op = node.plan.op
    shape = parent.shape
    if (op.broadcasts or c.shape == getattr(g, "shape", None)) and _broadcasts_to(shape, c.shape):
        return unbroadcast(c, shape)
    if op.elementwise and _broadcasts_to(c.shape, g.shape):  # e.g. a rule that returns 0
        return unbroadcast(c + np.zeros_like(g), shape)
    message = (
        f"{node.describe()}: its gradient rule returned shape {c.shape} for an input of shape "
        f"{shape}; a rule returns a gradient of its input's shape"
    )
    raise ShapeError(message)


def _broadcasts_to(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)


def _added(a: Any, b: Any) -> Any:
    if a.dtype == HALF:
        a = a.astype(np.float32)
    return a + b


def _add_scatter(
    grads: dict[Node, Any], owned: set[Node], parent: Node, contribution: Scatter
) -> None:
    """Add into the parent's one buffer instead of making an array of zeros per slice."""
    buffer = grads.get(parent)
    if buffer is None or parent not in owned:
        dtype = np.float32 if parent.dtype == HALF else parent.dtype
        fresh = np.zeros_like(contribution.values, shape=parent.shape, dtype=dtype)
        if buffer is not None:
            fresh += buffer
        grads[parent] = buffer = fresh
        owned.add(parent)
    scatter_add(buffer, contribution.index, contribution.values)


def is_basic(index: Any) -> bool:
    """Whether an index only slices, so that no element is met twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None or p is Ellipsis or isinstance(p, slice | int | np.integer)
        for p in parts
        if not isinstance(p, bool)
    ) and not any(isinstance(p, bool | np.bool_) for p in parts)


def scatter_add(buffer: Any, index: Any, values: Any) -> None:
    """``buffer[index] += values``, duplicates summed: the one place that does it."""
    if is_basic(index):
        buffer[index] += values
    else:
        np.add.at(buffer, index, values)
