"""The drawing: the items of a picture with their texts, and the wires between them.

As in Saito's book and the CS231n notes: ops are circles; a value stands above its wire and its
gradient below, or where wires lead down both beside it. The wire of a value is an item of its own,
so texts cannot drift away from it; where a value forks, each use is one more, which says what it
sends back. Without places: these come from the layout, sizes are in points.
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
from graphgrad.viz.snapshots.digest import Numbers
from graphgrad.viz.snapshots.snapshot import Value
from graphgrad.viz.views.heat import Heat
from graphgrad.viz.views.view import Direction, Node, View

NAME_LENGTH = 32
SYMBOL_LENGTH = 16
IN_A_CIRCLE = 3  # longer symbols stand in a pill
TOOLTIP_LENGTH = 80
SHORTEST_WIRE = 12
LINE_HEIGHT = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A value on its wire; or one of its uses, which bears what is sent back."""

    id: str  # "v3"; of a use of it by the node o7 or m7 "k3_7_0", of a leaf drawn again "v3_7_0"
    kind: Literal["value", "again", "use"] = "value"
    part: int | None  # the number of the open module that it lies in
    name: str = ""
    in_front: bool = False  # whether the name stands before the line, as a leaf's, or above
    output: int | None = None  # which of its op's several outputs the value is
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    fill: str = ""  # the ground of the name, in a picture of heat
    ends: bool = False  # whether it is the result
    down: bool = False  # whether its line leads down, with its texts beside it

    @property
    def named(self) -> bool:
        """Whether a name or a place among outputs is written."""
        return bool(self.name) or self.output is not None

    @property
    def lines(self) -> int:
        """How many lines of text stand at the line, but for what stands before it."""
        return len(self.above) + len(self.below) + (self.named and not self.in_front)

    @property
    def texts(self) -> float:
        """How wide the texts at the line are."""
        widths = [text_width(line) for line in (*self.above, *self.below)]
        if not self.in_front:
            place = "" if self.output is None else f"[{self.output}] "
            widths.append(text_width(self.name, bold=True) + text_width(place))
        return max(widths, default=0.0)

    @property
    def length(self) -> float:
        """How long the line must be for the texts at it."""
        return (self.lines * LINE_HEIGHT if self.down else self.texts) or SHORTEST_WIRE


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """An op."""

    id: str
    part: int | None
    symbol: str
    tooltip: str
    fill: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A closed module, or several alike."""

    id: str
    part: int | None
    title: str
    path: str
    counts: str  # "3 ops, 20 parameters"
    gradient: str  # "‖∂‖ of parameters 0.3", or nothing
    repeated: bool
    tooltip: str
    fill: str = ""


@dataclass(frozen=True, slots=True)
class Dots:
    """Something that was left out."""

    id: str
    part: int | None


Item = Wire | Circle | Box | Dots
Port = Literal["", "nw", "sw", "ne"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A wire from one item to another."""

    tail: str
    head: str
    kind: Literal["in", "out", "fork", "cut"]  # into an op, out of it, to a use, to dots
    port: Port = ""  # where it meets the op, if that takes one value twice
    straight: bool = True  # the way of the computed values is kept so, not that of the leaves


@dataclass(frozen=True, slots=True)
class Cluster:
    """An open module, or what the rules of gradients computed."""

    number: int
    outer: int | None
    title: str
    path: str

    @property
    def backward(self) -> bool:
        """Whether it is the work of a sweep that was recorded, and no module."""
        return self.title.startswith("∂")


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn of a view."""

    items: tuple[Item, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...]  # outer ones first
    direction: Direction
    down: bool  # whether wires lead down, with their texts beside them, or to the right
    note: tuple[str, ...]  # lines
    heat: Heat | None
    title: str


def drawing(view: View) -> Drawing:
    """Decide what is drawn of a view."""
    width = 60 if view.down else 100  # of a note, in characters: no wider than most pictures
    note = textwrap.wrap(readable(view.note, 500), width) if view.note else []
    clusters = []
    for part in view.parts:
        title = module_title([part.module], NAME_LENGTH)
        path = readable(part.module.path, NAME_LENGTH)
        path = "" if path == title else path
        clusters.append(Cluster(part.number, part.parent, title, path))
    draft = _Draft(view)
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


class _Draft:
    """The items and edges so far."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.outer: dict[int | None, int | None] = {p.number: p.parent for p in view.parts}
        self.paths = {part.number: part.module.path for part in view.parts}
        self.homes = {i: node.part for node in view.nodes for i in node.outputs}
        self.items: list[Item] = []
        self.edges: list[Edge] = []

    def add(self, node: Node) -> None:
        """Add an op or a box with its inputs, and the wires that leave it; or a leaf."""
        view = self.view
        if node.modules:
            self.items.append(self.box(node))
        elif node.id[0] == "o":
            self.items.append(self.circle(node))
        self.inputs(node)
        if node.cut:
            self.items.append(Dots(f"c{node.id}", node.part))
            self.edges.append(Edge(tail=f"c{node.id}", head=node.id, kind="cut", straight=False))
        for i in node.outputs:
            self.items.append(self.wire(view.value(i), node))
            if node.id[0] != "v":
                self.edges.append(Edge(tail=node.id, head=f"v{i}", kind="out"))
            if i in view.leads_on:
                self.items.append(Dots(f"e{i}", node.part))
                self.edges.append(Edge(tail=f"v{i}", head=f"e{i}", kind="cut", straight=False))

    def inputs(self, node: Node) -> None:
        """Add the wires that lead to a node."""
        sources = [use.source for use in node.inputs]
        for place, use in enumerate(node.inputs):
            value, tail = self.view.value(use.source), f"v{use.source}"
            straight = bool(value.inputs)
            mark = f"{use.source}_{node.id[1:]}_{place}"
            sent: tuple[str, ...] = ()
            if use.share is not None and self.view.direction != "forward":
                sent = tuple(_sent(use.share, value))
            if use.again:
                tail = f"v{mark}"
                self.items.append(self.leaf_again(value, node, tail, sent))
            elif sent:
                tail = f"k{mark}"
                part = self.where(node, use.source)
                wire = Wire(id=tail, kind="use", part=part, below=sent, down=self.view.down)
                self.items.append(wire)
                fork = Edge(tail=f"v{use.source}", head=tail, kind="fork", straight=straight)
                self.edges.append(fork)
            # a value that an op takes twice forks in sight
            twice = node.id[0] == "o" and tail == f"v{use.source}" and sources == [use.source] * 2
            port: Port = self.sides_of(node)[place] if twice else ""
            edge = Edge(tail=tail, head=node.id, kind="in", port=port, straight=straight)
            self.edges.append(edge)

    def wire(self, value: Value, node: Node) -> Wire:
        """Draw a value: what it is above the line, its gradient below, and its name."""
        direction = self.view.direction
        fill = self.heat_of(value) if node.id[0] == "v" else ""
        enters = node.id[0] == "v" and bool(value.inputs)  # computed outside of what is seen
        label = self.name(value, node)
        if not label and (value.id in self.view.shared or fill or enters):
            label = f"#{value.id}"
        above = value_lines(value) if direction != "backward" else []
        below = gradient_lines(value) if value.needs and direction != "forward" else []
        return Wire(
            id=f"v{value.id}",
            part=node.part,
            name=label,
            in_front=node.id[0] == "v",
            output=value.output,
            above=tuple(above),
            below=tuple(below),
            fill=fill,
            ends=value.id in self.view.snapshot.ends,
            down=self.view.down,
        )

    def leaf_again(self, value: Value, node: Node, name: str, sent: tuple[str, ...]) -> Wire:
        """Draw a leaf with many uses once more, with what this use sends back."""
        direction = self.view.direction
        return Wire(
            id=name,
            kind="again",
            part=node.part,
            name=f"{self.name(value, node) or f'#{value.id}'} ↗",
            in_front=True,
            above=tuple(value_lines(value)) if direction != "backward" else (),
            below=sent,
            fill=self.heat_of(value),
            down=self.view.down,
        )

    def where(self, node: Node, source: int) -> int | None:
        """Return the innermost part around a value and the op that uses it.

        Were the use drawn outside of a cluster that both lie in, wires would lead out of it and
        into it again, and Graphviz would give up placing it between what is before and after it.
        """
        around: set[int | None] = {None}
        part = node.part
        while part is not None:
            around.add(part)
            part = self.outer[part]
        home = self.homes.get(source)
        while home not in around:
            home = self.outer[home]
        return home

    def name(self, value: Value, node: Node) -> str:
        """Name a value; a parameter among its module's ops without the path."""
        name = value.name or ""
        if not value.inputs:
            name = self.within(name, node.part)
        return readable(name, NAME_LENGTH)

    def within(self, name: str, part: int | None) -> str:
        """Shorten a dotted name by the path of the module that it stands in."""
        path = self.view.path if part is None else self.paths[part]
        return name.removeprefix(f"{path}.") if path else name

    def heat(self, norm: float | None) -> str:
        """Return the colour of a gradient; "" in a picture without heat."""
        return "" if self.view.heat is None or norm is None else self.view.heat.color(norm)

    def heat_of(self, value: Value) -> str:
        """Return the colour of a value's gradient, likewise."""
        return "" if value.gradient is None else self.heat(value.gradient.norm)

    def sides_of(self, node: Node) -> tuple[Port, Port]:
        """Say where an op that takes one value twice is met."""
        if self.view.down:
            return "nw", "ne"
        # the left corners of a pill are straight above each other: Graphviz 2.43 finds no way to
        # them, and without a corner it bends two wires apart by itself
        return ("", "") if len(self.circle(node).symbol) > IN_A_CIRCLE else ("nw", "sw")

    def circle(self, node: Node) -> Circle:
        value = self.view.value(int(node.id[1:]))
        tooltip = f"{value.op} at {value.line}" if value.line else value.op or ""
        return Circle(
            id=node.id,
            part=node.part,
            symbol=readable(value.symbol or "", SYMBOL_LENGTH),
            tooltip=readable(tooltip, TOOLTIP_LENGTH),
            fill=self.heat(node.norm),
        )

    def box(self, node: Node) -> Box:
        """Say of a closed module its class and path, and what is in it."""
        values = [self.view.value(i) for i in node.members]
        ops = sum(v.kind == "op" for v in values)
        learned = [v for v in values if v.kind == "leaf"]
        size = sum(math.prod(v.shape or ()) for v in learned)
        arrays = sum(v.kind == "constant" and v.shape != () for v in values)
        counts = [(ops, "op"), (size, "parameter"), (arrays, "constant")]
        first, last = node.modules[0], node.modules[-1]
        names = [self.within(module.path, node.part) for module in (first, last)]
        names = [readable(name, NAME_LENGTH) for name in dict.fromkeys(names)]
        norms = [v.gradient.norm for v in learned if v.gradient is not None]
        shown = norms and self.view.direction != "forward"
        return Box(
            id=node.id,
            part=node.part,
            title=module_title(node.modules, NAME_LENGTH),
            path="" if names[0] == first.kind else " … ".join(names),
            counts=", ".join(counted(n, what) for n, what in counts if n),
            gradient=f"‖∂‖ of parameters {number(math.hypot(*norms))}" if shown else "",
            repeated=len(node.modules) > 1,
            tooltip=readable(f"{first.kind} {first.path}".strip(), TOOLTIP_LENGTH),
            fill=self.heat(node.norm),
        )


def _sent(share: Numbers, value: Value) -> Iterator[str]:
    """Say what one of several uses sends back, to be added."""
    for place, line in enumerate(gradient_lines(replace(value, gradient=share))):
        yield f"+= {line.removeprefix('∂ ')}" if place == 0 else line
