import graphgrad as gg
from tests.golden.programs import FOLDER, PROGRAMS

for program in PROGRAMS:
    path = FOLDER / f"{program.__name__}.dot"
    path.write_text(gg.graph(program()).to_dot(), "utf-8", newline="\n")
    print(path.name)  # noqa: T201
