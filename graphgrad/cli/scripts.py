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
    """A script failed, or left nothing to draw; the message says why."""


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """The result of running a script."""

    path: Path
    names: Mapping[str, Any]  # its global variables
    last: Tensor | None  # the tensor that backward() was last called on


class _BackwardTrace(Trace):
    """A trace that remembers the node that backward() was last called on."""

    root: Node | None = None

    def sweeping(self, sweep: Sweep) -> Observer | None:
        """Note the root of a ``backward()``."""
        if sweep.targets is None:
            (self.root,) = sweep.grads
        return super().sweeping(sweep)


def run(path: Path, arguments: list[str]) -> ScriptResult:
    """Run a script, and return its variables.

    Raises
    ------
    ScriptError
        If it raises, or exits with a code other than 0.
    """
    module = ModuleType("__main__")
    module.__file__ = str(path.absolute())
    here = contextlib.chdir(".")  # restores the folder, which the picture's path is relative to
    trace = _BackwardTrace()
    with here, _as_main(module, path, arguments), observing(trace):
        try:
            with io.open_code(module.__file__) as file:
                code = compile(file.read(), module.__file__, "exec", dont_inherit=True)
            exec(code, vars(module))  # noqa: S102 - what a user asked to run
        except SystemExit as stop:
            if stop.code not in (None, 0):
                reason = stop.code if isinstance(stop.code, str) else f"exit code {stop.code}"
                raise ScriptError(f"{path} exited: {reason}") from stop
        except Exception as error:
            raise ScriptError(report(error)) from error
    node = trace.root
    last = None if node is None or node.value is None else wrap(node.value, node)
    return ScriptResult(path, vars(module), last)


@contextlib.contextmanager
def _as_main(module: ModuleType, path: Path, arguments: list[str]) -> Iterator[None]:
    """Set what Python sets for a script: ``__main__``, ``sys.argv`` and ``sys.path[0]``."""
    before = sys.argv, sys.path, sys.modules["__main__"]
    sys.argv = [str(path), *arguments]
    if not sys.flags.safe_path:  # as Python does
        sys.path = [str(path.resolve().parent), *sys.path[1:]]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.argv, sys.path, sys.modules["__main__"] = before


# ------------------------------------------------------------------------------ tracebacks


def report(error: BaseException) -> str:
    """Return the traceback of an exception without the frames of the command line.

    Of an error that this package raises also without the package's frames and without NumPy's
    error behind it: the message is enough.
    """
    shown = traceback.TracebackException.from_exception(error)
    pending: list[tuple[Any, Any]] = [(shown, error)]
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
    return "".join(shown.format()).rstrip()


def _user_frames(error: BaseException | None) -> bool:
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    return not all(is_internal(frame.filename) for frame in frames)
