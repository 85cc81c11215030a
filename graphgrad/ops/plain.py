"""NumPy functions with plain results, and functions that are refused with a remedy.

The former return numbers, bools or indices, which have no gradient. The latter are refused like
every function without a rule, but with a specific remedy.
"""

from typing import Any

import numpy as np

from graphgrad.engine.plain import OF_CONSTANTS, PLAIN, REMEDIES, call_plain
from graphgrad.typing import Array


def _existing(names: str, module: Any = np) -> set[Any]:
    """Return the functions of these names that the installed NumPy has."""
    return {getattr(module, name) for name in names.split() if hasattr(module, name)}


SHAPE_AND_TYPE = {
    np.can_cast,
    np.common_type,
    np.iscomplexobj,
    np.isrealobj,
    np.may_share_memory,
    np.min_scalar_type,
    np.ndim,
    np.result_type,
    np.shape,
    np.shares_memory,
    np.size,
}
COMPARISONS = {
    np.allclose,
    np.array_equal,
    np.array_equiv,
    np.equal,
    np.greater,
    np.greater_equal,
    np.isclose,
    np.less,
    np.less_equal,
    np.not_equal,
}
KINDS_OF_NUMBER = {
    np.iscomplex,
    np.isfinite,
    np.isinf,
    np.isnan,
    np.isnat,
    np.isneginf,
    np.isposinf,
    np.isreal,
    np.signbit,
}
LOGIC = {
    np.all,
    np.any,
    np.logical_and,
    np.logical_not,
    np.logical_or,
    np.logical_xor,
}
# Defined for integers and bools only, which have no gradient.
INTEGERS = {
    np.bitwise_and,
    np.bitwise_count,
    np.bitwise_or,
    np.bitwise_xor,
    np.gcd,
    np.invert,
    np.lcm,
    np.left_shift,
    np.packbits,
    np.right_shift,
    np.unpackbits,
}
POSITIONS = {
    np.argmax,
    np.argmin,
    np.argpartition,
    np.argsort,
    np.argwhere,
    np.count_nonzero,
    np.diag_indices_from,
    np.digitize,
    np.flatnonzero,
    np.ix_,
    np.lexsort,
    np.nanargmax,
    np.nanargmin,
    np.nonzero,
    np.ravel_multi_index,
    np.searchsorted,
    np.tril_indices_from,
    np.triu_indices_from,
    np.unravel_index,
}
SETS = _existing("in1d isin")
SAME_SHAPE: set[Any] = {
    np.empty_like,
    np.ones_like,
    np.zeros_like,
}  # full_like is an op: it may be filled
AS_TEXT = {np.array2string, np.array_repr, np.array_str}
ADVICE = {np.einsum_path, np.histogram_bin_edges}

PLAIN |= SHAPE_AND_TYPE | COMPARISONS | KINDS_OF_NUMBER | LOGIC | INTEGERS | POSITIONS
PLAIN |= SETS | SAME_SHAPE | AS_TEXT | ADVICE
OF_CONSTANTS |= {np.histogram_bin_edges, np.ix_}

_ASSIGN = (
    "it writes into an array: change a Tensor by t[...] = value, and fill a plain array from "
    "t.numpy(), which leaves the graph"
)
_SAVE = "save t.numpy()"
REMEDIES |= dict.fromkeys(
    (np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask), _ASSIGN
)
REMEDIES["at"] = _ASSIGN  # a method of every ufunc
REMEDIES |= dict.fromkeys((np.save, np.savetxt, np.savez, np.savez_compressed), _SAVE)
REMEDIES |= {
    np.resize: "repeat by gg.tile, then cut and reshape",
    np.trim_zeros: "slice by the places that np.flatnonzero gives",
    np.linspace: "write start + (stop - start) * np.linspace(0, 1, n)",
}


# The most common three, with annotations that accept a Tensor.


def argmax(a: Array, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """Return the positions of the maxima, a plain array."""
    return call_plain(np.argmax, a, axis, keepdims=keepdims)


def argmin(a: Array, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """Return the positions of the minima, a plain array."""
    return call_plain(np.argmin, a, axis, keepdims=keepdims)


def argsort(a: Array, axis: int | None = -1, *, stable: bool | None = None) -> Array:
    """Return the positions in sorted order, a plain array."""
    return call_plain(np.argsort, a, axis, **({} if stable is None else {"stable": stable}))
