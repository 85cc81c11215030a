"""There is one graphgrad.nn, whoever asks, and nothing else gets installed.

The expensive half (sdist, wheel, a clean environment) is `make package`.
"""

import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import graphgrad as gg
from graphgrad import nn, optim

ROOT = Path(__file__).resolve().parent.parent
LINKED = {"nn": nn, "optim": optim}
checkout = pytest.mark.skipif(not (ROOT / "Makefile").exists(), reason="needs the checkout")


def run(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, started in a folder."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@checkout
@pytest.mark.parametrize("name", LINKED)
def test_the_folder_is_real_and_the_name_at_the_top_is_a_link(name: str) -> None:
    assert Path(str(LINKED[name].__file__)).resolve() == ROOT / "graphgrad" / name / "__init__.py"
    link = ROOT / name
    if link.is_symlink():  # else a clone without links, which needs none
        assert link.readlink().as_posix() == f"graphgrad/{name}"


def test_no_file_is_two_modules() -> None:
    files: dict[Path, str] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith(("graphgrad", "nn", "optim")) and getattr(module, "__file__", None):
            path = Path(str(module.__file__)).resolve()
            assert files.setdefault(path, name) == name, f"{path} is also {files[path]}"
    assert len(files) > len(LINKED)


@checkout
@pytest.mark.parametrize("name", LINKED)
def test_a_second_copy_is_refused_with_the_right_name(name: str) -> None:
    """From the root, `import nn` finds the link, and would make a second copy of every class."""
    if not (ROOT / name).is_symlink():
        pytest.skip("a clone without links")
    result = run(f"import {name}")
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert f"graphgrad.{name}" in result.stderr.splitlines()[-1]


def test_nothing_else_gets_installed(tmp_path: Path) -> None:
    """Seen from elsewhere there is graphgrad.nn, and a user's own nn.py is in nobody's way."""
    result = run(
        "import graphgrad.nn, graphgrad.optim; from importlib.util import find_spec; "
        "print(find_spec('nn'), find_spec('optim'))",
        tmp_path,
    )
    assert result.stdout.strip() == "None None", result.stderr


@checkout
def test_the_command_leads_somewhere() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (name, target), *more = config["project"]["scripts"].items()
    assert (name, more) == ("graphgrad", [])
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_version_has_one_source() -> None:
    assert importlib.metadata.version("graphgrad") == gg.__version__


def test_types_are_shipped() -> None:
    assert (Path(gg.__file__).parent / "py.typed").is_file()


def test_needs_only_numpy_and_graphviz() -> None:
    core = [
        Requirement(line).name
        for line in importlib.metadata.requires("graphgrad") or ()
        if "extra ==" not in line
    ]
    assert sorted(core) == ["graphviz", "numpy"]


OPTIONAL = ["hypothesis", "matplotlib", "optuna", "pygraphviz", "safetensors", "scipy", "sklearn"]
SLOW = [
    "argparse",
    "dataclasses",
    "difflib",
    "hashlib",
    "json",
    "logging",
    "numpy.random",
    "secrets",
    "tarfile",
    "webbrowser",
]
OURS = ["checks", "cli", "data", "nn", "optim", "testing", "viz"]


@pytest.mark.parametrize(
    ("imported", "heavy"),
    [
        ("graphgrad", [*OPTIONAL, *SLOW, *(f"graphgrad.{name}" for name in OURS)]),
        ("graphgrad.nn", [*OPTIONAL, "tarfile", "graphgrad.optim", "graphgrad.nn.training"]),
    ],
)
def test_import_is_light(tmp_path: Path, imported: str, heavy: list[str]) -> None:
    """What is optional, and what is slow to load, is imported where it is used."""
    path = str(Path(gg.__file__).parent.parent)
    result = run(
        f"import sys, numpy; before = set(sys.modules); sys.path.insert(0, {path!r}); "
        f"import {imported}; print([x for x in {heavy} if x in sys.modules and x not in before])",
        tmp_path,
    )
    assert result.stdout.strip() == "[]", result.stderr


@checkout
def test_every_requirement_is_in_the_lock() -> None:
    """Each name is pinned, at a version that pyproject.toml accepts."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines():
        if match := re.match(r"([a-z0-9.-]+)==([^ ;]+)", line):
            pins.setdefault(match[1], []).append(match[2])
    extras = config["project"]["optional-dependencies"].values()
    for text in [*config["project"]["dependencies"], *(line for extra in extras for line in extra)]:
        wanted = Requirement(text)
        if wanted.name != "graphgrad":
            assert pins.get(wanted.name), f"{text}: run `make lock`"
            assert all(wanted.specifier.contains(pin) for pin in pins[wanted.name]), text


@checkout
def test_versions_of_python_and_numpy_are_supported() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert config["project"]["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)
    assert int(np.__version__.split(".")[0]) >= 2
