"""The drawing: the items of a picture with their texts, and the edges between them.

As in Saito's book and the CS231n notes: ops are circles; a value is above its wire and its gradient
below, or both beside a wire that leads down. The wire of a value is an item, so texts cannot drift
away from it; where a value forks, each use is a wire with the gradient that it sends back. Items
have sizes, in points, but no positions: these come from the layout.
"""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from graphgrad.reprs import counted
from graphgrad.viz.drawing.texts import (
    gradient_lines,
    module_title,
    readable,
    text_width,
    value_lines,
)
from graphgrad.viz.formulas.number_format import number
from graphgrad.viz.snapshots.numbers import Numbers
from graphgrad.viz.snapshots.snapshot import Value
from graphgrad.viz.views.heat import Heat
from graphgrad.viz.views.view import Direction, Node, View

NAME_LENGTH = 32
SYMBOL_LENGTH = 16
CIRCLE_SYMBOL_LENGTH = 3  # longer symbols are drawn in a pill
TOOLTIP_LENGTH = 80
MIN_WIRE_LENGTH = 12
LINE_HEIGHT = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A value on its wire; or one of its uses, with the gradient that it sends back."""

    id: str  # "v3"; a use of it by node o7 or m7: "k3_7_0"; a leaf drawn again: "v3_7_0"
    kind: Literal["value", "again", "use"] = "value"
    region: int | None  # the number of the open region around it
    name: str = ""
    name_in_front: bool = False  # whether the name is left of the line, as a leaf's, not above
    output: int | None = None  # which of its op's several outputs the value is
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    fill: str = ""  # behind the name, in a picture of heat
    is_result: bool = False  # whether it is the result
    down: bool = False  # whether its line is vertical, with the texts beside it

    @property
    def has_name(self) -> bool:
        """Whether a name or an output number is written."""
        return bool(self.name) or self.output is not None

    @property
    def line_count(self) -> int:
        """The number of lines of text above and below the line."""
        return len(self.above) + len(self.below) + (self.has_name and not self.name_in_front)

    @property
    def texts_width(self) -> float:
        """The width of the texts above and below the line."""
        widths = [text_width(line) for line in (*self.above, *self.below)]
        if not self.name_in_front:
            place = "" if self.output is None else f"[{self.output}] "
            widths.append(text_width(self.name, bold=True) + text_width(place))
        return max(widths, default=0.0)

    @property
    def length(self) -> float:
        """The length of the line, which fits its texts."""
        return (self.line_count * LINE_HEIGHT if self.down else self.texts_width) or MIN_WIRE_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """An op."""

    id: str
    region: int | None
    symbol: str
    tooltip: str
    fill: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A closed module, or several equal ones."""

    id: str
    region: int | None
    title: str
    path: str
    counts: str  # "3 ops, 20 parameters"
    gradient: str  # "‖∂‖ of parameters 0.3", or ""
    repeated: bool
    tooltip: str
    fill: str = ""


@dataclass(frozen=True, slots=True)
class Dots:
    """Dots, in place of hidden ops."""

    id: str
    region: int | None


Item = Wire | Circle | Box | Dots
Port = Literal["", "nw", "sw", "ne"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A connection of two items."""

    tail: str
    head: str
    kind: Literal["in", "out", "fork", "cut"]  # into an op, out of it, to a use, from or to dots
    port: Port = ""  # for an op that takes one value twice: where it enters
    straight: bool = True  # whether the layout keeps it straight, as those of computed values


@dataclass(frozen=True, slots=True)
class Cluster:
    """An open module, or what gradient rules computed in a recorded sweep."""

    number: int
    outer: int | None
    title: str
    path: str

    @property
    def backward(self) -> bool:
        """Whether it belongs to a recorded sweep, not to a module."""
        return self.title.startswith("∂")


@dataclass(frozen=True, slots=True)
class Drawing:
    """The items, edges and clusters of a view."""

    items: tuple[Item, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...]  # outer ones first
    direction: Direction
    down: bool  # whether wires lead down, not to the right
    note: tuple[str, ...]  # lines
    heat: Heat | None
    title: str


def drawing(view: View) -> Drawing:
    """Return the drawing of a view."""
    width = 60 if view.down else 100  # of a note, in characters: most pictures are wider
    note = textwrap.wrap(readable(view.note, 500), width) if view.note else []
    clusters = []
    for region in view.regions:
        title = module_title([region.module], NAME_LENGTH)
        path = readable(region.module.path, NAME_LENGTH)
        path = "" if path == title else path
        clusters.append(Cluster(region.number, region.parent, title, path))
    draft = _Builder(view)
    for node in view.nodes:
        draft.add(node)
    items, edges = tuple(draft.items), tuple(draft.edges)
    return Drawing(
        items=items,
        edges=edges,
        clusters=tuple(clusters),
        direction=view.direction,
        down=view.down,
        note=tuple(note),
        heat=view.heat,
        title=readable(view.snapshot.title, TOOLTIP_LENGTH),
    )


class _Builder:
    """Builds the items and edges of a view."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.outer: dict[int | None, int | None] = {p.number: p.parent for p in view.regions}
        self.paths = {region.number: region.module.path for region in view.regions}
        self.region_of_output = {i: node.region for node in view.nodes for i in node.outputs}
        self.items: list[Item] = []
        self.edges: list[Edge] = []

    def add(self, node: Node) -> None:
        """Add an op, a box or a leaf, with its inputs and its outputs."""
        view = self.view
        if node.modules:
            self.items.append(self.box(node))
        elif node.id[0] == "o":
            self.items.append(self.circle(node))
        self.inputs(node)
        if node.has_hidden_inputs:
            self.items.append(Dots(f"c{node.id}", node.region))
            self.edges.append(Edge(tail=f"c{node.id}", head=node.id, kind="cut", straight=False))
        for i in node.outputs:
            self.items.append(self.wire(view.value(i), node))
            if node.id[0] != "v":
                self.edges.append(Edge(tail=node.id, head=f"v{i}", kind="out"))
            if i in view.used_outside:
                self.items.append(Dots(f"e{i}", node.region))
                self.edges.append(Edge(tail=f"v{i}", head=f"e{i}", kind="cut", straight=False))

    def inputs(self, node: Node) -> None:
        """Add the edges into a node, with the wires of uses."""
        sources = [use.source for use in node.inputs]
        for place, use in enumerate(node.inputs):
            value, tail = self.view.value(use.source), f"v{use.source}"
            straight = bool(value.inputs)
            mark = f"{use.source}_{node.id[1:]}_{place}"
            sent: tuple[str, ...] = ()
            if use.contribution is not None and self.view.direction != "forward":
                sent = tuple(_contribution_lines(use.contribution, value))
            if use.redrawn:
                tail = f"v{mark}"
                self.items.append(self.leaf_again(value, node, tail, sent))
            elif sent:
                tail = f"k{mark}"
                region = self.common_region(node, use.source)
                wire = Wire(id=tail, kind="use", region=region, below=sent, down=self.view.down)
                self.items.append(wire)
                fork = Edge(tail=f"v{use.source}", head=tail, kind="fork", straight=straight)
                self.edges.append(fork)
            # an op that takes a value twice gets both edges at different corners
            repeated = (
                node.id[0] == "o" and tail == f"v{use.source}" and sources == [use.source] * 2
            )
            port: Port = self.ports_of(node)[place] if repeated else ""
            edge = Edge(tail=tail, head=node.id, kind="in", port=port, straight=straight)
            self.edges.append(edge)

    def wire(self, value: Value, node: Node) -> Wire:
        """Return the wire of a value: its numbers, its gradient and its name."""
        direction = self.view.direction
        fill = self.color_of(value) if node.id[0] == "v" else ""
        enters = node.id[0] == "v" and bool(value.inputs)  # a leaf of this view only
        label = self.name(value, node)
        if not label and (value.id in self.view.shared or fill or enters):
            label = f"#{value.id}"
        above = value_lines(value) if direction != "backward" else []
        below = gradient_lines(value) if value.needs and direction != "forward" else []
        return Wire(
            id=f"v{value.id}",
            region=node.region,
            name=label,
            name_in_front=node.id[0] == "v",
            output=value.output,
            above=tuple(above),
            below=tuple(below),
            fill=fill,
            is_result=value.id in self.view.snapshot.ends,
            down=self.view.down,
        )

    def leaf_again(self, value: Value, node: Node, name: str, sent: tuple[str, ...]) -> Wire:
        """Return one more wire of a leaf with many uses, with the gradient of this use."""
        direction = self.view.direction
        return Wire(
            id=name,
            kind="again",
            region=node.region,
            name=f"{self.name(value, node) or f'#{value.id}'} ↗",
            name_in_front=True,
            above=tuple(value_lines(value)) if direction != "backward" else (),
            below=sent,
            fill=self.color_of(value),
            down=self.view.down,
        )

    def common_region(self, node: Node, source: int) -> int | None:
        """Return the innermost region around a value and the op that uses it.

        If the use were outside a cluster that holds both, edges would lead out of the cluster and
        back, and Graphviz would not rank the use between the value and the op.
        """
        enclosing: set[int | None] = {None}
        region = node.region
        while region is not None:
            enclosing.add(region)
            region = self.outer[region]
        region = self.region_of_output.get(source)
        while region not in enclosing:
            region = self.outer[region]
        return region

    def name(self, value: Value, node: Node) -> str:
        """Return the name of a value; of a parameter inside its module without the path."""
        name = value.name or ""
        if not value.inputs:
            name = self.without_prefix(name, node.region)
        return readable(name, NAME_LENGTH)

    def without_prefix(self, name: str, region: int | None) -> str:
        """Return a dotted name without the path of the region around it."""
        path = self.view.path if region is None else self.paths[region]
        return name.removeprefix(f"{path}.") if path else name

    def heat(self, norm: float | None) -> str:
        """Return the colour of a norm; "" in a picture without heat."""
        return "" if self.view.heat is None or norm is None else self.view.heat.color(norm)

    def color_of(self, value: Value) -> str:
        """Return the colour of a value's gradient; "" if there is none."""
        return "" if value.gradient is None else self.heat(value.gradient.norm)

    def ports_of(self, node: Node) -> tuple[Port, Port]:
        """Return the ports at which an op that takes one value twice is entered."""
        if self.view.down:
            return "nw", "ne"
        # Graphviz 2.43 cannot route to the left corners of a pill, one above the other; without
        # ports it separates the two edges itself
        return ("", "") if len(self.circle(node).symbol) > CIRCLE_SYMBOL_LENGTH else ("nw", "sw")

    def circle(self, node: Node) -> Circle:
        value = self.view.value(int(node.id[1:]))
        tooltip = f"{value.op} at {value.line}" if value.line else value.op or ""
        return Circle(
            id=node.id,
            region=node.region,
            symbol=readable(value.symbol or "", SYMBOL_LENGTH),
            tooltip=readable(tooltip, TOOLTIP_LENGTH),
            fill=self.heat(node.norm),
        )

    def box(self, node: Node) -> Box:
        """Return the box of a closed module: its class, path, and counts of what is in it."""
        values = [self.view.value(i) for i in node.members]
        ops = sum(v.kind == "op" for v in values)
        learned = [v for v in values if v.kind == "leaf"]
        size = sum(math.prod(v.shape or ()) for v in learned)
        arrays = sum(v.kind == "constant" and v.shape != () for v in values)
        counts = [(ops, "op"), (size, "parameter"), (arrays, "constant")]
        first, last = node.modules[0], node.modules[-1]
        names = [self.without_prefix(module.path, node.region) for module in (first, last)]
        names = [readable(name, NAME_LENGTH) for name in dict.fromkeys(names)]
        norms = [v.gradient.norm for v in learned if v.gradient is not None]
        shown = norms and self.view.direction != "forward"
        return Box(
            id=node.id,
            region=node.region,
            title=module_title(node.modules, NAME_LENGTH),
            path="" if names[0] == first.kind else " … ".join(names),
            counts=", ".join(counted(n, what) for n, what in counts if n),
            gradient=f"‖∂‖ of parameters {number(math.hypot(*norms))}" if shown else "",
            repeated=len(node.modules) > 1,
            tooltip=readable(f"{first.kind} {first.path}".strip(), TOOLTIP_LENGTH),
            fill=self.heat(node.norm),
        )


def _contribution_lines(contribution: Numbers, value: Value) -> Iterator[str]:
    """Write the gradient that one of several uses adds."""
    for place, line in enumerate(gradient_lines(replace(value, gradient=contribution))):
        yield f"+= {line.removeprefix('∂ ')}" if place == 0 else line
