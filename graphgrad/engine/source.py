"""The user's source line: where user code called the package."""

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
# modules of Python that call us for the user: contextlib, copy, threading
_PYTHONS = str(Path(contextlib.__file__).parent) + "/"
_INSTALLED = "-packages/"  # site- or dist-packages, which may be inside that folder
FILES = 4096
internal: dict[str, bool] = {}  # by file name: the cached results of `is_internal`


def is_internal(filename: str) -> bool:
    """Whether a file belongs to this package, NumPy or Python, not to the user."""
    if len(internal) >= FILES:  # each cell of a notebook has another name
        internal.clear()
    name, pythons = filename.replace("\\", "/"), _PYTHONS.replace("\\", "/")
    answer = name.startswith(tuple(o.replace("\\", "/") for o in _OURS)) or (
        name.startswith(pythons) and _INSTALLED not in name
    )
    internal[filename] = answer
    return answer


def call_site(depth: int = 1) -> tuple[CodeType | None, int]:
    """Find the innermost frame of user code: not of graphgrad, NumPy or Python itself.

    Returns its code object and instruction offset; :func:`source_line` computes the line number
    from these on request, since that is slow.
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


def call_site_above(outermost: CodeType) -> tuple[CodeType | None, int]:
    """Find the innermost frame of user code that some code of ours called; None if none is."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not outermost:
        if not is_internal(frame.f_code.co_filename):
            return frame.f_code, frame.f_lasti
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
    """Return the user's line that is running now; None if no frame is the user's."""
    code, instruction = call_site(2)
    return None if code is None else source_line(code, instruction)
