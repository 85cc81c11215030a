import graphgrad as gg
from tests.golden.outline import FORMS
from tests.golden.programs import FOLDER, PROGRAMS

for program in PROGRAMS:
    graph = gg.graph(program())
    for suffix, form in FORMS.items():
        path = FOLDER / f"{program.__name__}.{suffix}"
        path.write_text(form(graph), "utf-8", newline="\n")
        print(path.name)  # noqa: T201
