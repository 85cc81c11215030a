"""Writing programs as Python that a person can read, and that runs when it is pasted."""

import builtins
import importlib
import linecache
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.compiling.carry import CannotCarry, Carried
from graphgrad.compiling.expressions import ATOM, Expressions, Text
from graphgrad.compiling.kernels import name_of
from graphgrad.compiling.literals import array_text
from graphgrad.compiling.names import Names, shortened
from graphgrad.compiling.program import UNGUARDED, Call, Constant, Function, Program, Var, variables
from graphgrad.engine.op import Op

_WIDTH = 100  # of a line
_LONGEST = 60  # expression that other expressions are put into
_COLUMN = 52  # where comments start at most
_DECIDE = '''
def decide(value, traced):
    """Stop where Python would take another branch than when this program was made."""
    if value != traced:
        raise Decided(f"this program holds for {traced}, not for {value}")
'''
_DECIDED = '''
class Decided(Exception):
    """A value that Python branched on differs from the trace."""
'''


class _Called(NamedTuple):
    """A function that a program calls."""

    function: Callable[..., Any]
    home: str  # the package
    line: str  # which imports it


class Listing:
    """Python text of one or several programs, and the names that it uses."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"np": np}
        self.constants: dict[str, Any] = {}  # by name
        self._called: dict[str, _Called] = {}  # functions of others than NumPy, by name
        self._titles: list[str] = []
        self._objects: dict[Any, str] = {}
        self._taken = Names()
        self._functions: list[str] = []
        self._decides = False
        self.known: dict[Var, str] = {}  # names in earlier functions
        self.single: set[str] = set()  # functions that return one value

    # ------------------------------------------------------------------------ writing

    def add(
        self,
        program: Program,
        name: str,
        *,
        title: str = "",
        value: str = "result",
    ) -> str:
        """Write a program as a function; return its text.

        ``title`` says what was compiled, ``value`` how a result is called that has no name.
        """
        names = Names([name, "decide", "Decided", *self.namespace, *self._names_of(program)])
        writer = _Writer(self, program, names, value)
        text = writer.function(name, title)
        self._functions.append(text)
        self._titles.append(title or name)
        self.known |= writer.names
        if len(writer.final) == 1:
            self.single.add(name)
        return text

    def _names_of(self, program: Program) -> list[str]:
        """Return the names of functions that a program calls, before variables take them."""
        called = [call.function for call in program.calls if call.function.module]
        return [self.function(function).partition(".")[0] for function in called]

    def function(self, function: Function) -> str:
        """Return the name of a function that is not NumPy's, and import it."""
        key = (function.module, function.text)
        found = self._objects.get(key)
        if found is not None:
            return found
        first, _, rest = function.text.partition(".")
        op = getattr(sys.modules.get(function.module), first, None)
        home = function.module.partition(".")[0]
        if isinstance(op, Op) and rest == "forward" and home == "graphgrad":
            found = name_of(op)
            line = f"from graphgrad.compiling.kernels import {found}"
            self.namespace[found] = op.forward
        else:
            found = function.text
            line = f"from {function.module} import {first}"
            self.namespace[first] = getattr(importlib.import_module(function.module), first)
            if isinstance(op, Op) and rest == "forward":
                found = self._taken.fresh(first.strip("_"))
                line += f"\n{found} = {function.text}"
                self.namespace[found] = op.forward
        self._called[found] = _Called(function.call, home, line)
        self._objects[key] = found
        return found

    def object(self, x: Any) -> str:
        """Return the name of a constant."""
        if isinstance(x, Function):
            return self.function(x)
        home, own = getattr(x, "__module__", None) or "", getattr(x, "__qualname__", "")
        found: Any = getattr(sys.modules.get(home), own, None)
        if own.isidentifier() and found is x:
            return own if home == "builtins" else self.function(Function(found, "name", own, home))
        key: Any = id(x)
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return self._record(x)
        if isinstance(x, np.ndarray) and x.dtype != object:
            key = (x.dtype.str, x.shape, x.strides, x.tobytes())
        if key not in self._objects:
            wish = _name_of_array(x) if isinstance(x, np.ndarray) else None
            name = self._taken.numbered("c") if wish is None else self._taken.fresh(wish)
            self._objects[key] = name
            self.constants[name] = self.namespace[name] = x
        return self._objects[key]

    def _record(self, x: Any) -> str:
        """Return the name of a named tuple."""
        kind = type(x)
        key = (kind, *map(repr, x))
        if key not in self._objects:
            self.function(Function(kind, "name", kind.__name__, kind.__module__))
            name = self._objects[key] = self._taken.fresh(kind.__name__.lower().strip("_"))
            self.constants[name] = self.namespace[name] = x
        return self._objects[key]

    def decide(self) -> str:
        """Return the name of the function that stops where a decision falls otherwise."""
        self._decides = True
        return "decide"

    # ------------------------------------------------------------------------- whole

    def whole(self, *, alone: bool = False) -> str:
        """Return all functions with imports and constants.

        ``alone`` brings along what they call of graphgrad where that is possible.
        """
        carried, missing = self._carried() if alone else (Carried(), list(self._called))
        constants = [f"{name} = {_literal(x)}" for name, x in self.constants.items()]
        written = "\n".join([*constants, *carried.texts.values()])
        plain = {f"import {m}" for m in ("base64", "zlib") if f"{m}." in written}
        plain |= carried.imports - {"import numpy as np"}
        imports, aliases = _joined([self._called[name].line for name in missing])
        blocks = [
            sorted(plain, key=lambda line: (line.startswith("from"), line)),
            ["import numpy as np"],
            imports,
        ]
        head = "\n\n".join("\n".join(block) for block in blocks if block)
        fixed = [*aliases, *map(_wrapped_constant, constants)]
        if fixed and not carried.texts:
            head += "\n\n" + "\n".join(fixed)
        parts = [head, *_grouped(carried.texts.values())]
        if fixed and carried.texts:
            parts.append("\n".join(fixed))
        if self._decides:
            parts += [_DECIDED, _DECIDE]
        parts += self._functions
        text = "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
        return f"{self._about(missing)}\n\n{text}" if alone else text

    def _carried(self) -> tuple[Carried, list[str]]:
        """Return the sources of functions, and the names of those that must be imported."""
        carried, missing = Carried(), []
        for name, called in self._called.items():
            try:
                carried.add(name, called.function)
            except CannotCarry:
                missing.append(name)
        return carried, missing

    def _about(self, missing: list[str]) -> str:
        homes = sorted({self._called[name].home for name in missing})
        needs = f"It needs {' and '.join(homes)}, for {', '.join(missing)}." if missing else ""
        lines = textwrap.wrap(needs or "It runs on NumPy alone.", _WIDTH)
        titles = " and ".join(self._titles)
        return "\n".join([f'"""{titles}, written by graphgrad.', "", *lines, '"""'])

    def run(self, decided: type[Exception]) -> Callable[[str], Callable[..., Any]]:
        """Execute the functions, whose wrong decisions raise the type; return a look-up by name."""
        namespace = {**self.namespace, "Decided": decided}
        text = "\n\n".join([_DECIDE, *self._functions])
        exec(builtins.compile(text, "<compiled>", "exec"), namespace)  # noqa: S102
        return namespace.__getitem__


def _grouped(texts: Iterable[str]) -> list[str]:
    """Put constants that follow each other into one block."""
    blocks: list[str] = []
    for text in texts:
        plain = not text.startswith(("def ", "class ", "@"))
        if blocks and plain and not blocks[-1].startswith(("def ", "class ", "@")):
            blocks[-1] += f"\n{text}"
        else:
            blocks.append(text)
    return blocks


def _joined(imports: Iterable[str]) -> tuple[list[str], list[str]]:
    """Join imports from one module; aliases come after."""
    names: dict[str, list[str]] = {}
    aliases = []
    for text in imports:
        first, *rest = text.split("\n")
        module, _, name = first.removeprefix("from ").partition(" import ")
        names.setdefault(module, []).append(name)
        aliases += rest
    return [
        _filled(f"from {m} import (", sorted(set(n)), ")")
        if len(f"from {m} import {', '.join(set(n))}") > _WIDTH
        else f"from {m} import {', '.join(sorted(set(n)))}"
        for m, n in sorted(names.items())
    ], sorted(aliases)


def _name_of_array(array: Any) -> str | None:
    text = array_text(array) if array.size <= 1 << 16 and array.dtype != object else ""
    kind = re.match(r"np\.(arange|zeros|ones)\(", text)
    if kind and array.ndim <= 2 and text.count(",") <= array.ndim:
        return "_".join([kind.group(1), "x".join(map(str, array.shape))])
    return None


def _literal(x: Any) -> str:
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        kind: Any = type(x)
        parts = zip(kind._fields, x, strict=True)
        return f"{type(x).__name__}({', '.join(f'{k}={_literal(v)}' for k, v in parts)})"
    return array_text(x) if isinstance(x, np.ndarray) and x.dtype != object else repr(x)


def _wrapped_constant(text: str) -> str:
    if len(text) <= _WIDTH or "\n" in text or "[" not in text:
        return text
    head, _, rest = text.partition("(")
    return _filled(f"{head}(", rest[:-1].split(", "), ")")


def _filled(head: str, parts: Iterable[str], tail: str, indent: str = "") -> str:
    """Write parts between brackets on as many lines as they need."""
    lines, line = [], ""
    for part in parts:
        if line and len(indent) + 4 + len(line) + len(part) + 2 > _WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += f"{part}, "
    lines.append(line.rstrip())
    inner = "\n".join(f"{indent}    {line}" for line in lines)
    if not tail.startswith(")") or "=" in head or "def" in head or "return" in head:
        inner = inner.rstrip(",") + ("," if "return" in head or "def" in head else "")
    return f"{head}\n{inner}\n{indent}{tail}"


class _Writer:
    """Writes one function."""

    def __init__(
        self,
        listing: Listing,
        program: Program,
        names: Names,
        value: str,
    ) -> None:
        self._listing, self._program = listing, program
        self._expressions = Expressions(self._read, listing.object)
        self._nested: dict[Var, Call] = {}
        self._writes = [(k, call.mutates) for k, call in enumerate(program.calls) if call.mutates]
        self._runs = _runs(program)
        self._makers = {c.out: c for c in program.calls if isinstance(c.out, Var)}
        self.names: dict[Var, str] = {}
        self.final = [*map(_value_of, program.results), *_effects(program), *program_kept(program)]
        self._name_inputs(names)
        self._nest()
        self._name_values(names, value)

    def _read(self, x: Var) -> Text:
        nested = self._nested.get(x)
        if nested is None:
            return Text(self.names.get(x, x.name or "t00"), ATOM)
        return self._expressions.call(nested)

    # ------------------------------------------------------------------------- nesting

    def _nest(self) -> None:
        """Put values without names that are used once into the expression that uses them."""
        calls = self._program.calls
        uses = Counter(v for call in calls for v in call.inputs())
        finals = Counter(variables(tuple(self.final)))
        makers: dict[Var, int] = {}
        for k, call in enumerate(calls):
            candidates = [
                v for v in call.inputs()
                if uses[v] == 1 and not finals[v] and v in makers
                and self._may_move(makers[v], k)
            ]  # fmt: skip
            self._put(call, candidates)
            out = call.out
            if (
                isinstance(out, Var)
                and not (out.name or _has_named_value(out))
                and call.pure
                and not call.mutates
                and call.guard is UNGUARDED
            ):
                makers[out] = k
        if not calls or calls[-1].section == "forward":
            once = [v for v in finals if v in makers and finals[v] == 1 and not uses[v]]
            for v in once:
                if self._may_move(makers[v], len(calls)):
                    self._put(None, [v])

    def _put(self, call: Call | None, candidates: list[Var]) -> None:
        """Put candidates into a call, or one into the return statement, if it stays short."""
        self._nested.update((v, self._makers[v]) for v in candidates)
        left = list(candidates)
        while left:
            lengths = {v: len(self._read(v).text) for v in left}
            whole = (
                max(lengths.values()) if call is None else len(self._expressions.call(call).text)
            )
            if whole <= _LONGEST:
                break
            longest = max(left, key=lengths.__getitem__)
            left.remove(longest)
            del self._nested[longest]

    def _may_move(self, start: int, end: int) -> bool:
        """Whether a call may run at a later place: nothing in between writes what it reads."""
        if self._runs[start] != self._runs[min(end, len(self._runs) - 1)]:
            return False
        if not self._writes:
            return True
        read = {v.memory for v in self._all_inputs(self._program.calls[start])}
        written = (v for k, into in self._writes if start < k < end for v in into)
        return not any(v.memory in read for v in written)

    def _all_inputs(self, call: Call) -> set[Var]:
        found = set(call.inputs())
        for v in list(found):
            if v in self._nested:
                found |= self._all_inputs(self._nested[v])
        return found

    # ------------------------------------------------------------------------- names

    def _name_inputs(self, names: Names) -> None:
        inputs = self._program.inputs
        known = self._listing.known
        wishes = [known.get(v) or v.name or source.name for v, source in inputs]
        for (var, _), short in zip(inputs, shortened(wishes), strict=True):
            self.names[var] = names.fresh(short)

    def _name_values(self, names: Names, value: str) -> None:
        finals = set(variables(tuple(map(_value_of, self._program.results))))
        for _, var in self._unnamed():
            if var.name:
                self.names[var] = names.fresh(var.name)
        for _, var in self._unnamed():
            if var.gradient_of in self.names:
                self.names[var] = names.fresh(f"d{self.names[var.gradient_of]}")
        for call, var in self._unnamed():
            if var in finals and call.section == "forward":
                self.names[var] = names.fresh(value)
            else:
                self.names[var] = names.numbered("t" if call.section == "forward" else "g")

    def _unnamed(self) -> list[tuple[Call, Var]]:
        return [
            (call, var)
            for call in self._program.calls
            for var in call.outputs()
            if var not in self.names and var not in self._nested
        ]

    # -------------------------------------------------------------------------- lines

    def function(self, name: str, title: str) -> str:
        """Return the text of the function."""
        parameters = [self.names[var] for var, _ in self._program.inputs]
        head = f"def {name}({', '.join(parameters)}):"
        if len(head) > _WIDTH:
            head = _filled(f"def {name}(", parameters, "):")
        values = [self._as_final(x) for x in self.final]
        returned = f"    return {', '.join(values)}"
        if not values:
            returned = "    return ()"
        elif len(returned) > _WIDTH:
            returned = _filled("    return (", values, ")", "    ")
        lines = [head, *self._docstring(title), *self._body(), returned]
        return "\n".join(lines) + "\n"

    def _docstring(self, title: str) -> list[str]:
        inputs = [(self.names[v], v) for v, _ in self._program.inputs]
        arrays = [(name, v) for name, v in inputs if v.shape is not None]
        lines = [f"{title or 'A program'}, written by graphgrad for these arguments:"]
        width = max((len(name) for name, _ in arrays), default=0)
        of = max((len(str(v.dtype)) for _, v in arrays), default=0)
        rows = [f"{name:<{width}}  {v.dtype!s:<{of}}  {_shape(v)}".rstrip() for name, v in arrays]
        if not rows:
            return [f'    """{lines[0].removesuffix(" for these arguments:")}."""']
        return [f'    """{lines[0]}', "", *(f"    {row}" for row in rows), '    """']

    def _as_final(self, x: Any) -> str:
        if isinstance(x, Constant) and x.array.dtype != object:
            return f"np.copy({self._expressions.text(x)})"
        return self._expressions.text(x)

    def _body(self) -> list[str]:
        sections: list[tuple[str, list[tuple[str, str, str]]]] = []
        for call in self._program.calls:
            if isinstance(call.out, Var) and call.out in self._nested:
                continue
            if not sections or sections[-1][0] != call.section:
                sections.append((call.section, []))
            code, number = call.code, _line(call)
            of = "" if code is None else linecache.getline(code.co_filename, number).strip()
            first = next(iter(variables(call.out)), None)
            shape = "" if first is None or not first.shape else _shape(first)
            sections[-1][1].append((self._statement(call), shape, of))
        lines: list[str] = []
        several = any(section == "backward" for section, _ in sections)
        for section, statements in sections:
            indent = "    "
            if section == "backward":
                lines += [
                    "",
                    "    # ---------- backward ----------",
                    '    with np.errstate(all="ignore"):',
                ]
                indent = "        "
            elif several and not lines:
                lines += ["    # ---------- forward ----------"]
            elif several:
                lines += [""]
            lines += _aligned(statements, indent)
        return lines + ([""] if several and sections[-1][0] == "backward" else [])

    def _statement(self, call: Call) -> str:
        if call.guard is not UNGUARDED:
            return self._decision(call)
        in_place = self._expressions.in_place(call)
        if in_place is not None and call.out is None:
            return in_place
        text = self._expressions.call(call).text
        outs = self._targets(call.out)
        return f"{outs} = {text}" if outs else text

    def _decision(self, call: Call) -> str:
        decide = self._listing.decide()
        x = call.args[0] if call.args else None
        plain = (
            call.function.text == "bool" and isinstance(x, Var) and x.dtype == bool and not x.shape
        )
        text = self._expressions.text(x) if plain else self._expressions.call(call).text
        statement = f"{decide}({text}, {call.guard!r})"
        if isinstance(call.out, Var) and self._is_used(call.out):
            name = self.names[call.out]
            return f"{name} = {self._expressions.call(call).text}; {decide}({name}, {call.guard!r})"
        return statement

    def _is_used(self, v: Var) -> bool:
        read = (x for call in self._program.calls for x in call.inputs())
        return v in read or v in set(variables(tuple(self.final)))

    def _targets(self, out: Any) -> str:
        if out is None:
            return ""
        if isinstance(out, Var):
            return self.names[out]
        if isinstance(out, tuple):
            inner = ", ".join(self._targets(part) or "_" for part in out)
            return f"{inner}," if len(out) == 1 else inner
        return "_"


def _has_named_value(var: Var) -> bool:
    """Whether a value is the gradient of one that has a name."""
    return var.gradient_of is not None and var.gradient_of.name is not None


def _runs(program: Program) -> list[int]:
    """Return the number of the run of calls of one section that each call belongs to."""
    numbers, number, section = [], 0, None
    for call in program.calls:
        number += call.section != section
        section = call.section
        numbers.append(number)
    return numbers


def _value_of(result: Any) -> Any:
    if isinstance(result, Var | Constant | np.generic):
        return result
    return getattr(result, "value", result)


def _effects(program: Program) -> list[Any]:
    return [e.value for e in program.effects if e.value is not None]


def program_kept(program: Program) -> list[Any]:
    """Return the values that a backward program takes over."""
    return list(getattr(program, "kept", ()))


def _shape(v: Var) -> str:
    return str(v.shape) if v.shape else ""


def _aligned(statements: list[tuple[str, str, str]], indent: str) -> list[str]:
    """Write statements with shapes and the user's lines beside them, each line of his once."""
    widths = [len(indent) + len(text) for text, _, _ in statements]
    column = max((w for w in widths if w <= _COLUMN), default=0) + 2
    shapes = max((len(shape) for _, shape, _ in statements if len(shape) <= 16), default=0)
    users = [of for text, _, of in statements if of != text]
    beside = all(column + 4 + shapes + len(user) <= _WIDTH for user in users)
    lines, seen = [], ""
    for text, shape, of in statements:
        line = f"{indent}{text}"
        user = "" if of in (seen, text) else of
        seen = of or seen
        if len(line) > _WIDTH:
            line = _broken(line, indent)
        fits = "\n" not in line and (not beside or len(line) <= column)
        if user and not (beside and fits):
            lines.append(_cut(f"{indent}# {user}"))
            user = ""
        note = f"{shape:<{shapes}}  {user}".strip() if user else shape
        start = max(column, len(line) + 2)
        fits = "\n" not in line and start + 2 + len(note) <= _WIDTH
        lines.append(f"{line:<{start}}# {note}" if note and fits else line)
    return lines


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 2].rstrip()} …"


def _broken(line: str, indent: str) -> str:
    """Break a long call at the commas between its arguments."""
    head, bracket, rest = line.partition("(")
    if not bracket or not rest.endswith(")"):
        return line
    parts, depth, part = [], 0, ""
    for letter in rest[:-1]:
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            return line
        if letter == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return _filled(f"{head}(", [*parts, part.strip()], ")", indent)


def _line(call: Call) -> int:
    if call.code is None:
        return 0
    return next(
        (n or 0 for start, end, n in call.code.co_lines() if start <= call.instruction < end),
        call.code.co_firstlineno,
    )
