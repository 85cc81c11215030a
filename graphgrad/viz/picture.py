"""Graph: what `gg.graph` returns, a snapshot that can be drawn or written in several formats."""

import base64
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Never, Unpack

from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, PictureError, UnsupportedError
from graphgrad.files import atomic_write
from graphgrad.reprs import counted
from graphgrad.viz.drawing.dot_writer import dot
from graphgrad.viz.drawing.json_writer import to_json
from graphgrad.viz.drawing.layout import LayoutTimeoutError, run_graphviz
from graphgrad.viz.drawing.mermaid_writer import mermaid
from graphgrad.viz.drawing.svg_writer import svgs
from graphgrad.viz.drawing.texts import readable, value_lines
from graphgrad.viz.page.stepper import stepper
from graphgrad.viz.showing import show_page
from graphgrad.viz.snapshots.running import run_traced
from graphgrad.viz.snapshots.snapshot import Snapshot, take_snapshot
from graphgrad.viz.views.fallbacks import simpler
from graphgrad.viz.views.options import check_limits
from graphgrad.viz.views.scenes import SCENES, Scene, scenes_of
from graphgrad.viz.views.view import View, ViewOptions, view

EDGES_PER_VALUE = 4  # edges for each value that may be visible
WRITTEN: dict[str, Callable[[View], str]] = {  # by suffix: formats that are text
    "dot": dot,
    "mmd": mermaid,
    "json": lambda seen: to_json(seen.snapshot),
}
DRAWN: dict[str, Callable[[list[Scene], float], bytes]] = {  # those that need a layout
    "svg": lambda seen, timeout: svgs([seen[0].view], timeout)[0].encode(),
    "png": lambda seen, timeout: run_graphviz([dot(seen[0].view)], "png", timeout),
    "pdf": lambda seen, timeout: run_graphviz([dot(seen[0].view)], "pdf", timeout),
    "html": lambda seen, timeout: stepper(seen, timeout).encode(),
}


@dataclass(frozen=True, repr=False)
class Graph:
    """The graph of a tensor at one moment; later changes do not affect it."""

    snapshot: Snapshot

    def view(self, **options: Unpack[ViewOptions]) -> View:
        """Return the view that ``render`` draws; takes the same options."""
        return view(self.snapshot, **options)

    def to_dot(self, **options: Unpack[ViewOptions]) -> str:
        """Write the graph in the language of Graphviz; needs nothing installed.

        Takes the options of ``render`` from ``collapse`` on.
        """
        return dot(self.view(**options))

    def to_json(self) -> str:
        """Write the snapshot as JSON, by ``docs/graph.schema.json``; needs nothing installed.

        NaN and infinities are the strings "NaN", "Infinity" and "-Infinity". The text is ASCII
        without ``<``, so it is safe inside a page.
        """
        return to_json(self.snapshot)

    def to_mermaid(self, **options: Unpack[ViewOptions]) -> str:
        """Write the graph as a Mermaid flowchart, which many sites draw; needs nothing installed.

        Takes ``collapse``, ``focus``, ``radius``, ``direction`` and ``layout`` as ``render`` does.
        At a fork each arrow has the gradient that its use sends back.

        Raises
        ------
        PictureError
            If more is visible than Mermaid draws, about 200 values or 500 arrows.
        """
        return mermaid(self.view(**options))

    def to_svg(
        self, *, limit: int = 500, timeout: float = 10.0, **options: Unpack[ViewOptions]
    ) -> str:
        """Draw the graph as SVG; parameters and errors are those of ``render``."""
        seen = self._checked_view("to_svg", limit, timeout, options)
        return self._draw(seen, "svg", timeout, options).decode()

    def to_html(
        self, *, limit: int = 500, timeout: float = 10.0, **options: Unpack[ViewOptions]
    ) -> str:
        """Write a page that steps through the graph; parameters and errors are those of ``render``.

        A single file, which needs no network. It steps forward and backward one op at a time,
        shows what each computes and sends back, opens closed modules, and searches.
        """
        seen = self._checked_view("to_html", limit, timeout, options)
        return self._draw(seen, "html", timeout, options).decode()

    def render(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int = 500,
        timeout: float = 10.0,
        **options: Unpack[ViewOptions],
    ) -> Path:
        """Draw the graph into a file: .svg, .png, .pdf or .html; or write it: .dot, .mmd, .json.

        Parameters
        ----------
        path
            The file; its suffix is the format. An old file is replaced atomically.
        limit
            The number of visible values above which PictureError is raised: nobody could read them.
        timeout
            How many seconds the layout may take, at most a million. After that a simpler view is
            drawn, with modules closed or only the neighbourhood of the result, and a note on it.
        collapse
            Which modules are closed into one box. A number: those from this depth on (0 is the
            outermost module, 1 those that it calls) and shallower ones that call no others; a
            depth that no module has opens all. A function of a
            :class:`~graphgrad.viz.ModuleNote`, with its ``path`` and ``kind``: those for which it
            returns True, as with ``lambda m: m.kind == "Block"``. Default: as many as leave at
            most 150 values visible.
        focus
            Show only the neighbourhood of a value, by name or id, or of a module, by its path.
        radius
            How many ops away from the focus; 2.
        direction
            "both"; "forward": values only; "backward": gradients only.
        heat
            Fill nodes by the norm of the gradient on a logarithmic scale: True, or the norms at
            the ends of the scale, such as ``(1e-6, 1)``, so that pictures can be compared.
        merge
            Whether consecutive closed modules with the same ops on the same shapes become one
            box, "Block × 12". Default: True, except with heat.
        layout
            The direction of the forward pass: "down", with texts beside the wires, or "right",
            with values above and gradients below them. Default: down in graphs with modules,
            which are long, right in others.

        Raises
        ------
        PictureError
            For another suffix, too many values, a path that cannot be written, a layout that
            times out even for simpler views, invalid options, and without Graphviz.
        """
        path = Path(path)
        suffix = path.suffix.lower().removeprefix(".")
        if suffix not in (*DRAWN, *WRITTEN):
            suffixes = ", ".join(f".{s}" for s in (*DRAWN, *WRITTEN))
            raise PictureError(f"render: '{path}' ends in none of {suffixes}")
        if suffix in WRITTEN:
            check_limits("render", limit, timeout)
            seen = self.view(**options)
        else:
            seen = self._checked_view("render", limit, timeout, options)
        if not path.parent.is_dir():
            raise PictureError(f"render: there is no folder '{path.parent}'")
        if suffix in WRITTEN:
            data = WRITTEN[suffix](seen).encode()
        else:
            data = self._draw(seen, suffix, timeout, options)
        try:
            with atomic_write(path) as unfinished:
                unfinished.write_bytes(data)
        except OSError as error:
            raise PictureError(f"render: cannot write '{path}': {error.strerror}") from error
        return path

    def show(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        limit: int = 500,
        timeout: float = 10.0,
        **options: Unpack[ViewOptions],
    ) -> Path | None:
        """Open the page that steps through the graph: in the cell of a notebook, else the browser.

        A notebook that was reopened and is not trusted asks to run the cell again.

        Parameters
        ----------
        path
            A file for the page, ending in .html. Default: none in a notebook, else a file in a
            temporary folder, which is not deleted. A browser that cannot read temporary files,
            such as one installed as a Snap, needs a path.
        limit, timeout, collapse, focus, radius, direction, heat, merge, layout
            As ``render`` takes them.

        Returns
        -------
        Path or None
            The file; None in a notebook without ``path``. Without a browser, stderr names the file.

        Raises
        ------
        PictureError
            As ``render`` does.
        """

        def page() -> str:
            return self.to_html(limit=limit, timeout=timeout, **options)

        return show_page(page, None if path is None else Path(path), repr(self))

    def _checked_view(self, who: str, limit: int, timeout: float, options: ViewOptions) -> View:
        """Return the view; raise PictureError if it is too large to read or to lay out."""
        check_limits(who, limit, timeout)
        plain = not self.snapshot.calls and not self.snapshot.modules
        if plain and options.get("focus") is None and options.get("direction") != "backward":
            values = sum(v.shape is not None for v in self.snapshot.values)
            if values > limit:  # before a view is made, which takes seconds for 100,000 values
                raise _too_large(who, f"{values} values", f"limit={limit}")
        seen = self.view(**options)
        if seen.size > limit:
            raise _too_large(who, f"{seen.size} values", f"limit={limit}")
        wires = sum(len(node.inputs) for node in seen.nodes)
        if wires > EDGES_PER_VALUE * limit:
            raise _too_large(who, f"{wires} wires", f"{EDGES_PER_VALUE} × limit={limit}")
        return seen

    def _draw(self, seen: View, suffix: str, timeout: float, options: ViewOptions) -> bytes:
        """Draw a view; while the layout times out, fall back to simpler views, with a note.

        Each try has half of the time of the one before, so that all end within twice the timeout.
        The insides of modules, which a page has, are left out first.
        """
        inner = SCENES if suffix == "html" else 0
        try:
            return DRAWN[suffix](scenes_of(seen, inner), timeout)
        except LayoutTimeoutError as error:
            timed_out = error
        for attempt, (simpler_options, what) in enumerate(simpler(self.snapshot, options), 1):
            seen = self.view(**simpler_options)
            notes = (seen.note, f"the layout took longer than {timeout:g} s: {what}")
            seen = replace(seen, note="; ".join(filter(None, notes)))
            with suppress(LayoutTimeoutError):
                return DRAWN[suffix](scenes_of(seen, 0), timeout / 2**attempt)
        raise timed_out

    def __repr__(self) -> str:
        """Name the result, with its value, and count ops, leaves and constants."""
        values = self.snapshot.values
        results = [values[i - 1] for i in self.snapshot.ends]
        called = self.snapshot.name or self.snapshot.result.name
        made = self.snapshot.result.op or self.snapshot.result.kind
        name = f"'{readable(called, 32)}' = " if called else f"{made}, value "
        ops = sum(v.op is not None and v.kind != "output" for v in values)
        leaves = sum(v.kind == "leaf" for v in values)
        constants = sum(v.kind == "constant" for v in values)
        parts = (
            counted(ops, "op"),
            counted(leaves, "leaf", "leaves"),
            counted(constants, "constant"),
        )
        result = ", ".join(" ".join(value_lines(value)) for value in results)
        return f"<Graph of {name}{readable(result, 64)}: {', '.join(parts)}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002
        """Show the picture in a notebook; without Graphviz, or if too large, the error as text.

        An untrusted notebook shows neither inline SVG nor iframes, but an image with a data URL.
        """
        text = repr(self)
        try:
            svg = self.to_svg()
        except PictureError as error:
            return {"text/plain": f"{text}\n{error}"}
        data = base64.b64encode(svg.encode()).decode()
        image = f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'
        return {"text/plain": text, "image/svg+xml": svg, "text/html": image}


def graph(of: Tensor | Callable[..., Any], *args: Any, **options: Never) -> Graph:
    """Return the graph of everything that a tensor was computed from.

    ``.show()`` opens a page that steps through it; ``.render("a.svg")`` draws it into a file, also
    .png, .pdf, .html, .dot, .mmd or .json; ``.to_svg()``, ``.to_html()``, ``.to_dot()``,
    ``.to_mermaid()`` and ``.to_json()`` return texts. These methods take the options of the picture
    (``collapse``, ``focus``, ``radius``, ``direction``, ``heat``, ``merge``, ``layout``), which
    ``Graph.render`` explains.

    ::

        gg.graph(loss).render("loss.svg")
        gg.graph(model, x).show(collapse=1, heat=True)

    Given a function, ``gg.graph(f, x, y)`` runs it under ``gg.viz.tracing()`` and returns the graph
    of its result. Plain floating arrays among the arguments become leaves with the names of f's
    parameters. f may return several Tensors, in tuples, lists and dicts, as in
    ``gg.graph(nn.LSTM(3, 4), x)``; the gradients are then those of their sum.

    The gradients are those that ``backward()`` sent through this graph, if it kept them all; else
    those of a separate sweep, which starts with ones, changes no ``.grad`` and runs no hooks. A
    missing gradient is shown as "–". Once ``backward()`` has freed the graph, those of constants
    and of arrays of more than a few elements are missing: draw before ``backward()``, or call it
    with ``retain_graph=True``.

    Raises
    ------
    DtypeError
        For anything but a Tensor or a function, and for a function that returns no Tensor.
    UnsupportedError
        For keyword arguments.
    """
    if options:
        given = ", ".join(f"{name}=…" for name in options)
        message = (
            f"graph: takes no {given}; pass options of the picture where it is drawn, as in "
            f"gg.graph(…).show({given}), and arguments of a function as lambda x: f(x, {given})"
        )
        raise UnsupportedError(message)
    if isinstance(of, Tensor) and not args:
        return Graph(take_snapshot(of))
    if not callable(of):
        message = (
            "graph: takes a Tensor that was computed from others, or a function and its "
            f"arguments, not {', '.join(type(x).__name__ for x in (of, *args))}"
        )
        raise DtypeError(message)
    return Graph(run_traced(of, args))


def _too_large(who: str, many: str, most: str) -> PictureError:
    return PictureError(
        f"{who}: the graph has {many}, more than {most}; draw an earlier tensor, which has a "
        "smaller graph, the neighbourhood of one value by focus=, closed modules by collapse=, or "
        "pass a larger limit="
    )
