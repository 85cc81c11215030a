"""Einstein summation: products of arrays, summed over axes that a string of labels selects."""

from collections.abc import Iterable
from functools import lru_cache
from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.typing import Array

_BY_NUMBER = ascii_uppercase + ascii_lowercase  # NumPy's labels for 0, 1, …
_MANY = 1 << 13  # elements from which BLAS is faster, in spite of its preparation


@lru_cache(maxsize=512)
def _explicit(subscripts: str, ndims: tuple[int, ...]) -> tuple[list[str], str]:
    """Return the labels of each operand and of the output, with ellipses replaced.

    An ellipsis becomes letters that the string does not use, aligned at the right.
    """
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    widths = [
        ndim - len(term.replace("...", "")) if "..." in term else 0
        for term, ndim in zip(terms, ndims, strict=True)
    ]
    unused = [c for c in ascii_letters if c not in subscripts]
    dots = "".join(unused[: max(widths)])
    if not arrow:
        letters = left.replace("...", "").replace(",", "")
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        output = "..." + "".join(once)
    labels = [
        term.replace("...", dots[len(dots) - width :])
        for term, width in zip(terms, widths, strict=True)
    ]
    return labels, output.replace("...", dots)


def _forward(operands: Any, subscripts: str, optimize: Any = False) -> Array:
    try:
        out = np.einsum(subscripts, *operands, optimize=_plan(operands, optimize))
    except ValueError as error:
        raise ShapeError(_diagnosis(operands, subscripts, str(error))) from error
    # copied, since for one operand it may be a view
    return out.copy() if len(operands) == 1 and out.base is not None else out


def _plan(operands: Iterable[Any], optimize: Any) -> Array:
    """Return the argument ``optimize`` of np.einsum: BLAS for large products by default."""
    if optimize is False:
        sizes = [x.size for x in operands if hasattr(x, "size")]
        return len(sizes) > 1 and sum(sizes) > _MANY
    return optimize


def _diagnosis(operands: Any, subscripts: str, error: str) -> str:
    """Return an error message: the label with two lengths, else NumPy's message."""
    shapes = [np.shape(x) for x in operands]
    fault = f"{', '.join(map(str, shapes))}: {error}"
    try:
        labels, _ = _explicit(subscripts, tuple(map(len, shapes)))
    except ValueError:  # more or fewer terms than operands
        fault = f"the subscripts do not name {len(shapes)} operands, one term for each"
        labels = []
    lengths: dict[str, tuple[int, int]] = {}
    for i, (term, shape) in enumerate(zip(labels, shapes, strict=False)):
        if len(term) != len(shape):
            fault = f"operand {i} has {len(shape)} axes {shape}, its term names {len(term)}"
            break
        for label, n in zip(term, shape, strict=True):
            known, owner = lengths.setdefault(label, (n, i))
            if n != known and (1 not in (n, known) or owner == i):
                name = f"label '{label}'" if label in subscripts else "an axis of '...'"
                fault = (
                    f"{name} has length {known} in operand {owner} {shapes[owner]} "
                    f"and {n} in operand {i} {shape}"
                )
            elif n != 1:
                lengths[label] = (n, i)
    return f"einsum '{subscripts}': {fault}"


class _Backward(NamedTuple):
    """How to compute the gradient of one operand; depends on shapes only."""

    subscripts: (
        str  # contracts g and the other operands to the labels that they share with this one
    )
    full: tuple[int, ...]  # one length per label of this operand
    stretch: tuple[int, ...] | None  # 1 for labels that g and the others lack
    diagonal: tuple[Array, ...] | None  # if a label occurs twice in the term


@lru_cache(maxsize=512)
def _backward(subscripts: str, shapes: tuple[tuple[int, ...], ...], i: int) -> _Backward:
    """Plan the gradient of operand i.

    A label of this operand alone was summed over: the gradient is constant along it. A label that
    occurs twice selected a diagonal: the gradient is on that diagonal.
    """
    labels, output = _explicit(subscripts, tuple(map(len, shapes)))
    terms = [output, *labels[:i], *labels[i + 1 :]]
    elsewhere = set(output)  # labels that are not broadcast from length 1
    for term, shape in zip(terms[1:], shapes[:i] + shapes[i + 1 :], strict=True):
        elsewhere.update(c for c, n in zip(term, shape, strict=True) if n != 1)
    lengths = dict(zip(labels[i], shapes[i], strict=True))
    shared = [c for c, n in lengths.items() if n != 1 and c in elsewhere]
    full = tuple(lengths.values())
    stretch = None
    if len(shared) < len(full):
        stretch = tuple(n if c in shared else 1 for c, n in lengths.items())
    diagonal = None
    if len(full) < len(labels[i]):
        place = dict(zip(lengths, np.ix_(*map(np.arange, full)), strict=True))
        diagonal = tuple(place[c] for c in labels[i])
    return _Backward(f"{','.join(terms)}->{''.join(shared)}", full, stretch, diagonal)


def _gradients(
    g: Array, inputs: tuple[Array, ...], wanted: tuple[bool, ...], subscripts: str, optimize: Any
) -> tuple[Array, ...]:
    if not isinstance(optimize, bool | str):
        optimize = True  # not a contraction order, which was for the output
    shapes = tuple(map(shape_of, inputs))
    gradients: list[Any] = []
    for i, want in enumerate(wanted):
        if not want:
            gradients.append(None)
            continue
        plan = _backward(subscripts, shapes, i)
        operands = (g, *inputs[:i], *inputs[i + 1 :])
        c = np.einsum(plan.subscripts, *operands, optimize=_plan(operands, optimize))
        if plan.stretch is not None:
            c = np.broadcast_to(np.reshape(c, plan.stretch), plan.full)
        gradients.append(c if plan.diagonal is None else Scatter(plan.diagonal, c))
    return tuple(gradients)


_einsum: Op[Tensor] = op(
    _forward,
    joint=_gradients,
    variadic=True,
    name="einsum",
    symbol="Σ",
    domain=Cases(
        lambda r: call([r(2, 3), r(3, 4)], "ij,jk->ik"),
        lambda r: call([r(3, 3)], "ii->i"),
        lambda r: call([r(2, 1, 3), r(4, 3)], "b...i,...i->..."),
    ),
    doc="Einstein summation. Gradient: g summed against the other operands.",
)


def _term(labels: Array) -> str:
    try:
        return "".join("..." if label is Ellipsis else _BY_NUMBER[label] for label in labels)
    except (IndexError, TypeError) as error:
        message = f"einsum: labels are numbers from 0 to 51 or Ellipsis, got {labels}"
        raise ShapeError(message) from error


@composed(
    np.einsum,
    domain=Cases(
        lambda r: call("ij,jk->ik", r(2, 3), r(3, 4)),
        lambda r: call("ij,jk", r(2, 3), r(3, 4)),
        lambda r: call("ba", r(2, 3)),
        lambda r: call("ii", r(3, 3)),
        lambda r: call("ii->i", r(3, 3)),
        lambda r: call("iji->j", r(2, 3, 2)),
        lambda r: call("ij,jj,j->i", r(2, 3), r(3, 3), r(3)),
        lambda r: call("ij->", r(2, 3)),
        lambda r: call("ij,k->k", r(2, 3), r(2)),
        lambda r: call("i,i->i", r(1), r(3)),
        lambda r: call("i,i->", r(1), r(3)),
        lambda r: call("i...,...i->...", r(3, 2), r(2, 3)),
        lambda r: call("...ij,...jk->...ik", r(2, 1, 2, 3), r(4, 3, 2)),
        lambda r: call("...i,...i", r(2, 3), r(3)),
        lambda r: call(",i->i", r(), r(3)),
        lambda r: call("ij,jk,kl->il", r(2, 3), r(3, 2), r(2, 2), optimize=True),
        lambda r: call("ij,jk,kl->il", r(2, 3), r(3, 2), r(2, 2), optimize="optimal"),
        lambda r: call("ij,jk->ik", r(2, 0), r(0, 3)),
        lambda r: call(r(2, 3), [0, 1], r(3, 2), [1, 2], [0, 2]),
        lambda r: call(r(2, 3), [1, 0]),
        lambda r: call(r(2, 3), [Ellipsis, 0], r(3), [0], [Ellipsis]),
    ),
)
def einsum(*operands: Any, optimize: Any = False) -> Tensor:
    """Einstein summation, in both of NumPy's forms: ``"ij,jk->ik", a, b`` or labels by number.

    Labels may repeat within an operand (a diagonal) or occur in one operand only (a sum); an
    ellipsis is allowed. Large products use BLAS with ``optimize=False`` too.
    """
    if isinstance(operands[0], str):
        subscripts, *arrays = operands
        return _einsum(arrays, subscripts, optimize)
    arrays = list(operands[0 : len(operands) // 2 * 2 : 2])
    terms = [_term(labels) for labels in operands[1::2]]
    subscripts = ",".join(terms)
    if len(operands) % 2:
        subscripts += "->" + _term(operands[-1])
    return _einsum(arrays, subscripts, optimize)
