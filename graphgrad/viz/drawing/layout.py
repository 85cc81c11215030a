"""Graphviz, in a process of its own and under a time limit: from DOT to places, PNG, PDF.

The system's `dot` where there is one, else the Graphviz inside the pygraphviz wheel.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from graphgrad.errors import PictureError

STARTS = {"json0": b"{", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}
BUNDLED = Path(__file__).with_name("bundled.py")
INSTALL = (
    "drawing needs Graphviz: pip install 'graphgrad[viz]' brings it along, or install "
    "your system's graphviz package; .to_dot() works without"
)


class TooSlowError(PictureError):
    """The time was over."""

    def __init__(self, timeout: float) -> None:
        """Say so, and what helps."""
        super().__init__(
            f"the layout took longer than {timeout:g} s; draw an earlier tensor, which has a "
            "smaller graph, or pass a larger timeout="
        )


def run(graphs: Sequence[str], suffix: str, timeout: float) -> bytes:
    """Return what Graphviz makes of graphs in DOT, one after the other.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or when the time is over.
    """
    failures = []
    for command in commands(suffix):
        try:
            done = subprocess.run(  # noqa: S603 - our own command; the graphs go in by stdin
                command,
                input="".join(graphs).encode(),
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TooSlowError(timeout) from error
        except OSError as error:
            failures.append(f"{command[0]}: {error}")
            continue
        if done.returncode == 0 and done.stdout.startswith(STARTS[suffix]):
            return done.stdout
        said = done.stderr.decode(errors="replace").strip() or "no output"
        failures.append(f"{command[0]} (exit {done.returncode}): {said[-500:]}")
    raise PictureError("; ".join(failures) + "; " + INSTALL if failures else INSTALL)


def commands(suffix: str) -> Iterator[list[str]]:
    """Yield the programs that could do it, the best first."""
    try:
        from graphviz.backend import dot_command  # where a user may have set another path
    except ImportError:
        dot = shutil.which("dot")
    else:
        dot = shutil.which(dot_command.DOT_BINARY)
    if dot is not None:
        dpi = ["-Gdpi=144", "-Gsize=80"] if suffix == "png" else []
        yield [dot, f"-T{suffix}", *dpi]
    if sys.executable and find_spec("pygraphviz") is not None:
        # -P: the folder of this file must not stand in for modules of the standard library
        yield [sys.executable, "-P", str(BUNDLED), suffix]
