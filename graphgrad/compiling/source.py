"""Writing a program as Python source that a person can read, and that runs when it is pasted."""

import dis
import functools
import keyword
import linecache
from types import CodeType
from typing import Any

import numpy as np

from graphgrad.compiling.program import UNGUARDED, Call, Constant, Program, Var, variables

_COLUMN = 56  # where comments start
_SMALL = 12  # elements of an array that is written where it is used


class Writer:
    """The text of a program, and what it needs in its namespace."""

    def __init__(self, program: Program, name: str, gradients: dict[Var, str]) -> None:
        """Name all values, and write."""
        self.program, self.name = program, name
        self.names: dict[Var, str] = {}
        self.namespace: dict[str, Any] = {"np": np}
        self.imports: set[tuple[str, str]] = set()
        self.constants: dict[int, str] = {}
        self._taken: set[str] = {"np", name, *keyword.kwlist}
        self._gradients = gradients
        self._name_values()
        self.lines = self._body()

    # ------------------------------------------------------------------------- names

    def _fresh(self, wish: str) -> str:
        wish = (
            "".join(c if c.isidentifier() or c.isdigit() else "_" for c in wish).strip("_") or "t"
        )
        wish = wish if wish.isidentifier() else f"x_{wish}"
        found, number = wish, 2
        while found in self._taken:
            found, number = f"{wish}_{number}", number + 1
        self._taken.add(found)
        return found

    def _name_values(self) -> None:
        for var, source in self.program.inputs:
            self.names[var] = self._fresh(var.name or source.name)
        calls = self.program.calls
        after = [*calls[1:], None]
        for call, following in zip(calls, after, strict=True):
            place = (call.code, call.instruction, call.section)
            last = following is None or place != (
                following.code, following.instruction, following.section
            )  # fmt: skip
            for var in call.outputs():
                wish = var.name
                if call.section == "forward" and last and isinstance(call.out, Var):
                    wish = assigned(call.code, call.instruction)
                self.names[var] = ""
                if wish:
                    self.names[var] = self._fresh(wish)
        for var, of in self._gradients.items():
            if var in self.names and not self.names[var]:
                self.names[var] = self._fresh(f"d{of}")
        for call in calls:
            for var in call.outputs():
                if not self.names[var]:
                    self.names[var] = self._fresh("t" if call.section == "forward" else "g")

    # -------------------------------------------------------------------------- text

    def text(self, x: Any) -> str:
        """Write a value as an expression."""
        if isinstance(x, Var):
            return self.names[x]
        if isinstance(x, Constant):
            return self._constant(x.array)
        if isinstance(x, tuple) and type(x) is tuple:
            inner = ", ".join(map(self.text, x))
            return f"({inner},)" if len(x) == 1 else f"({inner})"
        if type(x) is list:
            return f"[{', '.join(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice({', '.join(map(self.text, (x.start, x.stop, x.step)))})"
        if isinstance(x, np.generic):
            return f"np.{x.dtype.name}({x.item()!r})" if np.isfinite(x) else self._special(x)
        if isinstance(x, float) and not np.isfinite(x):
            return f'float("{x}")'
        if isinstance(x, np.dtype):
            return f"np.dtype({x.name!r})"
        if isinstance(x, type) and issubclass(x, np.generic):
            return f"np.{x.__name__}"
        if isinstance(x, type) and x.__module__ == "builtins":
            return x.__name__
        if x is None or x is Ellipsis or type(x) in (bool, int, float, str):
            return "..." if x is Ellipsis else repr(x)
        return self._object(x)

    @staticmethod
    def _special(x: Any) -> str:
        return f'np.{x.dtype.name}("{x.item()}")'

    def _constant(self, array: Any) -> str:
        if not array.shape:
            return self.text(array[()]) if array.dtype != object else self._object(array)
        return self._object(array)

    def _object(self, x: Any) -> str:
        name = self.constants.get(id(x))
        if name is None:
            name = self.constants[id(x)] = self._fresh("c")
            self.namespace[name] = x
        return name

    def call(self, call: Call) -> str:
        """Write a call as an expression."""
        function, args = call.function, call.args
        style, word = function.style, function.text
        if style == "binary":
            return f"{self._operand(args[0])} {word} {self._operand(args[1])}"
        if style == "unary":
            return f"{word}{self._operand(args[0])}"
        if style == "in place":
            return f"{self.text(args[0])} {word} {self.text(args[1])}"
        if style == "index":
            return f"{self.text(args[0])}[{self._index(args[1])}]"
        if style == "assign":
            return f"{self.text(args[0])}[{self._index(args[1])}] = {self.text(args[2])}"
        if style == "attribute":
            return f"{self.text(args[0])}.{word}"
        written = [self.text(x) for x in args]
        written += [f"{k}={self.text(v)}" for k, v in call.kwargs.items()]
        if style == "method":
            return f"{written[0]}.{word}({', '.join(written[1:])})"
        if function.module:
            first = word.partition(".")[0]
            self.imports.add((function.module, first))
        return f"{word}({', '.join(written)})"

    def _operand(self, x: Any) -> str:
        text = self.text(x)
        return f"({text})" if text.startswith("-") else text

    def _index(self, index: Any) -> str:
        if type(index) is tuple and index:
            inner = ", ".join(self._one_index(i) for i in index)
            return f"{inner}," if len(index) == 1 else inner
        return self._one_index(index)

    def _one_index(self, index: Any) -> str:
        if not isinstance(index, slice):
            return self.text(index)
        start, stop, step = (
            "" if i is None else self.text(i) for i in (index.start, index.stop, index.step)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")

    def _body(self) -> list[str]:
        lines: list[str] = []
        indent, section, seen = "    ", "forward", None
        for call in self.program.calls:
            if call.section != section:
                section = call.section
                if section == "backward":
                    lines += ["", '    with np.errstate(all="ignore"):  # backward']
                    indent = "        "
                else:
                    lines.append("")
                    indent = "    "
            expression = self.call(call)
            outs = self._targets(call.out)
            line = f"{indent}{outs} = {expression}" if outs else f"{indent}{expression}"
            if call.guard is not UNGUARDED:
                lines.append(self._comment(line, call, seen))
                lines.append(f"{indent}if {outs} != {call.guard!r}:")
                lines.append(f'{indent}    raise Decided("{outs}")')
                self._guarded = True
            else:
                lines.append(self._comment(line, call, seen))
            seen = (call.code, _line(call))
        return lines

    def _targets(self, out: Any) -> str:
        if out is None:
            return ""
        if isinstance(out, Var):
            return self.names[out]
        if isinstance(out, tuple):
            inner = ", ".join(self._targets(part) or "_" for part in out)
            return f"({inner},)" if len(out) == 1 else f"({inner})"
        return "_"

    def _comment(self, line: str, call: Call, seen: Any) -> str:
        first = next(iter(variables(call.out)), None)
        shape = "" if first is None or first.shape is None else f"{first.shape} "
        code, number = call.code, _line(call)
        of = ""
        if code is not None and (code, number) != seen:
            of = linecache.getline(code.co_filename, number).strip()
        note = f"{shape if shape != '() ' else ''}{of}".strip()
        return f"{line:<{_COLUMN}}  # {note}" if note else line

    def function(self) -> str:
        """Return the source of the function that computes the program."""
        parameters = ", ".join(self.names[var] for var, _ in self.program.inputs)
        values = [self._result(r) for r in self.program.results]
        values += [self.text(e.value) for e in self.program.effects if e.value is not None]
        values += map(self.text, self.program.kept)
        returned = (
            f"    return {', '.join(values)}{',' if len(values) == 1 else ''}"
            if values
            else ("    return ()")
        )
        return "\n".join([f"def {self.name}({parameters}):", *self.lines, returned]) + "\n"

    def _result(self, result: Any) -> str:
        value = (
            getattr(result, "value", result) if not isinstance(result, Var | Constant) else result
        )
        if isinstance(result, Constant):
            return f"np.copy({self.text(result)})"
        return self.text(value)

    def whole(self) -> str:
        """Return the source with its imports and constants."""
        body = self.function()
        lines = ["import numpy as np"]
        lines += [f"from {module} import {name}" for module, name in sorted(self.imports)]
        if getattr(self, "_guarded", False):
            lines += ["", "", "class Decided(Exception):", '    """A decision fell otherwise."""']
        constants = [
            f"{name} = {_literal(self.namespace[name])}" for name in self.constants.values()
        ]
        return "\n".join([*lines, "", *constants, "" if constants else "", body]).replace(
            "\n\n\n\n", "\n\n\n"
        )


def _literal(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"np.array({x.tolist()!r}, np.{x.dtype.name})".replace("nan", "np.nan").replace(
            "inf", "np.inf"
        )
    return repr(x)


def _line(call: Call) -> int:
    if call.code is None:
        return 0
    return next(
        (n or 0 for start, end, n in call.code.co_lines() if start <= call.instruction < end),
        call.code.co_firstlineno,
    )


@functools.lru_cache(maxsize=4096)
def assigned(code: CodeType | None, instruction: int) -> str | None:
    """Return the name that the user gives to what an instruction computes, None without one."""
    if code is None:
        return None
    following = [i for i in dis.get_instructions(code) if i.offset > instruction]
    if following and following[0].opname in {
        "STORE_FAST",
        "STORE_NAME",
        "STORE_DEREF",
        "STORE_GLOBAL",
    }:
        return str(following[0].argval)
    return None
