"""Recording: applying an op to values and, where a gradient is needed, adding a node."""

from typing import Any

import numpy as np

from graphgrad.errors import (
    DtypeError,
    GraphgradError,
    ShapeError,
    UnsupportedError,
    translate,
)
from graphgrad.node import KEPT_ELEMENTS, Absent, Node, Recorded, call_site, here
from graphgrad.registry import HALF, Op, Plan, op
from graphgrad.switches import latest, switches

_SCALARS = (bool, int, float, np.generic)
_KINDS = "fiub"  # real floating, integers and booleans
_NODE_LIKE = (Node, Absent, *_SCALARS)
_new = object.__new__


def record(  # noqa: C901, PLR0912, PLR0915 - in one piece, for every op pays for a call made here
    op: Op[Any], inputs: tuple[Any, ...], params: tuple[Any, ...] = ()
) -> Any:
    """Apply an op; if recording is on and an input needs a gradient, add a node."""
    arrays: list[Any] = []
    parents: list[Any] = []
    loose = False  # whether an input has no node yet
    mask: Any = 0
    bit = op.first_bit
    for x in inputs:
        if isinstance(x, Recorded):
            arrays.append(x._array)
            node = x._node
            if node is None:
                loose = True
                parents.append(x)
            else:
                parents.append(node)
                if node.needs:
                    mask |= bit
        elif isinstance(x, _SCALARS):
            arrays.append(x)
            parents.append(x)
        elif isinstance(x, Absent):
            arrays.append(x.value)
            parents.append(x)
        else:
            x = as_array(x, op)  # noqa: PLW2901 - a list, say, is an array from here on
            arrays.append(x)
            loose = True
            parents.append(x)
        bit <<= 1
    if params:
        params = _plain_params(op, params)
    try:
        out = op.forward(arrays, *params) if op.variadic else op.forward(*arrays, *params)
    except Exception as error:
        raise explained(op, arrays, error) from error
    saved = None
    if op.has_saved:
        out, saved = out
    mask = _wanted(parents) if op.variadic else mask & op.differentiable
    if not mask:
        return constant(out)
    now = latest()
    if not now.plain and not (now := switches()).enabled:
        return constant(out)

    full = (*((tuple(arrays),) if op.variadic else arrays), out, saved, *params)
    if op.asks_shapes:
        # np.shape takes longer, and is needed for Python's own numbers only
        shapes = tuple([a.shape if hasattr(a, "shape") else () for a in arrays])
        full += (shapes,) if op.variadic else shapes
    if loose:
        parents = [p if isinstance(p, _NODE_LIKE) else _leaf_of(p) for p in parents]
    plan = op.plans.get(mask) or op.plan(mask, len(arrays))
    tensor = attach(plan, tuple(parents), plan.pick(full), out)
    if now.watchers:
        _show(op, tensor, arrays, now.watchers)
    return tensor


def _wanted(parents: list[Any]) -> tuple[bool, ...]:
    """Tell for each of a list of inputs whether it needs a gradient; () if none does."""
    wanted = tuple([p.__class__ is Node and p.needs for p in parents])
    return wanted if True in wanted else ()


def attach(plan: Plan, parents: tuple[Any, ...], values: tuple[Any, ...], out: Any) -> Any:
    """Add the node of a computed value, and return the Tensor that stands for it."""
    code, instruction = call_site(3)
    if plan.op.outputs > 1:
        if any(x.dtype == HALF for x in out):
            plan = plan.for_halves()
        return wrap(out, Node(plan, parents, values, (), None, None, True, code, instruction))
    shape, dtype = out.shape, out.dtype
    if dtype.char not in "fd":
        if dtype == HALF:
            plan = plan.for_halves()
        elif dtype.kind != "f":
            return constant(out)
    value = out if out.size <= KEPT_ELEMENTS else None
    tensor = _new(Recorded.public)
    tensor._array = out
    tensor._node = Node(plan, parents, values, shape, dtype, value, True, code, instruction)
    return tensor


def _show(op: Op[Any], result: Any, arrays: list[Any], watchers: tuple[Any, ...]) -> None:
    """Show an op, what it made and from what to the watchers."""
    results = result if op.outputs > 1 else (result,)
    recorded = [tensor for tensor in results if tensor._node is not None]
    if recorded:
        for watcher in watchers:
            watcher.see(op, recorded, arrays)


def wrap(data: Any, node: Node) -> Any:
    """Make the Tensor that stands for a node (for several outputs: a tuple of them)."""
    if isinstance(data, tuple):
        return _outputs(data, node)
    tensor = _new(Recorded.public)
    tensor._array = data
    tensor._node = node
    return tensor


def constant(data: Any) -> Any:
    """Make a Tensor outside the graph (for several outputs: a tuple of them)."""
    if isinstance(data, tuple):
        kind = tuple if type(data) is tuple else type(data)._make  # type: ignore[attr-defined]
        return kind(map(constant, data))
    tensor = _new(Recorded.public)
    tensor._array = data
    tensor._node = None
    return tensor


# The gradient of one output among several: the sweep gathers them for the joint rule.
OUTPUT = op(
    lambda x, number: x[number],
    lambda g, number: (number, g),
    name="output",
    symbol="→",
    doc="One output of an op that has several.",
)


def _outputs(out: Any, node: Node) -> Any:
    """Give each output of a joint op a node of its own; plain where it is not floating."""
    plan = OUTPUT.plan(1, 1)
    tensors = []
    for number, array in enumerate(out):
        if array.dtype.kind != "f":
            tensors.append(constant(array))
            continue
        value = array if array.size <= KEPT_ELEMENTS else None
        kept = plan.pick((None, None, None, number))
        own = plan.for_halves() if array.dtype == HALF else plan
        child = Node(
            own, (node,), kept, array.shape, array.dtype, value, True, node.code, node.instruction
        )
        tensors.append(wrap(array, child))
    kind = tuple if type(out) is tuple else type(out)._make
    return kind(tensors)


def _leaf_of(x: Any) -> Node:
    """Return the node of an input that nothing computed; arrays get one made."""
    tensor = x if isinstance(x, Recorded) else constant(x)
    return tensor._node or make_leaf(tensor, needs=False)


def make_leaf(tensor: Recorded, *, needs: bool) -> Node:
    """Give a tensor that nothing computed its place in the graph."""
    data = tensor._array
    value = data if needs or data.size <= KEPT_ELEMENTS else None
    node = Node(None, (), None, data.shape, data.dtype, value, needs, *call_site(2))
    tensor._node = node
    return node


def needs_gradient(tensor: Recorded) -> bool:
    """Whether ops on this tensor are recorded."""
    return tensor._node is not None and tensor._node.needs


def _plain_params(op: Op[Any], params: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let a Tensor stand for its array where only a plain argument makes sense."""
    if not any(isinstance(p, Recorded) for p in params):
        return params
    for name, p in zip(op.order[op.inputs :], params, strict=True):
        if isinstance(p, Recorded) and needs_gradient(p) and switches().enabled:
            message = (
                f"{op.name}: not differentiable in '{name}'; pass .detach() of it (at {here()})"
            )
            raise UnsupportedError(message)
    return tuple([p._array if isinstance(p, Recorded) else p for p in params])


def as_array(x: Any, op: Op[Any] | None = None) -> Any:
    """Turn an operand into an array that can be computed with, or say why it cannot."""
    if not hasattr(x, "dtype"):
        try:
            x = np.asarray(x)
        except ValueError as error:  # a ragged list
            message = f"{_who(op)}{error}; all rows must have one length (at {here()})"
            raise ShapeError(message) from error
    if x.dtype.kind not in _KINDS:
        remedy = {
            "c": "take the real and imaginary parts apart: graphgrad is for real numbers",
            "O": "check for None, ragged lists or other objects among the numbers",
        }.get(x.dtype.kind, "convert it to numbers")
        raise DtypeError(f"{_who(op)}dtype {x.dtype} is not supported; {remedy} (at {here()})")
    return x


def _who(op: Op[Any] | None) -> str:
    return f"{op.name}: " if op else "Tensor: "


def explained(op: Op[Any], arrays: list[Any], error: Exception) -> Exception:
    """Say which op, shapes and line an error of NumPy's belongs to."""
    kind = translate(error)
    if kind is None or isinstance(error, GraphgradError):
        return error
    shapes = ", ".join(f"{np.shape(a)} {getattr(a, 'dtype', type(a).__name__)}" for a in arrays)
    remedy = ""
    if op.elementwise and kind is ShapeError:
        remedy = "; shapes must be equal or 1, aligned at the last axis: reshape one of them"
    elif op.name == "matmul" and kind is ShapeError and len(arrays) == 2:
        a, b = (np.shape(x) for x in arrays)
        if a and b and a[-1] != b[-2 if len(b) > 1 else -1]:
            inner = f"inner dimensions {a[-1]} and {b[-2 if len(b) > 1 else -1]} differ"
            return kind(f"matmul: {a} @ {b}: {inner}; transpose one of them? (at {here()})")
    if not remedy:
        remedy = next((f"; {hint}" for phrase, hint in _HINTS if phrase in str(error)), "")
    return kind(f"{op.name}: {shapes}: {error}{remedy} (at {here()})")


_HINTS = (  # what to do about it, by a phrase of NumPy's message
    ("float16 is unsupported", "NumPy has no linear algebra for it: use .astype(np.float32)"),
    ("Singular matrix", "use pinv, or add a small multiple of the identity"),
    ("not positive definite", "add a multiple of the identity, or use eigh"),
    ("must be square", "use pinv, svd or qr for other matrices"),
    ("core dimension", "the axes that are summed must have one length: transpose or reshape"),
    ("not have enough dimensions", "a number is no vector: multiply by * instead"),
    ("remapped shapes", "the axes before the matrix must be equal or 1: reshape one of them"),
)


def as_values(x: Any) -> Any:
    """Return an array or Tensor as it is, and a list as an array; nothing is checked."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def shape_of(x: Any) -> tuple[int, ...]:
    """Return the shape of an operand; ``np.shape`` takes a detour on a Tensor."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def unwrapped(x: Any) -> Any:
    """Replace Tensors by their arrays, also inside lists and tuples."""
    if isinstance(x, Recorded):
        return x._array
    if isinstance(x, list | tuple):
        return type(x)(map(unwrapped, x))
    return x
