"""Showing a page: in the cell of a notebook, else in the browser."""

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
    """Show a page, and return its file; None if it is only in a cell.

    Parameters
    ----------
    page
        Returns the HTML. Called after the path was checked.
    path
        The file; None: in a new temporary folder.
    text
        Shown in its place by a console that has a kernel but shows no HTML.

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
        # through the shell, so that IPython need not be imported
        shell.display_pub.publish(
            {"text/plain": f"{text}\n{hint}", "text/html": frame(source, text)}
        )
        return path
    if path is None:
        path = temporary_file("graph.html")
    write(path, source, _WHO)
    if not open_in_browser(path):
        sys.stderr.write(f"{_WHO}: no browser could be opened; the page is in {path}\n")
    return path


def kernel_shell() -> Any:
    """Return the IPython shell of this Jupyter kernel; None outside of one.

    IPython in a terminal has a shell too, but no kernel.
    """
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if ask is None else ask()
    return None if getattr(shell, "kernel", None) is None else shell


def frame(source: str, title: str) -> str:
    """Return a page as a sandboxed iframe, which may only run its script.

    An untrusted notebook removes the iframe and shows its fallback text.
    """
    return (
        f'<iframe title="{html.escape(title)}" sandbox="allow-scripts" '
        f'style="width: 100%; height: {HEIGHT}px; border: 0" '
        f'srcdoc="{html.escape(source)}">Run this cell again to see the page.</iframe>'
    )


def temporary_file(name: str) -> Path:
    """Return a path in a new temporary folder, which is not deleted.

    Raises
    ------
    PictureError
        If it cannot be made.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="graphgrad-")) / name
    except OSError as error:
        message = f"{_WHO}: cannot make a temporary folder: {error.strerror}; say where: path="
        raise PictureError(message) from error


def open_in_browser(path: Path) -> bool:
    """Open a file in the browser; return whether that worked."""
    try:
        return webbrowser.open(path.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False
