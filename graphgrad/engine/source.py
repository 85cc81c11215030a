"""The user's source line: where in the user's code we were called."""

import contextlib
import sys
from pathlib import Path
from types import CodeType

import numpy as np

_OURS = (
    str(Path(__file__).parent.parent) + "/",
    str(Path(np.__file__).parent) + "/",
    "<frozen ",
)
# Python's own modules stand between us and those who use a context, copy a tensor, start a thread
_PYTHONS = str(Path(contextlib.__file__).parent) + "/"
_INSTALLED = "-packages/"  # site- or dist-, which may be folders of that one
FILES = 4096
internal: dict[str, bool] = {}  # per file name: is it one of these?


def is_internal(filename: str) -> bool:
    """Whether a file is of this package, or stands between it and its users."""
    if len(internal) >= FILES:  # each cell of a notebook has a name of its own
        internal.clear()
    name, pythons = filename.replace("\\", "/"), _PYTHONS.replace("\\", "/")
    answer = name.startswith(tuple(o.replace("\\", "/") for o in _OURS)) or (
        name.startswith(pythons) and _INSTALLED not in name
    )
    internal[filename] = answer
    return answer


def call_site(depth: int = 1) -> tuple[CodeType | None, int]:
    """Find the innermost frame that is not graphgrad's, NumPy's or Python's own.

    Returns its code object and instruction offset; the line number, slow to look up,
    is worked out by :func:`source_line` only when somebody asks.
    """
    frame = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        inside = internal.get(name)
        if not (is_internal(name) if inside is None else inside):
            return code, frame.f_lasti
        frame = frame.f_back  # type: ignore[assignment]
    return None, 0


def source_line(code: CodeType | None, instruction: int) -> str:
    """Format a place in the user's code as ``file.py:18``."""
    if code is None:
        return "unknown line"
    line = next(
        (n for start, end, n in code.co_lines() if start <= instruction < end),
        code.co_firstlineno,
    )
    return f"{Path(code.co_filename).name}:{line}"


def here() -> str | None:
    """Return the user's line that is running now; None where all code is ours."""
    code, instruction = call_site(2)
    return None if code is None else source_line(code, instruction)
