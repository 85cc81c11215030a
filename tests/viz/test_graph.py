"""The static picture: what it says is true, and it can be drawn whatever the graph holds."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import GraphgradError, PictureError, UnsupportedError
from graphgrad.viz import Graph, Value
from graphgrad.viz.drawing import layout
from tests.builders import Net, leaf, network, traced
from tests.golden import programs
from tests.golden.outline import FORMS
from tests.golden.programs import FOLDER, PROGRAMS

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {"circle", "defs", "g", "marker", "path", "rect", "style", "svg", "text", "title", "tspan"}


def named(graph: Graph) -> dict[str, Value]:
    return {v.name: v for v in graph.snapshot.values if v.name}


def gradient(graph: Graph, name: str) -> Any:
    numbers = named(graph)[name].gradient
    assert numbers is not None
    assert numbers.elements is not None
    (number,) = numbers.elements
    return number


def texts(svg: Path) -> list[str]:
    return ["".join(e.itertext()) for e in ET.fromstring(svg.read_text("utf-8")).iter(f"{SVG}text")]


def rounded(x: Any) -> Any:
    """The last digits of numbers differ from machine to machine."""
    if isinstance(x, dict):
        return {name: rounded(y) for name, y in x.items()}
    if isinstance(x, list):
        return list(map(rounded, x))
    return round(x, 9) + 0.0 if isinstance(x, float) else x


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_golden(program: Any, form: str) -> None:
    """A picture changed: look at it, and run `python -m tests.golden` if that was wanted."""
    expected: Any = (FOLDER / f"{program.__name__}.{form}").read_text("utf-8")
    found: Any = FORMS[form](gg.graph(program()))
    if form == "json":
        found, expected = rounded(json.loads(found)), rounded(json.loads(expected))
    assert found == expected


def every_form() -> str:
    graphs = [gg.graph(programs.second_order()), traced(Net(2), 2, 4)]
    forms = [f(g) for g in graphs for f in (Graph.to_dot, Graph.to_json, Graph.to_mermaid)]
    return "".join([*forms, *(g.to_html(collapse=1) for g in graphs)])


def test_the_same_program_gives_the_same_bytes_in_another_process() -> None:
    """No id(), no order of a set, no serial number that depends on what ran before."""
    _ = leaf(1.0) * 2
    code = "import sys, tests.viz.test_graph as t; sys.stdout.buffer.write(t.every_form().encode())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=FOLDER.parents[1],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == every_form().encode()


def test_the_pictures_own_sweep_changes_nothing() -> None:
    x = leaf(3.0, "x")
    called: list[Any] = []
    y = x * x
    y.register_hook(called.append)
    assert gradient(gg.graph(y), "x") == 6
    assert x.grad is None
    assert not called
    y.backward()  # the graph was not freed either
    assert x.grad == 6


def test_kept_gradients_belong_to_this_graph() -> None:
    """Other sweeps through the same leaf, or writing to .grad, must not change a picture."""
    x = leaf([3.0], "x")
    (x * x).sum().backward()
    y = (x * x).sum()
    y.backward()
    (x * 100).sum().backward()
    assert x.grad is not None
    x.grad *= 0
    assert gradient(gg.graph(y), "x") == 6


def test_freed_graph_shows_what_was_kept_and_says_why_the_rest_is_missing() -> None:
    x = leaf(np.full((5, 4), 2.0), "x")
    y = (x * x).sum()
    y.backward()
    graph = gg.graph(y)
    assert graph.snapshot.result.gradient.elements == (1,)  # type: ignore[union-attr]
    assert named(graph)["x"].gradient is None
    assert "freed by backward() at test_graph.py" in str(graph.snapshot.note)
    assert "retain_graph=True" in str(graph.snapshot.note)
    dot = graph.to_dot()
    assert "∂ –" in dot
    assert "∂ 0" not in dot


def test_constants_have_values_and_no_gradient() -> None:
    price = gg.Tensor(150.0, name="price")
    total = leaf(2.0) * price * 1.1 * np.float32(2)
    graph = gg.graph(total)
    constants = [v for v in graph.snapshot.values if v.kind == "constant"]
    assert [v.numbers.elements for v in constants if v.numbers] == [(150,), (1.1,), (2,)]
    assert not any(v.gradient or v.needs for v in constants)
    assert [v.dtype for v in constants] == ["float64", None, "float32"]  # None: Python's are weak
    assert graph.to_dot().count("∂") == 4  # of 2 and of the products


def test_gradient_that_does_not_exist_is_a_dash() -> None:
    """A leaf behind an input that the op has no rule for gets no gradient, and no 0."""
    first = gg.op(lambda x, y: x + y, lambda g: g, None, name="first", elementwise=True)
    x, y = leaf(1.0, "x"), leaf(2.0, "y")
    graph = gg.graph(first(x, y))
    assert gradient(graph, "x") == 1
    assert named(graph)["y"].gradient is None
    assert graph.snapshot.note is None


def test_an_overwritten_value_is_marked() -> None:
    x = leaf(2.0, "x")
    y = x * x
    y.backward()
    x.data = np.array(7.0)
    graph = gg.graph(y)
    assert named(graph)["x"].changed
    assert "now 7" in graph.to_dot()
    z = x * x
    x.data -= 1
    assert "overwritten" in str(gg.graph(z).snapshot.note)  # its own sweep has no right numbers
    assert gg.graph(z).to_dot().count("∂ –") == 2


def test_half_precision_is_summed_up_without_overflow() -> None:
    graph = gg.graph(leaf(np.full(100, 6e4, np.float16), "x") * 1)
    numbers = named(graph)["x"].numbers
    assert numbers is not None
    assert numbers.norm == pytest.approx(6e5)
    assert "100 float16" in graph.to_dot()


def test_snapshot_is_immutable_plain_data() -> None:
    """Nothing in it can change, or keep a large array alive; a page can be made from it."""
    x = leaf(np.zeros((50, 50)), "x")
    graph = gg.graph((x * x).sum())
    before = graph.to_dot()
    x.name = "other"
    x.data += 1
    assert graph.to_dot() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.snapshot.result.name = "other"  # type: ignore[misc]
    json.dumps(dataclasses.asdict(graph.snapshot))


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "html", "json", "mmd", "dot"])
def test_files_are_what_their_suffix_says(tmp_path: Path, suffix: str) -> None:
    graph = gg.graph(programs.apples_and_oranges())
    data = graph.render(tmp_path / f"a.{suffix.upper()}").read_bytes()
    if suffix in ("png", "pdf"):
        assert data.startswith({"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}[suffix])
        assert len(data) > 2000
    else:
        text = {"svg": graph.to_svg, "html": graph.to_html, "json": graph.to_json}
        assert data == (text | {"mmd": graph.to_mermaid, "dot": graph.to_dot})[suffix]().encode()
    assert [p.name for p in tmp_path.iterdir()] == [f"a.{suffix.upper()}"]


# each program, drawn to the right and down
DRAWINGS = [
    pytest.param(program, layout, id=f"{program.__name__}-{layout}")
    for program in (*PROGRAMS, network)
    for layout in ("right", "down")
]


def test_nan_and_infinity(tmp_path: Path) -> None:
    y = leaf(np.inf) * leaf([np.nan, -np.inf])
    shown = texts(gg.graph(y).render(tmp_path / "a.svg"))
    assert {"∞", "[NaN, −∞]", "∂ NaN"} <= set(shown)
    large = leaf(np.full(20, np.inf)) * 1
    assert "μ ∞\u2003σ NaN" in gg.graph(large).to_dot()


@pytest.mark.parametrize(("program", "layout"), DRAWINGS)
def test_lines_meet_their_edges(program: Any, layout: Any) -> None:
    """Every edge begins and ends at the line under a value, or at the rim of an op."""
    root = ET.fromstring(gg.graph(program()).to_svg(layout=layout))
    ends, rims = [], []
    for e in root.iter():
        kinds = e.get("class", "").split()
        numbers = [float(x) for x in re.findall(r"[-\d.]+", e.get("d", ""))]
        if "line" in kinds:
            x, y, far = numbers
            ends += [(x, y), (x, far) if layout == "down" else (far, y)]
        elif e.tag == f"{SVG}circle":
            x, y, r = (float(e.get(k, 0)) for k in ("cx", "cy", "r"))
            rims.append((x - r, x + r, y - r, y + r))
        elif e.tag == f"{SVG}rect" and e.get("rx") == "13":
            x, y, w, h = (float(e.get(k, 0)) for k in ("x", "y", "width", "height"))
            rims.append((x, x + w, y, y + h))
    groups = [g for g in root.iter(f"{SVG}g") if "edge" in g.get("class", "").split()]
    edges = [edge for group in groups for edge in group]
    assert edges
    for edge in edges:
        numbers = [float(x) for x in re.findall(r"[-\d.]+", edge.get("d", ""))]
        for x, y in (numbers[:2], numbers[-2:]):
            at_line = any(abs(x - end_x) <= 1.1 and abs(y - end_y) <= 1.1 for end_x, end_y in ends)
            at_rim = any(
                left - 1 <= x <= right + 1 and top - 1 <= y <= bottom + 1
                for left, right, top, bottom in rims
            )
            assert at_line or at_rim, (x, y)


@pytest.mark.parametrize("layout", ["right", "down"])
def test_edges_lead_forward(layout: Any) -> None:
    """Also around blocks with a way past them, and through groups in groups."""
    ways = re.findall(r' d="(M[^"]*[CL][^"]*)"', gg.graph(network()).to_svg(layout=layout))[1:]
    assert len(ways) > 40
    for way in ways:
        numbers = [float(x) for x in re.findall(r"[-\d.]+", way)]
        across = layout == "down"
        assert numbers[across] < numbers[across - 2], way


def size(svg: str) -> tuple[float, float]:
    _, _, width, height = map(float, ET.fromstring(svg).get("viewBox", "").split())
    return width, height


def test_networks_lead_down_and_circuits_to_the_right(tmp_path: Path) -> None:
    """In every form, and where a part of a network is seen; unless something else is asked for."""
    x = leaf(0.5, "x")
    for _ in range(8):
        x = gg.sin(x)
    for graph, usual in ((gg.graph(x), "right"), (gg.graph(network()), "down")):
        other: Any = {"right": "down", "down": "right"}[usual]
        looks: list[tuple[str, Any]] = [
            (usual, {}),
            (other, {"layout": other}),
            (usual, {"focus": 3, "radius": 6}),
        ]
        for asked, look in looks:
            down = asked == "down"
            width, height = size(graph.to_svg(**look))
            assert (height > width) is down
            assert f"rankdir={'TB' if down else 'LR'}" in graph.to_dot(**look)
            assert graph.to_mermaid(**look).startswith(f"flowchart {'TD' if down else 'LR'}\n")
            png = graph.render(tmp_path / "a.png", **look).read_bytes()
            width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
            assert (height > width) is down


@pytest.mark.parametrize(("layout", "above"), [("right", False), ("down", True)])
def test_the_legend_is_above_a_graph_that_leads_down(layout: Any, above: bool) -> None:
    root = ET.fromstring(gg.graph(network()).to_svg(heat=True, layout=layout))
    (note,) = (g for g in root.iter(f"{SVG}g") if g.get("class") == "note")
    places = [float(e.get("y", "nan")) for e in root.iter(f"{SVG}text") if e not in note]
    own = [float(e.get("y", "nan")) for e in note.iter(f"{SVG}text")]
    assert own
    assert (max(own) < min(places)) is above
    assert (min(own) > max(places)) is not above


@pytest.fixture
def graph() -> Graph:
    x = leaf(3.0, "x")
    return gg.graph(x * x)


def refused(*_: Any) -> Any:
    raise OSError(28, "No space left on device")


WRITERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "render": (lambda path: gg.graph(leaf(3.0)).render(path), ".svg"),
    "show": (lambda path: gg.graph(leaf(3.0)).show(path=path), ".html"),
    "training_page": (lambda path: gg.viz.training_page({"loss": [1]}, path), ".html"),
    "save": (lambda path: gg.viz.plots.save(Figure(figsize=(1, 1)), path), ".png"),
}


@pytest.mark.parametrize("who", WRITERS)
def test_what_cannot_be_written_is_named_and_leaves_the_old_picture(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, suffix = WRITERS[who]
    monkeypatch.setattr(webbrowser, "open", pytest.fail)
    (tmp_path / f"folder{suffix}").mkdir()
    faults = {
        "a.txt": r"'.*a\.txt' (ends in none of .*\.svg|does not end in \.html)",
        "a": "'.*a' (ends in none of|does not end in)",
        f"none/a{suffix}": "there is no folder '.*none'",
        f"folder{suffix}": "cannot write",
        f"{'x' * 300}{suffix}": "cannot write",
        f"a\0{suffix}": "NUL",
    }
    for name, says in faults.items():
        with pytest.raises(GraphgradError, match=rf"{who}: .*{says}.*\(at .*test_graph\.py"):
            write(tmp_path / name)
    path = tmp_path / f"a{suffix.upper()}"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(PictureError, match=r"cannot write .*No space left"):
        write(path)
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"folder{suffix}"]


def test_limit_can_be_raised(graph: Graph, tmp_path: Path) -> None:
    for draw in (graph.to_svg, graph.to_html, lambda **k: graph.render(tmp_path / "a.svg", **k)):
        with pytest.raises(PictureError, match=r"2 values, more than limit=1; .* a larger limit="):
            draw(limit=1)
        assert draw(limit=2)
    assert graph.render(tmp_path / "a.json", limit=1), "nothing is laid out"


def test_no_zero_has_a_sign() -> None:
    assert "∂ [0, −2]" in gg.graph(-(leaf([1.0, 1.0], "x") * np.array([0.0, 2.0]))).to_dot()


def test_too_many_wires_are_refused_at_once() -> None:
    x = leaf([1.0, 2.0], "x")
    with pytest.raises(PictureError, match=r"to_svg: .* 3000 wires, more than 4 × limit"):
        gg.graph(gg.concatenate([x] * 3000)).to_svg()


def fake_dot(folder: Path, script: str) -> None:
    path = folder / "dot"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)


posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in for dot is a script")


@posix
def test_time_limit(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    fake_dot(tmp_path, "import time; time.sleep(60)")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PictureError, match=r"longer than 0\.2 s; draw an earlier tensor"):
        graph.render(path, timeout=0.2)
    assert path.read_text() == "old"


SLOW_WITH_MANY = f"""
import subprocess, sys, time
graphs = sys.stdin.read()
if graphs.count(" -> ") > 40:
    time.sleep(60)
command = ["{sys.executable}", "{layout.BUNDLED_SCRIPT}", sys.argv[1].removeprefix("-T")]
sys.exit(subprocess.run(command, input=graphs, text=True).returncode)
"""


@posix
@pytest.mark.parametrize("modules", [True, pytest.param(False, marks=pytest.mark.whole)])
def test_a_layout_that_times_out_falls_back_to_simpler_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: bool
) -> None:
    """Modules are closed; where there are none only what is near the result is left."""
    fake_dot(tmp_path, SLOW_WITH_MANY)
    monkeypatch.setenv("PATH", str(tmp_path))
    if modules:
        net = nn.Sequential(*[nn.Affine(2, 2, rng=np.random.default_rng(0)) for _ in range(12)])
        graph, path = gg.graph(net, np.ones((1, 2), np.float32)), tmp_path / "a.html"
    else:
        x = leaf(0.5, "x")
        for _ in range(40):
            x = gg.sin(x)
        graph, path = gg.graph(x), tmp_path / "a.svg"
    text = graph.render(path, timeout=5, collapse=9).read_text("utf-8")
    assert "the layout took longer than 5 s" in text
    assert ("modules are closed" if modules else "away from the result") in text


@posix
def test_system_dot_comes_first(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot(tmp_path, "import sys; print('%PDF-', sys.argv[1:], len(sys.stdin.read()) > 99)")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graph.render(tmp_path / "a.pdf").read_text() == "%PDF- ['-Tpdf'] True\n"


@posix
def test_system_dot_that_fails_is_replaced(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot(tmp_path, "import sys; sys.exit('Format: \"pdf\" not recognized')")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graph.render(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    monkeypatch.setattr(layout, "find_spec", lambda _: None)
    with pytest.raises(PictureError, match=r'dot \(exit 1\): Format: "pdf" not.*graphgrad\[viz\]'):
        graph.render(tmp_path / "a.pdf")


def test_without_graphviz(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(layout, "find_spec", lambda _: None)
    with pytest.raises(PictureError, match=r"pip install 'graphgrad\[viz\]'.*to_dot\(\) works"):
        graph.render(tmp_path / "a.svg")
    assert graph.to_dot().startswith("digraph")


def test_a_picture_as_text_needs_no_package() -> None:
    code = (
        "import sys; sys.modules['graphviz'] = sys.modules['pygraphviz'] = None\n"
        "import graphgrad as gg\n"
        "gg.graph(gg.Tensor(1.0, requires_grad=True) * 2).to_dot()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    "limits",
    [
        *({"timeout": x} for x in (float("nan"), float("inf"), 0, 1e12, "10", True)),
        *({"limit": x} for x in (float("nan"), -1, "10", True)),
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", ["svg", "dot"])
def test_invalid_limits(graph: Graph, limits: Any, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"(timeout|limit) is a number .*test_graph"):
        graph.render(tmp_path / f"graph.{suffix}", **limits)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("function", [np.hypot, np.arctan2, np.logaddexp, np.multiply])
def test_two_wires_from_one_value_meet_no_corners_of_a_pill(function: Any) -> None:
    """Graphviz 2.43 finds no way from one port to both corners on the left side of a box."""
    x = np.sin(leaf(2.0))
    text = gg.graph(function(x, x)).to_dot(layout="right")
    pills = re.findall(r"^  (o\d+) \[shape=box", text, re.MULTILINE)
    assert bool(pills) == (function is not np.multiply)
    assert not [p for p in pills if f"-> {p}:" in text]


def test_options_may_be_numbers_of_numpys() -> None:
    graph = gg.graph(gg.exp(gg.sin(leaf(2.0))))
    numbers: list[Any] = [np.uint8(1), np.int64(1)]
    for number in numbers:
        assert graph.to_dot(focus=number, radius=number, collapse=number) == graph.to_dot(
            focus=1, radius=1, collapse=1
        )


def test_graph_takes_no_options_of_its_view() -> None:
    with pytest.raises(UnsupportedError, match=r"no collapse=….*show\(collapse=….*test_graph"):
        gg.graph(nn.Affine(2, 3, rng=np.random.default_rng(0)), np.ones((1, 2)), collapse=1)  # type: ignore[arg-type]
    for word in ("render", "show", "to_svg", "heat"):
        assert word in str(gg.graph.__doc__)


def test_the_repr_of_a_graph_cuts_long_values() -> None:
    x = leaf([1.23456789e-7] * 4, "")
    text = repr(gg.graph(x.reshape(2, 2) * [1.0, 1e8]))
    assert text.startswith("<Graph of multiply, value [[1.235e−07")
    long = leaf(np.full((2, 4), -1.23456789e-7)) * 1.0
    assert "…" in repr(gg.graph(long))
    assert len(repr(gg.graph(long))) < 140
