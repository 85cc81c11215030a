"""Recording: applying an op and, if a gradient is needed, adding a node."""

from typing import Any

import numpy as np

from graphgrad.engine.failures import raise_explained
from graphgrad.engine.graph import KEPT_ELEMENTS, Absent, Node, Recorded
from graphgrad.engine.integers import as_floats
from graphgrad.engine.memory import frozen, note_use
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import SCALARS, as_array, operand, plain_params
from graphgrad.engine.plan import HALF, Plan
from graphgrad.engine.recording import Observer, latest, switches, tracers
from graphgrad.engine.source import call_site
from graphgrad.errors import (
    DtypeError,
)
from graphgrad.typing import Array

_NODE_LIKE = (Node, Absent, bool, int, float, np.generic)
_new = object.__new__


def record(  # noqa: C901, PLR0912, PLR0915 - in one piece, for every op pays for a call made here
    op: Op[Any], inputs: tuple[Any, ...], params: tuple[Any, ...] = ()
) -> Any:
    """Apply an op; if recording is on and an input needs a gradient, add a node."""
    arrays: Any = []
    parents: list[Any] = []
    has_new_inputs = False  # whether an input has no node yet
    mask: Any = 0
    bit = op.first_bit
    for x in inputs:
        if isinstance(x, Recorded):
            arrays.append(x._array)
            node = x._node
            if node is None:
                has_new_inputs = True
                parents.append(x)
            else:
                parents.append(node)
                if node.needs:
                    mask |= bit
        elif x.__class__ in SCALARS:
            arrays.append(x)
            parents.append(x)
        elif isinstance(x, Absent):
            arrays.append(x.value)
            parents.append(x)
        else:
            x = operand(x, op.name)  # noqa: PLW2901 - converted, if it is a list
            arrays.append(x)
            has_new_inputs = True
            parents.append(x)
        bit <<= 1
    if params:
        params = plain_params(params, op.parameters, op.name, op.whole)
        if mask or op.variadic:
            params = _frozen_params(params)
    if op.floats:
        arrays = as_floats(arrays, op.floats)
    try:
        if tracers:
            out = tracers[-1].forward(op, arrays, params)
        else:
            out = op.forward(arrays, *params) if op.variadic else op.forward(*arrays, *params)
    except Exception as error:  # noqa: BLE001 - raised again
        raise_explained(op, arrays, error)
    saved = None
    if op.has_saved:
        out, saved = out
    mask = _wanted(parents) if op.variadic else mask & op.differentiable
    if not mask or (not (now := latest()).is_default and not (now := switches()).enabled):
        if op.view and isinstance(inputs[0], Recorded) and inputs[0]._node is not None:
            note_use(arrays[0])  # memory that a graph may save has another view from here on
        return constant(out if op.simple else _checked_output(op, out))

    plan = op.plans.get(mask) or op.plan(mask, len(arrays))
    values: tuple[Any, ...] = ()
    if plan.sources:
        full = (*((tuple(arrays),) if op.variadic else arrays), out, saved, *params)
        if op.needs_shapes:
            # faster than np.shape; Python numbers have no shape
            shapes = tuple([a.shape if hasattr(a, "shape") else () for a in arrays])
            full += (shapes,) if op.variadic else shapes
        values = plan.pick(full)
    if has_new_inputs:
        parents = [p if isinstance(p, _NODE_LIKE) else _node_of_input(p) for p in parents]
    tensor = attach(plan, tuple(parents), values, out)
    if now.observers:
        notify_recorded(op, tensor, arrays, params, now.observers)
    return tensor


def _wanted(parents: list[Any]) -> tuple[bool, ...]:
    """Return for each input whether it needs a gradient; () if none does."""
    wanted = tuple([p.__class__ is Node and p.needs for p in parents])
    return wanted if True in wanted else ()


def attach(plan: Plan, parents: tuple[Any, ...], values: tuple[Any, ...], out: Any) -> Any:
    """Add the node of a computed value, and return its Tensor."""
    code, instruction = call_site(3)
    if not plan.op.simple:
        out = _checked_output(plan.op, out)
        if plan.op.outputs > 1:
            if any(x.dtype == HALF for x in out):
                plan = plan.for_float16()
            return wrap(out, Node(plan, parents, values, (), None, None, True, code, instruction))
    shape, dtype = out.shape, out.dtype
    if dtype.char not in "fd":
        if dtype == HALF:
            plan = plan.for_float16()
        elif dtype.kind != "f":
            return constant(out)
    value = out if out.size <= KEPT_ELEMENTS else None
    tensor = _new(Recorded._class)
    tensor._array = out
    tensor._node = Node(plan, parents, values, shape, dtype, value, True, code, instruction)
    return tensor


def notify_recorded(
    op: Op[Any],
    result: Any,
    arrays: list[Any],
    params: tuple[Any, ...],
    observers: tuple[Observer, ...],
) -> None:
    """Notify observers of an op that was recorded."""
    results = result if op.outputs > 1 else (result,)
    recorded = [tensor for tensor in results if tensor._node is not None]
    for observer in observers:
        if recorded:
            observer.recorded(op, recorded, arrays, params)
        else:
            for tensor in results:
                observer.answered(op.name, tensor._array)


def wrap(data: Array, node: Node) -> Any:
    """Make the Tensor of a node (for several outputs: a tuple of Tensors)."""
    if isinstance(data, tuple):
        return _outputs(data, node)
    tensor = _new(Recorded._class)
    tensor._array = data
    tensor._node = node
    return tensor


def constant(data: Array) -> Array:
    """Make a Tensor outside the graph (for several outputs: a tuple of Tensors)."""
    if isinstance(data, tuple):
        kind = tuple if type(data) is tuple else type(data)._make  # type: ignore[attr-defined]
        return kind(map(constant, data))
    tensor = _new(Recorded._class)
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
    """Make a Tensor with a node for each output of an op; constants for integer outputs."""
    plan = OUTPUT.plan(1, 1)
    tensors = []
    for number, array in enumerate(out):
        if array.dtype.kind != "f":
            tensors.append(constant(array))
            continue
        value = array if array.size <= KEPT_ELEMENTS else None
        kept = plan.pick((None, None, None, number))
        own = plan.for_float16() if array.dtype == HALF else plan
        child = Node(
            own, (node,), kept, array.shape, array.dtype, value, True, node.code, node.instruction
        )
        tensors.append(wrap(array, child))
    kind = tuple if type(out) is tuple else type(out)._make
    return kind(tensors)


def _node_of_input(x: Array) -> Node:
    """Return the node of an input that no op computed; make one for an array."""
    tensor = x if isinstance(x, Recorded) else constant(x)
    if getattr(tensor._array, "base", None) is not None:
        note_use(tensor._array)
    return tensor._node or make_leaf(tensor, needs=False)


def make_leaf(tensor: Recorded, *, needs: bool) -> Node:
    """Make the node of a tensor that no op computed."""
    data = tensor._array
    value = data if needs or data.size <= KEPT_ELEMENTS else None
    node = Node(None, (), None, data.shape, data.dtype, value, needs, *call_site(2))
    tensor._node = node
    return node


def _checked_output(op: Op[Any], out: Any) -> Any:
    """Check and return the output of a forward, which may be a user's."""
    if op.outputs > 1:
        if not isinstance(out, tuple) or len(out) != op.outputs:
            message = f"{op.name}: its forward returned {_described(out)}, not {op.outputs} arrays"
            raise DtypeError(f"{message} in a tuple")
        return out if type(out) is not tuple else tuple([_checked_array(op, part) for part in out])
    return _checked_array(op, out)


def _frozen_params(params: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copy array parameters, so that later writes by the caller do not reach the graph."""
    for p in params:
        if isinstance(p, np.ndarray) and switches().enabled:
            return tuple([frozen(p) if isinstance(p, np.ndarray) else p for p in params])
    return params


def _checked_array(op: Op[Any], out: Any) -> Any:
    if isinstance(out, bool | int | float) and not isinstance(out, np.generic):
        return np.asarray(out)[()]  # Python's number as NumPy's
    if not hasattr(out, "dtype") or isinstance(out, Recorded):
        message = (
            f"{op.name}: its forward returned {_described(out)}; it gets plain arrays and must"
        )
        raise DtypeError(f"{message} return one, or a number")
    return as_array(out, f"{op.name}: what its forward returned")


def _described(x: Any) -> str:
    return f"a {type(x).__name__}"
