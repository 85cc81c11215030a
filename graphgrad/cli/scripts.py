"""Running a user's script as `python script.py` would, under a trace."""

import contextlib
import io
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from graphgrad.engine.graph import Node
from graphgrad.engine.record import wrap
from graphgrad.engine.recording import Observer, observing
from graphgrad.engine.source import is_internal
from graphgrad.engine.sweep import Sweep
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import GraphgradError
from graphgrad.viz.snapshots.traces import Trace


class ScriptError(Exception):
    """A script that failed, or that left nothing to draw; the text says how."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a script left behind."""

    path: Path
    names: Mapping[str, Any]  # its global variables
    last: Tensor | None  # what backward() was last called on; it may be in no variable


class _Remembering(Trace):
    """A trace that keeps what backward() was last called on."""

    sent_from: Node | None = None

    def sweeping(self, sweep: Sweep) -> Observer | None:
        """Observe a ``backward()``, and a sweep that records itself."""
        if sweep.targets is None:
            (self.sent_from,) = sweep.grads
        return super().sweeping(sweep)


def run(path: Path, arguments: list[str]) -> Ran:
    """Run a script, and return what it left behind.

    Raises
    ------
    ScriptError
        If it raises, or exits with a code that says it failed.
    """
    module = ModuleType("__main__")
    module.__file__ = str(path.absolute())
    here = contextlib.chdir(".")  # back at the end, for the picture's path is seen from here
    trace = _Remembering()
    with here, _as_main(module, path, arguments), observing(trace):
        try:
            with io.open_code(module.__file__) as file:
                code = compile(file.read(), module.__file__, "exec", dont_inherit=True)
            exec(code, vars(module))  # noqa: S102 - what a user asked to run
        except SystemExit as stop:
            if stop.code not in (None, 0):
                said = stop.code if isinstance(stop.code, str) else f"exit code {stop.code}"
                raise ScriptError(f"{path} ended itself: {said}") from stop
        except Exception as error:
            raise ScriptError(report(error)) from error
    node = trace.sent_from
    last = None if node is None or node.value is None else wrap(node.value, node)
    return Ran(path, vars(module), last)


@contextlib.contextmanager
def _as_main(module: ModuleType, path: Path, arguments: list[str]) -> Iterator[None]:
    """Set what Python sets for a script: its module, arguments, and the place of its imports."""
    before = sys.argv, sys.path, sys.modules["__main__"]
    sys.argv = [str(path), *arguments]
    if not sys.flags.safe_path:  # where Python puts no folder in front
        sys.path = [str(path.resolve().parent), *sys.path[1:]]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.argv, sys.path, sys.modules["__main__"] = before


# ------------------------------------------------------------------------------ tracebacks


def report(error: BaseException) -> str:
    """Return the traceback of an exception, but for the frames of this package that led to it.

    Where the package itself refused something, the frames in it and what NumPy said there are
    of no interest either: its message tells.
    """
    told = traceback.TracebackException.from_exception(error)
    pending: list[tuple[Any, Any]] = [(told, error)]
    while pending:
        part, e = pending.pop()
        refused = isinstance(e, GraphgradError)
        frames = [f for f in part.stack if not (refused and is_internal(f.filename))]
        while frames and is_internal(frames[0].filename):
            del frames[0]
        part.stack = traceback.StackSummary.from_list(frames) if frames else None
        if refused and not _user_frames(e.__cause__ or e.__context__):
            part.__cause__ = part.__context__ = None
        pending += [
            (before, at)
            for before, at in ((part.__cause__, e.__cause__), (part.__context__, e.__context__))
            if before is not None
        ]
    return "".join(told.format()).rstrip()


def _user_frames(error: BaseException | None) -> bool:
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    return not all(is_internal(frame.filename) for frame in frames)
