"""Simplification of expressions for display: what a reader does not need is left out."""

import math
from typing import Any

from graphgrad.engine.accumulate import Scatter
from graphgrad.viz.formulas.number_format import as_number
from graphgrad.viz.formulas.symbols import NoFormula, Symbol

_SAFEGUARD = 20  # the least limit of a clip that only keeps infinities away
RELATIONS = {
    "less": "<",
    "less_equal": "≤",
    "greater": ">",
    "greater_equal": "≥",
    "equal": "=",
    "not_equal": "≠",
}
PREDICATES = {"isnan": "is NaN", "isinf": "is ±∞", "isfinite": "is finite"}
NEGATIONS = {
    "less": "greater_equal",
    "greater": "less_equal",
    "less_equal": "greater",
    "greater_equal": "less",
    "equal": "not_equal",
    "not_equal": "equal",
}
AND, OR = ("logical_and", "bitwise_and"), ("logical_or", "bitwise_or")
NOT = ("logical_not", "invert")
CONDITIONS = frozenset((*RELATIONS, *PREDICATES, *AND, *OR, *NOT))


def only_non_finite(c: Any) -> bool:
    """Whether a condition holds only for ±∞ or NaN."""
    if not isinstance(c, Symbol):
        return False
    parts = c.parts
    if c.head in AND:
        return any(map(only_non_finite, parts))
    if c.head in OR:
        return all(map(only_non_finite, parts))
    return c.head in ("isnan", "isinf")


def always_true(c: Any, *, of_numbers: bool = False) -> bool:
    """Whether a condition fails only for an infinity, as x > −∞ does; of numbers also: for NaN."""
    if not isinstance(c, Symbol) or c.arguments is None:
        return False
    if of_numbers and c.head in NOT:
        return only_non_finite(c.arguments[0])
    return c.head == "greater" and bool(as_number(c.arguments[1]) == -math.inf)


def is_or(c: Any) -> bool:
    """Whether a condition is a disjunction."""
    return isinstance(c, Symbol) and c.head in OR


def is_compound(c: Any) -> bool:
    """Whether a condition is a conjunction or disjunction."""
    return isinstance(c, Symbol) and c.head in (*OR, *AND)


def same_sign(x: Any) -> Any:
    """Return the simplest expression that is above 0 where x is: relu(x) > 0 means x > 0."""
    while isinstance(x, Symbol) and x.op is not None and x.head in ("relu", "leaky_relu"):
        (x,) = x.arguments or (x,)
    return x


def is_whole_power(e: Symbol) -> bool:
    """Whether an expression is a power with an integer exponent."""
    n = as_number(e.parts[1]) if e.head == "power" else None
    return n is not None and math.isfinite(n) and n == int(n)


def is_broadcasting(e: Symbol) -> bool:
    """Whether an expression only adds or drops axes of length 1, or repeats along axes."""
    if e.head in ("broadcast_to", "expand_dims"):
        return True
    if e.head != "reshape":
        return False
    (x,) = e.parts
    shape = e.parameters["shape"]
    if not isinstance(x, Symbol) or not isinstance(shape, tuple):
        return False
    try:
        before, after = ([n for n in s if n != 1] for s in (x.shape, shape))
    except NoFormula:
        return False
    return before == after or (x.ndim == 1 and after == [-1])


def without_broadcasting(e: Any) -> Any:
    """Return an operand without the reshapes that only broadcast it against another."""
    while isinstance(e, Symbol) and e.arguments and is_broadcasting(e):
        e = e.arguments[0]
    return e


def is_identity_reshape(e: Symbol) -> bool:
    """Whether a reshape keeps the shape."""
    (x,) = e.arguments if e.arguments and len(e.arguments) == 1 else (None,)
    if not isinstance(x, Symbol) or e.head not in ("reshape", "ravel"):
        return False
    try:
        flat = e.head == "ravel" or e.parameters["shape"] in (-1, (-1,))
        return len(x.shape) == 1 if flat else x.shape == e.parameters["shape"]
    except NoFormula:
        return False


def where_false(e: Any, c: Any) -> Any:
    """Simplify an expression under the assumption that a condition is false."""
    if not isinstance(e, Symbol) or e.arguments is None:
        return e
    if e.head == "where" and _same(e.arguments[0], c):
        return where_false(e.arguments[2], c)
    arguments = tuple(where_false(x, c) for x in e.arguments)
    if all(a is b for a, b in zip(arguments, e.arguments, strict=True)):
        return e
    return Symbol(e.head, arguments, e.parameters, op=e.op)


def _same(a: Any, b: Any) -> bool:
    """Whether two expressions are equal, node by node."""
    if not isinstance(a, Symbol) or not isinstance(b, Symbol):
        return as_number(a) is not None and as_number(a) == as_number(b)
    if a is b or a.head != b.head or a.arguments is None or b.arguments is None:
        return a is b
    return len(a.arguments) == len(b.arguments) and all(map(_same, a.arguments, b.arguments))


def without_safeguards(e: Any) -> Any:
    """Drop clips with limits far from 0, by which our own rules avoid 0 · ∞."""
    if isinstance(e, Scatter):
        return Scatter(e.index, without_safeguards(e.values))
    if not isinstance(e, Symbol) or e.arguments is None:
        return e
    if e.head == "clip" and e.op is None and len(e.arguments) == 3:
        x, low, high = e.arguments
        if as_number(low) == -(as_number(high) or 0) and as_number(high) >= _SAFEGUARD:
            return without_safeguards(x)
    arguments = tuple(map(without_safeguards, e.arguments))
    return Symbol(e.head, arguments, e.parameters, op=e.op, shape=e.known_shape)
