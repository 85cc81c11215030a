"""Normalisation: of a channel over the batch, of a sample, and by neighbouring channels."""

import math
from typing import Any

import numpy as np

from graphgrad.arguments import guarded, is_number, non_negative, share, size, sizes
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Absent, Recorded, array_of
from graphgrad.engine.in_place import mark_changed, writable
from graphgrad.engine.memory import note_write
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_floating, operand, shape_of
from graphgrad.engine.recording import notify_overwritten, one_call
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.nn.kernels.moments import (
    Layout,
    Moments,
    batch_gradients,
    group_gradients,
    normalised_batch,
    normalised_groups,
    scaled,
    unit_of,
)
from graphgrad.typing import Array


def _seen(x: Array, dtype: Any, shape: tuple[int, ...]) -> Array:
    """See an array in another shape, its memory contiguous, at least in single precision."""
    wide = np.promote_types(dtype, np.float32)
    return x.astype(wide, order="C", copy=False).reshape(shape)


def _closed_form(
    g: Array,
    x: Array,
    weight: Array,
    view: Layout,
    axes: tuple[int, ...],
    saved: Moments,
    eps: float,
) -> tuple[Array, Array, Array]:
    """Write the gradients as functions of g, x and weight, for a graph of the gradient.

    The shift is a constant, and changes no derivative: it only spares x̂ cancellation.
    """
    means: dict[str, Any] = {"axis": axes, "keepdims": True}
    each = (1, -1, 1, 1) if 0 in axes else (*view[:2], 1, 1)
    g, below, unit = g.reshape(view), x.reshape(view), unit_of(saved.inverse, x.dtype)
    below = below - saved.shift.reshape(each)
    added: Any = eps
    if unit is not None:  # for no square to leave the range, see moments
        unit = unit.reshape(each)
        below, added = below / unit, np.square(math.sqrt(eps) / unit)
    centred = below - np.mean(below, **means)
    inverse = 1 / np.sqrt(np.mean(centred * centred, **means) + added)
    hat = centred * inverse
    pulled = g * weight.reshape(*view[1:3], 1) if shape_of(weight) else g
    dx = (pulled - np.mean(pulled, **means) - hat * np.mean(pulled * hat, **means)) * inverse
    dx = dx if unit is None else dx / unit
    return dx, np.sum(g * hat, axis=(0, 3)), np.sum(g, axis=(0, 3))


def _recorded(*values: Array) -> bool:
    return any(isinstance(v, Recorded) for v in values)


def _shaped(gradients: tuple[Array, Array, Array], *shapes: tuple[int, ...]) -> Array:
    """Give each gradient the shape of its input; a number in place of an array has none."""
    pairs = zip(gradients, shapes, strict=True)
    return tuple(
        x if x is None or not shape or x.shape == shape else x.reshape(shape) for x, shape in pairs
    )


# --------------------------------------------------------------------------------- the batch


def _channels(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[0], shape[1], math.prod(shape[2:]))


@one_call
def _normalised(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Any, Moments, Any]:
    dtype = np.result_type(x, weight, bias)
    out, moments, variance = normalised_batch(
        _seen(x, dtype, _channels(x.shape)), weight, bias, eps
    )
    return out.reshape(x.shape).astype(dtype, copy=False), moments, variance


def _batch_norm(
    x: Array, weight: Array, bias: Array, eps: float, found: tuple[Any, Moments] | None = None
) -> tuple[Any, Moments]:
    """Compute, unless that has been done: the statistics are wanted outside too."""
    return found or _normalised(x, weight, bias, eps)[:2]


def _batch_norm_rule(
    g: Array,
    x: Array,
    weight: Array,
    saved: Moments,
    eps: float,
    wanted: tuple[bool, ...],
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    bias_shape: tuple[int, ...],
) -> Array:
    """Take the moments from the forward; a graph of the gradient needs them as functions of x."""
    if _recorded(g, x, weight):
        n, c, places = _channels(x_shape)
        gradients = _closed_form(g, x, weight, Layout(n, c, 1, places), (0, 3), saved, eps)
    else:
        seen = (_seen(g, g.dtype, x_shape), _seen(x, g.dtype, x_shape))
        gradients = batch_gradients(*seen, weight, saved, wanted)
    return _shaped(gradients, x_shape, weight_shape, bias_shape)


_BATCH_NORM: Op[Tensor] = op(
    _batch_norm,
    joint=_batch_norm_rule,
    inputs=3,
    name="batch_norm",
    symbol="batch norm",
    domain=Cases(
        lambda r: call(r(4, 3), r(3), r(3), 1e-5),
        lambda r: call(r(3, 1), 1.0, 0.0, 0.1),
        lambda r: call(r(2, 2, 3), r(2), r(2), 1e-5),
        lambda r: call(r(2, 2, 2, 3), r(2), 0.0, 0.1),
        lambda r: call(r(1, 2, 33), r(2), r(2), 1e-5),
    ),
    doc=(
        "(x − μ) / √(σ² + ε) · weight + bias, μ and σ² of each channel over batch and places. "
        "Gradients: weight / √(σ² + ε) · (g − mean(g) − x̂ mean(g x̂)); Σ g x̂; and Σ g."
    ),
)


def _by_channel(values: Array, like: Array) -> Array:
    """Let numbers per channel broadcast against (N, C, …)."""
    return values.reshape(-1, *(1,) * (like.ndim - 2)) if shape_of(values) else values


def _other_axes(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _running_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Any, eps: float) -> Array:
    dtype = np.result_type(x, weight, bias)
    seen = _seen(x, dtype, _channels(x.shape))
    moments = Moments(mean, 0.0, 1 / np.sqrt(var.astype(seen.dtype) + eps))
    return scaled(seen, weight, bias, moments).reshape(x.shape).astype(dtype, copy=False)


_RUNNING_NORM: Op[Tensor] = op(
    _running_norm,
    lambda g, weight, var, eps: g * _by_channel(weight / np.sqrt(var + eps), g),
    lambda g, x, mean, var, eps: (
        np.sum(g * (x - _by_channel(mean, x)), axis=_other_axes(g)) / np.sqrt(var + eps)
    ),
    lambda g: np.sum(g, axis=_other_axes(g)),
    name="running_norm",
    symbol="batch norm (eval)",
    domain=Cases(
        lambda r: call(r(2, 3), r(3), r(3), r(3), r(3) ** 2, 1e-5),
        lambda r: call(r(2, 2, 2, 2), r(2), r(2), r(2), r(2) ** 2, 0.1),
        lambda r: call(r(0, 2, 3), 1.0, 0.0, r(2), r(2) ** 2, 0.1),
    ),
    doc=(
        "(x − mean) / √(var + ε) · weight + bias with mean and variance that are given. "
        "Gradients: g · weight / √(var + ε); Σ g x̂; and Σ g."
    ),
)


@guarded
def batch_norm(
    x: Array,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel: (x − μ) / √(σ² + ε) · weight + bias.

    In training μ and σ² are those of the batch, over samples and places, and the running
    statistics move towards them once everything has succeeded: r ← (1 − momentum) r +
    momentum · statistic, the variance unbiased (over m − 1). Otherwise μ and σ² are the running
    ones. Mean and variance are taken in two passes, exact also where the mean is large.
    Ioffe and Szegedy, "Batch Normalization", 2015, algorithms 1 and 2.

    Parameters
    ----------
    x
        (N, C) or (N, C, …).
    running_mean, running_var
        (C,) each, changed in place in training: floating arrays or tensors without a gradient.
        None in training keeps none.
    weight, bias
        (C,) each; None stands for 1 and 0.
    training
        Whether the batch's own statistics are used.
    momentum
        The share of the new statistic, from 0 to 1.
    eps
        What is added to the variance, ≥ 0.

    Raises
    ------
    ArgumentError
        If eps or momentum is out of range.
    ShapeError
        If shapes do not fit, a channel has fewer than two values in training, or there are no
        running statistics otherwise.
    DtypeError
        If x or a running statistic is not floating.
    """
    shape = as_floating("batch_norm", x).shape
    if len(shape) < 2:
        raise ShapeError(f"batch_norm: x {shape}; it must be (N, C) or (N, C, …)")
    weight, bias = _parameters("batch_norm", shape, shape[1:2], eps, weight, bias)
    tracked = running_mean is not None and running_var is not None
    if tracked:
        _check_running(shape, running_mean, running_var)
    elif not training or running_mean is not running_var:
        message = (
            "batch_norm: running_mean and running_var must both be given, or in training neither"
        )
        raise ShapeError(message)
    if not training:  # copies, for a later training step overwrites them
        mean, var = (np.copy(_plain(v)) for v in (running_mean, running_var))
        return _RUNNING_NORM(x, weight, bias, mean, var, eps)
    count = math.prod(shape) // max(1, shape[1])
    if count < 2:
        message = (
            f"batch_norm: x {shape} has {count} value(s) per channel; training needs at least "
            "2 to have a variance: use a larger batch, or eval()"
        )
        raise ShapeError(message)
    if tracked:
        share("batch_norm", "momentum", momentum)
    normal, moments, variance = _normalised(_plain(x), _plain(weight), _plain(bias), eps)
    if tracked:  # before there is a node, which need not ask then whether this concerns it
        _move(running_mean, moments.shift + moments.rest, momentum)
        _move(running_var, variance * (count / (count - 1)), momentum)
    return _BATCH_NORM(x, weight, bias, eps, (normal, moments))


def _move(running: Any, statistic: Any, momentum: float) -> None:
    """Overwrite a running statistic, and tell graphs that need the old one."""
    array = writable(running) if isinstance(running, Tensor) else running
    array[...] = (1 - momentum) * array + momentum * statistic
    if isinstance(running, Tensor):
        mark_changed(running)
    else:
        notify_overwritten(array)
        note_write(array)


# -------------------------------------------------------------------------------- the sample


def _layers(shape: tuple[int, ...], axes: int) -> Layout:
    places = len(shape) - axes
    return Layout(math.prod(shape[:places]), 1, math.prod(shape[places:]), 1)


def _groups(shape: tuple[int, ...], groups: int) -> Layout:
    return Layout(shape[0], groups, shape[1] // groups, math.prod(shape[2:]))


def _sample_norm(
    x: Array, weight: Array, bias: Array, view: Layout, eps: float
) -> tuple[Any, Moments]:
    dtype = np.result_type(x, weight, bias)
    out, moments = normalised_groups(_seen(x, dtype, x.shape), weight, bias, view, eps)
    return out.astype(dtype, copy=False), moments


def _sample_norm_gradients(
    g: Array, x: Array, weight: Array, saved: Moments, view: Layout, eps: float, shapes: Any
) -> Array:
    if _recorded(g, x, weight):
        return _shaped(_closed_form(g, x, weight, view, (2, 3), saved, eps), *shapes)
    seen = (_seen(g, g.dtype, shapes[0]), _seen(x, g.dtype, shapes[0]))
    return _shaped(group_gradients(*seen, weight, saved, view), *shapes)


_LAYER_NORM: Op[Tensor] = op(
    lambda x, weight, bias, axes, eps: _sample_norm(x, weight, bias, _layers(x.shape, axes), eps),
    joint=lambda g, x, weight, saved, axes, eps, x_shape, weight_shape, bias_shape: (
        _sample_norm_gradients(
            g, x, weight, saved, _layers(x_shape, axes), eps, (x_shape, weight_shape, bias_shape)
        )
    ),
    inputs=3,
    name="layer_norm",
    symbol="layer norm",
    domain=Cases(
        lambda r: call(r(2, 3), r(3), r(3), 1, 1e-5),
        lambda r: call(r(3), r(3), r(3), 1, 0.1),
        lambda r: call(r(1, 5), 1.0, 0.0, 1, 0.1),
        lambda r: call(r(2, 2, 3), r(2, 3), r(2, 3), 2, 1e-5),
        lambda r: call(r(2, 2, 3), r(3), 0.0, 1, 0.1),
        lambda r: call(r(0, 3), r(3), r(3), 1, 1e-5),
    ),
    doc=(
        "(x − μ) / √(σ² + ε) · weight + bias, μ and σ² over the last axes. "
        "Gradients: (h − mean(h) − x̂ mean(h x̂)) / √(σ² + ε) with h = g · weight; Σ g x̂; and Σ g."
    ),
)
_GROUP_NORM: Op[Tensor] = op(
    lambda x, weight, bias, groups, eps: _sample_norm(
        x, weight, bias, _groups(x.shape, groups), eps
    ),
    joint=lambda g, x, weight, saved, groups, eps, x_shape, weight_shape, bias_shape: (
        _sample_norm_gradients(
            g, x, weight, saved, _groups(x_shape, groups), eps, (x_shape, weight_shape, bias_shape)
        )
    ),
    inputs=3,
    name="group_norm",
    symbol="group norm",
    domain=Cases(
        lambda r: call(r(2, 4, 2), r(4), r(4), 2, 1e-5),
        lambda r: call(r(2, 4), r(4), r(4), 2, 0.1),
        lambda r: call(r(1, 3, 2, 2), r(3), 0.0, 3, 0.1),
        lambda r: call(r(1, 2, 2), 1.0, 0.0, 1, 0.1),
        lambda r: call(r(1, 2, 33), r(2), r(2), 1, 1e-5),
        lambda r: call(r(0, 4, 2), r(4), r(4), 2, 1e-5),
    ),
    doc=(
        "(x − μ) / √(σ² + ε) · weight + bias, μ and σ² over the channels of a group and their "
        "places. Gradients: (h − mean(h) − x̂ mean(h x̂)) / √(σ² + ε) with h = g · weight; Σ g x̂; "
        "and Σ g."
    ),
)


@guarded
def layer_norm(
    x: Array, normalized_shape: Any, weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each sample over its last axes: (x − μ) / √(σ² + ε) · weight + bias.

    σ² is over m, not m − 1. Ba, Kiros and Hinton, "Layer Normalization", 2016, equation 3.

    Parameters
    ----------
    x
        (…, *normalized_shape).
    normalized_shape
        The lengths of the last axes, a number for one.
    weight, bias
        Of shape normalized_shape; None stands for 1 and 0.
    eps
        What is added to the variance, ≥ 0.

    Raises
    ------
    ArgumentError
        If eps is negative.
    ShapeError
        If shapes do not fit.
    DtypeError
        If x is not floating.
    """
    shape = as_floating("layer_norm", x).shape
    one = is_number(normalized_shape)
    given = (normalized_shape,) if one else normalized_shape
    given = sizes("layer_norm", "normalized_shape", given, 0)
    if not given or shape[-len(given) :] != given:
        message = (
            f"layer_norm: x {shape} does not end in normalized_shape {given}; reshape x, or "
            "give the lengths of its last axes"
        )
        raise ShapeError(message)
    weight, bias = _parameters("layer_norm", shape, given, eps, weight, bias)
    return _LAYER_NORM(x, weight, bias, len(given), eps)


@guarded
def group_norm(
    x: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Tensor:
    """Normalise groups of channels in each sample: (x − μ) / √(σ² + ε) · weight + bias.

    σ² is over m, not m − 1. With as many groups as channels it is instance normalisation. Wu and
    He, "Group Normalization", 2018, equations 1 to 7.

    Parameters
    ----------
    x
        (N, C, …).
    num_groups
        How many groups, a divisor of C.
    weight, bias
        (C,) each; None stands for 1 and 0.
    eps
        What is added to the variance, ≥ 0.

    Raises
    ------
    ArgumentError
        If a number is below 1, or eps negative.
    ShapeError
        If shapes do not fit, or C is not divisible.
    DtypeError
        If x is not floating.
    """
    shape = as_floating("group_norm", x).shape
    num_groups = size("group_norm", "num_groups", num_groups)
    if len(shape) < 2 or shape[1] % num_groups:
        message = (
            f"group_norm: x {shape}, num_groups {num_groups}; x must be (N, C, …), C a multiple "
            "of num_groups"
        )
        raise ShapeError(message)
    weight, bias = _parameters("group_norm", shape, shape[1:2], eps, weight, bias)
    return _GROUP_NORM(x, weight, bias, num_groups, eps)


# ---------------------------------------------------------------------------- what is checked


def _plain(x: Array) -> Array:
    if isinstance(x, Recorded):
        return array_of(x)
    return x.value if isinstance(x, Absent) else operand(x, "normalization")


def _parameters(
    name: str,
    shape: tuple[int, ...],
    wanted: tuple[int, ...],
    eps: float,
    weight: Array,
    bias: Array,
) -> tuple[Array, Array]:
    """Return weight and bias, 1 and 0 for None; refuse what does not fit, and a bad ε."""
    non_negative(name, "eps", eps)
    for what, values in (("weight", weight), ("bias", bias)):
        if values is not None and shape_of(values, name) != wanted:
            message = f"{name}: {what} {shape_of(values)}; x {shape} needs {wanted}"
            raise ShapeError(message)
    return Absent(1.0) if weight is None else weight, Absent(0.0) if bias is None else bias


def _check_running(shape: tuple[int, ...], mean: Array, var: Any) -> None:
    """Refuse running statistics that do not fit or could not be overwritten."""
    for what, values in (("running_mean", mean), ("running_var", var)):
        if not isinstance(values, Tensor | np.ndarray) or values.dtype.kind != "f":
            message = f"batch_norm: {what} must be a floating array or tensor"
            raise DtypeError(message)
        if values.shape != shape[1:2]:
            message = f"batch_norm: {what} {values.shape}; x {shape} needs {shape[1:2]}"
            raise ShapeError(message)
