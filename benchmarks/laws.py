"""What each promise of the engine costs a small op.

Each row loads a copy of graphgrad under another name, with one piece of its source replaced
by what an engine without that promise would do, and lets the copy take turns with the real
one. A piece whose text is no longer found says so instead of measuring nothing.
"""

import importlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import graphgrad as gg
from benchmarks.timing import Ratio, Times, Work

SOURCE = Path(gg.__file__).parent
ENGINE = SOURCE / "engine"


class Piece(NamedTuple):
    """A promise, and the replacements in the engine (file, text, without it) that take it away."""

    promise: str
    cuts: tuple[tuple[str, str, str], ...]


PIECES = (
    Piece(
        "each thread and task has its own switches",
        (
            ("record.py", "now := latest()", "now := _NOW"),
            ("record.py", "_new = object.__new__", "_new = object.__new__\n_NOW = latest()"),
        ),
    ),
    Piece(
        "a node knows the user's source line",
        (("record.py", "code, instruction = call_site(3)", "code, instruction = None, 0"),),
    ),
    Piece(
        "a freed graph knows which call freed it",
        (("sweep.py", "Freed(by, *call_site(3))", "Freed(by, None, 0)"),),
    ),
    Piece(
        "a change after use is noticed",
        (
            (
                "sweep.py",
                "values.__class__ is Freed or clock.latest > node.serial",
                "values.__class__ is Freed",
            ),
        ),
    ),
    Piece(
        "small values and gradients stay readable",
        (
            ("record.py", "out if out.size <= KEPT_ELEMENTS else None", "None"),
            (
                "sweep.py",
                "if node.value is not None and self.wrap is None and g.size <= KEPT_ELEMENTS:",
                "if False:",
            ),
            ("sweep.py", "if keeps and node.value is not None:", "if False:"),
            ("sweep.py", "if g.size <= KEPT_ELEMENTS:", "if False:"),
        ),
    ),
    Piece(
        "the sweep does not warn",
        (
            ("sweep.py", "before = ignore_warnings()", "pass"),
            ("sweep.py", "restore_warnings(before)", "pass"),
        ),
    ),
    Piece(
        "broadcasting is undone, wrong shapes refused",
        (("sweep.py", 'fits and getattr(c, "shape", None) == parent.shape:', "fits:"),),
    ),
    Piece(
        "no two gradients share memory",
        (("sweep.py", "c = unshared(c, g, values)", "pass"),),
    ),
    Piece(
        "a gradient has its tensor's dtype",
        (
            ("sweep.py", "if g.dtype is not node.dtype and g.dtype != node.dtype:", "if False:"),
            ("sweep.py", "and g.dtype is node.dtype", ""),
            ("sweep.py", " and g.dtype is leaf.dtype", ""),
        ),
    ),
    Piece(
        "an untaken branch of where gives exactly 0",
        (("sweep.py", "self.after_where, fits = True, False", "pass"),),
    ),
    Piece(
        "hooks can be registered, observers can watch",
        (
            ("sweep.py", "if node.hooks is not None and self.hooks:", "if False:"),
            ("sweep.py", "and node.hooks is None", ""),
            ("sweep.py", " and leaf.hooks is None", ""),
            ("sweep.py", "if self.observers:", "if False:"),
            ("sweep.py", "if observers:", "if False:"),
            ("record.py", "if now.observers:", "if False:"),
        ),
    ),
    Piece(
        "threads may share leaves",
        (("tensor.py", "        with _grad_lock:\n", "        if True:\n"),),
    ),
)

EVERY = Piece("all of these together", tuple(cut for piece in PIECES for cut in piece.cuts))


@contextmanager
def without(piece: Piece, number: int) -> Iterator[Any]:
    """Import a copy of the package that lacks a piece."""
    name = f"graphgrad_without_{number}"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / name
        for path in SOURCE.rglob("*.py"):
            inside = path.relative_to(SOURCE)
            copy = target / inside
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text("utf-8")
            for file, old, new in piece.cuts:
                if path == ENGINE / file:
                    if old not in text:
                        raise LookupError(f"{file} no longer says {old!r}")
                    text = text.replace(old, new)
            copy.write_text(re.sub(r"\bgraphgrad\b", name, text), "utf-8")
        sys.path.insert(0, folder)
        try:
            yield importlib.import_module(name)
        finally:
            sys.path.remove(folder)
            for module in [m for m in sys.modules if m.partition(".")[0] == name]:
                del sys.modules[module]


def work(module: Any) -> Work:
    """Return forward and backward of x · y."""
    x = module.Tensor(1.3, requires_grad=True)
    y = module.Tensor(0.7, requires_grad=True)

    def both_ways() -> None:
        x.grad = None
        y.grad = None
        (x * y).backward()

    return both_ways


class Cost(NamedTuple):
    """Seconds of the whole, and the share of it that a piece takes (or why unknown)."""

    promise: str
    share: Ratio | None
    problem: str = ""


def costs(rounds: int) -> tuple[float, list[Cost]]:
    """Measure every piece, and all of them together; also return our own seconds per call."""
    contestants, problems = {"": work(gg)}, {}
    with ExitStack() as stack:
        for number, piece in enumerate((*PIECES, EVERY)):
            try:
                module = stack.enter_context(without(piece, number))
            except LookupError as error:
                problems[piece.promise] = str(error)
            else:
                contestants[piece.promise] = work(module)
        times = Times(contestants, rounds, time.process_time)
    rows = [Cost(promise, None, problem) for promise, problem in problems.items()]
    for promise in list(contestants)[1:]:
        kept = times.ratio(promise, "")
        rows.append(Cost(promise, Ratio(1 - kept.median, 1 - kept.high, 1 - kept.low)))
    return times.median(""), rows
