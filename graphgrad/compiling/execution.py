"""Running a program: the calls as printed, with planned memory and the quickest spelling of each.

`source` writes a program for people; here the same calls are written for Python. Large values get
their memory from buffers that later runs use again, and runs of elementwise calls on large arrays
go block by block, so that what lies between stays in the cache. Results are always fresh arrays.
"""

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.compiling.planning import Plan, Run, Step, as_ufunc, copied, planned
from graphgrad.compiling.program import (
    UNGUARDED,
    AsTensor,
    Call,
    Constant,
    Program,
    Var,
    variables,
)
from graphgrad.compiling.reductions import as_reduction
from graphgrad.engine.errstate import ignore_warnings, restore_warnings

_AS_METHODS = {np.reshape: "reshape", np.transpose: "transpose", np.swapaxes: "swapaxes",
               np.squeeze: "squeeze"}  # fmt: skip
_OUT_BY_NAME = (np.maximum, np.minimum)  # quicker by position, which NumPy discourages for these
_ATOMS = (bool, int, str, type(None))
_FREED = 4096  # bytes of a value that is deleted as soon as nothing needs it


def executable(
    program: Program, name: str, decided: type[Exception], *, plan: bool = True
) -> Callable[..., tuple[Any, ...]]:
    """Return a function of the inputs that computes results, values of effects, and what is kept.

    It raises ``decided`` where Python would decide otherwise than in the trace. Without a plan,
    it makes the calls one after the other.
    """
    plain = _Writer(program, name, decided, None)
    found = planned(program) if plan else None
    if found is None:
        return plain.function()
    writer = _Writer(program, name, decided, found)
    run = writer.function()
    if not found.layouts:
        return run
    return _where_laid_out_alike(run, plain, found.layouts)


def _where_laid_out_alike(
    run: Callable[..., Any], plain: "_Writer", layouts: dict[int, tuple[int, ...]]
) -> Callable[..., Any]:
    """Run the plan for inputs laid out in memory as in the trace, the plain calls for others."""
    expected = list(layouts.items())
    otherwise: list[Callable[..., Any]] = []

    def either(*inputs: Any) -> Any:
        for k, strides in expected:
            if inputs[k].strides != strides:
                if not otherwise:
                    otherwise.append(plain.function())
                return otherwise[0](*inputs)
        return run(*inputs)

    return either


class _Writer:
    """The Python text of a program as it runs."""

    def __init__(
        self, program: Program, name: str, decided: type[Exception], plan: Plan | None
    ) -> None:
        self.program, self.plan = program, plan
        self.name = name
        self.globals: dict[str, Any] = {"Decided": decided, "Ignoring": _Ignoring, "pool": []}
        self._known: dict[int, str] = {}
        self._alive: list[Any] = []
        self._lines: list[str] = []
        self._section, self._indent, self._base = "forward", "    ", "    "

    def function(self) -> Callable[..., Any]:
        """Write the function, and make it."""
        self._lines = []
        self._section, self._indent = "forward", "    "
        inputs = ", ".join(self._var(var) for var, _ in self.program.inputs)
        steps = [Step([call]) for call in self.program.calls]
        if self.plan is not None:
            steps = self.plan.steps
            if self.plan.buffers or self.plan.runs:
                self.globals["make"] = self.plan.make
                self._indent = "        "
        pooled = self._indent != "    "
        self._base = self._indent
        dead = _dying(steps, self.program)
        for step, over in zip(steps, dead, strict=True):
            self._write(step)
            if over:
                self._lines.append(f"{self._indent}del {', '.join(map(self._var, over))}")
        values = [self._result(r) for r in self.program.results]
        values += [self._result(e.value) for e in self.program.effects if e.value is not None]
        values += map(self._text, self.program.kept)
        self._lines.append(f"{self._base}return ({''.join(f'{v}, ' for v in values)})")
        head = [f"def program({inputs}):"]
        if self.plan is not None and pooled:
            names = [b.name for b in self.plan.buffers] + [r.name for r in self.plan.runs]
            head += ["    try:", "        buffers = pool.pop()", "    except IndexError:",
                     "        buffers = make()", "    try:",
                     f"        {', '.join(names)}, = buffers"]  # fmt: skip
            self._lines += ["    finally:", "        pool.append(buffers)"]
        text = "\n".join([*head, *self._lines]) + "\n"
        code = builtins.compile(text, f"<compiled {self.name}>", "exec")
        exec(code, self.globals)  # noqa: S102
        return self.globals["program"]  # type: ignore[no-any-return]

    # ------------------------------------------------------------------- statements

    def _write(self, step: Step) -> None:
        if step.run is not None:
            self._blocks(step.run)
            return
        call = step.calls[0]
        self._enter(call.section)
        out = None if self.plan is None else self.plan.out.get(id(call))
        if out is not None and isinstance(call.out, Var):
            text = self._into(call, out.name)
            if copied(call) is None:
                self._add(f"{self._var(call.out)} = {text}")
            else:
                self._add(text)
                self._add(f"{self._var(call.out)} = {out.name}")
            return
        expression = self._expression(call)
        targets = self._targets(call.out)
        if call.function.style == "assign":
            x, index = map(self._text, call.args[:2])
            self._add(f"{x}[{index}] {call.function.text or '='} {expression}")
        elif targets:
            self._add(f"{targets} = {expression}")
        else:
            self._add(expression)
        if call.guard is not UNGUARDED:
            self._add(f"if {targets} != {self._text(call.guard)}:")
            self._add(f"    raise Decided({targets!r})")

    def _add(self, line: str) -> None:
        self._lines.append(self._indent + line)

    def _enter(self, section: str) -> None:
        if section != self._section:
            self._section, self._indent = section, self._base
            if section == "backward":
                self._add("with Ignoring():")
                self._indent += "    "

    def _blocks(self, run: Run) -> None:
        """Write a loop over blocks, each of which goes through all calls of a run."""
        sections = {call.section for call in run.calls}
        self._enter("backward" if sections == {"backward"} else "forward")
        for var in run.outputs:
            buffer = run.out.get(var)
            empty = f"{self._object(np.empty)}({var.shape!r}, {self._object(var.dtype)})"
            self._add(f"{self._var(var)} = {empty if buffer is None else buffer.name}")
        flat = ".reshape(-1)" if run.flat else ""
        sliced = [*run.sliced, *run.outputs]
        for k, x in enumerate(sliced):
            self._add(f"w{k} = {self._text(x)}{flat}")
        base = self._indent
        temporaries = "".join(f"t{k}, " for k in range(run.slots))
        self._add(f"for s, ({temporaries}) in {run.name}:")
        self._indent = base + "    "
        parts: dict[Any, str] = {
            id(x.array) if isinstance(x, Constant) else x: f"p{k}" for k, x in enumerate(sliced)
        }
        for k in range(len(sliced)):
            self._add(f"p{k} = w{k}[s]")
        inside = base + "    "
        for call, slot in zip(run.calls, run.places, strict=True):
            if len(sections) > 1 and (call.section == "backward") != (self._indent != inside):
                self._indent = inside
                if call.section == "backward":
                    self._add("with Ignoring():")
                    self._indent += "    "
            out = call.out if isinstance(call.out, Var) else call.args[0]
            target = parts[out] if slot is None else f"t{slot}"
            whole = self._into(call, target, parts)
            if as_ufunc(call) is not None or copied(call) is not None:
                self._add(whole)
            elif slot is None:
                self._add(f"{target}[...] = {whole}")
            else:
                target = f"q{len(parts)}"
                self._add(f"{target} = {whole}")
            parts[out] = target
        self._indent = base
        self._add(f"del {', '.join(f'w{k}, p{k}' for k in range(len(sliced)))}")

    # ------------------------------------------------------------------ expressions

    def _into(self, call: Call, target: str, parts: dict[Any, str] | None = None) -> str:
        """Write a call that puts its result into an array."""
        function, known = call.function, parts or {}
        form = as_ufunc(call)
        if form is not None:
            ufunc, args = form
            operands = [self._operand(x, form[1], ufunc, known) for x in args]
            keyword = "out=" if ufunc in _OUT_BY_NAME else ""
            return f"{self._object(ufunc)}({', '.join(operands)}, {keyword}{target})"
        source = copied(call)
        if source is not None:
            return f'{self._object(np.copyto)}({target}, {self._text(source, known)}, "unsafe")'
        if function.text in ("@", "np.matmul"):
            a, b = call.args
            return f"{self._object(np.matmul)}({self._text(a)}, {self._text(b)}, {target})"
        return self._expression(call, known)

    def _expression(self, call: Call, known: dict[Any, str] | None = None) -> str:
        """Write a call as Python does it; ``known`` are names that values have in a block."""
        form = None if known else as_ufunc(call)
        style = call.function.style
        if form is not None and style == "in place":
            return self._into(call, self._text(call.args[0]))
        if (
            form is not None
            and (style, call.function.text) != ("binary", "**")
            and style != "unary"
        ):
            ufunc, operands = form
            texts = [self._operand(x, operands, ufunc, {}) for x in operands]
            if style == "binary":
                return f"{texts[0]} {call.function.text} {texts[1]}"
            return f"{self._object(ufunc)}({', '.join(texts)})"
        return self._as_written(call, known) or self._called(call, known)

    def _as_written(self, call: Call, known: dict[Any, str] | None) -> str:
        """Write what has signs of its own in Python; empty for functions and methods."""
        style, word = call.function.style, call.function.text
        if style in ("method", "name"):
            return ""
        texts = [self._text(x, known) for x in call.args]
        if style in ("binary", "in place"):
            return f"{texts[0]} {word} {texts[1]}"
        if style == "unary":
            return f"{word}{texts[0]}"
        if style == "index":
            return f"{texts[0]}[{texts[1]}]"
        return texts[2] if style == "assign" else f"{texts[0]}.{word}"

    def _called(self, call: Call, known: dict[Any, str] | None) -> str:
        """Write the call of a function or method."""
        reduction = as_reduction(call)
        if reduction is not None:
            few = reduction.of_few()
            x, axis = self._text(reduction.x), self._text(reduction.axis)
            if few is not None:
                return f"{self._object(few)}({x}{', True' if reduction.keepdims else ''})"
            text = f"{x}, {axis}"
            if reduction.dtype is not None or reduction.keepdims:
                text += f", {self._text(reduction.dtype)}, None, {reduction.keepdims}"
            return f"{self._object(reduction.ufunc.reduce)}({text})"
        function = call.function
        texts = [self._text(x, known) for x in call.args]
        texts += [f"{k}={self._text(v, known)}" for k, v in call.kwargs.items()]
        method = function.text if function.style == "method" else self._method(call)
        if method is not None:
            return f"{texts[0]}.{method}({', '.join(texts[1:])})"
        return f"{self._object(function.call)}({', '.join(texts)})"

    @staticmethod
    def _method(call: Call) -> str | None:
        """Return the method that a function of NumPy calls, if its arguments are the same."""
        method = _AS_METHODS.get(call.function.call) if call.function.style == "name" else None
        x = call.args[0] if call.args else None
        if method is None or call.kwargs or not isinstance(x, Var) or x.shape is None:
            return None
        return method if len(call.args) == (3 if method == "swapaxes" else 2) else None

    def _operand(self, x: Any, all_: Sequence[Any], ufunc: np.ufunc, known: dict[Any, str]) -> str:
        """Write an operand of a ufunc, a number as an array of no axes, which converts quicker."""
        if type(x) in (int, float) or isinstance(x, np.generic | Constant):
            return self._text(_number(x, all_, ufunc), known)
        return self._text(x, known)

    def _targets(self, out: Any) -> str:
        if out is None:
            return ""
        if isinstance(out, Var):
            return self._var(out)
        if isinstance(out, tuple):
            return f"({''.join((self._targets(part) or '_') + ', ' for part in out)})"
        return "_"

    def _result(self, result: Any) -> str:
        value = result.value if isinstance(result, AsTensor) else result
        if isinstance(value, Constant):
            return f"{self._object(value.array)}.copy()"
        return self._text(value)

    @staticmethod
    def _var(var: Var) -> str:
        return f"v{var.number}"

    def _text(self, x: Any, known: dict[Any, str] | None = None) -> str:
        if isinstance(x, Var):
            return known[x] if known and x in known else self._var(x)
        if isinstance(x, _Bare):
            return self._object(x.array)
        if isinstance(x, Constant):
            name = known.get(id(x.array)) if known else None
            return name or self._object(x.array if x.array.shape else x.array[()])
        if type(x) in _ATOMS or (type(x) is float and math.isfinite(x)):
            return f"({x!r})" if type(x) in (int, float) else repr(x)
        if isinstance(x, tuple | list | dict | slice) and (any(variables(x)) or _held(x)):
            return self._nested(x, known)
        return self._object(x)

    def _nested(self, x: Any, known: dict[Any, str] | None) -> str:
        """Write what holds values of the program, or may be changed."""
        if isinstance(x, dict):
            return f"{{{', '.join(f'{k!r}: {self._text(v, known)}' for k, v in x.items())}}}"
        parts = (x.start, x.stop, x.step) if isinstance(x, slice) else x
        texts = ", ".join(self._text(part, known) for part in parts)
        if isinstance(x, slice):
            return f"slice({texts})"
        if isinstance(x, list):
            return f"[{texts}]"
        return f"({texts},)" if type(x) is tuple else f"{self._object(type(x))}({texts})"

    def _object(self, x: Any) -> str:
        name = self._known.get(id(x))
        if name is None:
            name = self._known[id(x)] = f"c{len(self._known)}"
            self.globals[name] = x
            self._alive.append(x)
        return name


def _held(tree: Any) -> bool:
    """Whether a tree holds constants, which stand for their arrays, or may change."""
    if isinstance(tree, Constant | list | dict):
        return True
    if isinstance(tree, slice):
        tree = (tree.start, tree.stop, tree.step)
    return isinstance(tree, tuple) and any(map(_held, tree))


def _number(x: Any, operands: Sequence[Any], ufunc: np.ufunc) -> Any:
    """Return a number as an array without axes of the others' dtype, if nothing else changes."""
    value = x.array if isinstance(x, Constant) else x
    if isinstance(x, Constant) and value.shape:
        return x
    others = [y for y in operands if isinstance(y, Var) or (isinstance(y, Constant) and y is not x)]
    arrays = [y for y in others if (y.shape if isinstance(y, Var) else y.array.shape)]
    dtypes = {y.dtype if isinstance(y, Var) else y.array.dtype for y in others}
    if not arrays or len(dtypes) != 1 or ufunc in (np.power, np.float_power, np.ldexp):
        return x
    (dtype,) = dtypes
    if dtype.kind != "f" or np.result_type(dtype, value) != dtype:
        return x
    if not isinstance(value, int | float) and value.dtype != dtype:
        return x
    with np.errstate(all="ignore"):
        try:
            array = np.asarray(value, dtype)
        except OverflowError:
            return x
    return _Bare(array) if np.isfinite(array) or not math.isfinite(value) else x


class _Ignoring:
    """Ignores floating-point warnings in a block; quicker than ``np.errstate``."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = ignore_warnings()

    def __exit__(self, *_: object) -> None:
        restore_warnings(self._token)


class _Bare:
    """An array without axes, which stays one."""

    def __init__(self, array: Any) -> None:
        self.array = array


def _dying(steps: Sequence[Step], program: Program) -> list[list[Var]]:
    """List for each step the large values that no later one needs."""
    needed = set(program.needed()) | {var for var, _ in program.inputs}
    last: dict[Var, int] = {}
    for k, step in enumerate(steps):
        inside = set() if step.run is None else step.run.inside
        for call in step.calls:
            for var in (*call.outputs(), *call.inputs()):
                if var not in needed and var not in inside:
                    last[var] = k
    dead: list[list[Var]] = [[] for _ in steps]
    for var, k in last.items():
        if var.shape and var.dtype.itemsize * math.prod(var.shape) >= _FREED:
            dead[k].append(var)
    return dead
