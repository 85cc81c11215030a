"""Pictures of arrays: that values are shown true, and that mistakes are named."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import graphgrad as gg
from graphgrad.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from graphgrad.viz import plots


def drawn(axes: Any) -> Any:
    """The whole picture from its bottom to its top, in colours from 0 to 255."""
    canvas: Any = FigureCanvasAgg(axes.figure.figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[::-1, :, :3]


def shown(axes: Any, shape: tuple[int, int]) -> Any:
    """The colours of the images' pixels as a reader of the picture sees them, (N, H, W, 3)."""
    picture = drawn(axes) / 255
    images = []
    for left, top, right, bottom in frames(axes):
        rows = top + (np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]
        columns = left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]
        places = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        x, y = axes.transData.transform(places).astype(int).T
        images.append(picture[y, x].reshape(*shape, 3))
    return np.array(images)


def frames(axes: Any) -> Any:
    """The frames around the images: left, top, right, bottom in the axes' coordinates."""
    paths = axes.collections[0].get_paths()
    return np.array([path.get_extents().extents for path in paths])


def boxes(axes: Any, texts: Any = ()) -> Any:
    """The places in the picture of the images, and of texts: left, bottom, right, top."""
    axes.figure.figure.draw_without_rendering()
    images = axes.transData.transform(frames(axes)[:, [0, 3, 2, 1]].reshape(-1, 2)).reshape(-1, 4)
    return np.array([*images, *(text.get_window_extent().extents for text in texts)])


def apart(places: Any) -> bool:
    low, high = places[:, None, :2], places[:, None, 2:]
    overlap = ((low < high[:, 0] - 0.01) & (low[:, 0] < high - 0.01)).all(axis=-1)
    return bool((overlap == np.eye(len(places), dtype=bool)).all())


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("count", "columns", "rows"), [(7, 3, 3), (2, 10, 1), (6, 3, 2)])
def test_each_image_has_its_place_and_its_title(
    whole: bool, count: int, columns: int, rows: int
) -> None:
    figure = Figure(layout="constrained")
    parts: Any = figure.subfigures(1, 2)
    place = figure if whole else parts[0]
    images = np.arange(count * 6.0).reshape(count, 2, 3)
    axes = plots.show_images(place, images, [f"no. {i}" for i in range(count)], columns, "all")
    assert [axes] == figure.axes
    assert place.get_suptitle() == "all"
    np.testing.assert_allclose(shown(axes, (2, 3))[..., 0], 1 - images / images.max(), atol=0.008)
    assert [text.get_text() for text in axes.texts] == [f"no. {i}" for i in range(count)]
    at, above = boxes(axes, axes.texts).reshape(2, count, 4)
    assert apart(np.concatenate([at, above]))
    np.testing.assert_allclose(at[:, [0, 2]].sum(axis=1), above[:, [0, 2]].sum(axis=1), atol=2)
    assert (above[:, 1] - at[:, 3] < 10).all(), "a title far from its image"
    aspect = (at[:, 2] - at[:, 0]) / (at[:, 3] - at[:, 1])
    np.testing.assert_allclose(aspect, 3 / 2, rtol=0.03)
    order = np.lexsort((at[:, 0].round(), -at[:, 1].round()))  # as one reads
    assert order.tolist() == list(range(count))
    assert len(np.unique(at[:, 1].round())) == rows
    assert len(np.unique(at[:, 0].round())) == min(columns, count)


@pytest.mark.parametrize(
    ("images", "limits"),
    [
        ([[[0.0, 0.5]], [[0.25, 4.0]]], (0, 4)),
        ([[[-1.0, 0.5]], [[0.25, 0.0]]], (-1, 0.5)),
        ([[[0.0]], [[0.0]]], (0, 1)),  # nothing is white, not black
        ([[[3.0]], [[3.0]]], (0, 3)),
        (np.array([[[0, 255]]], np.uint8), (0, 255)),
        (np.array([[[True, False]]]), (0, 1)),
        ([[[np.nan, np.inf, 2.0]]], (0, 2)),
    ],
)
def test_ink_has_one_scale_for_all_images(images: Any, limits: tuple[float, float]) -> None:
    """Else a faint image would look like a dark one."""
    low, high = limits
    expected = 1 - (np.array(images, float) - low) / (high - low)
    pixels = shown(plots.show_images(Figure(), images), expected.shape[1:])
    kept = np.isfinite(expected)
    np.testing.assert_allclose(pixels[kept].T, [expected[kept]] * 3, atol=0.008)


def test_signed_values_are_red_above_and_blue_below() -> None:
    axes = plots.show_images(Figure(), np.array([[[-2, 0, 2]], [[-1, 0, 0]]]), diverging=True)
    expected = colormaps["RdBu_r"]([0.0, 0.5, 1.0, 0.25, 0.5, 0.5])[:, :3].reshape(2, 3, 3)
    np.testing.assert_allclose(shown(axes, (1, 3))[:, 0], expected, atol=0.008)


def test_the_least_integer_has_no_absolute_value() -> None:
    """|−128| is −128 in int8."""
    axes = plots.show_images(Figure(), np.array([[[-128, 1]]], np.int8), diverging=True)
    ends = colormaps["RdBu_r"]([0.0, 129 / 256])[:, :3]
    np.testing.assert_allclose(shown(axes, (1, 2))[0, 0], ends, atol=0.01)


@pytest.mark.parametrize(("dtype", "top"), [(np.float32, 1), (np.uint8, 255), (np.int64, 255)])
def test_colours_are_themselves(dtype: Any, top: int) -> None:
    colours = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    images = (top * colours).T.reshape(1, 3, 1, 3).astype(dtype)
    axes = plots.show_images(Figure(), images)
    np.testing.assert_array_equal(shown(axes, (1, 3)), [[colours]])


def test_signed_colours_are_grey_at_zero() -> None:
    image = np.array([[-4.0, 0, 4], [0, 0, 2], [0, 0, 0]]).T.reshape(1, 3, 1, 3)
    axes = plots.show_images(Figure(), image, diverging=True)
    expected = [[[0, 0.5, 1], [0.5, 0.5, 0.75], [0.5, 0.5, 0.5]]]
    np.testing.assert_allclose(shown(axes, (1, 3))[0], expected, atol=0.003)


@pytest.mark.parametrize("diverging", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_broken_values_stand_out(channels: int, diverging: bool) -> None:
    images = np.zeros((1, channels, 1, 3))
    images[0, 0, 0] = np.nan, 0.5, np.inf
    axes = plots.show_images(Figure(), images, diverging=diverging)
    pixels = shown(axes, (1, 3))[0, 0]
    for broken in pixels[[0, 2]]:
        np.testing.assert_allclose(broken, to_rgb(plots.BROKEN), atol=0.01)
    assert abs(pixels[1] - pixels[0]).max() > 0.3


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_side_by_side_have_one_scale(channels: int) -> None:
    images = np.array([[[[-0.5, 0.0, 2.0]]] * channels])
    figure = Figure()
    parts: Any = figure.subfigures(1, 2)
    alone = plots.show_images(parts[0], images, diverging=True)
    beside = plots.show_images(parts[1], 2 * images, diverging=True, limit=4)
    np.testing.assert_allclose(shown(alone, (1, 3)), shown(beside, (1, 3)), atol=0.008)
    half = shown(plots.show_images(Figure(), [[[0.0, 1.0, 4.0]]], limit=2), (1, 3))[0, 0]
    np.testing.assert_allclose(half.mean(axis=-1), [1, 0.5, 0], atol=0.008)
    faint = plots.show_images(Figure(), images, diverging=True, limit=40)
    assert abs(shown(faint, (1, 3))[0, 0] - shown(faint, (1, 3))[0, 0, 1]).max() < 0.1


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (np.zeros((5, 64)), ShapeError, r"\(5, 64\).*images\.reshape"),
        (np.zeros((5, 2, 8, 8)), ShapeError, r"\(5, 2, 8, 8\).*1 or 3 channels"),
        (np.zeros((0, 8, 8)), ShapeError, r"\(0, 8, 8\)"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], ShapeError, "differ in shape"),
        (np.array([["a"]]), DtypeError, "<U1"),
        (np.full((1, 3, 2, 2), 1.5), ShapeError, r"0 to 1\.5, not in 0 … 1.*diverging=True"),
        (np.full((1, 3, 2, 2), -1), ShapeError, r"-1 to 0, not in 0 … 255"),
    ],
)
def test_what_is_no_image_is_named(images: Any, error: type[Exception], words: str) -> None:
    figure = Figure()
    with pytest.raises(error, match=rf"show_images: .*{words}.*\(at .*test_plots\.py"):
        plots.show_images(figure, images)
    assert not figure.axes


def test_other_arguments_of_images() -> None:
    figure = Figure()
    images = np.zeros((2, 3, 3))
    with pytest.raises(ShapeError, match="1 titles for 2 images"):
        plots.show_images(figure, images, ["one"])
    with pytest.raises(ArgumentError, match="columns=0"):
        plots.show_images(figure, images, columns=0)
    with pytest.raises(ArgumentError, match=r"limit ?= ?-1; give a number above 0.*\(at "):
        plots.show_images(figure, images, limit=-1)
    with pytest.raises(ArgumentError, match=r"limit=1; .*none for colours"):
        plots.show_images(figure, np.ones((1, 3, 2, 2)), limit=1)
    assert not figure.axes
    with pytest.raises(DtypeError, match=r"figure = .* must be a Figure or SubFigure"):
        plots.show_images(figure.subplots(), images)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "titles", "whole"),
    [((5, 3), ["a\nb"] * 20, "all"), ((8, 2), ["a name wider than its image"] * 4, "")],
)
def test_titles_have_room_in_figures_of_any_size(size: Any, titles: Any, whole: Any) -> None:
    figure = plots.figure(*size)
    assert figure.get_size_inches().tolist() == [*size]
    axes = plots.show_images(figure, np.ones((len(titles), 2, 2)), titles, title=whole)
    places = boxes(axes, [*axes.texts, *figure.texts])
    assert apart(places)
    assert (places > 0).all()
    assert (places < np.tile(figure.bbox.size, 2)).all()


def test_gaps_are_blank() -> None:
    axes = plots.show_images(plots.figure(3, 3), np.ones((3, 2, 2)), columns=2)
    picture = drawn(axes)
    for left, bottom, right, top in boxes(axes).astype(int):
        picture[bottom - 1 : top + 3, left - 1 : right + 3] = 255
    assert (picture == 255).all()


def test_titles_without_room_are_still_drawn() -> None:
    """However small the figure is, the images stay in their order and the right way up."""
    for figure in (plots.figure(1, 1), Figure(figsize=(1, 0.2))):
        axes = plots.show_images(figure, np.zeros((40, 2, 2)), ["long name"] * 40, 4, "all")
        left, bottom, *_ = boxes(axes)[[0, 1, 4]].T
        assert left[0] < left[1]
        assert bottom[0] > bottom[2]


def test_curves_are_the_numbers() -> None:
    """With a gap where one is missing, and a mark where there is one alone."""
    axes: Any = Figure().subplots()
    series: dict[str, Any] = {"training": [0.5, None, 1.0], "test": gg.Tensor([0.25])}
    plots.show_curves(axes, series, "Accuracy", ylabel="share", percent=True)
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_xydata(), [[1, 0.5], [2, np.nan], [3, 1]])
    np.testing.assert_array_equal(second.get_xydata(), [[1, 0.25]])
    assert [line.get_marker() in ("", "None") for line in axes.get_lines()] == [True, False]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (
        "Accuracy",
        "epoch",
        "share",
    )
    assert axes.get_legend_handles_labels()[1] == ["training", "test"]
    assert axes.get_yscale() == "linear"
    assert axes.yaxis.get_major_formatter()(0.5) == "50%"
    axes.figure.draw_without_rendering()
    assert all(place == int(place) for place in axes.get_xticks()), "there is no epoch 1.5"


def test_logarithmic_scale_leaves_out_zero() -> None:
    """Drawn at the lower edge it would look like a small loss."""
    axes: Any = Figure().subplots()
    plots.show_curves(axes, {"loss": [1.0, 0.0, 0.01]}, log=True, x=[0, 10, 20])
    assert axes.get_yscale() == "log"
    path = axes.transData.transform(axes.get_lines()[0].get_xydata())
    assert np.isfinite(path).all(axis=1).tolist() == [True, False, True]
    assert axes.get_lines()[0].get_xdata().tolist() == [0, 10, 20]


def test_seeds_over_one_another_look_alike() -> None:
    axes: Any = Figure().subplots()
    axes.axhline(0.1, label="guessing")
    for seed in range(3):
        plots.show_curves(axes, {f"curve {i}": [i, i + seed] for i in range(6)})
    lines = axes.get_lines()[1:]
    assert len(lines) == 18
    for again in (lines[6:12], lines[12:]):
        for line, first in zip(again, lines, strict=False):
            assert line.get_color() == first.get_color()
            assert line.is_dashed() == first.is_dashed()
            assert line.get_linewidth() == first.get_linewidth()
    assert lines[12].get_ydata().tolist() == [0, 2]
    names = axes.get_legend_handles_labels()[1]
    assert names == ["guessing", *(f"curve {i}" for i in range(6))]


def test_36_curves_differ_in_colour_or_style() -> None:
    looks = [plots.curve_style(number) for number in range(36)]
    assert len(set(looks)) == 36
    first = looks[: len(plots.COLOURS)]
    assert len({colour for colour, _ in first}) == len({style for _, style in first}) == len(first)


@pytest.mark.parametrize(
    ("series", "options", "error", "words"),
    [
        ({"loss": [[1.0, 2.0]]}, {}, ShapeError, r"'loss' is \(1, 2\); give a row"),
        ({"loss": []}, {}, ShapeError, r"'loss' is \(0,\)"),
        ({"loss": [1, 2]}, {"x": [1, 2, 3]}, ShapeError, r"'loss' is \(2,\) at x \(3,\)"),
        ({"fine": [1.0], "loss": ["a"]}, {}, DtypeError, "'loss' is no row of real numbers"),
    ],
)
def test_what_is_no_curve_is_named(
    series: Any, options: Any, error: type[Exception], words: str
) -> None:
    axes: Any = Figure().subplots()
    with pytest.raises(error, match=rf"show_curves: {words}.*\(at .*test_plots\.py"):
        plots.show_curves(axes, series, **options)
    assert not axes.get_lines()
    with pytest.raises(DtypeError, match=r"axes = <Figure .* must be Axes"):
        plots.show_curves(Figure(), {"loss": [1]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.png", b"\x89PNG"), ("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")],
)
def test_saves(tmp_path: Path, name: str, start: bytes) -> None:
    figure = Figure(figsize=(1, 1))
    parts: Any = figure.subfigures(1, 2)
    for drawn in (figure, parts[0]):  # the part stands for the whole
        assert plots.save(drawn, str(tmp_path / name)) == tmp_path / name
        assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_matplotlib_is_optional(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (
        lambda: plots.figure(1, 1),
        lambda: plots.show_images(figure, np.zeros((1, 2, 2))),
        lambda: plots.show_curves(axes, {"a": [1]}),
        lambda: plots.save(figure, tmp_path / "a.png"),
    ):
        with pytest.raises(UnsupportedError, match=r"needs matplotlib: pip install .*\[train\]"):
            call()


def test_matplotlib_is_not_imported_unasked() -> None:
    """It takes longer than everything else here together."""
    code = "import sys, graphgrad as gg; gg.viz.plots.curve_style(0); "
    code += "print('matplotlib' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
