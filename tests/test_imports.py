"""The modules of graphgrad import one another in one direction only; read from their source."""

import ast
import graphlib
import importlib
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import graphgrad as gg
from tests import public_names

PACKAGE = Path(gg.__file__).resolve().parent


def module_files() -> dict[str, Path]:
    files = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("graphgrad", *path.relative_to(PACKAGE).with_suffix("").parts)
        files[".".join(parts).removesuffix(".__init__")] = path
    return files


FILES = module_files()


def imported_by(source: str) -> set[str]:
    """Name the modules which a source imports; `graphgrad` if it needs the package itself."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(source)):  # in functions and for type checkers too
        names: list[str] = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, "relative imports"
            inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
            names = [name if name in FILES else str(statement.module) for name in inside]
        found.update(name for name in names if name.split(".")[0] == "graphgrad")
    return found


TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}
ENGINE = {name for name in FILES if name.startswith("graphgrad.engine")}
IMPORTS = {name: imported_by(path.read_text("utf-8")) for name, path in FILES.items()}


def parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def edges() -> dict[str, set[str]]:
    """Build the graph: what a module imports, and the `__init__` files that this runs first."""
    return {
        name: targets.union(*(parents(target) - parents(name) - {name} for target in targets))
        for name, targets in IMPORTS.items()
    }


def test_sees_the_whole_package() -> None:
    assert {"graphgrad.engine.graph", "graphgrad.ops", "graphgrad.nn", "graphgrad.optim"} <= set(
        FILES
    )
    assert "graphgrad.nn" in IMPORTS["graphgrad"]


def test_no_cycles() -> None:
    try:
        list(graphlib.TopologicalSorter(edges()).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("name", sorted(set(FILES) - {"graphgrad", "graphgrad.__main__"}))
def test_modules_import_submodules_never_the_package(name: str) -> None:
    """The package is still being made when its modules run."""
    assert "graphgrad" not in IMPORTS[name]


def test_what_stands_below_nn_never_imports_it() -> None:
    above = ("graphgrad.nn", "graphgrad.optim", "graphgrad.cli", "graphgrad.__main__")
    for name in FILES:
        if name != "graphgrad" and not name.startswith(above):
            assert not {target for target in IMPORTS[name] if target.startswith(above)}, name


def test_no_module_takes_the_place_of_a_public_function() -> None:
    """Else `import graphgrad.grad` would put a module where the function was."""
    spaces = [gg, gg.linalg, gg.nn, gg.nn.functional, gg.nn.models, gg.optim, gg.data, gg.viz]
    names = {
        f"{space.__name__}.{name}": getattr(space, name) for space in spaces for name in dir(space)
    }
    assert {"graphgrad.grad", "graphgrad.nn.functional.relu"} <= set(names)
    clashes = {n for n in FILES if not isinstance(names.get(n, gg), types.ModuleType)}
    assert not clashes


def test_the_engine_stands_on_little() -> None:
    """On errors, the checks of arguments and a few names; nothing above it."""
    ground = {
        f"graphgrad.{name}" for name in ("errors", "arguments", "names", "randomness", "typing")
    }
    for name in ENGINE:
        assert IMPORTS[name] <= ENGINE | ground, name


@pytest.mark.parametrize("name", sorted(ENGINE))
def test_a_module_of_the_engine_can_be_read_at_one_go(name: str) -> None:
    assert len(FILES[name].read_text("utf-8").splitlines()) <= 400


def test_only_the_engine_touches_its_private_names() -> None:
    """Attributes are ruff's business (SLF001); these are the names that modules import."""
    for name, tree in TREES.items():
        if name not in ENGINE:
            private = {
                alias.name
                for statement in ast.walk(tree)
                if isinstance(statement, ast.ImportFrom) and statement.module in ENGINE
                for alias in statement.names
                if alias.name.startswith("_")
            }
            assert not private, name


def test_no_public_name_is_lost_or_added_by_accident() -> None:
    """After a change that is meant: ``python -m tests.public_names``."""
    assert public_names.lines() == public_names.FILE.read_text("utf-8").splitlines()


def loaded_on_first_use(tree: ast.Module) -> set[str]:
    """Name what only type checkers import at once, where the module has a table of such names."""
    if not any(isinstance(x, ast.Assign) and "_ON_FIRST_USE" in ast.dump(x) for x in tree.body):
        return set()
    blocks = [x for x in tree.body if isinstance(x, ast.If) and "TYPE_CHECKING" in ast.dump(x.test)]
    imports = [x for block in blocks for x in block.body if isinstance(x, ast.ImportFrom)]
    return {alias.asname or alias.name for x in imports for alias in x.names}


def in_a_process_of_its_own(code: str) -> str:
    """Run code where nothing is loaded yet, and return what it prints."""
    paths = os.pathsep.join([str(PACKAGE.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LATE = {name: found for name, tree in TREES.items() if (found := loaded_on_first_use(tree))}


def test_what_is_loaded_on_first_use_is_found() -> None:
    assert LATE["graphgrad"] >= {"data", "graph", "nn", "optim", "testing", "viz"}
    assert LATE["graphgrad.nn"] >= {"Trainer", "models", "search"}
    for name, found in LATE.items():
        assert set(vars(importlib.import_module(name))["_ON_FIRST_USE"]) == found


def exported(name: str) -> set[str]:
    """Name what a module imports under a name of its own, as type checkers see it, and defines."""
    found = set()
    for statement in ast.walk(TREES[name]):
        if isinstance(statement, ast.ImportFrom):
            found |= {alias.asname for alias in statement.names if alias.asname == alias.name}
        elif isinstance(statement, ast.FunctionDef):
            found.add(statement.name)
    return {found_name for found_name in found if found_name and found_name[0] != "_"}


@pytest.mark.parametrize(
    "name", ["graphgrad", *(f"graphgrad.{n}" for n in ("nn", "optim", "data", "viz"))]
)
def test_dir_names_what_is_public_and_nothing_else(name: str) -> None:
    """Neither submodules that happen to be loaded nor what the module imports for itself."""
    module = importlib.import_module(name)
    version = {"__version__"} if name == "graphgrad" else set()
    assert set(dir(module)) == exported(name) | version
    assert "names" in vars(gg), "submodules are there all the same"
    assert not {"names", "engine", "Any", "TYPE_CHECKING", "training"} & set(dir(module))


@pytest.mark.parametrize(
    "statement",
    [
        "from graphgrad import nn; nn.Linear",
        "import graphgrad as gg; gg.nn.Linear",
        "import graphgrad.nn; graphgrad.nn.Linear",
        "from graphgrad.nn import Linear",
        "from graphgrad.nn import Trainer",
        "import graphgrad.nn.training.trainer",
        "from graphgrad.nn import training",
        "from graphgrad import findings",
        "import graphgrad.optim as o; o.SGD",
        "import graphgrad as gg; gg.graph(gg.exp(gg.Tensor(1.0, requires_grad=True)))",
        "import pickle, graphgrad as gg; pickle.loads(pickle.dumps(gg.gradcheck))",
    ],
)
def test_every_way_to_what_is_loaded_on_first_use(statement: str) -> None:
    in_a_process_of_its_own(statement)


def test_a_name_of_another_space_is_known_before_that_space_is_loaded() -> None:
    said = in_a_process_of_its_own("""
import sys, graphgrad as gg
assert "graphgrad.nn" not in sys.modules
try:
    gg.Linear
except AttributeError as error:
    print(error)
""")
    assert "it is nn.Linear" in said


@pytest.mark.parametrize("missing", ["nothing", "hypothesis"])
def test_dir_names_what_there_is_and_all_of_it_loads(missing: str) -> None:
    """Tab completes from dir(), help() loads all of it; in a process where nothing is loaded yet.

    `graphgrad.testing` cannot be loaded without hypothesis, and is not named then.
    """
    code = f"""
import importlib, sys
sys.modules[{missing!r}] = None
late = {LATE!r}
print(*late["graphgrad"].intersection(vars(importlib.import_module("graphgrad"))))
if {missing!r} == "hypothesis":
    late["graphgrad"].remove("testing")
for name in late:
    module = importlib.import_module(name)
    print(name, *late[name].difference(dir(module)))
    for x in dir(module):
        getattr(module, x)
"""
    assert in_a_process_of_its_own(code).split() == list(LATE)
