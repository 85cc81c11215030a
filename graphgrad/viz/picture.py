"""Graph: what `gg.graph` returns, a snapshot that can be written in several forms."""

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
from graphgrad.files import replacing
from graphgrad.reprs import counted
from graphgrad.viz.drawing.dot_writer import dot
from graphgrad.viz.drawing.json_writer import to_json
from graphgrad.viz.drawing.layout import LayoutTimeoutError, run_graphviz
from graphgrad.viz.drawing.mermaid_writer import mermaid
from graphgrad.viz.drawing.svg_writer import svgs
from graphgrad.viz.drawing.texts import readable, value_lines
from graphgrad.viz.page.stepper import stepper
from graphgrad.viz.showing import show_page
from graphgrad.viz.snapshots.running import traced
from graphgrad.viz.snapshots.snapshot import Snapshot, take
from graphgrad.viz.views.fallbacks import simpler
from graphgrad.viz.views.options import check_limits
from graphgrad.viz.views.scenes import SCENES, Scene, scenes_of
from graphgrad.viz.views.view import View, ViewOptions, view

WIRES = 4  # for each of the values that may be visible
WRITTEN: dict[str, Callable[[View], str]] = {  # by suffix: forms that are texts
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
    """The graph of a tensor at the moment it was asked for; later changes do not reach it."""

    snapshot: Snapshot

    def view(self, **look: Unpack[ViewOptions]) -> View:
        """Return what is seen of the graph; ``render`` explains the options."""
        return view(self.snapshot, **look)

    def to_dot(self, **look: Unpack[ViewOptions]) -> str:
        """Write the graph in the language of Graphviz; needs nothing installed.

        Takes ``collapse`` and all that follows it as ``render`` does.
        """
        return dot(self.view(**look))

    def to_json(self) -> str:
        """Write everything that is known of the graph as JSON; needs nothing installed.

        ``docs/graph.schema.json`` describes it. NaN and infinities are the texts "NaN",
        "Infinity" and "-Infinity". The text is ASCII and has no ``<``, so it may stand in a page.
        """
        return to_json(self.snapshot)

    def to_mermaid(self, **look: Unpack[ViewOptions]) -> str:
        """Write the graph as a Mermaid flowchart, which many sites draw; needs nothing installed.

        Takes ``collapse``, ``focus``, ``radius``, ``direction`` and ``layout`` as ``render`` does.
        At a fork each arrow says what that use sends back.

        Raises
        ------
        PictureError
            If more is visible than Mermaid draws, about 200 values or 500 arrows.
        """
        return mermaid(self.view(**look))

    def to_svg(
        self, *, limit: int = 500, timeout: float = 10.0, **look: Unpack[ViewOptions]
    ) -> str:
        """Draw the graph as SVG; arguments and errors are those of ``render``."""
        seen = self._look("to_svg", limit, timeout, look)
        return self._drawn(seen, "svg", timeout, look).decode()

    def to_html(
        self, *, limit: int = 500, timeout: float = 10.0, **look: Unpack[ViewOptions]
    ) -> str:
        """Write a page that steps through the graph; arguments and errors are those of ``render``.

        One file, which needs no network and loads nothing. It goes forward and back one op at a
        time, tells what each computes and sends back, opens closed modules, and searches.
        """
        seen = self._look("to_html", limit, timeout, look)
        return self._drawn(seen, "html", timeout, look).decode()

    def render(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int = 500,
        timeout: float = 10.0,
        **look: Unpack[ViewOptions],
    ) -> Path:
        """Draw the graph into a file: .svg, .png, .pdf or .html; or write it: .dot, .mmd, .json.

        Parameters
        ----------
        path
            Where to; the suffix says what. An old file is replaced, all at once.
        limit
            The number of visible values above which nothing is drawn, for nobody could read it.
        timeout
            How many seconds the layout may take, at most a million. Past it less is drawn, modules
            closed or only what is near the result, and the picture says so.
        collapse
            Which modules are closed into one box: those from a depth on (0: the outermost one;
            1: those that it calls), with those above that call no others; a depth that none has
            opens all. Or those for which a function of a :class:`~graphgrad.viz.ModuleNote`,
            with its ``path`` and ``kind``, says so: ``lambda m: m.kind == "Block"``. Left out, as
            many modules are closed as make at most 150 values visible.
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
            Whether closed modules that follow one another and hold the same ops on the same
            shapes become one, "Block × 12". Left out, they do but in pictures of heat.
        layout
            Where the way forward leads: "down", with texts beside the wires, or "right", with
            values above and gradients below them. Left out, down in graphs with modules, which
            are long, and to the right in others.

        Raises
        ------
        PictureError
            For another suffix, too many values, a path that cannot be written, a layout that
            takes too long even so, a look that makes no sense, and without Graphviz.
        """
        path = Path(path)
        suffix = path.suffix.lower().removeprefix(".")
        if suffix not in (*DRAWN, *WRITTEN):
            suffixes = ", ".join(f".{s}" for s in (*DRAWN, *WRITTEN))
            raise PictureError(f"render: '{path}' ends in none of {suffixes}")
        if suffix in WRITTEN:
            check_limits("render", limit, timeout)
            seen = self.view(**look)
        else:
            seen = self._look("render", limit, timeout, look)
        if not path.parent.is_dir():
            raise PictureError(f"render: there is no folder '{path.parent}'")
        if suffix in WRITTEN:
            data = WRITTEN[suffix](seen).encode()
        else:
            data = self._drawn(seen, suffix, timeout, look)
        try:
            with replacing(path) as unfinished:
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
        **look: Unpack[ViewOptions],
    ) -> Path | None:
        """Open the page that steps through the graph: in the cell of a notebook, else the browser.

        A notebook that was opened anew and is not trusted says to run the cell again.

        Parameters
        ----------
        path
            A file for the page, ending in .html, which a notebook needs none of. Left out, it is
            in a temporary folder, and stays there. A browser that may not read those, such as one
            that was installed as a Snap, needs a path.
        limit, timeout, collapse, focus, radius, direction, heat, merge, layout
            As ``render`` takes them.

        Returns
        -------
        Path or None
            The file; None where it is in the notebook alone. Without a browser stderr says so.

        Raises
        ------
        PictureError
            As ``render`` does.
        """

        def page() -> str:
            return self.to_html(limit=limit, timeout=timeout, **look)

        return show_page(page, None if path is None else Path(path), repr(self))

    def _look(self, who: str, limit: int, timeout: float, look: ViewOptions) -> View:
        """Return what is seen; refuse what nobody could read, and no layout would end on."""
        check_limits(who, limit, timeout)
        plain = not self.snapshot.calls and not self.snapshot.modules
        if plain and look.get("focus") is None and look.get("direction") != "backward":
            values = sum(v.shape is not None for v in self.snapshot.values)
            if values > limit:  # seen before a view is made, which takes seconds for 100,000
                raise _too_large(who, f"{values} values", f"limit={limit}")
        seen = self.view(**look)
        if seen.size > limit:
            raise _too_large(who, f"{seen.size} values", f"limit={limit}")
        wires = sum(len(node.inputs) for node in seen.nodes)
        if wires > WIRES * limit:
            raise _too_large(who, f"{wires} wires", f"{WIRES} × limit={limit}")
        return seen

    def _drawn(self, seen: View, suffix: str, timeout: float, look: ViewOptions) -> bytes:
        """Draw what a look shows; where the layout takes too long, less and less of it.

        The picture then says so. Each try has half of the time of the one before, so they end
        within twice the time. The insides of modules, which a page has, are left out first.
        """
        inner = SCENES if suffix == "html" else 0
        try:
            return DRAWN[suffix](scenes_of(seen, inner), timeout)
        except LayoutTimeoutError as error:
            late = error
        for tried, (less, what) in enumerate(simpler(self.snapshot, look), 1):
            seen = self.view(**less)
            notes = (seen.note, f"the layout took longer than {timeout:g} s: {what}")
            seen = replace(seen, note="; ".join(filter(None, notes)))
            with suppress(LayoutTimeoutError):
                return DRAWN[suffix](scenes_of(seen, 0), timeout / 2**tried)
        raise late

    def __repr__(self) -> str:
        """Say what the graph is of, and how large it is."""
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
        """Show the picture in a notebook; without Graphviz, or if too large, say why not.

        An untrusted notebook shows neither inline SVG nor frames, but an image with its data in
        its address.
        """
        text = repr(self)
        try:
            svg = self.to_svg()
        except PictureError as error:
            return {"text/plain": f"{text}\n{error}"}
        data = base64.b64encode(svg.encode()).decode()
        image = f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'
        return {"text/plain": text, "image/svg+xml": svg, "text/html": image}


def graph(of: Tensor | Callable[..., Any], *args: Any, **look: Never) -> Graph:
    """Return the graph of everything that a tensor was computed from, to be drawn.

    ``.show()`` opens a page that steps through it; ``.render("a.svg")`` draws it into a file, also
    .png, .pdf, .html, .dot, .mmd or .json; ``.to_svg()``, ``.to_html()``, ``.to_dot()``,
    ``.to_mermaid()`` and ``.to_json()`` return texts. What is to be seen is said there, and told at
    ``Graph.render``: ``collapse``, ``focus``, ``radius``, ``direction``, ``heat``, ``merge`` and
    ``layout``.

    ::

        gg.graph(loss).render("loss.svg")
        gg.graph(model, x).show(collapse=1, heat=True)

    Or that of a function's result: ``gg.graph(f, x, y)`` runs it under ``gg.viz.tracing()``.
    Plain floating arrays among the arguments become leaves with the names of f's parameters.
    It may return several Tensors, in tuples, lists and dicts: ``gg.graph(nn.LSTM(3, 4), x)``;
    the gradients are then those of the sum of all.

    The gradients are those that ``backward()`` sent through this graph, if it kept them all;
    else those of a sweep of the picture's own, which starts with ones, touches no ``.grad``
    and runs no hooks. A gradient that does not exist is shown as "–": so are those of arrays
    of more than a few elements, and of constants, once ``backward()`` has freed the graph.
    Draw before ``backward()``, or call it with ``retain_graph=True``, to see them.

    Raises
    ------
    DtypeError
        For anything but a Tensor or a function, and for a function that returns no Tensor.
    UnsupportedError
        For arguments by name.
    """
    if look:
        given = ", ".join(f"{name}=…" for name in look)
        message = (
            f"graph: takes no {given}; what is to be seen is said where it is drawn, as in "
            f"gg.graph(…).show({given}), and arguments of a function by lambda x: f(x, {given})"
        )
        raise UnsupportedError(message)
    if isinstance(of, Tensor) and not args:
        return Graph(take(of))
    if not callable(of):
        message = (
            "graph: takes a Tensor that was computed from others, or a function and its "
            f"arguments, not {', '.join(type(x).__name__ for x in (of, *args))}"
        )
        raise DtypeError(message)
    return Graph(traced(of, args))


def _too_large(who: str, many: str, most: str) -> PictureError:
    return PictureError(
        f"{who}: the graph has {many}, more than {most}; draw an earlier tensor, which has a "
        "smaller graph, the neighbourhood of one value by focus=, closed modules by collapse=, or "
        "pass a larger limit="
    )
