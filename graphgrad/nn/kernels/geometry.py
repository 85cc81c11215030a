"""Arguments that windows over images share: kernels, strides, paddings, and what fits."""

from typing import Any, NamedTuple

import numpy as np

from graphgrad.arguments import size as size_of, wrong
from graphgrad.engine.operands import as_array
from graphgrad.errors import ShapeError
from graphgrad.nn.kernels.correlation import Axis
from graphgrad.typing import Array

Axes = tuple[Axis, Axis]  # down and across
LAYOUTS = {1: "(N, C, L) or (C, L)", 2: "(N, C, H, W) or (C, H, W)"}


def numbers_of(name: str, what: str, value: Any, least: int, axes: int) -> tuple[int, ...]:
    """Return one whole number per axis, each ``least`` or more; a single one is for all axes."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(numbers) != axes:
        raise wrong(
            name, what, value, "a whole number or a pair" if axes == 2 else "a whole number"
        )
    return tuple(size_of(name, what, n, least) for n in numbers)


class WindowSizes(NamedTuple):
    """What windows are made by, a number for each axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


def window_sizes(
    name: str, axes: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> WindowSizes:
    """Check the arguments of windows."""
    return WindowSizes(
        numbers_of(name, "kernel_size", kernel_size, 1, axes),
        numbers_of(name, "stride", stride, 1, axes),
        numbers_of(name, "padding", padding, 0, axes),
        numbers_of(name, "dilation", dilation, 1, axes),
    )


def image_of(name: str, x: Array, axes: int = 2) -> Array:
    """Return an array of images, one or many, or say that it is none."""
    x = as_array(x)
    if x.ndim - axes not in (1, 2):
        raise ShapeError(f"{name}: x {x.shape} must be {LAYOUTS[axes]}")
    return x


def windows_on(
    name: str,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[Any, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool = False,
) -> Axes:
    """Count the windows: ⌊(W − F + P_before + P_after) / S⌋ + 1, F the reach of a dilated kernel.

    The padding of an axis is a number, or a pair. For sequences the first axis is one.
    ``ceil_mode`` rounds up, as long as a window starts inside the image or the padding before it: a
    window larger than all of it may be the only one, as in PyTorch.

    Raises
    ------
    ShapeError
        If not even one window fits.
    """
    sizes = shape[-len(kernel) :]
    paddings = [p if isinstance(p, tuple) else (p, p) for p in padding]
    found = []
    for size, k, s, (before, after), d in zip(
        sizes, kernel, stride, paddings, dilation, strict=True
    ):
        room = size + before + after - d * (k - 1) - 1
        out = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (out - 1) * s >= size + before:
            out -= 1
        if out < 1:
            spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
            padded = tuple(n + sum(m) for n, m in zip(sizes, paddings, strict=True))
            raise ShapeError(
                f"{name}: x {shape} is {padded} with its padding, and the kernel spans {spans}: "
                "take a smaller kernel, or pad more"
            )
        found.append(Axis(size, out, k, s, d, before))
    down, across = found if len(found) == 2 else (Axis(1, 1, 1), *found)
    return down, across


def overlaps(axis: Axis) -> bool:
    """Whether an element can belong to several windows."""
    return axis.out > 1 and axis.dilation * (axis.kernel - 1) >= axis.stride


def tap_of(axis: Axis, tap: int) -> slice:
    """Return the elements that one tap meets, counted from the start of the padding."""
    first = axis.dilation * tap
    return slice(first, first + axis.stride * (axis.out - 1) + 1, axis.stride)


def fits(down: Axis, across: Axis) -> bool:
    """Whether no window reaches into the padding."""
    return down.is_inside() and across.is_inside()


def padded_size(down: Axis, across: Axis) -> tuple[int, int]:
    """Return the size of an image with the padding that its windows need."""
    if fits(down, across):
        return down.size, across.size
    return down.length(down.out), across.length(across.out)


def _inner(padded: Any, down: Axis, across: Axis) -> Array:
    """Return the part of a padded image that is not padding."""
    height, width = padded_size(down, across)
    rows = slice(down.before, min(down.before + down.size, height))
    return padded[..., rows, across.before : min(across.before + across.size, width)]


def pad(x: Array, down: Axis, across: Axis, fill: float = 0.0) -> Array:
    """Pad images as far as their windows reach; where none reaches out, return them."""
    if fits(down, across):
        return x
    out = np.full_like(x, fill, shape=(*x.shape[:-2], *padded_size(down, across)))
    inner = _inner(out, down, across)
    inner[...] = x[..., : inner.shape[-2], : inner.shape[-1]]
    return out


def crop(padded: Any, down: Axis, across: Axis) -> Array:
    """Cut the padding off, the adjoint of `pad`: what no window meets is 0."""
    if fits(down, across):
        return padded
    inner = _inner(padded, down, across)
    if inner.shape[-2:] == (down.size, across.size):
        return inner
    out = np.zeros_like(padded, shape=(*padded.shape[:-2], down.size, across.size))
    out[..., : inner.shape[-2], : inner.shape[-1]] = inner
    return out
