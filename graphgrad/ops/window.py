"""Sliding windows over an array, and padding."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.lib.stride_tricks import sliding_window_view as numpy_windows

from graphgrad.engine.accumulate import scatter_add
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, UnsupportedError
from graphgrad.typing import Array

# --------------------------------------------------------------------------------- windows


def _axes_and_lengths(window_shape: Any, axis: Any, ndim: int) -> list[tuple[int, int]]:
    """Return pairs of an axis, as a non-negative number, and the length of its window."""
    lengths = window_shape if np.ndim(window_shape) else (window_shape,)
    axes = range(ndim) if axis is None else axis if np.ndim(axis) else (axis,)
    pairs = zip(axes, lengths, strict=True)
    return [(normalize_axis_index(int(i), ndim), int(n)) for i, n in pairs]


def _overlap_add(
    windows: Array, shape: tuple[int, ...], window_shape: Any, axis: Any = None
) -> Array:
    """Undo one window axis at a time, by as many additions of arrays as the window is long."""
    out = windows
    for place, length in reversed(_axes_and_lengths(window_shape, axis, len(shape))):
        count = out.shape[place]
        total = np.zeros_like(
            out, shape=(*out.shape[:place], count + length - 1, *out.shape[place + 1 : -1])
        )
        before = (slice(None),) * place
        if length <= count:
            for i in range(length):
                total[(*before, slice(i, i + count))] += out[..., i]
        else:  # few long windows: add each of them
            for i in range(count):
                window = np.moveaxis(out[(*before, i)], -1, place)
                total[(*before, slice(i, i + length))] += window
        out = total
    return out


overlap_add: Op[Tensor] = op(
    _overlap_add,
    lambda g, window_shape, axis: sliding_window_view(g, window_shape, axis),
    name="overlap_add",
    symbol="overlap_add",
    domain=Cases(
        lambda r: call(r(3, 2), (4,), 2),
        lambda r: call(r(2, 2, 3, 2), (4, 3), (3, 2)),
        lambda r: call(r(2, 3, 2), (2, 4), 2, axis=-1),
        lambda r: call(r(2, 4), (5,), 4),
    ),
    doc="Windows added up where they overlap. Gradient: the windows of g.",
)
sliding_window_view: Op[Tensor] = op(
    numpy_windows,
    lambda g, x_shape, window_shape, axis: overlap_add(g, x_shape, window_shape, axis),
    forward=lambda x, window_shape, axis=None: numpy_windows(x, window_shape, axis),
    view=True,
    name="sliding_window_view",
    symbol="windows",
    domain=Cases(
        lambda r: call(r(5), 3),
        lambda r: call(r(4, 5), (2, 3)),
        lambda r: call(r(4, 5), 2, axis=1),
        lambda r: call(r(4, 5), 4, axis=-2),
        lambda r: call(r(2, 4, 5), (2, 4), axis=(2, 1)),
        lambda r: call(r(6), (2, 3), axis=(0, 0)),
        lambda r: call(r(3), 1),
    ),
    doc="Every window of a shape. Gradient: the windows of g added up where they overlap.",
)


# --------------------------------------------------------------------------------- margins

_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def _margins(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Return the widths as (before, after) for every axis."""
    if isinstance(pad_width, dict):
        given = {normalize_axis_index(i, ndim): w for i, w in pad_width.items()}
        pad_width = [given.get(i, 0) for i in range(ndim)]
        pad_width = [w if np.ndim(w) else (w, w) for w in pad_width]
    pairs = np.broadcast_to(np.asarray(pad_width), (ndim, 2)) if ndim else np.zeros((0, 2), int)
    if pairs.dtype.kind not in "iu":
        raise DtypeError(f"pad: pad_width {pad_width} holds other than whole numbers")
    return tuple(map(tuple, pairs.tolist()))


def _pad(array: Array, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Array:
    if mode not in _MODES:
        message = f"pad: mode={mode!r} is not supported; there are {', '.join(_MODES)}"
        raise UnsupportedError(message)
    pairs = _margins(pad_width, np.ndim(array))
    filled = {"constant_values": constant_values} if mode == "constant" else {}
    return np.pad(array, pairs or 0, mode, **filled), pairs


pad: Op[Tensor] = op(
    np.pad,
    lambda g, saved, mode: unpad(g, saved, mode),
    forward=_pad,
    symbol="pad",
    domain=Cases(
        lambda r: call(r(2, 3), 1),
        lambda r: call(r(2, 3), (1, 2), constant_values=4),
        lambda r: call(r(2, 3), ((0, 1), (2, 0)), "constant"),
        lambda r: call(r(2, 3), ((2, 1), (4, 3)), "edge"),
        lambda r: call(r(2, 3), ((0, 1), (2, 5)), mode="reflect"),
        lambda r: call(r(2, 3), 3, "symmetric"),
        lambda r: call(r(2, 3), ((1,), (4,)), "wrap"),
        lambda r: call(r(3), 0, "wrap"),
        lambda r: call(r(0, 2), 1),
        lambda r: call(r(1), 2, "reflect"),
    ),
    doc="Margins around an array. Gradient: g without them, added to what filled them.",
)


def _unpad(values: Array, pad_width: tuple[tuple[int, int], ...], mode: Any = "constant") -> Array:
    out = values
    for place, (before, after) in enumerate(pad_width):
        length = out.shape[place] - before - after
        ahead = (slice(None),) * place
        inner = out[(*ahead, slice(before, before + length))]
        if mode != "constant" and before + after:
            sources = np.pad(np.arange(length), (before, after), mode)
            inner = inner.copy()
            for margin in (slice(before), slice(before + length, None)):
                scatter_add(inner, (*ahead, sources[margin]), out[(*ahead, margin)])
        out = inner
    return out.copy()


unpad: Op[Tensor] = op(
    _unpad,
    lambda g, pad_width, mode: np.pad(g, pad_width or 0, mode),
    name="unpad",
    symbol="unpad",
    domain=Cases(
        lambda r: call(r(3, 4), ((1, 1), (0, 2))),
        lambda r: call(r(3, 6), ((1, 0), (2, 2)), "edge"),
        lambda r: call(r(7), ((3, 2),), "reflect"),
        lambda r: call(r(7), ((3, 2),), "symmetric"),
        lambda r: call(r(7), ((3, 2),), "wrap"),
    ),
    doc="Margins cut off, each added to the elements that had filled it. Gradient: g padded.",
)
