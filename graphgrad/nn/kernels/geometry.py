"""Arguments that windows over images share: kernels, strides, margins, and what fits."""

from typing import Any

import numpy as np

from graphgrad.arguments import WIDEST, shown
from graphgrad.engine.operands import as_array
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn.kernels.correlation import Axis
from graphgrad.typing import Array

Axes = tuple[Axis, Axis]  # down and across
_LAYOUTS = {1: "(N, C, L) or (C, L)", 2: "(N, C, H, W) or (C, H, W)"}


def numbers_of(name: str, what: str, value: Array, least: int, axes: int) -> tuple[int, ...]:
    """Return one whole number per axis, each ``least`` or more, or say what is wrong."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    wanted = "a whole number or a pair" if axes == 2 else "a whole number"
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in numbers)
    if len(numbers) != axes or not whole:
        raise DtypeError(f"{name}: {what}={shown(value)} must be {wanted}")
    if max(numbers) > WIDEST:
        message = f"{name}: {what}={value!r} is more than any image has elements"
        raise ArgumentError(message)
    if min(numbers) < least:
        raise ArgumentError(f"{name}: {what}={value!r} must be {least} or more")
    return tuple(map(int, numbers))


def image_of(name: str, x: Array, axes: int = 2) -> Array:
    """Return an array of images, one or many, or say that it is none."""
    x = as_array(x)
    if x.ndim - axes not in (1, 2):
        raise ShapeError(f"{name}: x {x.shape} must be {_LAYOUTS[axes]}")
    return x


def windows_on(
    name: str,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool = False,
) -> Axes:
    """Count the windows, (W − F + 2P) / S + 1 along an axis; for sequences the first axis is one.

    ``ceil_mode`` rounds up, as long as a window starts inside the image or its first margin: a
    window larger than all of it may be the only one, as in PyTorch.

    Raises
    ------
    ShapeError
        If not even one window fits.
    """
    sizes = shape[-len(kernel) :]
    found = []
    for size, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        out = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (out - 1) * s >= size + p:
            out -= 1
        if out < 1:
            spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
            padded = tuple(n + 2 * p for n, p in zip(sizes, padding, strict=True))
            raise ShapeError(
                f"{name}: x {shape} is {padded} with its padding, and the window spans {spans}: "
                "take a smaller window, or pad more"
            )
        found.append(Axis(size, out, k, s, d, p))
    down, across = found if len(found) == 2 else (Axis(1, 1, 1), *found)
    return down, across


def overlaps(axis: Axis) -> bool:
    """Whether an element can belong to several windows."""
    return axis.out > 1 and axis.dilation * (axis.kernel - 1) >= axis.stride


def tap_of(axis: Axis, tap: int) -> slice:
    """Return the elements that one tap meets, counted from the start of the margin."""
    first = axis.dilation * tap
    return slice(first, first + axis.stride * (axis.out - 1) + 1, axis.stride)


def fits(down: Axis, across: Axis) -> bool:
    """Whether no window reaches into a margin."""
    return down.is_inside() and across.is_inside()


def room_of(down: Axis, across: Axis) -> tuple[int, int]:
    """Return the size of an image with the margins that its windows need."""
    if fits(down, across):
        return down.size, across.size
    return down.length(down.out), across.length(across.out)


def _inner(laid: Any, down: Axis, across: Axis) -> Array:
    """Return the part of an image with margins that is not margin."""
    height, width = room_of(down, across)
    rows = slice(down.before, min(down.before + down.size, height))
    return laid[..., rows, across.before : min(across.before + across.size, width)]


def with_margins(x: Array, down: Axis, across: Axis, fill: float = 0.0) -> Array:
    """Lay images out with the margins that their windows need; without any, return them."""
    if fits(down, across):
        return x
    out = np.full_like(x, fill, shape=(*x.shape[:-2], *room_of(down, across)))
    inner = _inner(out, down, across)
    inner[...] = x[..., : inner.shape[-2], : inner.shape[-1]]
    return out


def without_margins(laid: Any, down: Axis, across: Axis) -> Array:
    """Cut the margins off, the adjoint of `with_margins`: what no window meets is 0."""
    if fits(down, across):
        return laid
    inner = _inner(laid, down, across)
    if inner.shape[-2:] == (down.size, across.size):
        return inner
    out = np.zeros_like(laid, shape=(*laid.shape[:-2], down.size, across.size))
    out[..., : inner.shape[-2], : inner.shape[-1]] = inner
    return out
