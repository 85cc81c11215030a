"""The reverse sweep: sends gradients from outputs back through the graph.

It knows nodes and rules, no Tensor. In an ordinary sweep the rules are fed plain arrays.
When a graph of the gradient is wanted, the caller passes ``wrap``, which turns an array
and its node into a recorded value; the same rules then record themselves.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from graphgrad.errors import GraphError, GraphgradError, ShapeError
from graphgrad.node import Freed, Node, ancestors, memory_owners, recording
from graphgrad.registry import Scatter

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
    nodes = ancestors(seeds, floor, () if targets is None else targets)
    useful: set[Node] | None = None  # None: all of them
    ends: Collection[Node] = ()  # targets below which no other target lies
    if targets is not None:
        useful, ends = _leading_to(nodes, targets, floor)
        nodes = [n for n in nodes if n in useful]
    _check_usable(nodes, ends)
    grads: dict[Node, Any] = dict(seeds)
    owned: set[Node] = set()  # nodes whose entry in grads is the sweep's own to write into
    results: dict[Node, Any] = {}
    where_passed = False
    anomaly = recording.anomaly
    with np.errstate(all="ignore"):
        for node in nodes:
            g = grads.pop(node, None)
            if g is None:
                continue
            plan = node.plan
            if g.__class__ is not list:  # several outputs: a gradient per output
                if g.dtype != node.dtype:
                    g = g.astype(node.dtype)
                if node.hooks is not None:
                    g = _run_hooks(node, g)
                if flows is not None and node.value is not None:
                    flows.append((node, g))
                if plan is None or node.retain or (targets is not None and node in targets):
                    results[node] = g
                if plan is None or node in ends:
                    continue
            op = plan.op
            values = node.values if wrap is None else _wrapped(node, wrap)
            parents = node.parents
            try:
                contributions = None
                if plan.joint is not None:
                    wanted = plan.wanted
                    if useful is not None:
                        pairs = zip(wanted, parents, strict=True)
                        wanted = tuple(w and p in useful for w, p in pairs)
                    contributions = plan.joint(g, values, wanted)
                for step in plan.steps or plan.wants:
                    if contributions is None:
                        position, rule = step
                        parent = parents[position]
                        if useful is not None and parent not in useful:
                            continue
                        c = rule(g, values)
                    else:
                        parent = parents[step]
                        c = contributions[step]
                        if c is None or (useful is not None and parent not in useful):
                            continue
                    if c.__class__ is Scatter:
                        if scatter is None:
                            _add_scatter(grads, owned, parent, c)
                            continue
                        c = scatter(c.values, c.index, parent.shape)
                    elif c.__class__ is tuple:  # (output number, its gradient)
                        outputs = grads.setdefault(parent, [None] * parent.plan.op.outputs)
                        outputs[c[0]] = c[1]
                        continue
                    if not hasattr(c, "shape"):
                        c = np.asarray(c)
                    if where_passed and op.elementwise:
                        c = _silenced(c, g)
                    if c.shape != parent.shape:
                        c = _fitted(c, node, parent, g)
                    if anomaly is not None:
                        anomaly.check_gradient(node, g, c)
                    before = grads.get(parent)
                    if before is None:
                        if parent.plan is None and wrap is None and _may_alias(c, g, values):
                            c = c.copy()
                        grads[parent] = c
                    elif wrap is None and parent in owned and before.dtype == c.dtype:
                        before += c
                    else:
                        grads[parent] = _added(before, c)
                        if wrap is None and before.shape:
                            owned.add(parent)
            except GraphgradError:
                raise
            except Exception as error:
                message = f"{node.describe()}: its gradient rule failed: {error}"
                raise GraphError(message) from error
            if op.masks:
                where_passed = True
    return results, nodes


def _leading_to(
    nodes: list[Node], targets: Collection[Node], floor: int
) -> tuple[set[Node], set[Node]]:
    """Return the nodes from which a target is reached, and the targets that reach no other."""
    useful = {node for node in nodes if node in targets}
    ends = set(useful)
    for node in reversed(nodes):
        if node.plan is None or node.serial < floor:
            continue
        if any(node.parents[i] in useful for i in node.plan.wants):
            useful.add(node)
            ends.discard(node)
    return useful, ends


def _check_usable(nodes: list[Node], ends: Collection[Node]) -> None:
    for node in nodes:
        plan = node.plan
        if plan is None or node in ends:
            continue
        if node.values.__class__ is Freed:
            message = (
                f"{node.describe()}: this graph was freed by {node.values.by}; call that with "
                "retain_graph=True to differentiate it again, or build the graph anew"
            )
            raise GraphError(message)
        for position in plan.saved_inputs:
            parent = node.parents[position]
            if parent.__class__ is Node and (
                parent.changed > node.serial or (parent.plan is not None and parent.plan.op.view)
            ):
                _check_unchanged(node, parent, f"its input {position}")
        if plan.keeps_out and (node.changed or plan.op.view):
            _check_unchanged(node, node, "its output")
        if recording.anomaly is not None:
            recording.anomaly.check_unwritten(node)


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


def _may_alias(c: Any, g: Any, values: tuple[Any, ...]) -> bool:
    """Whether a leaf's first contribution might share memory with anything else."""
    if c is g or c.base is not None:
        return True
    for value in values:
        if c is value or (value.__class__ is tuple and any(c is v for v in value)):
            return True
    return False


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
