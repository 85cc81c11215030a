"""What each op is in PyTorch: a function with the arguments that NumPy's has.

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


def one_dim(x: Any, axis: Any) -> tuple[Any, int]:
    """Flatten where NumPy does for want of an axis."""
    return (x.flatten(), 0) if axis is None else (x, axis)


def reduction(function: Function) -> Function:
    """Call a reduction that takes a tuple `dim`; an empty one means none, as in NumPy."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = dims(x, axis)
        if not axes:  # PyTorch would take () for all axes
            x, axes = x[None], (0,)
            return function(x, dim=axes, keepdim=False)
        return function(x, dim=axes, keepdim=keepdims)

    return reduce


def product(x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    """Multiply over several axes; torch.prod takes one."""
    for axis in dim:
        x = torch.prod(x, axis, keepdim=True)
    return x if keepdim else x.squeeze(dim)


def spread(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, **more: Any) -> Any:
    return torch.var(
        x, dim=dims(x, axis), correction=more.get("correction", ddof), keepdim=keepdims
    )


def square_root_of_spread(x: Any, *args: Any, **kwargs: Any) -> Any:
    return torch.sqrt(spread(x, *args, **kwargs))


def nan_extreme(function: Function, worst: float) -> Function:
    """Replace NaNs by what can never win."""
    return reduction(
        lambda x, dim, keepdim: function(torch.nan_to_num(x, worst), dim=dim, keepdim=keepdim)
    )


def middle(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the median as NumPy does: the mean of the two middle numbers."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    if isinstance(axis, tuple):
        if keepdims:
            return NotImplemented
        kept = [i for i in range(x.ndim) if i not in {a % x.ndim for a in axis}]
        x = x.permute(*kept, *axis).flatten(len(kept))
        axis = -1
    if method not in ("linear", "nearest") or not x.numel() or x.ndim == 0:
        return NotImplemented
    q = tensor(q)
    return torch.quantile(x, q, axis, keepdim=keepdims, interpolation=method)


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    if weights is None:
        return torch.mean(x, dims(x, axis), keepdim=keepdims)
    if weights.shape != x.shape:
        return NotImplemented
    total = torch.sum(weights, dims(x, axis), keepdim=keepdims)
    return torch.sum(x * weights, dims(x, axis), keepdim=keepdims) / total


def scan(function: Function) -> Function:
    """Call a scan along one axis, of the flattened tensor if there is none."""
    return lambda x, axis=None: function(*one_dim(x, axis))


def scan_from_start(function: Function, start: float) -> Function:
    """Call a scan that may begin with its neutral element."""

    def full(x: Any, axis: Any = None, include_initial: bool = False) -> Any:
        x, axis = one_dim(x, axis)
        if include_initial:
            shape = list(x.shape)
            shape[axis] = 1
            x = torch.cat([torch.full(shape, start, dtype=x.dtype), x], axis)
        return function(x, axis)

    return full


def differences(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if append is not None and append.ndim == 0:
        shape = list(x.shape)
        shape[axis] = 1
        append = append.expand(shape)
    return torch.diff(x, n, axis, prepend, append)


def slopes(x: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    if len(varargs) > 1 or any(isinstance(v, torch.Tensor) and v.ndim for v in varargs):
        return NotImplemented  # PyTorch has no gradient in the coordinates
    dim = None if axis is None else (axis,)
    found = torch.gradient(x, spacing=varargs[0] if varargs else 1, dim=dim, edge_order=edge_order)
    return found[0] if len(found) == 1 else found


def area(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    return torch.trapezoid(y, dx=dx, dim=axis) if x is None else torch.trapezoid(y, x, dim=axis)


def reshape(x: Any, shape: Any, order: str = "C") -> Any:
    shape = shape if isinstance(shape, tuple) else (shape,)
    return torch.reshape(x, shape) if order == "C" else NotImplemented


def transpose(x: Any, axes: Any = None) -> Any:
    return x.permute(tuple(range(x.ndim)[::-1]) if axes is None else axes)


def expand_dims(x: Any, axis: Any) -> Any:
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = x.ndim + len(axes)
    for place in sorted(a % ndim for a in axes):
        x = x.unsqueeze(place)
    return x


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Roll; without an axis the flattened tensor."""
    if axis is None:
        return torch.roll(x.flatten(), shift).reshape(x.shape)
    if isinstance(axis, tuple) and not isinstance(shift, tuple):
        shift = (shift,) * len(axis)
    return torch.roll(x, shift, axis)


def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    x, axis = one_dim(x, axis)
    if isinstance(repeats, list) and len(repeats) == 1:
        (repeats,) = repeats
    return torch.repeat_interleave(
        x, torch.tensor(repeats) if isinstance(repeats, list) else repeats, axis
    )


def take(x: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    if mode != "raise":
        return NotImplemented
    x, axis = one_dim(x, axis)
    return x[(slice(None),) * (axis % x.ndim) + (torch.as_tensor(indices),)]


def along(x: Any, indices: Any, axis: Any = -1) -> Any:
    """Take elements along an axis by an array of like shape; PyTorch counts from the front."""
    x, axis = one_dim(x, axis)
    return torch.take_along_dim(x, indices % x.shape[axis], axis)


def getitem(x: Any, index: Any) -> Any:
    """Read by an index; PyTorch has no negative step."""
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
    """Add values into zeros, duplicates too."""
    places = torch.arange(math.prod(shape)).reshape(shape)[torch_index(index)]
    zeros = torch.zeros(math.prod(shape), dtype=values.dtype)
    return zeros.index_add(0, places.flatten(), values.flatten()).reshape(shape)


def torch_index(index: Any) -> Any:
    """Turn index arrays of other integers into those that PyTorch takes."""
    if isinstance(index, tuple):
        return tuple(map(torch_index, index))
    if isinstance(index, torch.Tensor) and index.dtype != torch.bool:
        return index.long()
    return index


def backwards(index: Any) -> bool:
    """Whether an index has a slice with a negative step."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """Pad with a constant; PyTorch's other modes take only some shapes."""
    if mode != "constant":
        return NotImplemented
    widths: Any = pad_width
    if isinstance(widths, int):
        widths = (widths, widths)
    if isinstance(widths[0], int):
        widths = (widths,) * x.ndim
    flat = [n for pair in reversed(widths) for n in pair]
    return functional.pad(x, flat, value=constant_values)


def windows(x: Any, window_shape: Any, axis: Any = None) -> Any:
    shape = window_shape if isinstance(window_shape, tuple) else (window_shape,)
    for size, place in zip(shape, dims(x, axis), strict=True):
        x = x.unfold(place, size, 1)
    return x


def dot(a: Any, b: Any) -> Any:
    """Contract the last axis of a with the second last of b."""
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return torch.tensordot(a, b, ([-1], [max(b.ndim - 2, 0)]))


def inner(a: Any, b: Any) -> Any:
    return a * b if a.ndim == 0 or b.ndim == 0 else torch.tensordot(a, b, ([-1], [-1]))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if not isinstance(axes, int):
        axes = tuple([x] if isinstance(x, int) else list(x) for x in axes)
    return torch.tensordot(a, b, axes)


def einsum(*operands: Any, optimize: Any = None) -> Any:
    """Sum products; PyTorch takes the output's labels with other operands only by name."""
    del optimize
    if not isinstance(operands[0], str):
        return NotImplemented
    return torch.einsum(*operands)


def eigh(a: Any, UPLO: str = "L") -> Any:
    """Decompose a symmetric matrix: values, and projections, which have no sign."""
    values, vectors = torch.linalg.eigh(a, UPLO=UPLO)
    return values, torch.einsum("...ik,...jk->...kij", vectors, vectors)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Decompose a matrix: values, and products of left and right vectors, which have no sign."""
    if not compute_uv:
        return torch.linalg.svdvals(a)
    u, s, vh = torch.linalg.svd(a, full_matrices=full_matrices and a.shape[-1] != a.shape[-2])
    return s, torch.einsum("...ik,...kj->...kij", u, vh)


def qr(a: Any, mode: str = "reduced") -> Any:
    """Decompose a matrix: products of columns and rows, which have no sign."""
    if mode != "reduced" or a.shape[-1] > a.shape[-2] or not a.numel():
        return NotImplemented  # PyTorch has no gradient of them
    q, r = torch.linalg.qr(a)
    return torch.einsum("...ik,...kj->...kij", q, r)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002
    axes = [axis] if isinstance(axis, int) else axis
    if not x.numel() or (ord == 0 and (axes is None or len(axes) == 1)):
        return NotImplemented
    if ord is None:
        return torch.linalg.vector_norm(x, 2, axes, keepdim=keepdims)
    return torch.linalg.norm(x, ord, axes, keepdim=keepdims)


def vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:  # noqa: A002
    return torch.linalg.vector_norm(x, ord, axis, keepdims)


def matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:  # noqa: A002
    return torch.linalg.matrix_norm(x, ord, (-2, -1), keepdims)


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    if hermitian:
        return NotImplemented  # PyTorch differentiates it as if a were not symmetric
    return torch.linalg.pinv(a, rtol=rcond or rtol)


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


def select(condlist: Any, choicelist: Any, default: Any = 0.0) -> Any:
    result = tensor(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = torch.where(condition, tensor(choice), result)
    return result


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
    """Add rows up where their windows meet."""
    if not columns.numel():
        return NotImplemented
    images = columns.reshape(*shape[:-3], down.out * across.out, -1).mT
    return functional.fold(images, shape[-2:], *along_axes(down, across))


COUNTERPARTS: dict[str, Function] = {
    # elementwise
    "abs": torch.abs,
    "absolute": torch.abs,
    "astype": lambda x, _: x.to(torch.float64),
    "clip": clip,
    "clip_both (clip)": clip,
    "clip_high": on_tensors(lambda x, high: torch.clip(x, max=high)),
    "clip_low": on_tensors(lambda x, low: torch.clip(x, min=low)),
    "conjugate": torch.conj_physical,
    "copy": torch.clone,
    "copysign": on_tensors(torch.copysign),
    "degrees": torch.rad2deg,
    "elu": functional.elu,
    "fabs": torch.abs,
    "fix": torch.fix,
    "frexp": torch.frexp,
    "gelu": lambda x, approximate: functional.gelu(x, approximate=approximate),
    "leaky_relu": functional.leaky_relu,
    "ldexp": lambda x, n: torch.ldexp(x, tensor(n).double()),
    "log_softmax": softmax(torch.log_softmax),
    "logsigmoid": functional.logsigmoid,
    "masked": lambda x, mask: torch.where(
        torch.as_tensor(bool(mask) if not getattr(mask, "ndim", 0) else mask), x, 0.0
    ),
    "modf": lambda x: (torch.frac(x), torch.trunc(x)),
    "nan_to_num": torch.nan_to_num,
    "one_minus_square": lambda x: 1 - x * x,
    "prelu": on_tensors(lambda x, w: torch.where(x > 0, x, w * x)),  # its own takes no broadcast
    "radians": torch.deg2rad,
    "real": lambda x: x,
    "relu": torch.relu,
    "rint": torch.round,
    "select": select,
    "silu": functional.silu,
    "sinc": on_tensors(lambda x: NotImplemented if (x == 0).any() else torch.sinc(x)),  # ∂² is NaN
    "softmax": softmax(torch.softmax),
    "softplus": functional.softplus,
    "where": lambda condition, x, y: torch.where(condition != 0, tensor(x), tensor(y)),
    # reductions, scans and order
    "average": average,
    "cumprod": scan(torch.cumprod),
    "cumsum": scan(torch.cumsum),
    "cumulative_prod": scan_from_start(torch.cumprod, 1.0),
    "cumulative_sum": scan_from_start(torch.cumsum, 0.0),
    "diff": differences,
    "gradient": slopes,
    "logsumexp": reduction(torch.logsumexp),
    "max": reduction(torch.amax),
    "mean": reduction(torch.mean),
    "median": middle,
    "min": reduction(torch.amin),
    "nanmax": nan_extreme(torch.amax, -math.inf),
    "nanmean": reduction(torch.nanmean),
    "nanmin": nan_extreme(torch.amin, math.inf),
    "nansum": reduction(torch.nansum),
    "percentile": lambda x, q, *args, **kwargs: quantile(x, tensor(q) / 100, *args, **kwargs),
    "prod": reduction(product),
    "ptp": reduction(
        lambda x, dim, keepdim: torch.amax(x, dim, keepdim) - torch.amin(x, dim, keepdim)
    ),
    "quantile": quantile,
    "sort": lambda x, axis=-1, **_: torch.sort(*one_dim(x, axis)).values,
    "std": square_root_of_spread,
    "sum": reduction(torch.sum),
    "trapezoid": area,
    "var": spread,
    # shape and index
    "array_split": lambda x, parts, axis=0: torch.tensor_split(x, parts, axis),
    "atleast_1d": torch.atleast_1d,
    "atleast_2d": torch.atleast_2d,
    "atleast_3d": torch.atleast_3d,
    "broadcast_arrays": torch.broadcast_tensors,
    "broadcast_to": lambda x, shape: x.broadcast_to(
        shape if isinstance(shape, tuple) else (shape,)
    ),
    "col2im": fold,
    "column_stack": torch.column_stack,
    "concatenate": lambda xs, axis=0: (
        torch.cat([x.flatten() for x in xs]) if axis is None else torch.cat(xs, axis)
    ),
    "diag": lambda x, k=0: torch.diag(x, k),
    "diagflat": lambda x, k=0: torch.diagflat(x, k),
    "diagonal": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2),
    "dsplit": torch.dsplit,
    "dstack": torch.dstack,
    "expand_dims": expand_dims,
    "flip": lambda x, axis=None: torch.flip(x, dims(x, axis)),
    "fliplr": torch.fliplr,
    "flipud": torch.flipud,
    "getitem": getitem,
    "hsplit": torch.hsplit,
    "hstack": torch.hstack,
    "im2col": unfold,
    "matrix_diagonal": lambda x, offset=0: torch.diagonal(x, offset, -2, -1),
    "matrix_trace": lambda x, offset=0: torch.diagonal(x, offset, -2, -1).sum(-1),
    "matrix_transpose": lambda x: x.mT,
    "meshgrid": lambda *xs, sparse=False, indexing="xy", **_: (
        NotImplemented if sparse else torch.meshgrid(*map(torch.atleast_1d, xs), indexing=indexing)
    ),
    "moveaxis": torch.moveaxis,
    "pad": pad,
    "ravel": lambda x, order="C": torch.ravel(x if order == "C" else transpose(x)),
    "repeat": repeat,
    "reshape": reshape,
    "roll": roll,
    "rot90": lambda x, k=1, axes=(0, 1): torch.rot90(x, k, axes),
    "scatter": scatter,
    "setitem": setitem,
    "sliding_window_view": windows,
    "split": lambda x, parts, axis=0: torch.tensor_split(x, parts, axis),
    "squeeze": lambda x, axis=None: torch.squeeze(x) if axis is None else torch.squeeze(x, axis),
    "stack": lambda xs, axis=0: torch.stack(list(xs), axis),
    "swapaxes": torch.swapaxes,
    "take": take,
    "take_along_axis": along,
    "tile": lambda x, reps: torch.tile(x, reps if isinstance(reps, tuple) else (reps,)),
    "trace": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2).sum(-1),
    "transpose": transpose,
    "tril": lambda x, k=0: torch.tril(x, k) if x.ndim > 1 else NotImplemented,
    "triu": lambda x, k=0: torch.triu(x, k) if x.ndim > 1 else NotImplemented,
    "unstack": lambda x, axis=0: torch.unbind(x, axis),
    "vsplit": torch.vsplit,
    "vstack": torch.vstack,
    # products and linear algebra
    "cholesky": lambda a, upper=False: torch.linalg.cholesky(a, upper=upper),
    "cond": lambda a, p=None: NotImplemented if p in (1, "fro") else torch.linalg.cond(a, p),
    "cross": lambda a, b: torch.linalg.cross(*torch.broadcast_tensors(a, b)),
    "det": torch.linalg.det,
    "dot": dot,
    "eigh": eigh,
    "eigvalsh": lambda a, UPLO="L": torch.linalg.eigvalsh(a, UPLO=UPLO),
    "einsum": einsum,
    "inner": inner,
    "inv": torch.linalg.inv,
    "kron": torch.kron,
    "matmul": torch.matmul,
    "matrix_norm": matrix_norm,
    "matrix_power": torch.linalg.matrix_power,
    "matvec": lambda a, x: (a @ x[..., None])[..., 0],
    "multi_dot": torch.linalg.multi_dot,
    "norm": norm,
    "outer": lambda a, b: torch.outer(a.flatten(), b.flatten()),
    "pinv": pinv,
    "qr": qr,
    "slogdet": torch.linalg.slogdet,
    "solve": lambda a, b: (
        torch.linalg.solve(a, b) if b.ndim > 1 else torch.linalg.solve(a, b[:, None])[..., 0]
    ),
    "svd": svd,
    "svdvals": torch.linalg.svdvals,
    "tensordot": tensordot,
    "vdot": lambda a, b: torch.vdot(a.flatten(), b.flatten()),
    "vecdot": torch.linalg.vecdot,
    "vecmat": lambda x, a: (x[..., None, :] @ a)[..., 0, :],
    "vector_cross": lambda a, b, axis=-1: torch.linalg.cross(
        *torch.broadcast_tensors(a, b), dim=axis
    ),
    "vector_norm": vector_norm,
    "vector_outer": torch.outer,
}
SAME_NAME = """
    add arccos arccosh arcsin arcsinh arctan arctan2 arctanh ceil cos cosh deg2rad divide erf erfc
    exp exp2 expm1 float_power floor fmax fmin fmod hypot log log10 log1p log2
    logaddexp logaddexp2 maximum minimum multiply negative nextafter positive power rad2deg
    reciprocal remainder round sigmoid sign sin sinh sqrt square subtract tan tanh trunc
"""


def over_windows(function: Function, fill: float) -> Function:
    """Pool as an op does, which gets the windows of each axis worked out: no padding is left."""

    def pool(x: Any, down: Any, across: Any, *more: Any) -> Any:
        down, across = Axis(*down), Axis(*across)
        margins = [(a.before, a.length(a.out) - a.size - a.before) for a in (across, down)]
        padded = functional.pad(x, [n for pair in margins for n in pair], value=fill)
        return function(padded, *zip(down[2:5], across[2:5], strict=True), *more)

    return pool


def over_bins(x: Any, down: Any, across: Any) -> Any:
    """Take means over bins, of images without channels as well."""
    images = x.reshape(*(1,) * (4 - x.ndim), *x.shape)
    y = functional.adaptive_avg_pool2d(images, (len(down), len(across)))
    return y.reshape(*x.shape[:-2], *y.shape[-2:])


COUNTERPARTS |= {
    "bin_mean (adaptive_avg_pool)": over_bins,
    "lp_pool": over_windows(
        lambda x, kernel, stride, _, p: functional.lp_pool2d(x, p, kernel, stride), 0.0
    ),
    "max_pool": over_windows(
        lambda x, kernel, stride, dilation: functional.max_pool2d(x, kernel, stride, 0, dilation),
        -math.inf,
    ),
}
COUNTERPARTS |= {
    name: on_tensors(getattr(torch, {"power": "pow"}.get(name, name))) for name in SAME_NAME.split()
}

# Ops that PyTorch lacks, and why they are there.
ABSENT = {
    **dict.fromkeys(("append", "block", "insert", "delete", "rollaxis", "full_like"), "joining"),
    **dict.fromkeys(("compress", "extract", "choose", "ediff1d"), "looking up"),
    **dict.fromkeys(("bincount", "histogram"), "PyTorch's has no gradient in the weights"),
    **dict.fromkeys(("heaviside", "floor_divide", "divmod"), "PyTorch's has no gradient"),
    **dict.fromkeys(("unique", "unique_all", "unique_counts"), "PyTorch's has no gradient"),
    **dict.fromkeys(("unique_inverse", "unique_values"), "PyTorch's has no gradient"),
    **dict.fromkeys(("nanprod", "nanvar", "nanstd", "nancumsum", "nancumprod"), "skipping NaN"),
    **dict.fromkeys(("cbrt", "spacing", "interp"), "elementary"),
    **dict.fromkeys(("cofactors", "cofactors_change", "over_gap", "qr_r"), "part of a rule"),
    **dict.fromkeys(
        ("euclidean (norm)", "power_norm (norm_p)", "power_derivative"), "part of a rule"
    ),
    **dict.fromkeys(("from_diagonal", "overlap_add", "unpad", "sinc_derivative"), "part of a rule"),
    **dict.fromkeys(("recur", "recur_back"), "part of a rule"),
    **dict.fromkeys(("unpool", "pick", "spread", "bin_spread"), "part of a rule"),
    "window_mean (avg_pool)": "dilation, and a count for each window",
    **dict.fromkeys(("bell", "elu_slope", "gelu_slope", "silu_slope"), "part of a rule"),
    **dict.fromkeys(
        (
            "locally_connected2d",
            "locally_connected2d_transposed",
            "locally_connected2d_weight_grad",
        ),
        "weights of their own at every place",
    ),
    # the fused ops of networks, behind functions with PyTorch's arguments: compared there
    **dict.fromkeys(("conv2d", "conv_transpose2d", "conv2d_weight_grad"), "test_convolution"),
    **dict.fromkeys(("batch_norm", "running_norm", "layer_norm"), "test_normalization"),
    **dict.fromkeys(("group_norm", "neighbours", "local_response_norm"), "test_normalization"),
    **dict.fromkeys(("cross_entropy", "each_cross_entropy (cross_entropies)"), "test_losses"),
    **dict.fromkeys(("huber", "binary (binary_cross_entropy_with_logits)"), "test_losses"),
    **dict.fromkeys(("divergence (kl_div)", "margins"), "test_losses"),
    "log_divergence (kl_div of logarithms)": "test_losses",
    **dict.fromkeys(("rnn_steps (rnn)", "lstm_steps (lstm)", "gru_steps (gru)"), "test_recurrent"),
    **dict.fromkeys(("attention", "embedding", "linear", "leaky (leaky_relu)"), "test_modules"),
    "dropout": "its own mask",
}
