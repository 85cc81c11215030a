"""Which tests run which lines of the rules, and how long each takes.

As a plugin of pytest, ``-p tests.mutants.covering``, it finds out; ``covering()`` returns what it
found, from a file if neither the package nor the tests have changed since.
"""

import ast
import builtins
import hashlib
import importlib.machinery
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.mutations import ROOT, RULES

FOLDER = "GRAPHGRAD_COVERING"  # the variable of the environment with the folder to write into
CHOSEN = "GRAPHGRAD_CHOSEN"  # the same with a file of the tests to run, in their order
TELL = "__tell__"
CACHE = ROOT / ".coverage-mutants"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-m", "not whole", "-p", "no:cacheprovider"]
# Of defaults and the like, which are read when a module is imported, under no test.
OF_DECLARATIONS = (
    "tests/test_imports.py::test_no_public_name_is_lost_or_added_by_accident",
    "tests/ops/test_ops.py::test_defaults_are_numpys",
    "tests/ops/test_ops.py::test_is_fully_declared",
    "tests/ops/test_ops.py::test_what_works_element_by_element_is_declared_so",
    "tests/ops/test_ops.py::test_an_input_that_has_a_rule_is_floating_in_some_typical_call",
)
# Of pictures, pages, data sets and long examples: what rules compute is tested elsewhere.
ASIDE = "viz data examples test_cli.py test_packaging.py test_mutants.py"


class Covering:
    """What tests do: the seconds of each, and for each line of each file the tests that run it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[str, list[str]]] = {}
        self.breadth: Counter[str] = Counter()  # how many lines a test runs

    def add(self, found: dict[str, Any]) -> None:
        """Take in what one process found."""
        self.seconds |= found["seconds"]
        for path, lines in found["lines"].items():
            here = self.lines.setdefault(path, {})
            for line, tests in lines.items():
                known = [test for test in tests if test in self.seconds]
                here.setdefault(line, []).extend(known)
                self.breadth.update(known)

    def reaching(self, path: str, reach: Iterable[Iterable[int]]) -> list[str]:
        """Return the tests that run the nearest lines which any runs, the narrowest test first."""
        here = self.lines.get(path, {})
        for place, lines in enumerate(reach):
            if tests := {test for line in lines for test in here.get(str(line), ())}:
                if place:
                    tests |= {test for test in self.seconds if test.startswith(OF_DECLARATIONS)}
                return sorted(tests, key=lambda test: self.breadth[test] * (1 + self.seconds[test]))
        return []


class Telling(ast.NodeTransformer):
    """Lets each statement and lambda in the functions of a file tell that it runs.

    coverage traces every line of every file, which takes several times as long.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.depth = 0

    def visit(self, node: Any) -> Any:
        """Put a call before a statement, or before the value of a lambda."""
        depth = self.depth
        self.depth += isinstance(node, ast.FunctionDef)
        self.generic_visit(node)
        self.depth = depth
        match node:
            case ast.Lambda():
                node.body = ast.BoolOp(ast.Or(), [self.call(node.body), node.body])
            case ast.Expr(value=ast.Constant()):  # a docstring must stay the first
                pass
            case ast.stmt() if depth:
                return [ast.Expr(self.call(node)), node]
        return node

    def call(self, node: ast.expr | ast.stmt) -> ast.expr:
        """Return code that reports the line of a node; its value is None."""
        return ast.parse(f"{TELL}(({self.path!r}, {node.lineno}))", mode="eval").body


def let_rules_tell(tell: Callable[[tuple[str, int]], None]) -> None:
    """From now on, import the files of rules so that they tell what runs."""
    loader_type = importlib.machinery.SourceFileLoader
    usual = loader_type.get_code

    def get_code(loader: Any, name: str) -> Any:
        file = loader.get_filename(name)
        path = os.path.relpath(file, ROOT)
        if not path.startswith(RULES):
            return usual(loader, name)
        tree = Telling(path).visit(ast.parse(loader.get_data(file)))
        return compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True)

    setattr(builtins, TELL, tell)
    loader_type.get_code = get_code  # type: ignore[method-assign, assignment]


class Recorder:
    """What one process of pytest finds out."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.hits: set[tuple[str, int]] = set()
        self.lines: dict[str, dict[int, list[str]]] = {}
        let_rules_tell(self.hits.add)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note the lines under the name of the test."""
        self.hits.clear()
        start = time.perf_counter()
        yield
        self.seconds[item.nodeid] = time.perf_counter() - start
        for path, line in self.hits:
            self.lines.setdefault(path, {}).setdefault(line, []).append(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what fails, or is skipped: it notices no fault."""
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write what was found."""
        seconds = {test: s for test, s in self.seconds.items() if test not in self.failed}
        found = {"seconds": seconds, "lines": self.lines}
        (self.folder / f"{os.getpid()}.json").write_text(json.dumps(found), "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Record in every process that runs tests."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(os.environ[FOLDER]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the chosen tests; a fault may change which there are, and that is not noticed."""
    if CHOSEN in os.environ:
        order = json.loads(Path(os.environ[CHOSEN]).read_text("utf-8"))
        there = {item.nodeid: item for item in items}
        items[:] = [there[test] for test in order if test in there]


def copy_checkout(folder: Path) -> None:
    """Copy the files that git has or would add; faults are planted in the copy."""
    listed = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    for name in subprocess.check_output(listed).decode().split("\0"):
        if name and os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)


def covering(folder: Path, tests: list[str]) -> Covering:
    """Run tests of a copy of the checkout, or read what an earlier run of the same found."""
    chosen = tests or [f"--ignore=tests/{path}" for path in ASIDE.split()]
    cache = Path(f"{CACHE}-{hashlib.sha256(repr(chosen).encode()).hexdigest()[:8]}")
    state = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        if file.parent.name != "mutants":
            state.update(file.read_bytes())
    cached = json.loads(cache.read_text("utf-8")) if cache.exists() else {}
    if cached.get("state") != state.hexdigest():
        with tempfile.TemporaryDirectory() as place:
            command = [*PYTEST, "-n2", "--dist=worksteal", "-p", __name__, *chosen]
            environment = {**os.environ, FOLDER: place, "PYTHONPATH": str(folder)}
            code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
            if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
                sys.exit("The tests do not run: nothing was planted.")
            found = [json.loads(file.read_text("utf-8")) for file in Path(place).iterdir()]
        cached = {"state": state.hexdigest(), "found": found}
        cache.write_text(json.dumps(cached), "utf-8")
    result = Covering()
    for one in cached["found"]:
        result.add(one)
    return result
