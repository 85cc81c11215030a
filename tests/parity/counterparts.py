"""What each op that is not NumPy's own is in PyTorch: a function with the same arguments.

NumPy's own need no other peer: the laws compare them with NumPy and with differences.
A counterpart returns NotImplemented for a call that PyTorch has no way to write.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from graphgrad.nn.kernels.correlation import Axis

Function = Callable[..., Any]


def tensor(x: Any) -> Any:
    """Turn a number into what PyTorch's functions of two tensors take."""
    return x if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=torch.float64)


def on_tensors(function: Function) -> Function:
    """Accept Python numbers in every place."""
    return lambda *xs: function(*map(tensor, xs))


def dims(x: Any, axis: Any) -> tuple[int, ...]:
    """List the axes that NumPy's argument means."""
    if axis is None:
        return tuple(range(x.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


def reduction(function: Function) -> Function:
    """Call a reduction that takes a tuple `dim`; an empty one means none, as in NumPy."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = dims(x, axis)
        if not axes:  # PyTorch would take () for all axes
            x, axes = x[None], (0,)
            return function(x, dim=axes, keepdim=False)
        return function(x, dim=axes, keepdim=keepdims)

    return reduce


def getitem(x: Any, index: Any) -> Any:
    return NotImplemented if backwards(index) else x[torch_index(index)]


def setitem(x: Any, value: Any, index: Any) -> Any:
    """Write into a copy, where no element is written twice (PyTorch: in any order)."""
    if isinstance(index, list) or (isinstance(index, torch.Tensor) and index.dtype != torch.bool):
        return NotImplemented
    if isinstance(index, tuple) and any(isinstance(i, list) for i in index):
        return NotImplemented
    copy = x.clone()
    copy[torch_index(index)] = value.reshape(value.shape[-min(value.ndim, x.ndim) :])
    return copy


def scatter(values: Any, index: Any, shape: Any) -> Any:
    places = torch.arange(math.prod(shape)).reshape(shape)[torch_index(index)]
    zeros = torch.zeros(math.prod(shape), dtype=values.dtype)
    return zeros.index_add(0, places.flatten(), values.flatten()).reshape(shape)


def torch_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(torch_index, index))
    if isinstance(index, torch.Tensor) and index.dtype != torch.bool:
        return index.long()
    return index


def backwards(index: Any) -> bool:
    """Whether an index has a slice with a negative step."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts)


def softmax(function: Function) -> Function:
    return lambda x, axis=-1: (
        function(x, dim=axis) if isinstance(axis, int) and x.numel() else NotImplemented
    )


def clip(x: Any, low: Any = None, high: Any = None, **named: Any) -> Any:
    """Limit to an interval; PyTorch's gradient fails where the bounds broadcast x."""
    low, high = named.get("a_min", low), named.get("a_max", high)
    given = [tensor(b) for b in (low, high) if b is not None]
    x, *bounds = torch.broadcast_tensors(tensor(x), *given)
    if low is not None:
        low, *bounds = bounds
    return torch.clip(x, low, bounds[0] if bounds else None)


def along_axes(down: Any, across: Any) -> tuple[Any, ...]:
    """Return kernel, dilation, padding and stride of windows, as PyTorch orders them."""
    axes = (down, across)
    names = ("kernel", "dilation", "before", "stride")
    return tuple(tuple(getattr(a, name) for a in axes) for name in names)


def unfold(x: Any, down: Any, across: Any) -> Any:
    """Write windows as rows; PyTorch's are columns, image by image."""
    if not x.numel():
        return NotImplemented
    columns = functional.unfold(x, *along_axes(down, across))
    return columns.mT.reshape(-1, columns.shape[-2])


def fold(columns: Any, shape: tuple[int, ...], down: Any, across: Any) -> Any:
    if not columns.numel():
        return NotImplemented
    images = columns.reshape(*shape[:-3], down.out * across.out, -1).mT
    return functional.fold(images, shape[-2:], *along_axes(down, across))


def over_windows(function: Function, fill: float) -> Function:
    """Pool as an op does, which gets the windows of each axis worked out: no padding is left."""

    def pool(x: Any, down: Any, across: Any, *more: Any) -> Any:
        down, across = Axis(*down), Axis(*across)
        margins = [(a.before, a.length(a.out) - a.size - a.before) for a in (across, down)]
        padded = functional.pad(x, [n for pair in margins for n in pair], value=fill)
        return function(padded, *zip(down[2:5], across[2:5], strict=True), *more)

    return pool


def over_bins(x: Any, down: Any, across: Any) -> Any:
    images = x.reshape(*(1,) * (4 - x.ndim), *x.shape)
    y = functional.adaptive_avg_pool2d(images, (len(down), len(across)))
    return y.reshape(*x.shape[:-2], *y.shape[-2:])


COUNTERPARTS: dict[str, Function] = {
    **{name: on_tensors(getattr(torch, name)) for name in ("erf", "erfc", "sigmoid")},
    **{name: getattr(functional, name) for name in ("elu", "logsigmoid", "silu", "softplus")},
    "astype": lambda x, _: x.to(torch.float64),
    "clip_both (clip)": clip,
    "clip_high": on_tensors(lambda x, high: torch.clip(x, max=high)),
    "clip_low": on_tensors(lambda x, low: torch.clip(x, min=low)),
    "cross": lambda a, b: torch.linalg.cross(*torch.broadcast_tensors(a, b)),
    "gelu": lambda x, approximate: functional.gelu(x, approximate=approximate),
    "log_softmax": softmax(torch.log_softmax),
    "logsumexp": reduction(torch.logsumexp),
    "masked": lambda x, mask: torch.where(
        torch.as_tensor(bool(mask) if not getattr(mask, "ndim", 0) else mask), x, 0.0
    ),
    "one_minus_square": lambda x: 1 - x * x,
    "prelu": on_tensors(lambda x, w: torch.where(x > 0, x, w * x)),  # its own takes no broadcast
    "relu": torch.relu,
    "softmax": softmax(torch.softmax),
    "vecdot": torch.linalg.vecdot,
    "col2im": fold,
    "getitem": getitem,
    "im2col": unfold,
    "scatter": scatter,
    "setitem": setitem,
    "bin_mean (adaptive_avg_pool)": over_bins,
    "lp_pool": over_windows(
        lambda x, kernel, stride, _, p: functional.lp_pool2d(x, p, kernel, stride), 0.0
    ),
    "max_pool": over_windows(
        lambda x, kernel, stride, dilation: functional.max_pool2d(x, kernel, stride, 0, dilation),
        -math.inf,
    ),
}

# Ops that PyTorch lacks and why they are there, or which test compares them.
_ABSENT = """
part of a rule: cofactors, cofactors_change, over_gap, qr_r, euclidean (norm), power_norm (norm_p)
part of a rule: power_derivative, from_diagonal, overlap_add, unpad, sinc_derivative, recur
part of a rule: recur_back, unpool, pick, spread, bin_spread, bell, elu_slope, gelu_slope
part of a rule: silu_slope
dilation, and a count for each window: window_mean (avg_pool)
weights of their own at every place: locally_connected2d, locally_connected2d_transposed
weights of their own at every place: locally_connected2d_weight_grad
test_convolution: conv2d, conv_transpose2d, conv2d_weight_grad
test_normalization: batch_norm, running_norm, layer_norm, group_norm, neighbours
test_normalization: local_response_norm
test_losses: cross_entropy, each_cross_entropy (cross_entropies), huber, divergence (kl_div)
test_losses: binary (binary_cross_entropy_with_logits), margins
test_losses: log_divergence (kl_div of logarithms)
test_recurrent: rnn_steps (rnn), lstm_steps (lstm), gru_steps (gru)
test_modules: attention, embedding, linear, leaky (leaky_relu)
its own mask: dropout
"""
ABSENT = {
    name: why
    for why, names in (line.split(": ") for line in _ABSENT.strip().splitlines())
    for name in names.split(", ")
}
