"""Making a program shorter: constants are computed once, equal calls once, unneeded ones never."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

import numpy as np

from graphgrad.compiling.program import UNGUARDED, Call, Constant, Program, Var, mapped, variables
from graphgrad.compiling.rewrites import IN_PLACE, Context, applied, makes_new, with_additions
from graphgrad.typing import Array

_LIKE = {np.ones_like, np.zeros_like, np.full_like}
_ROUNDS = 4
_COMPARED = 1 << 16  # bytes of constants that are compared by content
_LARGEST = 1 << 20  # bytes of a constant that is kept instead of computed


def optimized(program: Program, *, later: bool = False) -> Program:
    """Return a shorter program with the same results.

    ``later`` says that part of it will run after the user got the results, and may have written
    into them and into the inputs.
    """
    written = _written(program)
    for _ in range(_ROUNDS):
        before = len(program.calls)
        program = _folded(program, written)
        program = _rewritten(program, written, later=later)
        program = _shared(program, written, later=later)
        program = _without_unneeded(program, written)
        if len(program.calls) == before:
            break
    program = _decided_once(program)
    return program if later else _without_last_copies(program)


def _without_last_copies(program: Program) -> Program:
    """Return what was summed in place, not a copy of it, if nothing else is done with it."""
    made = {c.out for c in program.calls if c.function.call is np.zeros or makes_new(c)}
    memory = Counter(v.memory for v in program.needed())
    later: set[Var] = set()  # memory that is read or written after a call
    new: dict[Var, Any] = {}
    kept = []
    for call in reversed(program.calls):
        x = call.args[0] if call.function.call is np.copy and len(call.args) == 1 else None
        private = (
            isinstance(x, Var) and x in made and not x.scalar and not memory[x] and x not in later
        )
        if private and not call.kwargs and not any(v.memory is x for v in new.values()):
            new[call.out] = x
            continue
        later |= {v.memory for v in (*call.inputs(), *call.mutates)}
        kept.append(call)
    return _replaced(program, new, kept[::-1])


def _decided_once(program: Program) -> Program:
    """Leave out decisions by a value that has been decided by before."""
    decided: set[Any] = set()
    calls = []
    used = {v for call in program.calls for v in call.inputs()} | set(program.needed())
    for call in program.calls:
        if call.guard is not UNGUARDED and not call.mutates and call.out not in used:
            key = (call.function.text, _key(call.args), call.guard)
            if key in decided and call.pure:
                continue
            decided.add(key)
        calls.append(call)
    return dataclasses.replace(program, calls=calls)


def _rewritten(program: Program, written: set[Var], *, later: bool) -> Program:
    """Apply the rules of rewrites.py to each call."""
    known = Context(program, written, later=later)
    new: dict[Var, Any] = {}
    calls = []
    change = _by(new)
    for old in program.calls:
        call = _changed(old, change)
        if _movable(old, written) and isinstance(call.out, Var):
            call, found = applied(call, known)
            if found is not None:
                known.replace(call.out, found)
                new[call.out] = found
                continue
            known.makers[call.out] = call
        else:
            for rule in IN_PLACE:
                call = rule(call, known) or call
        calls.append(call)
    calls = with_additions(calls, known)
    for v in (v for call in calls for v in call.outputs() if v.gradient_of in new):
        of = new.get(v.gradient_of)  # type: ignore[arg-type]
        v.gradient_of = of if isinstance(of, Var) else v.gradient_of
    return _replaced(program, new, calls)


def _by(new: dict[Var, Any]) -> Callable[[Any], Any]:
    """Return a function that replaces variables by what stands for them so far."""
    return lambda x: new.get(x, x) if isinstance(x, Var) else x


def _written(program: Program) -> set[Var]:
    """Return the memory that calls write into."""
    return {var.memory for call in program.calls for var in call.mutates}


def _changed(call: Call, change: Callable[[Any], Any]) -> Call:
    kwargs = mapped(dict(call.kwargs), change)
    return dataclasses.replace(call, args=mapped(call.args, change), kwargs=kwargs)


def _replaced(program: Program, new: dict[Var, Any], calls: list[Call]) -> Program:
    """Return a program with other calls, and variables replaced in what it returns."""
    change = _by(new)
    results = [mapped(r, change) for r in program.results]
    effects = [e._replace(value=mapped(e.value, change)) for e in program.effects]
    return Program(program.inputs, calls, results, effects)


def _movable(call: Call, written: set[Var]) -> bool:
    """Whether a call always has the same result for the same inputs, wherever it stands."""
    return (
        call.pure
        and call.guard is UNGUARDED
        and not call.mutates
        and not any(v.memory in written for v in (*call.inputs(), *call.outputs()))
    )


def _folded(program: Program, written: set[Var]) -> Program:
    new: dict[Var, Any] = {}
    calls = []
    change = _by(new)
    for old in program.calls:
        call = _changed(old, change)
        if _movable(old, written) and isinstance(call.out, Var):
            value = _value(call)
            if value is not None:
                new[call.out] = value
                continue
        calls.append(call)
    return _replaced(program, new, calls)


def _value(call: Call) -> Any:
    """Return the constant, or the variable, that a call returns in every run; None if it varies."""
    function, args = call.function, call.args
    if function.call in _LIKE and isinstance(args[0], Var) and args[0].shape is not None:
        shape, dtype = args[0].shape, args[0].dtype
        if isinstance(call.kwargs.get("dtype"), Var) or any(variables(args[1:])):
            return None
        filled = function.call(
            np.broadcast_to(np.zeros((), dtype), shape), *args[1:], **call.kwargs
        )
        value = np.ascontiguousarray(filled) if filled.shape else filled
        return Constant(value) if value.nbytes <= _LARGEST else None
    if any(variables(args)) or any(variables(dict(call.kwargs))):
        return None
    plain = mapped(args, lambda c: c.array), mapped(dict(call.kwargs), lambda c: c.array)
    kind: Any = "ignore" if call.section == "backward" else "raise"
    try:  # where NumPy warns, it must warn at each call
        with np.errstate(all=kind):
            if function.style == "method":
                value = getattr(plain[0][0], function.text)(*plain[0][1:], **plain[1])
            else:
                value = function.call(*plain[0], **plain[1])
    except Exception:  # noqa: BLE001 - the program raises it
        return None
    if isinstance(value, np.ndarray) and value.nbytes <= _LARGEST:
        return Constant(value)
    return value if isinstance(value, np.generic) else None


def _key(x: Any) -> Any:
    if isinstance(x, Var):
        return x
    if isinstance(x, Constant):
        return _content(x.array)
    if isinstance(x, tuple | list):
        return (type(x), *map(_key, x))
    if isinstance(x, dict):
        return tuple([(k, _key(x[k])) for k in sorted(x)])
    if isinstance(x, slice):
        return ("slice", _key(x.start), _key(x.stop), _key(x.step))
    return _atom(x)


def _content(array: Array) -> Any:
    if array.nbytes > _COMPARED or array.dtype == object:
        return ("array", id(array))
    return ("array", array.dtype.str, array.shape, array.strides, array.tobytes())


def _atom(x: Any) -> Any:
    try:
        hash(x)
    except TypeError:
        return ("object", id(x))
    return (type(x), repr(x) if isinstance(x, float | np.floating) else x)


def _shared(program: Program, written: set[Var], *, later: bool) -> Program:
    """Compute equal calls once.

    But not two factors of one product: BLAS multiplies an array by itself with other rounding.
    """
    together = [
        memory
        for call in program.calls
        if not isinstance(call.function.call, np.ufunc | BuiltinFunctionType)
        or call.function.text in {"@", "np.matmul", "np.vecdot"}
        if len(memory := {v.memory for v in call.inputs()}) > 1
    ]
    new: dict[Var, Any] = {}
    found: dict[Any, Any] = {}
    calls = []
    known = Context(program, written, later=later)

    change = _by(new)
    for old in program.calls:
        call = _changed(old, change)
        if not _movable(old, written) or not isinstance(call.out, Var):
            calls.append(call)
            continue
        function = call.function
        key = (
            function.style,
            function.text,
            function.module,
            _key(call.args),
            _key(dict(call.kwargs)),
        )
        first = found.setdefault(key, call.out)
        pair = {first.memory, call.out.memory}
        factors = len(pair) > 1 and any(pair <= memory for memory in together)
        if first is call.out or factors or not known.may_merge(call.out, first):
            calls.append(call)
        else:
            known.replace(call.out, first)
            new[call.out] = first
    return _replaced(program, new, calls)


def _without_unneeded(program: Program, written: set[Var]) -> Program:
    """Leave out calls that nothing needs; writes are needed if their memory is."""
    outside = {var.memory for var, _ in program.inputs}
    needed = set(program.needed())
    memory = {var.memory for var in needed}
    while True:
        kept = []
        before = len(needed), len(memory)
        for call in reversed(program.calls):
            wanted = (
                not call.pure
                or call.guard is not UNGUARDED
                or any(v in needed for v in call.outputs())
                or any(v.memory in memory or v.memory in outside for v in call.mutates)
            )
            if wanted:
                kept.append(call)
                read = set(call.inputs())
                needed |= read
                memory |= {v.memory for v in read if v.memory in written}
        if (len(needed), len(memory)) == before:
            break
    uses = Counter(v for call in kept for v in call.inputs())
    uses.update(program.needed())
    inputs = [(v, source) for v, source in program.inputs if uses[v]]
    return Program(inputs, kept[::-1], program.results, program.effects)
