"""Docstrings of functions of one family: what they have in common is written once."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def like(*relatives: Callable[..., Any]) -> Callable[[F], F]:
    """Explain parameters and errors that a docstring leaves out as other functions do."""

    def complete(function: F) -> F:
        if function.__doc__:  # not with python -OO
            sections = _sections(function)
            for title in ("Parameters", "Raises"):
                entries: dict[str, str] = {}
                for given in (*map(_sections, relatives), sections):
                    entries |= _entries(given.get(title, ""))
                names = _names(function) if title == "Parameters" else entries
                sections[title] = _written(entries, names)
            order = ("", "Parameters", "Returns", "Raises")
            function.__doc__ = "\n\n".join(
                f"{title}\n{'-' * len(title)}\n{sections[title]}" if title else sections[title]
                for title in order
                if sections.get(title)
            )
        return function

    return complete


def _names(function: Callable[..., Any]) -> Iterable[str]:
    code: Any = inspect.unwrap(function).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]  # type: ignore[no-any-return]


def _sections(function: Callable[..., Any]) -> dict[str, str]:
    """Split a docstring at its titles; the text before the first is that of ""."""
    head, *rest = re.split(r"\n\n(\w+)\n-+\n", inspect.cleandoc(function.__doc__ or ""))
    return {"": head, **dict(zip(rest[::2], rest[1::2], strict=True))}


def _entries(section: str) -> dict[str, str]:
    """Return the text of each name: several may have one text."""
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", section):
        names, _, text = entry.partition("\n")
        entries |= dict.fromkeys(names.split(", "), text)
    entries.pop("", None)
    return entries


def _written(entries: dict[str, str], names: Iterable[str]) -> str:
    """Write a section, names of one text together."""
    together: dict[str, list[str]] = {}
    for name in names:
        if name in entries:
            together.setdefault(entries[name], []).append(name)
    return "\n".join(f"{', '.join(names)}\n{text}" for text, names in together.items())
