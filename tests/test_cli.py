"""The command line: pictures of scripts, the demo, and what is refused."""

import io
import json
import os
import re
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import graphgrad as gg
from graphgrad.cli.commands import main, split
from graphgrad.engine.recording import switches

CIRCUIT = """
import graphgrad as gg
x = gg.Tensor(2.0, requires_grad=True, name="x")
y = gg.Tensor(3.0, requires_grad=True)
total = x * y
price = total.exp()
"""


@dataclass
class Done:
    code: int
    out: str
    err: str


def process(*arguments: Any, cwd: Path, **environment: str) -> Done:
    return python("-m", "graphgrad", *arguments, cwd=cwd, **environment)


def python(*arguments: Any, cwd: Path, **environment: str) -> Done:
    root = str(Path(gg.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", **environment}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def command(*arguments: Any, cwd: Path) -> Done:
    """Run the command line in this process, which is faster; it leaves everything as it was."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.path, sys.modules["__main__"], switches().observers
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:  # of argparse
            code = int(stop.code or 0)
    after = sys.argv, sys.path, sys.modules["__main__"], switches().observers
    assert all(x is y for x, y in zip(before, after, strict=True))
    return Done(code, out.getvalue(), err.getvalue())


def told(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def script(folder: Path, text: str, name: str = "circuit.py") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def viewed(folder: Path, text: str, *, name: str = "", run: Callable[..., Done] = command) -> Any:
    script(folder, text)
    done = run("view", f"circuit.py{name}", "-o", "out.json", cwd=folder)
    assert done.code == 0, done.err
    return told(folder / "out.json")


def refused(
    folder: Path, text: str, code: int, *, name: str = "", run: Callable[..., Done] = command
) -> str:
    script(folder, text)
    done = run("view", f"circuit.py{name}", "-o", "out.json", cwd=folder)
    assert done.code == code, done.err
    assert not (folder / "out.json").exists()
    assert "graphgrad/cli" not in done.err
    return done.err


def test_the_only_result_of_a_script_or_one_by_its_name(tmp_path: Path) -> None:
    shown = viewed(tmp_path, CIRCUIT + "again = price\n")
    assert shown["values"][-1]["op"] == "exp"
    assert shown["values"][-1]["line"] == "circuit.py:6"
    assert [v["name"] for v in shown["values"]] == ["x", "y", "total", "price"]
    assert shown["title"] == "price"
    assert viewed(tmp_path, CIRCUIT, name=":total")["title"] == "total"
    text = CIRCUIT.replace("price =", "total.name = 'in all'\nprice =")
    assert viewed(tmp_path, text, name=":in all")["values"][-1]["name"] == "in all"


TRAINING = """
import numpy as np
import graphgrad as gg
from graphgrad import nn, optim

def learn():
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Affine(4, 30, rng=rng), nn.ReLU(), nn.Affine(30, 3, rng=rng))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    x, labels = rng.normal(size=(8, 4)).astype(np.float32), np.arange(8) % 3
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
    return loss, net(x)
"""


def test_the_last_loss_of_a_training_with_modules_and_gradients(tmp_path: Path) -> None:
    """backward() freed its graph, but the trace was there before."""
    shown = viewed(tmp_path, TRAINING + "loss, scores = learn()\n", run=process)
    assert shown["values"][-1]["op"] == "cross_entropy"
    assert {m["path"] for m in shown["modules"]} == {"", "0", "1", "2"}
    weight = next(v for v in shown["values"] if v["name"] == "0.weight")
    assert weight["gradient"]["norm"] > 0
    assert weight["numbers"]["std"] > 0


def test_several_results_are_listed(tmp_path: Path) -> None:
    said = refused(tmp_path, CIRCUIT + "area = (y * [1.0, 2.0])\nlong = y * 2\n", 2)
    assert "several tensors could be the result" in said
    assert re.search(r"^ +price +\(\) float64 +circuit\.py:6$", said, re.MULTILINE)
    assert re.search(r"^ +area +\(2,\) float64 +circuit\.py:7$", said, re.MULTILINE)
    assert "total" not in said
    assert "graphgrad view circuit.py:price" in said


def test_an_unknown_name(tmp_path: Path) -> None:
    said = refused(tmp_path, CIRCUIT, 2, name=":prize")
    assert "no tensor 'prize'; did you mean" in said
    assert "price" in said
    said = refused(tmp_path, CIRCUIT, 2, name=":gg")
    assert "'gg' is not a tensor but of type module" in said
    said = refused(tmp_path, CIRCUIT, 2, name=":\u202e<b>")
    assert "\u202e" not in said
    assert "there are\n    price" in said


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("a.py", "a.py", None),
        ("a.py:loss", "a.py", "loss"),
        ("b/a.py:the loss", "b/a.py", "the loss"),
        (r"C:\b\a.py", r"C:\b\a.py", None),
        ("C:/b/a.py", "C:/b/a.py", None),
        (r"C:\b\a.py:loss", r"C:\b\a.py", "loss"),
        ("C:a.py", "C:a.py", None),
        (":loss", ":loss", None),
        ("a.py:", "a.py", ""),
    ],
)
def test_a_colon_separates_script_and_name(text: str, path: str, name: str | None) -> None:
    assert split(text) == (Path(path), name)


ASKS = """
import json, os, sys, __main__
from beside import factor
import graphgrad as gg
facts = [__name__, __file__, sys.argv, sys.path[0], __main__.__dict__ is globals()]
open("facts.json", "w").write(json.dumps(facts))
y = gg.Tensor(2.0, requires_grad=True) * factor
os.chdir("..")
"""


def test_a_script_runs_as_python_runs_it(tmp_path: Path) -> None:
    """The same answers, whether Python runs it or the command line does."""
    folder, elsewhere = tmp_path / "scripts", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    script(folder, ASKS, "asks.py")
    script(folder, "factor = 3.0\n", "beside.py")
    path = str(Path("..", "scripts", "asks.py"))
    given = ["--epochs", "3", "--", "-o"]
    assert python(path, *given, cwd=elsewhere).code == 0
    plain = told(elsewhere / "facts.json")
    done = process("view", path, "-o", "y.dot", "--", *given, cwd=elsewhere)
    assert done.code == 0, done.err
    assert told(elsewhere / "facts.json") == plain
    assert (elsewhere / "y.dot").is_file()
    assert plain[2] == [path, *given]


def test_a_script_that_raises_shows_its_own_traceback(tmp_path: Path) -> None:
    text = "def f():\n    return 1 / 0\n\ntry:\n    f()\nexcept ZeroDivisionError as e:\n"
    said = refused(tmp_path, text + "    raise KeyError('k') from e\n", 1, run=process)
    assert said == python("circuit.py", cwd=tmp_path).err


def test_a_script_with_a_syntax_error(tmp_path: Path) -> None:
    said = refused(tmp_path, "x = (\n", 1)
    assert said == python("circuit.py", cwd=tmp_path).err


def test_errors_of_graphgrad_have_no_frames_of_graphgrad(tmp_path: Path) -> None:
    text = "import graphgrad as gg\nimport numpy as np\nx = gg.Tensor(np.ones(3))\n"
    said = refused(tmp_path, text + "y = x @ np.ones((4, 2))\n", 1)
    assert said.count("Traceback") == 1
    assert 'circuit.py", line 4' in said
    assert said.count("File ") == 1
    assert "ShapeError" in said


TENSOR = "import graphgrad as gg\nx = gg.Tensor(1.0"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", 1, "no variable at its top level is a tensor"),
        ("x = 1\n", 1, "no variable at its top level is a tensor"),
        (f"{TENSOR}) * 2\n", 1, "requires_grad=True"),
        (f"{TENSOR}, requires_grad=True)\n", 1, "requires_grad=True"),
        (f"{CIRCUIT}import sys\nsys.exit(3)\n", 1, "circuit.py exited: exit code 3"),
        (f"{CIRCUIT}import sys\nsys.exit('no data')\n", 1, "circuit.py exited: no data"),
        ("raise KeyboardInterrupt\n", 130, "graphgrad: interrupted\n"),
    ],
)
def test_scripts_with_nothing_to_show(tmp_path: Path, text: str, code: int, says: str) -> None:
    assert says in refused(tmp_path, text, code)


@pytest.mark.parametrize("code", ["", "0", "None"])
def test_a_script_that_exits_well_is_shown(tmp_path: Path, code: str) -> None:
    shown = viewed(tmp_path, f"{CIRCUIT}import sys\nsys.exit({code})\n")
    assert shown["values"][-1]["op"] == "exp"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["view"], "required: script.py"),
        (["view", "none.py"], "there is no file 'none.py'"),
        (["view", "none.py:loss"], "there is no file 'none.py'"),
        (["view", "."], "'.' is a folder"),
        (["view", "a.ipynb"], "gg.graph(tensor).show()"),
        (
            ["view", "a.py", "-o", "a.gif"],
            "'a.gif' ends in none of .svg, .png, .pdf, .html, .dot, .mmd, .json\n",
        ),
        (["view", "a.py", "-o", "none/a.svg"], "there is no folder 'none'"),
        (["view", "a.py", "-o", "folder.svg"], "'folder.svg' is a folder; name a file"),
        (["view", "a.py", "--epochs", "3"], "arguments of the script follow a --"),
        (["view", "a.py", "--collapse", "all"], "--collapse: invalid int value"),
        (["view", "a.py", "--collapse", "-1"], "--collapse: takes a depth from 0 on"),
        (["view", "a.py", "--direction", "up"], "invalid choice: 'up'"),
        (["view", "a.py", "--layout", "left"], "invalid choice: 'left'"),
        (["view", "a.py", "--direction", "forward", "--heat"], "--direction 'forward' has none"),
        (["demo", "--", "3"], "takes no arguments"),
        (["demo", "-o", "a"], "'a' ends in none of .svg"),
        (["sing"], "invalid choice: 'sing'"),
        ([], "Start with: graphgrad demo"),
    ],
)
def test_invalid_arguments(tmp_path: Path, arguments: list[str], says: str) -> None:
    """Nothing runs: a script may take long, and its picture would be lost."""
    for name in ("a.py", "a.ipynb"):
        script(tmp_path, "open('it ran', 'w')\n", name)
    (tmp_path / "folder.svg").mkdir()
    done = command(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ipynb", "a.py", "folder.svg"]


def test_version(tmp_path: Path) -> None:
    assert process("--version", cwd=tmp_path).out == f"graphgrad {gg.__version__}\n"


def test_help_is_for_newcomers(tmp_path: Path) -> None:
    said = command("view", "--help", cwd=tmp_path).out
    for option in ("collapse", "focus", "radius", "direction", "heat", "layout", "output"):
        assert f"--{option}" in said


def test_view_options(tmp_path: Path) -> None:
    script(tmp_path, TRAINING + "loss, scores = learn()\n")
    given = ("--collapse", "0", "--direction", "forward")
    done = command("view", "circuit.py:loss", "-o", "a.dot", *given, cwd=tmp_path)
    assert done.code == 0, done.err
    drawn = (tmp_path / "a.dot").read_text("utf-8")
    assert "Sequential" in drawn
    assert "ReLU" not in drawn
    done = command("view", "circuit.py:loss", "-o", "a.svg", "--limit", "1", cwd=tmp_path)
    assert done.code == 1
    assert "more than --limit 1;" in done.err
    assert done.err.endswith("pass a larger --limit\n")
    done = command("view", "circuit.py:loss", "-o", "a.dot", "--focus", "none", cwd=tmp_path)
    assert done.code == 1
    assert done.err.startswith("graphgrad: --focus: no value and no module is called 'none'")
    assert "(at " not in done.err


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before a script runs; texts need none."""
    monkeypatch.setattr("graphgrad.cli.commands.graphviz_commands", lambda _: iter(()))
    script(tmp_path, f"{CIRCUIT}open('it ran', 'w').close()\n")
    done = command("view", "circuit.py", cwd=tmp_path)
    assert done.code == 1
    assert "drawing needs Graphviz" in done.err
    assert "--output graph.dot works without" in done.err
    assert not (tmp_path / "it ran").exists()
    assert command("view", "circuit.py", "-o", "a.dot", cwd=tmp_path).code == 0


@pytest.mark.skipif(os.name != "posix", reason="the variable BROWSER is read as POSIX does")
def test_the_page_opens_in_the_browser(tmp_path: Path) -> None:
    note, program = tmp_path / "opened", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" >> "{note}"\n', "utf-8")
    program.chmod(0o755)
    script(tmp_path, TRAINING + "learn()\n")
    done = process("view", "circuit.py", cwd=tmp_path, BROWSER=str(program), TMPDIR=str(tmp_path))
    assert done.code == 0, done.err
    path = Path(done.out.strip().removeprefix("the last loss of circuit.py: "))
    assert path.is_relative_to(tmp_path)
    assert note.read_text("utf-8") == f"{path.as_uri()}\n"
    page = path.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "cross_entropy" in page
    done = process("demo", "--no-open", cwd=tmp_path, BROWSER=str(program), TMPDIR=str(tmp_path))
    assert Path(done.out.splitlines()[-1].removeprefix("the price: ")).is_file()
    assert note.read_text("utf-8") == f"{path.as_uri()}\n"


def test_without_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    done = command("demo", "-o", "fruit.html", cwd=tmp_path)
    assert done.code == 0
    where, hint = done.out.splitlines()[-2:]
    assert where == "the price: fruit.html"
    assert hint.startswith("No browser could be opened")
    assert (tmp_path / "fruit.html").is_file()


def test_demo(tmp_path: Path) -> None:
    done = process("demo", "--no-open", "-o", "fruit.json", cwd=tmp_path)
    assert done.code == 0, done.err
    price, *gradients, last = done.out.splitlines()[1:]
    assert price == "    price = 715"
    assert [float(line.split(" = ")[1]) for line in gradients] == [2.2, 110, 3.3, 165, 650]
    assert last == "the price: fruit.json"
    shown = told(tmp_path / "fruit.json")["values"]
    assert shown[-1]["numbers"]["elements"] == pytest.approx([715])
    assert {v["line"].split(":")[0] for v in shown} == {"fruit.py"}


def test_demo_in_an_ascii_terminal(tmp_path: Path) -> None:
    done = process("demo", "-o", "fruit.json", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.code == 0, done.err
    assert "?price/?(tax) = 650" in done.out
