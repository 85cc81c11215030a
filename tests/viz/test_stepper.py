"""The page of a graph: every step true, nothing loaded, everything reached without a mouse."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import Graph
from graphgrad.viz.drawing.texts import gradient_lines, value_lines
from graphgrad.viz.formulas.number_format import number as written
from graphgrad.viz.page.document import FOLDER, OPERATORS, minify
from tests.browser import OVERLAPS, data_of, reached_by_tab
from tests.builders import HOSTILE, Named, Net, leaf, network, traced
from tests.golden import programs
from tests.sight import contrast

PAGES: dict[str, tuple[Graph, str]] = {}


def html(graph: Graph, **look: Any) -> str:
    key = f"{id(graph)} {look}"
    if key not in PAGES:
        PAGES[key] = graph, graph.to_html(limit=1000, **look)
    return PAGES[key][1]


def told(page: str) -> Any:
    data = data_of(page)
    data["values"] = [data["kinds"][row["like"]] | row for row in data["values"]]
    gradients = {row["id"]: row.get("gradient") for row in data["values"]}
    for row in data["values"]:
        row["contributions"] = [
            gradients[i] if sent is True else sent
            for i, sent in zip(row.get("inputs", ()), row.get("contributions", ()), strict=False)
        ]
    inputs = {f"o{row['id']}": row.get("inputs", []) for row in data["values"]}
    for scene in data["scenes"]:
        scene["nodes"] = [
            {"id": x, "inputs": inputs.get(x, []), "outputs": [int(x[1:])]}
            if isinstance(x, str)
            else x
            for x in scene["nodes"]
        ]
    return data


def tree(leaves: int) -> gg.Tensor:
    """A graph of five values for each leaf but one."""
    layer = [leaf(float(i), f"x{i}") for i in range(leaves)]
    while len(layer) > 1:
        layer = [gg.sin(a * b) + 0.5 for a, b in zip(layer[::2], layer[1::2], strict=True)]
    return layer[0]


def recurrence(times: int) -> gg.Tensor:
    w, h = leaf(0.5, "W"), leaf(1.0, "h")
    for _ in range(times):
        h = gg.tanh(h * w)
    return h


@pytest.fixture(scope="module")
def apples() -> Graph:
    return gg.graph(programs.apples_and_oranges())


@pytest.fixture(scope="module")
def blocks() -> Graph:
    return traced(Net(3), 2, 4)


@pytest.fixture(scope="module")
def wide() -> Graph:
    return gg.graph(tree(64))


def test_sizes(apples: Graph) -> None:
    assert len(apples.to_html().encode()) <= 40_000
    graph = gg.graph(tree(128))
    assert graph.view().size > 500
    assert len(graph.to_html(limit=1000).encode()) <= 600_000


def test_the_data_are_the_numbers_of_the_engine(apples: Graph) -> None:
    data = told(apples.to_html())
    for row, value in zip(data["values"], apples.snapshot.values, strict=True):
        assert value.numbers is not None
        assert value.gradient is not None
        assert tuple(row["numbers"]) == value.numbers.elements
        assert tuple(row["gradient"]) == value.gradient.elements
        assert row.get("formula") == value.formula
        sent = [list(share.elements or ()) if share else None for share in value.contributions]
        assert row["contributions"] == sent


def test_values_that_no_scene_shows_are_left_out(blocks: Graph) -> None:
    data = told(html(blocks, collapse=1))
    drawn = {i for scene in data["scenes"] for node in scene["nodes"] for i in node["outputs"]}
    assert {row["id"] for row in data["values"]} == drawn
    assert len(data["scenes"]) > 4, "what is closed can be opened"
    assert data["scenes"][0]["parent"] is None


def test_numbers_that_are_not_finite_are_kept() -> None:
    with np.errstate(all="ignore"):
        x = leaf([0.0, -1.0], "x")
        data = told(gg.graph(gg.log(x).sum()).to_html())
    assert data["values"][1]["numbers"] == ["-Infinity", "NaN"]


def test_what_only_readers_need_is_taken_out() -> None:
    script = """
      // a comment
      const text = "a  // b"; // and another
      if (text === `${text} /* { } */ ${`x ? y`}`) { return [1, 2]; }
    """
    assert minify(script, OPERATORS[".js"]) == (
        'const text="a  // b";if(text===`${text} /* { } */ ${`x ? y`}`){return[1,2]}'
    )
    style = "a , b :is(c) {\n  margin: 0 auto; /* why */\n}\n"
    assert minify(style, OPERATORS[".css"]) == "a,b :is(c){margin:0 auto}"


@pytest.mark.parametrize("path", [*FOLDER.glob("*.js"), *FOLDER.glob("*.css")], ids=str)
def test_scripts_and_styles_are_written_so_that_it_can_be_taken_out(path: Path) -> None:
    """A line that still begins with space tells that a quote was taken for another's end."""
    text = minify(path.read_text("utf-8"), OPERATORS[path.suffix])
    assert not [line for line in text.splitlines() if not line or line[0].isspace()]
    assert " // " not in text


def test_the_page_dresses_every_class_that_the_picture_has() -> None:
    picture = (FOLDER.parent / "drawing" / "picture.css").read_text("utf-8")
    page = (FOLDER / "stepper.css").read_text("utf-8")
    classes = set(re.findall(r"\.([a-z]+)", picture))
    assert {"gg", "number", "gradient"} <= classes <= set(re.findall(r"\.([a-z]+)", page))


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out(dark: bool) -> None:
    style = (FOLDER / "stepper.css").read_text("utf-8")
    light, night = (
        dict(re.findall(r"--([a-z-]+): (#\w+)", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    colors = light | (night if dark else {})
    for text in ("ink", "soft", "value", "gradient"):
        for ground in ("paper", "node", "hover"):
            assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    assert contrast(colors["on-here"], colors["here"]) >= 4.5


@pytest.fixture
def visit(visit: Any, tmp_path: Path) -> Any:
    """Open a graph's page in a window of some width and scheme."""

    def opened(graph: Graph, *window: Any, **look: Any) -> Any:
        (tmp_path / "a.html").write_text(html(graph, **look), "utf-8")
        return visit(tmp_path / "a.html", *window)

    return opened


# what is seen of each group, and what is in hand
STATE = """() => [...document.querySelectorAll('#canvas g[id]')].map((g) => [g.id,
  g.className.baseVal, ...['number', 'gradient'].map((kind) => [...g.querySelectorAll('.' + kind)]
    .filter((t) => getComputedStyle(t).opacity !== '0').map((t) => t.textContent))])"""


# the states after each of some keys, or places of the slider
WALK = f"""(moves) => moves.map((move) => {{
  const slider = document.getElementById('slider');
  if (move.length) {{
    document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: move, bubbles: true }}));
  }} else {{
    slider.value = move;
    slider.dispatchEvent(new Event('input'));
  }}
  return ({STATE})();
}})"""


def state(page: Any) -> dict[str, Any]:
    return {row[0]: tuple(row[1:]) for row in page.evaluate(STATE)}


def words(page: Any) -> str:
    text: str = page.evaluate("document.getElementById('words').textContent")
    return text


def said(page: Any, presses: int) -> list[str]:
    found = []
    for _ in range(presses):
        page.keyboard.press("ArrowRight")
        found.append(words(page))
    return found


def fact(page: Any, what: str) -> str:
    text: str = page.locator(f"#about dt:text-is('{what}') + dd").first.inner_text()
    return text


def test_each_step_says_what_happens(visit: Any, apples: Graph) -> None:
    page = visit(apples)
    assert words(page).startswith("→ steps through it from the start")
    assert said(page, 10) == [
        "× computes apple_price = 100 × 2 = 200",
        "× computes 150 × 3 = 450",
        "+ computes 200 + 450 = 650",
        "× computes price = 650 × 1.1 = 715",
        "The way back begins at price with ∂ = 1.",
        "× receives ∂ = 1, sends 1 × 1.1 = 1.1 to + (650); 1 × 650 = 650 to tax.",
        "+ receives ∂ = 1.1, sends ∂ = 1.1 to apple_price; ∂ = 1.1 to × (450).",
        "× receives ∂ = 1.1, sends 1.1 × 3 = 3.3 to orange; 1.1 × 150 = 165 to orange_count.",
        "× receives ∂ = 1.1, sends 1.1 × 2 = 2.2 to apple; 1.1 × 100 = 110 to apple_count.",
        "All is computed, every gradient has come. Home begins anew.",
    ]


def test_the_way_back_begins_with_a_norm_in_words(visit: Any) -> None:
    """Also where the gradient of a result is not complete yet."""

    def results(x: Any) -> Any:
        y = 3 * x
        return y, 2 * y

    page = visit(gg.graph(results, np.ones(6)))
    page.keyboard.press("Home")
    assert said(page, 4)[2:] == [
        "The way back begins at result[0] with ∂ of norm 2.449.",
        "The way back begins at result[1] with ∂ of norm 2.449.",
    ]


def test_a_fork_adds_up_what_its_uses_send(visit: Any) -> None:
    page = visit(gg.graph(programs.fork()))
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert words(page) == (
        "× receives ∂ = 1, sends 1 × 3 = 3 to x, where += makes ∂ = 4 so far; "
        "1 × 3 = 3 to x, where += makes ∂ = 7."
    )
    assert state(page)["v1"][2] == ["∂ 7"]
    page.keyboard.press("ArrowLeft")
    assert words(page) == (
        "+ receives ∂ = 1, sends ∂ = 1 to × (9); ∂ = 1 to x, where += makes ∂ = 1 so far."
    )
    shown = state(page)
    assert shown["v1"][2] == ["∂ 1"], "the sum so far"
    uses = {name: row[2] for name, row in shown.items() if name[0] == "k"}
    assert uses == {"k1_2_0": [], "k1_2_1": [], "k1_3_1": ["+= 1"]}
    page.keyboard.press("ArrowLeft")
    assert state(page)["v1"][2] == []


@pytest.mark.parametrize("program", ["apples_and_oranges", "fork", "matrix_net", "several_outputs"])
def test_every_step_shows_what_is_known_by_then_and_no_more(visit: Any, program: str) -> None:
    graph = gg.graph(getattr(programs, program)())
    page = visit(graph)
    values = {f"v{v.id}": v for v in graph.snapshot.values if v.shape is not None}
    steps = told(html(graph))["scenes"][0]["steps"]
    known = {name for name, v in values.items() if not v.inputs}
    back: set[str] = set()
    page.keyboard.press("Home")
    for step in [None, *steps]:
        if step is not None:
            page.keyboard.press("ArrowRight")
            if step[0] == "f":
                known |= {f"v{i}" for i in step[3]}
            else:
                back |= {f"v{row[0]}" for row in step[3] if len(row) < 3}
        shown = state(page)
        for name, v in values.items():
            assert shown[name][1] == (value_lines(v) if name in known else []), step
            if name in back:
                assert shown[name][2] == gradient_lines(v), step
            elif not back:
                assert shown[name][2] == [], step
        assert [n for n, row in shown.items() if "hand" in row[0]] == ([step[1]] if step else [])


def freed() -> Graph:
    x = leaf(np.linspace(0, 1, 12), "x")
    y = (gg.sin(x) * x).sum()
    y.backward()
    return gg.graph(y)


@pytest.mark.parametrize("kind", ["open", "closed", "freed"])
def test_stepping_and_jumping_come_to_the_same(visit: Any, blocks: Graph, kind: str) -> None:
    graph = freed() if kind == "freed" else blocks
    page = visit(graph, collapse=1 if kind == "closed" else None)
    whole = state(page)
    last = int(page.locator("#slider").get_attribute("max"))
    forth = page.evaluate(WALK, ["Home", *["ArrowRight"] * last])
    assert [row for row in forth[0] if row[3]] == [], "gradients that are not known yet"
    assert {row[0]: tuple(row[1:]) for row in forth[last]} == whole
    back = page.evaluate(WALK, ["End", *["ArrowLeft"] * last])
    assert back[::-1] == forth
    order = np.random.default_rng(0).permutation(last + 1).tolist()
    assert page.evaluate(WALK, order) == [forth[i] for i in order]


def test_a_step_touches_few_elements(visit: Any, wide: Graph) -> None:
    page = visit(wide)
    page.keyboard.press("Home")
    page.evaluate(
        """() => { window.touched = new Set();
        new MutationObserver((list) => list.forEach((m) => touched.add(m.target)))
          .observe(document.getElementById('canvas'),
            { subtree: true, childList: true, attributes: true, characterData: true }); }"""
    )
    most = 0
    for _ in range(30):
        page.evaluate("touched.clear()")
        page.keyboard.press("ArrowRight")
        most = max(most, page.evaluate("touched.size"))
    assert 0 < most < 25


def test_buttons_and_slider(visit: Any, apples: Graph) -> None:
    page = visit(apples)
    shown = page.locator("#count")
    assert shown.inner_text() == "10 of 10"
    page.get_by_title("to the start").click()
    assert shown.inner_text() == "0 of 10"
    assert page.get_by_title("step back").is_disabled()
    page.get_by_title("step forward").click()
    assert shown.inner_text() == "1 of 10"
    page.get_by_title("to the end").click()
    page.get_by_title("step back").click()
    assert shown.inner_text() == "9 of 10"
    slider = page.locator("#slider")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == ("2 of 10: × computes 150 × 3 = 450")
    page.keyboard.press("Space")
    assert page.get_by_title("pause").count() == 1
    for _ in range(100):
        page.wait_for_timeout(50)
        if shown.inner_text() == "3 of 10":
            break
    page.keyboard.press("Space")
    assert page.get_by_title("play").count() == 1
    before = shown.inner_text()
    page.wait_for_timeout(1300)
    assert before == "3 of 10" == shown.inner_text()


def test_details_of_an_op(visit: Any, apples: Graph) -> None:
    page = visit(apples)
    page.locator("#o6").click()
    text = page.locator("#about").inner_text()
    assert "multiply" in text
    assert "apple_price = apple · apple_count" in text
    assert str(apples.snapshot.values[5].line) in text
    assert fact(page, "local gradient") == "2"
    assert fact(page, "sends") == "∂ · apple_count = 1.1 × 2 = 2.2"
    assert fact(page, "dtype") == "float64"
    page.locator("#about .inputs button").nth(1).click()
    assert page.locator("#about h2").inner_text() == "apple_count"
    assert page.evaluate("document.activeElement.id") == "v2"
    page.locator("#about button").first.click()  # what uses it
    assert page.locator("#about h2").inner_text().split() == ["×", "multiply"]
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_arrays_are_told_exactly(visit: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = leaf(rng.standard_normal((2, 3)).astype(dtype), name="x")
    y = leaf(rng.standard_normal((4, 3)).astype(dtype), name="y")
    loss = gg.sin(x).sum() + gg.cos(y).sum()
    loss.backward()
    page = visit(gg.graph(loss))
    page.locator("#v1 .name").click()
    for what, array in (("value", x.data), ("gradient", x.grad)):
        shown = np.array(json.loads(fact(page, what).replace("−", "-")), dtype)
        np.testing.assert_array_equal(shown, array)
    page.locator("g.leaf:has-text('y') .name").click()
    norm = float(np.linalg.norm(y.data))
    assert fact(page, "value").endswith(f"norm {norm:.4g}")


def test_numbers_are_written_as_in_the_picture(visit: Any) -> None:
    rng = np.random.default_rng(0)
    numbers = [0.0, -0.0, 1e-4, 9.9995e-5, 99995.0, 9999.4, 9999.5, 1e16, -1e-300, 1 / 3, 1e22]
    numbers += [*(10.0 ** rng.uniform(-12, 12, 40)), np.nan, np.inf, -np.inf]
    with np.errstate(all="ignore"):
        x = [leaf(number, f"x{i}") for i, number in enumerate(numbers)]
        total = sum(x[1:], x[0])
    page = visit(gg.graph(total))
    for i, number in list(enumerate(numbers))[:-1]:
        user = page.evaluate(
            """(i) => { const click = new MouseEvent('click', { bubbles: true });
            document.querySelector('#v' + (i + 1)).dispatchEvent(click);
            document.querySelector('#about .link').dispatchEvent(click);
            return [...document.querySelectorAll('#about .inputs li')].map((li) =>
              [li.querySelector('button').textContent, li.querySelector('dd').textContent]); }""",
            i,
        )
        assert dict(user)[f"x{i}"] == written(number)


def test_everything_is_reached_by_the_keyboard(visit: Any, blocks: Graph) -> None:
    page = visit(blocks, collapse=1)
    every = page.locator("button:visible:enabled, input, g[tabindex]").count()
    nodes = page.locator("#canvas g.op, #canvas g.box, #canvas g.leaf:not(.again)").count()
    assert page.locator("#canvas g[tabindex][aria-label]").count() == nodes
    reached = reached_by_tab(page, "button:enabled, input, g[tabindex]", every + 2)
    assert reached == set(range(every))
    assert page.evaluate(
        "[...document.querySelectorAll('button')].every((b) => b.title || b.textContent)"
    )


def test_modules_open_and_close_by_the_keyboard(visit: Any, blocks: Graph) -> None:
    page = visit(blocks, collapse=1)
    outermost = state(page)
    page.locator("g.box:has-text('Block')").focus()
    page.keyboard.press("Enter")
    assert page.locator("#about h2").inner_text() == "Block × 3"
    assert fact(page, "parameters") == "252"
    assert fact(page, "path") == "blocks.0 … blocks.2"
    page.keyboard.press("Enter")
    assert page.locator("#path li").all_inner_texts() == ["mean of Net", "blocks.0 … blocks.2"]
    assert page.locator("g.box").count() == 3
    page.locator("g.box").nth(1).dblclick()
    assert page.locator("#path li").count() == 3
    assert page.locator("#path li").last.inner_text().endswith("blocks.1")
    assert page.locator("g.op").count() == 4
    page.keyboard.press("Backspace")
    assert page.locator("g.box").count() == 3
    assert page.evaluate("document.activeElement.classList.contains('box')")
    page.keyboard.press("Alt+ArrowUp")
    assert state(page) == outermost
    page.locator("g.box:has-text('Block')").dblclick()
    page.locator("#path button").click()
    assert state(page) == outermost


def test_the_browsers_way_back_leads_out_of_a_module(visit: Any, blocks: Graph) -> None:
    page = visit(blocks, collapse=1)
    page.locator("g.box:has-text('Block')").dblclick()
    page.locator("g.box").nth(1).dblclick()
    assert page.locator("#path li").count() == 3
    for depth in (2, 1):
        page.evaluate("history.back()")
        page.wait_for_function(f"document.querySelectorAll('#path li').length === {depth}")
    page.evaluate("history.forward()")
    page.wait_for_function("document.querySelectorAll('#path li').length === 2")
    page.reload()
    assert page.locator("#path li").count() == 2


def test_scenes_stand_at_the_same_time(visit: Any, blocks: Graph) -> None:
    page = visit(blocks, collapse=1)
    scenes = told(html(blocks, collapse=1))["scenes"]
    box = next(n["id"] for n in scenes[0]["nodes"] if n.get("title") == "Block × 3")
    page.keyboard.press("Home")
    while not page.locator(f"#{box}.hand").count():
        assert page.locator(f"#{box}.todo").count() == 1
        page.keyboard.press("ArrowRight")
    outer = state(page)
    page.locator(f"#{box}").dblclick()
    shown = state(page)
    inner = next(s for s in scenes if s["parent"] == 0 and s["box"] == box)
    for node in inner["nodes"]:
        for i in node["outputs"]:
            assert shown[f"v{i}"][1] == value_lines(blocks.snapshot.values[i - 1])
            assert shown[f"v{i}"][2] == []
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    assert page.locator(f"#{box}.todo").count() == 1, "not all of it was computed then"
    page.locator(f"#{box}").dblclick()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Backspace")
    classes = {name: (row[1], row[2]) for name, row in state(page).items()}
    assert classes == {name: (row[1], row[2]) for name, row in outer.items()}


def test_search_finds_in_all_scenes(visit: Any, blocks: Graph) -> None:
    page = visit(blocks, collapse=1)
    page.keyboard.press("/")
    page.keyboard.type("blocks.1.inner.w")
    assert page.locator("#hits [role=option]").count() == 2, "and the op that takes it"
    page.keyboard.press("Enter")
    assert page.locator("#path li").count() == 3
    assert page.locator("#about h2").inner_text() == "blocks.1.inner.weight"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "weight"
    page.keyboard.press("/")
    page.keyboard.type("TANH")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.locator("#hits [aria-selected=true]").inner_text().startswith("tanh(")
    page.keyboard.press("Escape")
    page.wait_for_selector("#hits", state="hidden")
    page.keyboard.press("/")
    page.keyboard.type("no such thing")
    assert page.locator("#hits").inner_text() == "nothing of that name"
    page.keyboard.press("Enter")


def test_uses_of_a_value_light_up_together(visit: Any) -> None:
    page = visit(gg.graph(recurrence(6)))
    again = page.locator("g.again")
    assert again.count() == 5
    again.nth(2).locator(".name").hover()
    assert page.locator("g.kin").count() == 7, "and what the first use sends back"
    page.mouse.move(0, 0)
    assert page.locator("g.kin").count() == 0
    again.nth(2).locator(".name").click()
    assert page.locator("#about h2").inner_text() == "W"
    assert page.locator("#about li").count() == 6, "with what each sends back"
    assert page.locator("g.picked").count() == 7


def test_zoom(visit: Any, wide: Graph) -> None:
    page = visit(wide)

    def width() -> float:
        return float(page.locator("#canvas > svg").get_attribute("width"))

    def place(x: float) -> float:
        """Where in the picture a point of the window lies, from 0 to 1."""
        box = page.locator("#canvas > svg").bounding_box()
        return float((x - box["x"]) / box["width"])

    page.keyboard.press("0")
    fitted = width()
    assert fitted <= page.evaluate("document.getElementById('canvas').clientWidth")
    page.keyboard.press("+")
    assert width() == pytest.approx(1.25 * fitted)
    page.keyboard.press("0")
    assert width() == fitted
    page.mouse.move(400, 300)
    before = place(400)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    while width() < 2 * fitted:
        page.wait_for_timeout(20)
    assert place(400) == pytest.approx(before, abs=0.01), "what is under the mouse stays there"
    page.mouse.down()
    page.mouse.move(300, 300, steps=3)
    page.mouse.up()
    assert place(300) == pytest.approx(before, abs=0.01)
    assert page.locator("#panel").is_hidden(), "a drag is no click"


def test_what_would_be_too_small_is_seen_from_its_start(visit: Any) -> None:
    page = visit(gg.graph(recurrence(60)))
    assert words(page).endswith("0 shows all.")
    seen = page.locator("#v1 .name, #o3").first.bounding_box()
    assert 0 <= seen["x"] < 1280
    assert seen["height"] > 8
    page.keyboard.press("0")
    assert page.evaluate(
        "document.querySelector('#canvas > svg').clientWidth <= canvas.clientWidth"
    )


def test_a_tall_graph_opens_where_it_begins_and_fits_the_width(visit: Any) -> None:
    page = visit(traced(Net(24), 2, 4), 360, collapse=1, merge=False)
    frame = page.locator("#canvas").bounding_box()
    picture = page.locator("#canvas > svg").bounding_box()
    assert picture["height"] > 2 * frame["height"]
    assert frame["x"] <= picture["x"]
    assert picture["x"] + picture["width"] <= frame["x"] + frame["width"]
    assert page.evaluate("document.getElementById('canvas').scrollTop") == 0
    assert page.locator("#canvas .leaf .name").first.bounding_box()["height"] > 8


HEADS = """() => [...document.querySelectorAll("#canvas .run .head")].map((head) => [
  head.previousElementSibling.getAttribute("d"), head.getAttribute("transform")])"""


@pytest.mark.parametrize(("layout", "forth"), [("right", 0), ("down", 90)])
def test_arrows_point_where_the_numbers_go(
    visit: Any, apples: Graph, layout: str, forth: float
) -> None:
    """At the end of the wire forward, at its beginning backward."""
    page = visit(apples, layout=layout)
    page.keyboard.press("Home")
    seen = 0
    for step in range(9):
        page.keyboard.press("ArrowRight")
        for way, place in page.evaluate(HEADS):
            numbers = [float(x) for x in re.findall(r"[-.\d]+", way)]
            x, y, turn = map(float, re.findall(r"[-.\d]+", place))
            if "C" in way:
                continue
            if len(numbers) == 3:  # of a wire, whose line leads only to the right or only down
                numbers.insert(2 if layout == "down" else 3, numbers[0 if layout == "down" else 1])
            back = step > 3
            assert (x, y) == tuple(numbers[:2] if back else numbers[2:])
            assert (turn - forth - 180 * back) % 360 == pytest.approx(0, abs=20)
            seen += 1
    assert seen > 10


def test_a_ring_marks_the_focus_of_the_keyboard_alone(visit: Any, apples: Graph) -> None:
    page = visit(apples)
    style = "getComputedStyle(document.activeElement).outlineStyle"
    page.locator("#o6").focus()
    page.keyboard.press("Tab")
    assert page.evaluate(style) == "solid"
    page.locator("#o8").click()
    assert page.evaluate("document.activeElement.id") == "o8"
    assert page.evaluate(style) == "none"


def test_the_node_in_hand_is_in_sight(visit: Any, wide: Graph) -> None:
    page = visit(wide, 700)
    page.keyboard.press("Home")
    inside = """() => { const a = document.querySelector('.hand').getBoundingClientRect();
      const b = document.getElementById('canvas').getBoundingClientRect();
      return a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom
        && a.height > 10; }"""
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        assert page.evaluate(inside)


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (700, "dark"), (1280, "light")])
def test_it_fits_the_window(visit: Any, blocks: Graph, width: int, scheme: str) -> None:
    page = visit(blocks, width, scheme, collapse=1)
    page.locator("g.box").first.click()
    page.wait_for_selector("#panel", state="visible")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    for part in ("header", "#canvas", "#panel", "#words", "#play", "#slider", "#count", "#zoom"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= width, part
        assert box["y"] + box["height"] <= 900, part
        assert box["height"] > 0, part
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
    hand = page.evaluate("getComputedStyle(document.querySelector('.hand rect')).fill")
    assert hand == "rgb(255, 211, 61)"


def test_on_paper_the_whole_picture_is_seen(visit: Any, apples: Graph) -> None:
    page = visit(apples)
    page.keyboard.press("Home")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert state(page)["v9"][1:] == (["715"], ["∂ 1"])
    assert not page.locator("footer").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert state(page)["v9"][1:] == ([], [])


def test_without_a_script_the_whole_picture_is_seen(
    chromium: Any, apples: Graph, tmp_path: Path
) -> None:
    apples.render(tmp_path / "a.html")
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": 900, "height": 600}
    )
    page = context.new_page()
    page.goto((tmp_path / "a.html").as_uri())
    assert page.locator("#v9 .number").is_visible()
    assert page.locator("svg.gg").bounding_box()["width"] > 800
    assert not page.locator("#play").is_visible(), "it would do nothing"
    context.close()


def test_hostile_names_are_texts_in_a_browser(visit: Any) -> None:
    with gg.viz.tracing():
        y = Named([*HOSTILE], 3)(gg.Tensor(np.ones((2, 3), np.float32), name="x")).sum()
        for name in HOSTILE:
            y = y * leaf(1.0, name)
    page = visit(gg.graph(y), 700, collapse=1, merge=False)
    boxes = page.locator("g.box")
    assert boxes.count() == len(HOSTILE)
    for i in range(len(HOSTILE)):
        boxes.nth(i).dblclick()
        assert page.locator("#path li").count() == 2
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Backspace")
    said(page, 3 * len(HOSTILE))
    for text in ("</script><img", "multiply"):
        page.keyboard.press("/")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        assert text[:5] in page.locator("#about h2").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("#canvas script, #about script, #hits script, img").count() == 0


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ({"direction": "forward"}, "× computes apple_price = 100 × 2 = 200"),
        ({"direction": "backward"}, "The way back begins at price with ∂ = 1."),
        ({"focus": "tax", "radius": 0}, "From out of sight ∂ = 650 comes to tax."),
    ],
)
def test_parts_of_a_graph(visit: Any, apples: Graph, look: Any, words: str) -> None:
    page = visit(apples, **look)
    assert said(page, 1) == [words]
    page.keyboard.press("End")


def test_a_graph_of_one_value(visit: Any) -> None:
    page = visit(gg.graph(leaf(1.5, "x")))
    for key in ("ArrowRight", "ArrowLeft", "Home", "End", "Space", "+", "0", "Backspace", "Escape"):
        page.keyboard.press(key)
    page.locator("#v1 .name").click()
    assert fact(page, "value") == "1.5"


# By state: each text on a colour of heat, and that colour, as the browser shows them.
ON_HEAT = """
() => {
  const found = {};
  for (const g of document.querySelectorAll("#canvas g[id]")) {
    const texts = g.querySelectorAll("text.black, text.white");
    const shapes = g.querySelectorAll("rect, circle");
    if (!texts.length) continue;
    for (const state of ["", "picked", "kin", "hand", "picked kin hand"]) {
      const names = state.split(" ").filter(Boolean);
      g.classList.add(...names);
      const ground = getComputedStyle(shapes[shapes.length - 1]).fill;
      for (const text of texts) {
        (found[state] ??= []).push([getComputedStyle(text).fill, ground]);
      }
      g.classList.remove(...names);
    }
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_on_heat_stand_out_in_every_state(visit: Any, blocks: Graph, scheme: str) -> None:
    """On the whole scale, on 0 and on NaN: of leaves, ops and boxes."""
    h = leaf(1.0, "h")
    h = h + leaf(1.0, "nan") * np.nan + leaf(1.0, "zero") * 0.0
    for i in range(30):
        h = (h + leaf(1.0, f"x{i}")) * 0.6
    grounds = set()
    for graph, heat in ((gg.graph(h), (1e-6, 1.0)), (blocks, True)):
        page = visit(graph, 1280, scheme, heat=heat)
        for state, pairs in page.evaluate(ON_HEAT).items():
            for pair in pairs:
                ink, ground = (
                    "#" + "".join(f"{int(x):02x}" for x in re.findall(r"\d+", color))
                    for color in pair
                )
                assert contrast(ink, ground) >= 4.5, (state, ink, ground)
                grounds.add(ground)
    assert len(grounds) > 30


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


NETWORKS: dict[str, Callable[[], Graph]] = {
    "mlp": lambda: traced(Net(1), 4, 4),
    "cnn": lambda: gg.graph(nn.models.LeNet5((1, 16, 16), rng=rng()), np.ones((2, 1, 16, 16))),
    "lstm": lambda: gg.graph(nn.LSTMCell(3, 4, rng=rng()), np.ones((2, 3))),
    "transformer": lambda: gg.graph(
        nn.Sequential(*[nn.TransformerEncoderLayer(4, 2, 8, rng=rng()) for _ in range(3)]),
        rng().normal(size=(3, 2, 4)),
    ),
    "slope": lambda: gg.graph(
        lambda x: (gg.grad(lambda x: Net(1)(x).sum())(x) ** 2).sum(), rng().normal(size=(2, 4))
    ),
}
LAYOUTS: list[dict[str, Any]] = [{"layout": "right"}, {"layout": "down"}]
LOOKS: list[dict[str, Any]] = [
    {"collapse": 9},
    {"collapse": 1, "layout": "right"},
    {"direction": "forward", "collapse": 9},
    {"heat": True},
]


CIRCUITS = {f.__name__: f for f in (*programs.PROGRAMS, network)}


@pytest.mark.parametrize("name", [*CIRCUITS, *NETWORKS])
def test_no_two_texts_overlap_where_they_are_drawn(visit: Any, name: str) -> None:
    """In the fonts of this machine: the sizes that the layout gets are estimates."""
    graph = NETWORKS[name]() if name in NETWORKS else gg.graph(CIRCUITS[name]())
    page: Any = None
    looks = LOOKS if name in NETWORKS else LAYOUTS
    for look in looks:
        page = visit(graph, **look)
        count, found = page.evaluate(OVERLAPS)
        assert count > 5
        assert found == [], look
    for scene in range(1, min(4, len(told(html(graph, **looks[-1]))["scenes"]))):
        page.evaluate(f"history.replaceState({scene}, '')")
        page.reload()
        _, found = page.evaluate(OVERLAPS)
        assert found == [], scene
