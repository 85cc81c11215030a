"""Names for the values of a program: the user's where there are some."""

import dis
import functools
import keyword
import re
from collections.abc import Iterable, Sequence
from types import CodeType
from typing import Any

from graphgrad.compiling.program import Program, Var
from graphgrad.engine.transforms import DerivativeFunction

_UNREADABLE = {"modules", "parameters", "buffers", "members", "self", "data", "cell_contents"}


class Names:
    """Names that are taken, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {"np", "zlib", "base64", *keyword.kwlist, *keyword.softkwlist, *taken}

    def fresh(self, wish: str) -> str:
        """Return the wish, or if it is taken, the wish with a number."""
        wish = re.sub(r"\W", "_", wish).strip("_") or "value"
        if wish[0].isdigit():
            wish = f"x{wish}"
        found, number = wish, 2
        while found in self._taken:
            found, number = f"{wish}_{number}", number + 1
        self._taken.add(found)
        return found

    def numbered(self, letter: str) -> str:
        """Return the letter with the first number that is free."""
        number = 1
        while f"{letter}{number}" in self._taken:
            number += 1
        self._taken.add(f"{letter}{number}")
        return f"{letter}{number}"


def name_values(program: Program) -> None:
    """Give values the names that the user's code gives them."""
    calls = program.calls
    for k, call in enumerate(calls):
        value = call.out[0] if isinstance(call.out, tuple) and call.out else call.out
        if call.section != "forward" or not isinstance(value, Var):
            continue
        place = (call.code, call.instruction, call.section)
        following = calls[k + 1] if k + 1 < len(calls) else None
        if following is None or place != (following.code, following.instruction, following.section):
            value.name = value.name or assigned(call.code, call.instruction)


@functools.lru_cache(maxsize=4096)
def assigned(code: CodeType | None, instruction: int) -> str | None:
    """Return the name that the user gives to what an instruction computes, None without one."""
    if code is None:
        return None
    following = [i for i in dis.get_instructions(code) if i.offset > instruction][:2]
    if following and following[0].opname.startswith("STORE_") and following[0].argval is not None:
        kind, value = following[0].opname, following[0].argval
        if kind.startswith(("STORE_FAST", "STORE_NAME", "STORE_DEREF", "STORE_GLOBAL")):
            return str(value[0] if isinstance(value, tuple) else value)
    if (
        len(following) == 2
        and following[0].opname.startswith("LOAD_")
        and following[1].opname == "STORE_ATTR"
    ):
        return str(following[1].argval)
    return None


def shortened(paths: Sequence[str]) -> list[str]:
    """Return short names that differ: ``net._modules['0']._weight`` becomes ``layer0_weight``."""
    words = [_words(path) for path in paths]
    found = []
    for own in words:
        length = 1
        while length < len(own) and sum(own[-length:] == w[-length:] for w in words) > 1:
            length += 1
        found.append("_".join(own[-length:]))
    return found


def _words(path: str) -> list[str]:
    parts = [part.strip("_") for part in re.split(r"\W+", path)]
    parts = [part for part in parts if part and part not in _UNREADABLE]
    words: list[str] = []
    for k, part in enumerate(parts):
        if not part.isdigit():
            words.append(part)
        elif len(words) == 1 and k + 1 < len(parts):  # in a Sequential
            words.append(f"layer{part}")
        else:
            words.append(f"{words.pop() if words else 'x'}{part}")
    return words or ["x"]


def function_name(f: Any) -> str:
    """Return how the program of a function is called."""
    if isinstance(f, DerivativeFunction):
        transform, of = _origin(f)
        return f"{transform.__name__}_of_{function_name(of)}"
    name = str(getattr(f, "__name__", type(f).__name__))
    return name if name.isidentifier() else "program"


def _origin(f: DerivativeFunction) -> tuple[Any, Any]:
    transform, of, _ = f._origin  # noqa: SLF001
    return transform, of


def value_name(f: Any) -> str:
    """Return a name for what a function returns."""
    if not isinstance(f, DerivativeFunction):
        return "result"
    name = function_name(_origin(f)[1])
    return name if len(name) > 1 and name != "program" else "value"


def title(f: Any) -> str:
    """Say what is compiled, such as ``value_and_grad(loss)``."""
    if isinstance(f, DerivativeFunction):
        transform, of = _origin(f)
        return f"{transform.__name__}({title(of)})"
    return str(getattr(f, "__qualname__", type(f).__name__)).rpartition(".<locals>.")[2]
