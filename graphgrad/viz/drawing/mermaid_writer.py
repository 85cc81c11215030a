"""From a view to Mermaid, a text that many sites draw; for small graphs."""

from graphgrad.errors import PictureError
from graphgrad.viz.drawing.texts import gradient_lines, module_title, readable, value_lines
from graphgrad.viz.formulas.number_format import number
from graphgrad.viz.snapshots.snapshot import Numbers, Value
from graphgrad.viz.views.view import Node, View

NODES, EDGES, CHARACTERS = 200, 500, 50_000  # the last two are Mermaid's limits
NAME_LENGTH = 32
PLAIN = frozenset(" _,()")  # ASCII that has no meaning in any release of Mermaid

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
        self.inside: dict[int | None, list[str]] = {region.number: [] for region in view.regions}
        self.inside[None] = []
        self.edges: list[str] = []
        self.owners = {i: node for node in view.nodes for i in node.outputs}
        self.modules = {region.number: region.module for region in view.regions}

    def text(self) -> str:
        for node in self.view.nodes:
            self.write(node)
        head = HEAD.format(way="TD" if self.view.down else "LR")
        note = f"  %% {escaped(readable(self.view.note, 500))}\n" if self.view.note else ""
        return "".join([head, note, *self.subgraphs(), *self.inside[None], *self.edges])

    def write(self, node: Node) -> None:
        """Write a node and the edges into it."""
        lines = self.inside[node.region]
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
        """Write the edges into a node; at a fork with the gradient of each use."""
        for number_, use in enumerate(node.inputs):
            source = self.view.value(use.source)
            name = self.owners[use.source].id if use.source in self.owners else None
            if use.redrawn:
                name = f"v{use.source}_{node.id[1:]}_{number_}"
                again = self.name(source, node) or f"#35;{source.id}"
                lines.append(f'  {name}["{again} ↗"]:::leaf\n')
            if name is None:
                continue
            label = ""
            if use.contribution is not None and self.view.direction != "forward":
                label = _gradient_label(use.contribution)
            self.edges.append(f"  {name} -->{label} {node.id}\n")
        if node.has_hidden_inputs:
            lines.append(f'  c{node.id}["…"]\n')
            self.edges.append(f"  c{node.id} -.-> {node.id}\n")

    def name(self, value: Value, node: Node) -> str:
        """Return the name of a value; of a parameter inside its module without the path."""
        name = value.name or ""
        if node.region is not None and value.kind == "leaf":
            name = name.removeprefix(f"{self.modules[node.region].path}.")
        return escaped(readable(name, NAME_LENGTH))

    def facts(self, value: Value) -> list[str]:
        """Return the lines on a value and its gradient."""
        direction = self.view.direction
        lines = value_lines(value) if direction != "backward" else []
        if value.needs and direction != "forward":
            lines = [*lines, *gradient_lines(value)]
        return [line.replace("\u2003", " ").strip() for line in lines]

    def subgraphs(self) -> list[str]:
        """Write the open modules as nested subgraphs."""
        below: dict[int | None, list[int]] = {}
        for region in self.view.regions:
            below.setdefault(region.parent, []).append(region.number)
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


def _gradient_label(contribution: Numbers) -> str:
    """Write the label of an edge: the gradient of a use."""
    if contribution.elements is None or len(contribution.elements) != 1:
        return f'|"‖∂‖ {number(contribution.norm)}"|'
    return f'|"∂ {number(contribution.elements[0])}"|'


def escaped(text: str) -> str:
    """Escape every character that may have a meaning in Mermaid, HTML or Markdown."""
    return "".join(
        c if c.isalnum() or c in PLAIN or not c.isascii() else f"#{ord(c)};" for c in text
    )
