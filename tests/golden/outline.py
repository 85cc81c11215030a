"""What an SVG holds, but not where: no two versions of Graphviz lay a graph out alike."""

from collections.abc import Callable, Iterator
from xml.etree import ElementTree as ET

from graphgrad.viz import Graph

PLACES = {"cx", "cy", "d", "height", "r", "rx", "viewBox", "width", "x", "y"}


def outline(svg: str) -> str:
    """Write an element in a line: its name, its classes and id, what else it says, its text."""
    return "\n".join(_lines(ET.fromstring(svg), "")) + "\n"


def _lines(element: ET.Element, indent: str) -> Iterator[str]:
    _, _, line = element.tag.rpartition("}")
    if line == "style":
        return
    said = dict(element.attrib)
    line += "".join(f".{name}" for name in said.pop("class", "").split())
    line += f"#{said.pop('id')}" if "id" in said else ""
    line += "".join(f" {key}={value}" for key, value in said.items() if key not in PLACES)
    yield f"{indent}{line} {(element.text or '').strip()}".rstrip()
    for child in element:
        yield from _lines(child, f"{indent}  ")


FORMS: dict[str, Callable[[Graph], str]] = {
    "dot": Graph.to_dot,
    "json": Graph.to_json,
    "mmd": Graph.to_mermaid,
    "svg.txt": lambda graph: outline(graph.to_svg()),
}
