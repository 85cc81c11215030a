"""Showing a page: in the cell of a notebook, else in the browser, from a file that stays."""

import html
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphgrad.errors import PictureError
from graphgrad.viz.page.document import checked_path, write

HEIGHT = 640  # of the page in a cell, in pixels
_WHO = "show"


def show_page(page: Callable[[], str], path: Path | None, text: str) -> Path | None:
    """Show a page, and return its file; None where it is in a cell and nowhere else.

    Parameters
    ----------
    page
        What makes it, as HTML. Called once the path is known to be of use.
    path
        Where it stays; None: in a new temporary folder.
    text
        What stands for it in a console that has a kernel but shows no pages.

    Raises
    ------
    PictureError
        If the path does not end in .html or cannot be written.
    """
    path = None if path is None else checked_path(path, _WHO)
    source = page()
    shell = kernel_shell()
    if shell is not None:
        if path is not None:
            write(path, source, _WHO)
        hint = "to see the page: .show(path='page.html')" if path is None else f"page: {path}"
        # by the shell itself, so that nothing of IPython is imported
        shell.display_pub.publish(
            {"text/plain": f"{text}\n{hint}", "text/html": frame(source, text)}
        )
        return path
    if path is None:
        path = temporary_file("graph.html")
    write(path, source, _WHO)
    if not opened(path):
        sys.stderr.write(f"{_WHO}: no browser could be opened; the page is in {path}\n")
    return path


def kernel_shell() -> Any:
    """Return the shell of the Jupyter kernel that this is, or None in any other Python.

    The IPython of a terminal is a shell too, but has no kernel behind it.
    """
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if ask is None else ask()
    return None if getattr(shell, "kernel", None) is None else shell


def frame(source: str, title: str) -> str:
    """Return a page as an element of another: it may run its script there, and nothing more.

    A notebook that is not trusted takes the element away, and leaves what stands in it.
    """
    return (
        f'<iframe title="{html.escape(title)}" sandbox="allow-scripts" '
        f'style="width: 100%; height: {HEIGHT}px; border: 0" '
        f'srcdoc="{html.escape(source)}">Run this cell again to see the page.</iframe>'
    )


def temporary_file(name: str) -> Path:
    """Return a path in a new temporary folder, which stays.

    Raises
    ------
    PictureError
        If there is nowhere to make one.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="graphgrad-")) / name
    except OSError as error:
        message = f"{_WHO}: cannot make a temporary folder: {error.strerror}; say where: path="
        raise PictureError(message) from error


def opened(path: Path) -> bool:
    """Open a file in the browser, and return whether there is one."""
    try:
        return webbrowser.open(path.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False
