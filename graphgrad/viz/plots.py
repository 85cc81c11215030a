"""Pictures of arrays, drawn by matplotlib (extra: train): images, curves, and saving them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphgrad.arguments import guarded, path as path_of, positive, several, whole, wrong
from graphgrad.engine.operands import unwrapped
from graphgrad.errors import ArgumentError, DtypeError, PictureError, ShapeError, UnsupportedError
from graphgrad.files import atomic_write
from graphgrad.typing import Array
from graphgrad.viz.formulas.number_format import number as number

if TYPE_CHECKING:  # matplotlib is optional, and slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# The palette of all pictures: colour-blind readers can distinguish the colours
# (tests/viz/test_colours.py); on a grey print line styles differ.
COLOURS = BLUE, ORANGE, GOLD, BLACK, SKY, PLUM = (
    "#005A9C",
    "#B34700",
    "#C18D15",
    "#222222",
    "#3D99D6",
    "#871D55",
)
STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
GUIDE = "#808080"  # auxiliary lines: axes through 0, limits, earlier states
PAPER, FRAME = "#FFFFFF", "#BBBBBB"
AREAS, PALE = (BLUE, ORANGE, BLACK), 0.35  # colours that differ at this opacity
# Colour maps of matplotlib.
SIGNED = "RdBu_r"  # red above 0, white at 0, blue below: limits -v and v
AMOUNT = "Blues"  # amounts: from nearly white to blue
INK = "gray_r"  # white paper, black ink
BROKEN = "#66FF00"  # NaN and infinity: a colour of no map
MAX_DOTS = 2**16 - 1  # along one side of a picture, in matplotlib
SMALL = 9  # points, the titles of images


@guarded
def figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches, with matplotlib's constrained layout.

    It belongs to no window; see `save`. Raises UnsupportedError without matplotlib.
    """
    _matplotlib("figure")
    size = positive("figure", "width", width), positive("figure", "height", height)
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


@guarded
def show_images(
    figure: "Figure | SubFigure",
    images: Array,
    titles: Sequence[Any] | None = None,
    columns: int = 10,
    title: str = "",
    diverging: bool = False,
    limit: float | None = None,
) -> "Axes":
    """Draw images in rows, all to one scale, and return their axes.

    The images are one mosaic on one axes, since matplotlib takes seconds for a hundred of these.
    Coordinates are pixels of the images, to the right and down; ``axes.collections[0]`` has the
    frames in order.

    One channel is drawn in grey: 0 is white (or the minimum, if that is lower), the maximum of all
    images is black. Three channels are red, green and blue, 0 to 1, or 0 to 255 for integers. NaN
    and infinity are green.

    Parameters
    ----------
    figure
        A matplotlib Figure or SubFigure, best with ``layout="constrained"``; space for the titles
        is computed from its current size.
    images
        (N, H, W) or (N, C, H, W) with 1 or 3 channels C.
    titles
        The title of each image.
    columns
        The number of images in a row.
    title
        The title of all.
    diverging
        Whether values are signed, as those of filters: red above 0, white at 0, blue below, with
        one limit for all. With three channels 0 is grey.
    limit
        The value of full colour, to draw several pictures to one scale. Default: the maximum of
        these images. With three channels for signed values only.

    Raises
    ------
    ShapeError
        If images or titles have the wrong shape or number, or colours are out of range.
    ArgumentError
        If the limit is not above 0, or given for colours.
    DtypeError
        If values are no real numbers, or ``figure`` is no Figure.
    UnsupportedError
        Without matplotlib.
    """
    mpl = _matplotlib("show_images")
    _require("show_images", "figure", figure, "a Figure or SubFigure", "subplots")
    pixels = _checked_images(images)
    count = len(pixels)
    if titles is not None:
        titles = several("show_images", "titles", titles, "titles")
    if titles is not None and len(titles) != count:
        message = f"show_images: {len(titles)} titles for {count} images; give one for each"
        raise ShapeError(message)
    if columns < 1:
        raise ArgumentError(f"show_images: columns={columns}, below 1")
    if limit is not None and not (0 < limit < np.inf and (diverging or pixels.ndim == 3)):
        message = f"show_images: limit={limit:g}; give a number above 0, and none for colours"
        raise ArgumentError(message)
    if pixels.ndim == 4:
        colours = _checked_colours(pixels, diverging, limit)
    else:
        colours = _grey_or_signed(mpl, pixels, diverging, limit)
    _, height, width, _ = colours.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    words = [] if titles is None else [str(each) for each in titles]
    layout = _layout_of_images(figure, (height, width), (rows, columns), words, bool(title))
    across, down, above, point = layout

    tiles = np.zeros((rows * columns, height + 1, width + 1, 4), np.uint8)  # gaps: transparent
    tiles[:count, :-1, :-1, :3] = colours
    tiles[:count, :-1, :-1, 3] = 255
    shape = rows * (height + 1), columns * (width + 1), 4
    mosaic = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2).reshape(shape)
    x = np.add.outer(np.arange(columns) * across, np.arange(width + 1)).ravel()
    y = np.add.outer(np.arange(rows) * down, np.arange(height + 1)).ravel()
    axes = figure.subplots()
    axes.pcolorfast(x, y, mosaic[:-1, :-1])  # unlike imshow: gaps of any width

    corners = [(i % columns * across, i // columns * down) for i in range(count)]
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    style = {"facecolors": "none", "edgecolors": FRAME, "linewidths": 0.6, "clip_on": False}
    frames = mpl.collections.PolyCollection([frame + corner for corner in corners], **style)
    axes.add_collection(frames, autolim=False)
    for (left, top), text in zip(corners, words, strict=False):
        place = left + width / 2, top - 4 * point
        axes.text(*place, text, fontsize=SMALL, ha="center", in_layout=False)
    margin = (across - width) / 2 - 3 * point  # half a gap less: where titles are wider
    axes.set(xlim=(-margin, x[-1] + margin), ylim=(y[-1], -above))
    axes.set(xticks=[], yticks=[], frame_on=False, aspect="equal")
    if title:
        axes.set_anchor("N")  # next to the title
        figure.suptitle(title)
    return axes


@guarded
def show_curves(
    axes: "Axes",
    series: Mapping[str, Sequence[float]],
    title: str = "",
    xlabel: str = "epoch",
    ylabel: str = "",
    log: bool = False,
    *,
    x: Sequence[float] | None = None,
    percent: bool = False,
) -> None:
    """Draw series of numbers against 1, 2, 3, …, each in its own style, with a legend.

    A name that is already on the axes keeps its style and its one entry in the legend, so that runs
    of several seeds can be overlaid. NaN and None leave a gap, and so do numbers ≤ 0 on a
    logarithmic scale.

    Parameters
    ----------
    axes
        Axes of matplotlib.
    series
        The numbers by name.
    title, xlabel, ylabel
        The labels.
    log
        Whether the vertical scale is logarithmic.
    x
        Horizontal positions for all series; None is 1, 2, 3, ….
    percent
        Whether fractions are written as percentages.

    Raises
    ------
    ShapeError
        If a series is empty or not one-dimensional, or ``x`` has another length.
    DtypeError
        If a value is no real number, or ``axes`` is no Axes.
    UnsupportedError
        Without matplotlib.
    """
    ticker = _matplotlib("show_curves").ticker
    _require("show_curves", "axes", axes, "Axes", "plot")
    curves = {str(name): _checked_curve(name, values, x) for name, values in series.items()}
    known = {
        str(line.get_label()): line
        for line in axes.get_lines()
        if line.get_transform() == axes.transData  # excludes axhline
    }
    count = sum(not label.startswith("_") for label in known)
    for name, (places, values) in curves.items():
        colour, style = curve_style(count)
        (line,) = axes.plot(places, values, color=colour, ls=style, lw=2, label=name)
        if name in known:
            line.update_from(known[name])
            line.set_label("_again")
        else:
            count += 1
        line.set_marker("o" if len(values) == 1 else "")  # a line of one point is invisible
    if log:
        axes.set_yscale("log", nonpositive="mask")
    if x is None:
        axes.xaxis.set_major_locator(ticker.MaxNLocator("auto", integer=True))
    if percent:
        axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    tidy(axes)


@guarded
def curve_style(number: int) -> tuple[str, Any]:
    """Return the colour and the line style of curve 0, 1, 2, …; there are 36 combinations."""
    turn, place = divmod(whole("look", "number", number, 0), len(COLOURS))
    return COLOURS[place], STYLES[(place + turn) % len(STYLES)]


def tidy(axes: "Axes") -> None:
    """Give axes a light grid, no spines at the top and right, and a legend if curves have names."""
    _require("tidy", "axes", axes, "Axes", "get_legend_handles_labels")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)


@guarded
def save(figure: "Figure | SubFigure", path: str | os.PathLike[str], *, dpi: int = 120) -> Path:
    """Write a figure to a file, atomically; an old file is replaced.

    Parameters
    ----------
    figure
        A Figure; or a SubFigure, for the Figure that it belongs to.
    path
        The file; its suffix is the format: .png, .svg, .pdf or another one of matplotlib.
    dpi
        Dots per inch.

    Raises
    ------
    PictureError
        For an unknown suffix, a missing folder, or a path that cannot be written.
    UnsupportedError
        Without matplotlib.
    """
    _matplotlib("save")
    _require("save", "figure", figure, "a Figure or SubFigure", "subplots")
    path = path_of("save", "path", path)
    dpi = whole("save", "dpi", dpi, 1)
    drawn = figure.figure  # of a Figure: itself
    if dpi * max(drawn.get_size_inches()) > MAX_DOTS:
        message = f"save: dpi = {dpi} makes more than {MAX_DOTS} dots of one side of the figure"
        raise ArgumentError(message)
    suffix = path.suffix.lower().removeprefix(".")
    known = drawn.canvas.get_supported_filetypes()
    if suffix not in known:
        raise PictureError(f"save: '{path}' ends in none of {', '.join(f'.{s}' for s in known)}")
    if not path.parent.is_dir():
        raise PictureError(f"save: there is no folder '{path.parent}'")
    try:
        with atomic_write(path) as unfinished:
            drawn.savefig(unfinished, format=suffix, dpi=dpi)
    except OSError as error:
        raise PictureError(f"save: cannot write '{path}': {error.strerror}") from error
    return path


# ------------------------------------------------------------------------------- checks


def _require(who: str, what: str, value: Any, wanted: str, method: str) -> None:
    """Raise DtypeError unless a value has a method."""
    if not hasattr(value, method):
        raise wrong(who, what, value, wanted)


def _checked_images(images: Array) -> Array:
    """Return images as (N, H, W), or (N, H, W, 3) in colour; floats or integers."""
    try:
        pixels = np.asarray(unwrapped(images))
    except ValueError as error:
        message = "show_images: the images differ in shape; draw each shape by itself"
        raise ShapeError(message) from error
    if pixels.dtype.kind not in "biuf":
        message = f"show_images: images are {pixels.dtype}; give real numbers"
        raise DtypeError(message)
    shape = pixels.shape
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] not in (1, 3)) or 0 in shape:
        message = (
            f"show_images: {shape}; give images (N, H, W), or (N, C, H, W) with 1 or 3 channels C"
            f"{', as images.reshape(-1, 8, 8) makes from 64 pixels' if len(shape) == 2 else ''}"
        )
        raise ShapeError(message)
    if pixels.dtype.kind == "b" or pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if len(shape) == 3:
        return pixels
    return pixels[:, 0] if shape[1] == 1 else pixels.transpose(0, 2, 3, 1)


def _range(pixels: Array) -> tuple[float, float]:
    """Return minimum and maximum of 0 and the finite values."""
    finite = pixels[np.isfinite(pixels)]
    return float(finite.min(initial=0)), float(finite.max(initial=0))


def _grey_or_signed(mpl: Any, pixels: Array, diverging: bool, limit: float | None) -> Any:
    """Return the colours of values, (N, H, W, 3), from 0 to 255."""
    low, high = _range(pixels)
    if diverging:
        high = limit or max(-low, high) or 1.0
        low = -high
    elif limit or high == low:
        high = limit or low + 1
    cmap = mpl.colormaps[SIGNED if diverging else INK].with_extremes(bad=BROKEN)
    shares = mpl.colors.Normalize(low, high)(np.ma.masked_invalid(pixels))
    return cmap(shares, bytes=True)[..., :3]


def _checked_colours(pixels: Array, diverging: bool, limit: float | None) -> Any:
    """Return colours from 0 to 255, (N, H, W, 3); raise ShapeError if they are out of range."""
    low, high = _range(pixels)
    if diverging:
        shares = 0.5 + pixels / (2 * (limit or max(-low, high) or 1.0))
    else:
        whole = pixels.dtype.kind in "iu"
        top = 255 if whole else 1
        slack = 0 if whole else 1e-6  # sums of float32 may be a hair above 1
        if low < -slack or high > top + slack:
            message = (
                f"show_images: colours from {low:g} to {high:g}, not in 0 … {top}; scale them, "
                "or pass diverging=True for signed values"
            )
            raise ShapeError(message)
        shares = pixels / top
    broken = ~np.isfinite(shares).all(axis=-1, keepdims=True)
    green = [int(BROKEN[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.rint(255 * np.where(broken, green, shares.clip(0, 1)))


def _layout_of_images(
    figure: Any,
    shape: tuple[int, int],
    grid: tuple[int, int],
    titles: Sequence[str],
    headed: bool,
) -> tuple[float, float, float, float]:
    """Return the steps across and down, the height of titles, and the size of a point, in pixels.

    Titles have a fixed size in points, so their size in pixels depends on the scale that fits.
    """
    texts = [text.split("\n") for text in titles]
    above = 1.25 * SMALL * max(map(len, texts), default=0) + (4 if texts else 0)  # all in points
    widest = 0.6 * SMALL * max((len(line) for text in texts for line in text), default=0)
    gap = 6.0
    room = 72 * np.array([figure.bbox.height, figure.bbox.width]) / figure.dpi
    room = np.maximum(room - (gap + 20 * headed, gap), 1)
    each = (room + gap) / grid
    inner = np.maximum(each - (above + gap, gap), 0.2 * each)  # titles overlap if all too small
    scale = float((inner / shape).min())
    across = max(shape[1] * scale, min(widest, each[1] - gap)) + gap
    down = shape[0] * scale + above + gap
    return across / scale, down / scale, above / scale, 1 / scale


def _checked_curve(name: str, values: Any, x: Any) -> tuple[Any, Any]:
    """Return the positions and the numbers of a series."""
    try:
        numbers = np.asarray(unwrapped(values), dtype=float)
        places = np.arange(1, numbers.size + 1) if x is None else np.asarray(unwrapped(x), float)
    except (TypeError, ValueError) as error:
        message = f"show_curves: '{name}' is no row of real numbers: {error}"
        raise DtypeError(message) from error
    if numbers.ndim != 1 or not numbers.size or places.shape != numbers.shape:
        at = "" if x is None else f" at x {places.shape}"
        message = f"show_curves: '{name}' is {numbers.shape}{at}; give a row of numbers"
        raise ShapeError(f"{message}{', as many as x has' if at else ''}")
    return places, numbers


def _matplotlib(who: str) -> Any:
    try:
        import matplotlib as mpl
        import matplotlib.collections
        import matplotlib.ticker
    except ImportError as error:
        message = f"{who} needs matplotlib: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    return mpl
