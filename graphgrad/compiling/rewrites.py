"""Rewriting calls as shorter ones with the same result, bit for bit, in the same order in memory.

Each rule gets a call and returns what stands for it: a value that is known already, or another
call; None where the rule says nothing.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.compiling.program import Call, Constant, Function, Program, Var
from graphgrad.ops.choice import keep, masked_plain

_KEEP = Function(keep, "name", "keep", "graphgrad.ops.choice")
_MASKED = masked_plain.__name__
_ZEROS = Function(np.zeros, "name", "np.zeros")
_ELEMENTWISE = {"binary", "unary"}
_NOT_ELEMENTWISE = {"@", "np.matmul", "np.vecdot", "np.matvec", "np.vecmat"}


class Context:
    """What rules look up: who makes a value, how often it is used, what is written into."""

    def __init__(self, program: Program, written: set[Var], *, later: bool) -> None:
        self.later = later  # part of the program runs after the user got the results
        self.makers: dict[Var, Call] = {}
        self.uses = Counter(v for call in program.calls for v in call.inputs())
        self.needed = set(program.needed())
        self.returned = {v.memory for v in self.needed if not v.scalar}
        self.uses.update(program.needed())
        self.inputs = {v.memory for v, _ in program.inputs}
        self.written = written

    def made_by(self, x: Any, style: str, *texts: str) -> Call | None:
        """Return the call that makes a value, if it calls one of some functions."""
        call = self.makers.get(x) if isinstance(x, Var) else None
        if call is None or call.function.style != style or call.function.text not in texts:
            return None
        return call

    def is_new(self, x: Any) -> bool:
        """Whether a value is a new array, which has no gaps in memory."""
        call = self.makers.get(x) if isinstance(x, Var) else None
        return call is not None and not x.scalar and makes_new(call)

    def replace(self, out: Var, found: Any) -> None:
        """Note that a value stands for another one."""
        if isinstance(found, Var):
            self.uses[found] += self.uses[out] - 1
            if out in self.needed:
                self.needed.add(found)
            if out.memory in self.returned:
                self.returned.add(found.memory)
            if out.memory is not found.memory:
                out.memory.root = found.memory
            if found.memory not in self.inputs:
                found.name = found.name or out.name
                found.gradient_of = found.gradient_of or out.gradient_of

    def may_merge(self, out: Var, x: Var) -> bool:
        """Whether equal arrays may be one: not if the user gets both, or writes into one first."""
        if out.scalar:
            return True
        returned = [v.memory in self.returned for v in (out, x)]
        return not (any(returned) if self.later else all(returned))

    def may_stand_for(self, x: Any, call: Call) -> bool:
        """Whether x may be returned in place of the view of it that a call makes."""
        return call.out not in self.needed or not (
            isinstance(x, Constant) or x in self.needed or x.memory in self.inputs
        )


def is_elementwise(call: Call) -> bool:
    """Whether a call computes a new array element by element."""
    function = call.function
    if "out" in call.kwargs or "where" in call.kwargs or call.mutates:
        return False
    if not isinstance(call.out, Var) or function.text in _NOT_ELEMENTWISE:
        return False
    if isinstance(function.call, np.ufunc):
        return function.call.signature is None
    return function.style in _ELEMENTWISE


def makes_new(call: Call) -> bool:
    """Whether a call returns an array that shares memory with no other."""
    function = call.function
    if "out" in call.kwargs or call.mutates:
        return False
    product = (function.style, function.text) in {("binary", "@"), ("name", "np.matmul")}
    reduction = function.style == "name" and function.text.endswith(".reduce")
    return is_elementwise(call) or function is _KEEP or product or reduction


def _shape_of_reshape(call: Call) -> Any:
    """Return the array and the shape, if a call reshapes an array; else None."""
    function, args = call.function, call.args
    by_name = function.style == "name" and function.text == "np.reshape"
    if call.kwargs or not (by_name or (function.style == "method" and function.text == "reshape")):
        return None
    return (args[0], call.out.shape) if isinstance(call.out, Var) else None


def same_shape(call: Call, known: Context) -> Any:
    """``x.reshape(x.shape)`` is x."""
    found = _shape_of_reshape(call)
    if found is None or not isinstance(found[0], Var) or found[0].scalar or found[0].shape is None:
        return None
    return found[0] if found[0].shape == found[1] and known.may_stand_for(found[0], call) else None


def same_scalar(call: Call, _: Context) -> Any:
    """``x[()]`` of a scalar is the scalar."""
    if call.function.style != "index" or call.args[1] != ():
        return None
    x = call.args[0]
    return x if isinstance(x, Var) and x.scalar else None


def double_transpose(call: Call, known: Context) -> Any:
    """``x.T.T`` is x."""
    if (call.function.style, call.function.text) != ("attribute", "T"):
        return None
    first = known.made_by(call.args[0], "attribute", "T")
    if first is None or not known.may_stand_for(first.args[0], call):
        return None
    return first.args[0]


def double_negative(call: Call, known: Context) -> Any:
    """``-(-x)`` is x, if x is a new array: others may have gaps, which sums would notice."""
    if (call.function.style, call.function.text) != ("unary", "-"):
        return None
    first = known.made_by(call.args[0], "unary", "-")
    return _merged(call, first.args[0], known) if first is not None else None


def _merged(call: Call, x: Any, known: Context) -> Any:
    """Return x in place of what a call makes, if it is a new array as well."""
    if not isinstance(x, Var) or not known.may_merge(call.out, x):
        return None
    same = (x.shape, x.dtype, x.scalar) == (call.out.shape, call.out.dtype, call.out.scalar)
    return x if same and (x.scalar or known.is_new(x)) else None


def minus_zero(call: Call, known: Context) -> Any:
    """``x - 0`` is x, if x is a new array."""
    if (call.function.style, call.function.text) != ("binary", "-"):
        return None
    x, zero = call.args
    if type(zero) not in (int, float) or zero != 0 or np.signbit(zero):
        return None
    return _merged(call, x, known)


def times_one(call: Call, known: Context) -> Any:
    """``x * np.ones(n)`` is x, if x is a new array."""
    if (call.function.style, call.function.text) != ("binary", "*"):
        return None
    for one, x in (call.args, call.args[::-1]):
        if isinstance(one, Constant) and is_one(one.array):
            return _merged(call, x, known)
    return None


def is_one(array: Any) -> bool:
    """Whether all elements of a small array are 1, and it leaves open the order of axes."""
    if not leaves_order_open(array):
        return False
    return bool(array.size) and array.size <= 1 << 16 and bool((array == 1).all())


def copy_of_private(call: Call, known: Context) -> Any:
    """``np.copy(dx)`` is dx, if nothing else that is returned shares its memory."""
    if call.function.call is not np.copy or call.kwargs or len(call.args) != 1:
        return None
    x = call.args[0]
    if not known.is_new(x) or x.memory in known.returned:
        return None
    return None if known.later and known.uses[x] != 1 else x


def copy_of_indices(call: Call, known: Context) -> Any:
    """``labels.copy()`` is labels where nothing is written into either."""
    function, x = call.function, call.args[0] if call.args else None
    copies = (function.style, function.text) in {("method", "copy"), ("name", "np.copy")}
    if not copies or not isinstance(x, Var) or x.shape is None or x.scalar or call.kwargs:
        return None
    # floats with gaps may give other bits in products
    plain = len(x.shape) <= 1 and x.dtype.kind in "biu"
    return x if plain and call.out.memory not in known.returned and not known.later else None


def zeros_like_of_shape(call: Call, _: Context) -> Any:
    """``np.zeros_like(x, shape=s, dtype=t)`` is ``np.zeros(s, t)``, if x leaves the order open."""
    if call.function.call is not np.zeros_like or call.kwargs.keys() != {"shape", "dtype"}:
        return None
    x, shape = call.args[0], call.kwargs["shape"]
    shape = (shape,) if isinstance(shape, int) else shape
    if isinstance(x, Constant):
        usual = x.array.flags.c_contiguous or x.array.ndim != len(shape)
    else:
        own = x.shape if isinstance(x, Var | np.generic) else None
        usual = own is not None and len(own) != len(shape)
    usual = usual or len(shape) <= 1
    if not usual or type(shape) is not tuple:
        return None
    args = (shape, call.kwargs["dtype"])
    return dataclasses.replace(call, function=_ZEROS, args=args, kwargs={})


def scalar_to_add(call: Call, _: Context) -> Any:
    """``np.add.at(x, i, [c, c, c])`` is ``np.add.at(x, i, c)``."""
    if call.function.text != "np.add.at" or len(call.args) != 3:
        return None
    x, index, values = call.args
    if not isinstance(values, Constant) or not values.array.size or any(values.array.strides):
        return None
    value = values.array.reshape(-1)[0]
    return dataclasses.replace(call, args=(x, index, value)) if values.array.ndim else None


def sum_with_axes_kept(call: Call, known: Context) -> Any:
    """``x.sum(axis=1).reshape(n, 1)`` is ``x.sum(axis=1, keepdims=True)``."""
    found = _shape_of_reshape(call)
    if found is None or not isinstance(found[0], Var) or known.uses[found[0]] != 1:
        return None
    first = known.made_by(found[0], "name", "np.add.reduce")
    first = first or known.made_by(found[0], "method", "sum")
    if first is None or len(first.args) != 1:
        return None
    usual = None if first.function.style == "method" else 0
    x, axis = first.args[0], first.kwargs.get("axis", usual)
    if first.kwargs.keys() - {"axis", "dtype", "keepdims"} or first.kwargs.get("keepdims"):
        return None
    if not isinstance(x, Var) or x.shape is None or axis is None or found[0].scalar:
        return None
    axes = {k % len(x.shape) for k in (axis if type(axis) is tuple else (axis,))}
    if found[1] != tuple(1 if k in axes else n for k, n in enumerate(x.shape)):
        return None
    return dataclasses.replace(
        call, function=first.function, args=first.args, kwargs={**first.kwargs, "keepdims": True}
    )


def masked_arrays(call: Call, known: Context) -> Any:  # noqa: ARG001 - as all rules
    """``masked_plain(x, mask)`` is ``keep(x, mask)``, which is its name in rules."""
    return dataclasses.replace(call, function=_KEEP) if call.function.text == _MASKED else None


def broadcast_operand(call: Call, known: Context) -> Any:
    """``np.broadcast_to(x, s) * y`` is ``x * y``, if y has the shape s."""
    masks = call.function is _KEEP
    if not (masks or is_elementwise(call)) or not isinstance(call.out, Var) or call.out.scalar:
        return None
    if call.function.text in {"**", "np.power"}:  # which look at the exponent
        return None
    args, changed = list(call.args), False
    for k, arg in enumerate(args):
        x = _narrow(arg, known)
        if x is None or (masks and k == 0 and not x.shape):
            continue
        if _broadcast([*args[:k], x, *args[k + 1 :]]) == call.out.shape:
            args[k], changed = x, True
    return dataclasses.replace(call, args=tuple(args)) if changed else None


def _narrow(x: Any, known: Context) -> Any:
    """Return what is broadcast to an argument; None if nothing is."""
    if isinstance(x, Constant):
        array = x.array
        same = array.ndim and array.size > 1 and array.dtype.kind in "biuf"
        same = same and leaves_order_open(array)
        return array.reshape(-1)[0] if same and is_uniform(array) else None
    made = known.made_by(x, "name", "np.broadcast_to", "np.reshape")
    made = made or known.made_by(x, "method", "reshape")
    if made is None or made.kwargs or not isinstance(made.args[0], Var):
        return None
    source = made.args[0]
    if source.shape is None or source.dtype != x.dtype:
        return None
    if made.function.text == "np.broadcast_to":
        return source
    # a shape with further axes of size 1 in front
    longer = (1,) * (len(x.shape) - len(source.shape)) + source.shape
    return source if x.shape == longer and x.shape != source.shape else None


def leaves_order_open(array: Any) -> bool:
    """Whether an operand has no say in the order of the axes of a result."""
    return array.ndim <= 1 or not any(array.strides)


def is_uniform(array: Any) -> bool:
    """Whether all elements are the same, to the bit."""
    if not any(array.strides):
        return True
    bits = np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8)
    return array.size <= 1 << 16 and bool((bits == bits[0]).all())


def _broadcast(args: list[Any]) -> Any:
    shapes = [
        x.shape if isinstance(x, Var) else np.shape(x.array if isinstance(x, Constant) else x)
        for x in args
    ]
    try:
        return None if None in shapes else np.broadcast_shapes(*shapes)  # type: ignore[arg-type]
    except ValueError:
        return None


def _add_at(x: Any, index: Any, value: Any) -> None:
    x[index] += value


_ADD_AT = Function(_add_at, "assign", "+=")


def with_additions(calls: list[Call], known: Context) -> list[Call]:
    """Write ``y = x[i]; y += v; x[i] = y`` as ``x[i] += v``, as Python does too."""
    found: list[Call] = []
    for call in calls:
        found.append(call)
        if call.function.style != "assign" or call.function.text or len(found) < 3:
            continue
        add = found[-2]
        start = _start_of(found, add.args[0] if add.args else None)
        if start is None:
            continue
        read = found[start]
        x, index, value = call.args
        same = read.function.style == "index" and read.args[0] is x and _same(read.args[1], index)
        once = known.uses[read.out] == (2 if add.out is None else 1)
        if not (same and once):
            continue
        inside = add.function.style == "in place" and add.function.text == "+=" and add.out is None
        outside = (add.function.style, add.function.text) == ("binary", "+")
        outside = outside and known.uses[call.args[2]] == 1 and read.out.scalar
        if value is (read.out if inside else add.out) and (inside or outside):
            args = (x, index, add.args[1])
            found[-2:] = [dataclasses.replace(call, function=_ADD_AT, args=args)]
            del found[start]
    return found


def _start_of(calls: list[Call], x: Any) -> int | None:
    """Return where x is read from an array, if nothing is written until the last two calls."""
    for k in range(len(calls) - 3, max(-1, len(calls) - 15), -1):
        if calls[k].mutates or not calls[k].pure:
            return None
        if calls[k].out is x:
            return k
    return None


def _same(a: Any, b: Any) -> bool:
    """Whether two indices are the same basic index."""
    plain = (int, slice, type(None), type(Ellipsis))
    parts = a if type(a) is tuple else (a,)
    return all(type(part) in plain for part in parts) and bool(a == b)


def applied(call: Call, known: Context) -> tuple[Call, Any]:
    """Apply all rules; return the call, and what stands for it if something does."""
    for rule in RULES:
        found = rule(call, known)
        if isinstance(found, Call):
            call = found
        elif found is not None:
            return call, found
    return call, None


RULES: list[Callable[[Call, Context], Any]] = [
    same_shape, same_scalar, double_transpose, double_negative, minus_zero, times_one,
    copy_of_private, copy_of_indices, zeros_like_of_shape,
    sum_with_axes_kept, masked_arrays, broadcast_operand,
]  # fmt: skip
IN_PLACE: list[Callable[[Call, Context], Any]] = [
    zeros_like_of_shape,
    scalar_to_add,
]  # also where memory is written into
