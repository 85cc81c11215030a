"""What NumPy raises in an op, raised as an error of ours: with the op, shapes and a remedy."""

from typing import Any, NoReturn

import numpy as np

from graphgrad.engine.plain import is_numpys
from graphgrad.errors import DtypeError, GraphgradError, LinalgError, ShapeError, translate


def kind_of(op: Any, error: Exception) -> type[GraphgradError] | None:
    """Return which error of ours stands for one of NumPy's in an op; None for what is neither."""
    if isinstance(error, GraphgradError):
        return None
    if isinstance(error, AttributeError) and is_numpys(op.function):
        return DtypeError  # NumPy looks for the method of an object that is no number
    return translate(error)


def raise_named(op: Any, error: Exception) -> NoReturn:
    """Raise NumPy's error as the matching one of ours; any other error is raised unchanged."""
    kind = kind_of(op, error)
    if kind is LinalgError and not is_numpys(op.function):
        kind = None  # from inside a rule: the sweep knows whose
    if kind is None:
        raise error
    raise kind(f"{op.name}: {error}") from error


def fail(op: Any, arrays: list[Any], error: Exception) -> NoReturn:
    """Raise NumPy's error as ours, with shapes and a remedy; any other error unchanged."""
    kind = kind_of(op, error)
    if kind is None:
        raise error  # not from itself: a chain of causes would have no end
    raise kind(_explained(op, arrays, error, kind)) from error


def _explained(op: Any, arrays: list[Any], error: Exception, kind: type[GraphgradError]) -> str:
    """Say which op and shapes an error of NumPy's belongs to."""
    shapes = ", ".join(f"{np.shape(a)} {getattr(a, 'dtype', type(a).__name__)}" for a in arrays)
    fault, remedy = str(error), ""
    if op.elementwise and kind is ShapeError:
        fault = fault.partition(" with shapes")[0]  # they stand before it
        remedy = "; shapes must be equal or 1, aligned at the last axis: reshape one of them"
    elif op.name == "matmul" and kind is ShapeError and len(arrays) == 2:
        a, b = (np.shape(x) for x in arrays)
        if a and b and a[-1] != b[-2 if len(b) > 1 else -1]:
            inner = f"inner dimensions {a[-1]} and {b[-2 if len(b) > 1 else -1]} differ"
            return f"matmul: {a} @ {b}: {inner}; transpose one of them?"
    if not remedy:
        remedy = next((f"; {hint}" for phrase, hint in _HINTS if phrase in fault), "")
    return f"{op.name}: {shapes}: {fault}{remedy}"


_HINTS = (  # what to do about it, by a phrase of NumPy's message
    ("float16 is unsupported", "NumPy has no linear algebra for it: use .astype(np.float32)"),
    ("Singular matrix", "use pinv, or add a small multiple of the identity"),
    ("not positive definite", "add a multiple of the identity, or use eigh"),
    ("must be square", "use pinv, svd or qr for other matrices"),
    ("core dimension", "the axes that are summed must have one length: transpose or reshape"),
    ("not have enough dimensions", "a number is no vector: multiply by * instead"),
    ("remapped shapes", "the axes before the matrix must be equal or 1: reshape one of them"),
)
