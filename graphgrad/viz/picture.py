"""Graph: what `gg.graph` returns, a snapshot that can be written in several forms."""

import os
from dataclasses import dataclass
from pathlib import Path

from graphgrad.errors import PictureError
from graphgrad.files import replacing
from graphgrad.viz.dot_writer import dot, readable, value_lines
from graphgrad.viz.layout import STARTS, draw
from graphgrad.viz.snapshot import Snapshot


@dataclass(frozen=True, repr=False)
class Graph:
    """The graph of a tensor at the moment it was asked for; later changes do not reach it."""

    snapshot: Snapshot

    def to_dot(self) -> str:
        """Write the graph in the language of Graphviz; needs nothing installed."""
        return dot(self.snapshot)

    def render(
        self, path: str | os.PathLike[str], *, limit: int = 500, timeout: float = 10.0
    ) -> Path:
        """Draw the graph into a file: .svg, .png or .pdf.

        Parameters
        ----------
        path
            Where to; the suffix says what. An old file is replaced, all at once.
        limit
            The number of values above which nothing is drawn, for nobody could read it.
        timeout
            How many seconds the layout may take.

        Raises
        ------
        PictureError
            For another suffix, too many values, a path that cannot be written, a layout that
            takes too long, and without Graphviz.
        """
        path = Path(path)
        suffix = path.suffix.lower().removeprefix(".")
        if suffix not in STARTS:
            message = f"render: '{path}' ends in none of {', '.join(f'.{s}' for s in STARTS)}"
            raise PictureError(message)
        count = len(self.snapshot.values)
        if count > limit:
            message = (
                f"render: the graph has {count} values, more than limit={limit}; draw an earlier "
                "tensor, which has a smaller graph, or pass a larger limit="
            )
            raise PictureError(message)
        if not path.parent.is_dir():
            raise PictureError(f"render: there is no folder '{path.parent}'")
        data = draw(self.to_dot(), suffix, timeout)
        try:
            with replacing(path) as unfinished:
                unfinished.write_bytes(data)
        except OSError as error:
            raise PictureError(f"render: cannot write '{path}': {error.strerror}") from error
        return path

    def __repr__(self) -> str:
        """Say what the graph is of, and how large it is."""
        values = self.snapshot.values
        result = self.snapshot.result
        name = f"'{readable(result.name, 32)}' = " if result.name else ""
        ops = sum(v.op is not None and v.kind != "output" for v in values)
        leaves = sum(v.kind == "leaf" for v in values)
        constants = sum(v.kind == "constant" for v in values)
        counts = f"{ops} ops, {leaves} leaves, {constants} constants"
        return f"<Graph of {name}{' '.join(value_lines(result))}: {counts}>"
