import graphgrad as gg
from tests.golden.outline import outline
from tests.golden.programs import FOLDER, PROGRAMS

for program in PROGRAMS:
    graph = gg.graph(program())
    for suffix, text in (
        ("dot", graph.to_dot()),
        ("json", graph.to_json()),
        ("mmd", graph.to_mermaid()),
        ("svg.txt", outline(graph.to_svg())),
    ):
        path = FOLDER / f"{program.__name__}.{suffix}"
        path.write_text(text, "utf-8", newline="\n")
        print(path.name)  # noqa: T201
