"""Errors of NumPy in an op, raised again as ours: with the op, shapes and a remedy."""

from typing import Any, NoReturn

import numpy as np

from graphgrad.engine.plain import is_numpys
from graphgrad.errors import DtypeError, GraphgradError, LinalgError, ShapeError, translate


def our_class(op: Any, error: Exception) -> type[GraphgradError] | None:
    """Return our class for an error of NumPy in an op; None for ours and for others."""
    if isinstance(error, GraphgradError):
        return None
    if isinstance(error, AttributeError) and is_numpys(op.function):
        return DtypeError  # NumPy called a method of an object that is not a number
    return translate(error)


def raise_named(op: Any, error: Exception) -> NoReturn:
    """Raise an error of NumPy as ours, with the op; any other error unchanged."""
    kind = our_class(op, error)
    if kind is LinalgError and not is_numpys(op.function):
        kind = None  # inside a rule: the sweep adds the op
    if kind is None:
        raise error
    raise kind(f"{op.name}: {error}") from error


def raise_explained(op: Any, arrays: list[Any], error: Exception) -> NoReturn:
    """Raise an error of NumPy as ours, with op, shapes and a remedy; any other unchanged."""
    kind = our_class(op, error)
    if kind is None:
        raise error  # without a cause: it would be its own
    raise kind(_message(op, arrays, error, kind)) from error


def _message(op: Any, arrays: list[Any], error: Exception, kind: type[GraphgradError]) -> str:
    """Return the message: op, shapes, NumPy's message and a remedy."""
    shapes = ", ".join(f"{np.shape(a)} {getattr(a, 'dtype', type(a).__name__)}" for a in arrays)
    reason, remedy = str(error), ""
    if op.elementwise and kind is ShapeError:
        reason = reason.partition(" with shapes")[0]  # the shapes are in our part of the message
        remedy = "; shapes must be equal or 1, aligned at the last axis: reshape one of them"
    elif op.name == "matmul" and kind is ShapeError and len(arrays) == 2:
        a, b = (np.shape(x) for x in arrays)
        if a and b and a[-1] != b[-2 if len(b) > 1 else -1]:
            inner = f"inner dimensions {a[-1]} and {b[-2 if len(b) > 1 else -1]} differ"
            return f"matmul: {a} @ {b}: {inner}; transpose one of them?"
    if not remedy:
        remedy = next((f"; {hint}" for phrase, hint in _HINTS if phrase in reason), "")
    return f"{op.name}: {shapes}: {reason}{remedy}"


_HINTS = (  # remedies by a phrase of NumPy's message
    ("float16 is unsupported", "NumPy has no linear algebra for it: use .astype(np.float32)"),
    ("Singular matrix", "use pinv, or add a small multiple of the identity"),
    ("not positive definite", "add a multiple of the identity, or use eigh"),
    ("must be square", "use pinv, svd or qr for other matrices"),
    ("core dimension", "the axes that are summed must have one length: transpose or reshape"),
    ("not have enough dimensions", "an operand is 0-d: use * with a scalar"),
    ("remapped shapes", "the axes before the matrix must be equal or 1: reshape one of them"),
)
