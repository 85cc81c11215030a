"""Every reader tells apart the colours of every picture and page, and red means plus in all."""

import ast
import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import CSS4_COLORS, TABLEAU_COLORS, to_hex

from graphgrad.viz import plots
from graphgrad.viz.drawing import dot_writer, mermaid_writer
from graphgrad.viz.views import heat
from tests.sight import SIGHT, ciede2000, distance
from tests.test_packaging import ROOT, checkout

VIZ = Path(plots.__file__).parent
HEX = re.compile(r"#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4})\b(?!\s*\{)")
LEAST = 10.0

# The sheets' colours that nothing is told by, and why.
TEXT, GROUND = "text, read and not compared", "what things stand on"
SHEETS: dict[str, dict[str, str]] = {
    "drawing/picture.css": {
        "#24292f": TEXT,
        "#6e7781": f"{TEXT}; frames of parts are dashed and have a name",
        "#57606a": "lines and outlines, the same in all of the picture",
        "#f6f8fa": GROUND,
        "#fff": f"{GROUND}; text on dark heat",
        "#000": "text on pale heat",
    },
    "page/stepper.css": {
        "--paper": GROUND,
        "--node": GROUND,
        "--hover": f"{GROUND}, under the mouse",
        "--line": "frames of the page",
        "--wire": "lines and outlines, the same in all of the picture",
        "--ink": TEXT,
        "--soft": TEXT,
        "--on-here": TEXT,
        "--here": "fills the node in hand, which also has a dark outline and a halo on its wires",
        "#000": "text on pale heat",
        "#fff": "text on dark heat",
        "#0003": "a shadow",
    },
    "page/training.css": {
        "--paper": GROUND,
        "--grid": GROUND,
        "--line": "frames of the page",
        "--band": "an area behind curves",
        "--ink": TEXT,
        "--soft": TEXT,
        "--here": "an upright bar, wider than curves, at the step in hand",
        "--broken": "crosses, not curves; text",
        "#0003": "a shadow",
    },
}
# Where else colours stand as literals: the palettes themselves, tested below.
PALETTES = {
    "plots.py": {*plots.COLOURS, plots.GUIDE, plots.PAPER, plots.FRAME, plots.BROKEN},
    "views/heat.py": {*heat.SCALE, heat.ZERO, heat.NOT_FINITE, "#000000", "#FFFFFF"},
    "drawing/dot_writer.py": {
        dot_writer.VALUE,
        dot_writer.GRADIENT,
        dot_writer.WIRE,
        dot_writer.FAINT,
        dot_writer.FILL,
    },
    "drawing/mermaid_writer.py": {dot_writer.VALUE},
    "drawing/svg_writer.py": {"#fff", "#FFFFFF"},
}


def rules(sheet: str) -> tuple[str, str]:
    """The rules of a style sheet, and those that replace some of them in the dark."""
    text = (VIZ / sheet).read_text(encoding="utf-8")
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{\s*(:root \{[^}]*\})\s*\}", text)
    return (text.replace(dark[0], ""), dark[1]) if dark else (text, "")


def colours(text: str) -> dict[str, str]:
    """The colours of a style sheet by their variables; one without a variable is its own name."""
    named = dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-fA-F]+)", text))
    bare = HEX.findall(re.sub(r"--[\w-]+:[^;]*;", "", text))
    return named | {colour.lower(): colour for colour in bare}


def schemes(sheet: str) -> Iterable[dict[str, str]]:
    light, dark = rules(sheet)
    yield colours(light)
    if dark:
        yield colours(light) | colours(dark)


def opaque(colour: str, share: float) -> str:
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(share * part + (1 - share) * 255):02X}" for part in parts)


def scale(name: str, count: int = 65) -> list[str]:
    return [to_hex(colour) for colour in mpl.colormaps[name](np.linspace(0, 1, count))]


def told_apart() -> Mapping[str, list[str]]:
    areas = [opaque(colour, plots.PALE) for colour in plots.AREAS]
    found = {
        "curves": [*plots.COLOURS, plots.GUIDE],
        "areas and their points": [*plots.AREAS, *areas, plots.PAPER],
        "heat": [*heat.SCALE, heat.ZERO, heat.NOT_FINITE],
        "Graphviz": [dot_writer.VALUE, dot_writer.GRADIENT],
    }
    for sheet, others in SHEETS.items():
        for number, scheme in enumerate(schemes(sheet)):
            shown = {c.lower() for name, c in scheme.items() if name not in others}
            found[f"{sheet}, {'dark' if number else 'light'}"] = sorted(shown)
    return found


TOLD_APART = told_apart()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.1848, -84.8006), (50, 0, -82.7485), 1.0),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
        ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_distances_are_those_of_the_paper(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    """Test data of Sharma, Wu and Dalal, 2005: hues across 0° and 180°, greys, blues."""
    assert ciede2000(one, other) == pytest.approx(expected, abs=5e-5)
    assert ciede2000(other, one) == pytest.approx(expected, abs=5e-5)


def test_eyes_that_lack_a_cone() -> None:
    """White and black stay themselves; red and green come together, but not for all."""
    for sight in SIGHT:
        assert distance("#fff", "#000", sight) == pytest.approx(100, abs=0.01)
    pair = "#c06050", "#808040"
    apart = {sight: distance(*pair, sight) for sight in SIGHT}
    assert apart["all cones"] > 25
    assert apart["no M (deuteranopia)"] < 10


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("picture", TOLD_APART)
def test_everyone_tells_the_colours_apart(picture: str, sight: str) -> None:
    shown = TOLD_APART[picture]
    assert len(shown) > 1
    near = {
        pair: d
        for pair in itertools.combinations(shown, 2)
        if (d := distance(*pair, sight)) < LEAST
    }
    assert not near


@pytest.mark.parametrize("sight", SIGHT)
def test_training_and_test_are_far_apart(sight: str) -> None:
    assert distance(plots.BLUE, plots.ORANGE, sight) > 2 * LEAST


@pytest.mark.parametrize("sight", SIGHT)
def test_a_signed_scale_tells_plus_from_minus(sight: str) -> None:
    """0 is the middle, and nearly white; values of one size and two signs look different."""
    shades = scale(plots.SIGNED)
    middle = len(shades) // 2
    assert distance(shades[middle], plots.PAPER, sight) < 5
    for i in range(middle // 4, middle + 1):
        assert distance(shades[middle - i], shades[middle + i], sight) > LEAST
    ends = [[int(shades[i][j : j + 2], 16) for j in (1, 5)] for i in (0, -1)]
    assert [blue - red > 50 for red, blue in ends] == [True, False], "red is plus"


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("name", [plots.SIGNED, plots.AMOUNT, plots.INK])
def test_nan_is_no_colour_of_a_scale(name: str, sight: str) -> None:
    assert min(distance(plots.BROKEN, shade, sight) for shade in scale(name)) > LEAST


def test_the_page_and_graphviz_take_the_palettes() -> None:
    light, dark = schemes("page/training.css")
    assert [light[f"--c{i}"].upper() for i in range(6)] == list(plots.COLOURS)
    for scheme in (light, dark):
        assert (scheme["--value"], scheme["--gradient"]) == (scheme["--c0"], scheme["--c1"])
    for scheme, other in zip(schemes("page/stepper.css"), (light, dark), strict=True):
        assert {scheme[n] == other[n] for n in ("--value", "--gradient", "--here")} == {True}
    text = rules("drawing/picture.css")[0]
    for kind, colour in ("number", dot_writer.VALUE), ("gradient", dot_writer.GRADIENT):
        assert re.search(rf"\.{kind}\{{fill:{colour}", text)
    assert dot_writer.VALUE in Path(mermaid_writer.__file__).read_text(encoding="utf-8")
    assert plots.COLOURS[:2] == (dot_writer.VALUE, dot_writer.GRADIENT)


@pytest.mark.parametrize("sheet", SHEETS)
def test_what_is_not_compared_is_there(sheet: str) -> None:
    shown = {name for scheme in schemes(sheet) for name in scheme}
    assert set(SHEETS[sheet]) <= shown


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def literals(path: Path) -> set[str]:
    """The strings of a program that are colours or scales of matplotlib's."""
    names = {*CSS4_COLORS, *TABLEAU_COLORS, *mpl.colormaps, *(f"C{i}" for i in range(10))}
    tree = parsed(path)
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    return {s for s in strings if isinstance(s, str) and (s in names or HEX.fullmatch(s))}


KEYS = {"color", "colors", "c", "ec", "fc", "mec", "mfc", "cmap", "edgecolor", "facecolor"}
PLOTTERS = {"plot", "loglog", "semilogx", "semilogy", "errorbar"}
OTHERS = {"scatter", "bar", "barh", "fill_between", "axhline", "axvline", "axhspan", "axvspan"}
OTHERS |= {"stairs", "hist", "contour", "contourf", "imshow", "pcolormesh", "matshow"}


def painted(path: Path) -> set[str]:
    """The colours that arguments named after colours get as literals, and letters of styles."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            values = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value in KEYS]
        elif isinstance(node, ast.Call):
            values = [word.value for word in node.keywords if word.arg in KEYS]
            if isinstance(node.func, ast.Attribute) and node.func.attr in PLOTTERS:
                styles = (a.value for a in node.args if isinstance(a, ast.Constant))
                found |= {s for s in styles if isinstance(s, str) and set(s) & set("bgrcmykw")}
        else:
            continue
        found |= {
            part.value
            for value in values
            for part in ast.walk(value)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        }
    return found - {"none"}


def unpainted(path: Path) -> set[int]:
    """The lines that leave their colours to matplotlib."""
    tree = parsed(path)
    return {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in PLOTTERS | OTHERS
        and (node.func.attr in OTHERS or len(node.args) > 1)  # not history.plot(path)
        and not any(word.arg in {*KEYS, None} for word in node.keywords)  # None is **style
    }


def drawers() -> list[Path]:
    """Every program of the checkout that may draw, but the module of the palette."""
    folders = ROOT / "examples", *(ROOT / "graphgrad" / room for room in ("nn", "optim", "data"))
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


FRUIT = {"orange"}  # in the book's shop, not on a picture


@checkout
def test_pictures_take_their_colours_from_the_palette() -> None:
    """A colour or a scale written into a program would be one that no test here has seen."""
    assert len(drawers()) > 80
    found = {path.name: painted(path) | (literals(path) - FRUIT) for path in drawers()}
    assert not {name: colours for name, colours in found.items() if colours}
    left = {path.name: lines for path in drawers() if (lines := unpainted(path))}
    assert not left


def test_every_colour_of_the_package_is_in_a_table() -> None:
    known = set(PALETTES) | set(SHEETS)
    for path in sorted(VIZ.rglob("*")):
        if path.suffix not in (".py", ".css", ".js"):
            continue
        name = path.relative_to(VIZ).as_posix()
        found = set(HEX.findall(path.read_text(encoding="utf-8")))
        if name in PALETTES:
            assert found <= PALETTES[name], name
        assert not found or name in known, (name, found)
