"""From a view to Mermaid, which many sites draw from text: for small graphs."""

from graphgrad.errors import PictureError
from graphgrad.viz.drawing.texts import gradient_lines, module_title, readable, value_lines
from graphgrad.viz.formulas.number_format import number
from graphgrad.viz.snapshots.snapshot import Numbers, Value
from graphgrad.viz.views.view import Node, View

NODES, EDGES, CHARACTERS = 200, 500, 50_000  # the latter two are limits of Mermaid's own
NAME_LENGTH = 32
PLAIN = frozenset(" _,()")  # of ASCII, what no release of Mermaid reads anything into

HEAD = """\
flowchart {way}
  classDef leaf stroke:#005A9C,stroke-width:2px
  classDef module stroke-dasharray:5 3
"""


def mermaid(view: View) -> str:
    """Write a view as a flowchart.

    Raises
    ------
    PictureError
        If it is larger than Mermaid draws.
    """
    text = ""
    edges = sum(len(node.inputs) for node in view.nodes)
    if view.size <= NODES and edges <= EDGES:
        text = _Writer(view).text()
    if not text or len(text) > CHARACTERS:
        message = (
            f"to_mermaid: {view.size} values and {edges} edges are visible; Mermaid draws about "
            f"{NODES} and {EDGES}. Close modules by collapse=, show a neighbourhood by focus=, "
            "or use to_dot() or to_json()"
        )
        raise PictureError(message)
    return text


class _Writer:
    def __init__(self, view: View) -> None:
        self.view = view
        self.inside: dict[int | None, list[str]] = {part.number: [] for part in view.parts}
        self.inside[None] = []
        self.edges: list[str] = []
        self.owners = {i: node for node in view.nodes for i in node.outputs}
        self.modules = {part.number: part.module for part in view.parts}

    def text(self) -> str:
        for node in self.view.nodes:
            self.write(node)
        head = HEAD.format(way="TD" if self.view.down else "LR")
        note = f"  %% {escaped(readable(self.view.note, 500))}\n" if self.view.note else ""
        return "".join([head, note, *self.subgraphs(), *self.inside[None], *self.edges])

    def write(self, node: Node) -> None:
        """Write a node, and the edges that lead to it."""
        lines = self.inside[node.part]
        outputs = [self.view.value(i) for i in node.outputs]
        labels: list[str] = []
        if node.id[0] == "v":
            labels = [self.name(outputs[0], node), *self.facts(outputs[0])]
        elif node.modules:
            path = readable(node.modules[0].path, NAME_LENGTH)
            labels = [escaped(module_title(node.modules, NAME_LENGTH)), escaped(path)]
            for value in outputs:
                labels += self.facts(value)
        else:
            op = self.view.value(int(node.id[1:]))
            labels = [escaped(readable(op.symbol or "", NAME_LENGTH))]
            for value in outputs:
                place = "" if value.output is None else f"({value.output}) "
                labels += [(place + self.name(value, node)).strip(), *self.facts(value)]
        label = "<br/>".join(filter(None, labels))
        start, end = {"v": ('["', '"]:::leaf'), "m": ('[["', '"]]:::module')}.get(
            node.id[0], ('("', '")')
        )
        lines.append(f"  {node.id}{start}{label}{end}\n")
        self.inputs(node, lines)

    def inputs(self, node: Node, lines: list[str]) -> None:
        """Write the edges to a node; a fork says what comes back from each use."""
        for number_, use in enumerate(node.inputs):
            source = self.view.value(use.source)
            name = self.owners[use.source].id if use.source in self.owners else None
            if use.again:
                name = f"v{use.source}_{node.id[1:]}_{number_}"
                again = self.name(source, node) or f"#35;{source.id}"
                lines.append(f'  {name}["{again} ↗"]:::leaf\n')
            if name is None:
                continue
            said = ""
            if use.share is not None and self.view.direction != "forward":
                said = _sent(use.share)
            self.edges.append(f"  {name} -->{said} {node.id}\n")
        if node.cut:
            lines.append(f'  c{node.id}["…"]\n')
            self.edges.append(f"  c{node.id} -.-> {node.id}\n")

    def name(self, value: Value, node: Node) -> str:
        """Name a value; a parameter among its module's ops without the path."""
        name = value.name or ""
        if node.part is not None and value.kind == "leaf":
            name = name.removeprefix(f"{self.modules[node.part].path}.")
        return escaped(readable(name, NAME_LENGTH))

    def facts(self, value: Value) -> list[str]:
        """Say what a value and its gradient are."""
        direction = self.view.direction
        lines = value_lines(value) if direction != "backward" else []
        if value.needs and direction != "forward":
            lines = [*lines, *gradient_lines(value)]
        return [line.replace("\u2003", " ").strip() for line in lines]

    def subgraphs(self) -> list[str]:
        """Write the open modules, one within the other."""
        below: dict[int | None, list[int]] = {}
        for part in self.view.parts:
            below.setdefault(part.parent, []).append(part.number)
        lines: list[str] = []
        todo: list[int | None] = [*reversed(below.get(None, ()))]
        while todo:
            number_ = todo.pop()
            if number_ is None:
                lines.append("  end\n")
                continue
            module = self.modules[number_]
            label = escaped(readable(f"{module.kind} {module.path}".strip(), 2 * NAME_LENGTH))
            lines.append(f'  subgraph p{number_}["{label}"]\n')
            lines += self.inside[number_]
            todo += [None, *reversed(below.get(number_, ()))]
        return lines


def _sent(share: Numbers) -> str:
    """Write what a use sends back on its edge."""
    if share.elements is None or len(share.elements) != 1:
        return f'|"‖∂‖ {number(share.norm)}"|'
    return f'|"∂ {number(share.elements[0])}"|'


def escaped(text: str) -> str:
    """Write as a character code whatever Mermaid, HTML or Markdown may read something into."""
    return "".join(
        c if c.isalnum() or c in PLAIN or not c.isascii() else f"#{ord(c)};" for c in text
    )
