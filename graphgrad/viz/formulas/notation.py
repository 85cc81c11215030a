"""Notation: writes an expression tree as mathematics.

Products and sums are flattened, signs factored out, equal factors gathered into powers, and
parentheses set only where precedence needs them. Conditions are Iverson brackets, [x > 0]: 1
where they hold and 0 elsewhere. A case that only matters at ±∞ or NaN is left out.
"""

from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.binder import REQUIRED
from graphgrad.engine.plain import is_numpys
from graphgrad.viz.formulas.number_format import (
    ATOM,
    LOWEST,
    MATRIX_PRODUCT,
    POWER,
    PRODUCT,
    SUM,
    UPSTREAM,
    Written,
    as_number,
    magnitude,
)
from graphgrad.viz.formulas.rewrites import (
    DELIMITERS,
    FUNCTION_NAMES,
    OMITTED_KEYWORDS,
    PREFIXES,
    rewritten,
)
from graphgrad.viz.formulas.simplification import (
    AND,
    CONDITIONS,
    NEGATIONS,
    NOT,
    OR,
    PREDICATES,
    RELATIONS,
    always_true,
    is_broadcasting,
    is_compound,
    is_identity_reshape,
    is_or,
    is_whole_power,
    only_non_finite,
    same_sign,
    where_false,
    without_broadcasting,
)
from graphgrad.viz.formulas.symbols import NoFormula, Symbol, is_ours

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Bracket(NamedTuple):
    """A condition as a factor."""

    text: str


# ------------------------------------------------------------------------------- conditions


def condition(c: Any) -> str:  # noqa: C901, PLR0911 - one case per line
    """Write a condition without brackets."""
    if not isinstance(c, Symbol):
        if isinstance(c, bool | np.bool_):
            return str(bool(c))
        raise NoFormula("a mask of numbers")
    if c.arguments is None:
        return c.head
    parts = c.parts
    if c.head in AND:
        kept = [p for p in parts if not always_true(p, of_numbers=True)] or [parts[0]]
        return " and ".join(condition(p) if not is_or(p) else f"({condition(p)})" for p in kept)
    if c.head in OR:
        kept = [p for p in parts if not only_non_finite(p)] or [parts[0]]
        return " or ".join(map(condition, kept))
    if c.head in NOT:
        inner = parts[0]
        if isinstance(inner, Symbol) and inner.head == "isnan":
            return f"{write(inner.parts[0]).at(SUM)} is not NaN"
        if isinstance(inner, Symbol) and inner.head in NEGATIONS:
            return condition(Symbol(NEGATIONS[inner.head], inner.arguments))
        return f"not {condition(inner)}" if not is_compound(inner) else f"not ({condition(inner)})"
    if c.head in RELATIONS:
        left, right = map(without_broadcasting, parts)
        if c.head == "greater" and as_number(right) == 0:
            left = same_sign(left)
        return f"{write(left).at(SUM)} {RELATIONS[c.head]} {write(right).at(SUM)}"
    if c.head == "all":
        return _write_all(parts[0])
    if c.head in PREDICATES:
        return f"{write(parts[0]).at(SUM)} {PREDICATES[c.head]}"
    return write(c).at(SUM)


def _write_all(c: Any) -> str:
    """Write the condition that c holds for all elements."""
    a, b = c.parts[:2] if isinstance(c, Symbol) else (None, None)
    if isinstance(b, Symbol) and b.head == "getitem" and b.parts[0] is a:
        return f"{write(a).at(SUM)} is constant"
    return f"all of {condition(c)}"


def _one_hot(c: Symbol) -> str | None:
    """Recognize the comparison of 0, 1, 2, … with labels."""
    if c.head != "equal" or c.arguments is None:
        return None
    a, b = c.arguments
    if isinstance(a, np.ndarray) and isinstance(b, Symbol):
        counts = a.ndim == 1 and np.array_equal(a, np.arange(a.size))
        if counts and b.head == "getitem" and b.parameters["index"] == (Ellipsis, None):
            return f"onehot({write(b.parts[0]).text})"
    return None


# ------------------------------------------------------------------------------ products


class Product:
    """A product: a sign, factors with their exponents, and conditions under which it is 0."""

    def __init__(self) -> None:
        self.negative = False
        self.factors: dict[str, tuple[Any, float]] = {}  # by their text
        self.order: list[str] = []
        self.guards: list[str] = []

    def multiply(self, e: Any, exponent: int = 1) -> None:  # noqa: C901, PLR0911, PLR0912 - one case per line
        """Multiply by a factor to an integer power."""
        x = as_number(e)
        if x is not None:
            if x < 0:
                self.negative ^= exponent % 2 == 1
            if abs(x) != 1:
                self._add_factor(abs(x), magnitude(abs(x)), exponent)
            return
        if not isinstance(e, Symbol):
            raise NoFormula("an array of numbers")
        if e.arguments is None:  # whatever its name is
            self._add_factor(e, e.head, exponent)
            return
        parts = e.parts
        if e.head == "multiply":
            for p in parts:
                self.multiply(p, exponent)
            return
        if e.head == "divide":
            self.multiply(parts[0], exponent)
            self.multiply(parts[1], -exponent)
            return
        if e.head == "negative":
            self.negative ^= exponent % 2 == 1
            self.multiply(parts[0], exponent)
            return
        if is_whole_power(e):
            self.multiply(parts[0], exponent * int(as_number(parts[1])))
            return
        if e.head == "sqrt" and exponent % 2 == 0:
            self.multiply(parts[0], exponent // 2)
            return
        if e.head == "masked":
            self.multiply(parts[0], exponent)
            if not always_true(parts[1]):
                self._add_factor(Bracket(condition(parts[1])), f"[{condition(parts[1])}]", exponent)
            return
        if e.head == "ones_like":
            return
        if e.head == "where" and as_number(parts[1]) == 0 and exponent == 1:
            if not only_non_finite(parts[0]):
                guard = condition(parts[0])
                if guard not in self.guards:
                    self.guards.append(guard)
            self.multiply(where_false(parts[2], parts[0]))
            return
        if is_broadcasting(e):
            self.multiply(parts[0], exponent)
            return
        form = rewritten(e)
        if form is not None:
            self.multiply(form, exponent)
            return
        if e.head in ("add", "subtract") and len(terms := _terms(e)) == 1:
            self.negative ^= terms[0][0] and exponent % 2 == 1
            self.multiply(terms[0][1], exponent)
            return
        self._add_factor(e, write(e).text, exponent)

    def _add_factor(self, factor: Any, text: str, exponent: int) -> None:
        before = self.factors.get(text)
        self.factors[text] = (factor, exponent + (before[1] if before else 0))
        if not before:
            if text == UPSTREAM:
                self.order.insert(0, text)
            else:
                self.order.append(text)

    def write(self) -> tuple[bool, Written]:
        """Return whether the product is negative, and the text of its magnitude."""
        above: list[Written] = []
        below: list[Written] = []
        for text in self.order:
            factor, exponent = self.factors[text]
            if exponent:
                (above if exponent > 0 else below).append(
                    _write_power(factor, text, abs(int(exponent)))
                )
        if not above:
            out = Written("1", ATOM)
        elif len(above) == 1:
            out = above[0]
        else:
            out = Written(" · ".join(w.at(PRODUCT) for w in above), PRODUCT)
        if below:
            under = below[0].at(POWER)
            if len(below) > 1:
                under = f"({' · '.join(w.at(PRODUCT) for w in below)})"
            out = Written(f"{out.at(PRODUCT)} / {under}", PRODUCT)
        return self.negative, out


def _write_power(factor: Any, text: str, exponent: int) -> Written:
    x = as_number(factor)
    if x is not None:
        base = Written(text, PRODUCT if "/" in text else ATOM)
    elif isinstance(factor, Bracket):
        return Written(text, ATOM)  # 0 and 1 are their own powers
    else:
        base = write(factor)
    if isinstance(factor, Symbol) and factor.head == "sqrt" and exponent % 2 == 0:
        base, exponent = write(factor.parts[0]), exponent // 2
    if exponent == 1:
        return base
    return Written(base.at(ATOM) + str(exponent).translate(_SUPERSCRIPTS), POWER)


# ----------------------------------------------------------------------------------- sums


def _terms(e: Any) -> list[tuple[bool, Any]]:
    """Split a sum into its terms, each with whether it is subtracted; zeros are dropped."""
    if as_number(e) == 0 or (isinstance(e, Symbol) and e.head == "zeros_like"):
        return []
    if isinstance(e, Symbol) and e.arguments is not None:
        parts = e.parts
        if e.head == "add":
            return _terms(parts[0]) + _terms(parts[1])
        if e.head == "subtract":
            return _terms(parts[0]) + [(not s, x) for s, x in _terms(parts[1])]
        if e.head == "negative":
            return [(not s, x) for s, x in _terms(parts[0])]
        if (form := rewritten(e)) is not None:
            return _terms(form)
    return [(False, e)]


def write_sum(e: Any) -> tuple[bool, Written]:
    """Return whether a sum is negative, if it has a single term, and its text."""
    terms = []
    several = _terms(e)
    for subtracted, x in several:
        negative, written, guards = write_product(
            without_broadcasting(x) if len(several) > 1 else x
        )
        if guards:
            negative, written = False, Written(f"({_with_guards(negative, written, guards)})", ATOM)
        terms.append((negative != subtracted, written))
    if not terms:
        return False, Written("0", ATOM)
    if len(terms) == 1:
        return terms[0]
    text = ""
    for negative, written in terms:
        sign = (" − " if negative else " + ") if text else ("−" if negative else "")
        text += sign + written.at(MATRIX_PRODUCT)
    return False, Written(text, SUM)


def write_product(e: Any) -> tuple[bool, Written, list[str]]:
    """Return whether a product is negative, its text, and the conditions under which it is 0."""
    if isinstance(e, bool):
        return False, write(e), []
    if isinstance(e, Symbol) and not _is_product(e):
        return False, write(e), []
    p = Product()
    p.multiply(e)
    negative, written = p.write()
    return negative, written, p.guards


def _is_product(e: Symbol) -> bool:
    if e.arguments is None:
        return False
    if e.head in ("multiply", "divide", "negative", "masked"):
        return True
    if e.head == "power":
        return is_whole_power(e)
    if e.head == "where":
        return bool(as_number(e.parts[1]) == 0)
    form = rewritten(e)
    return isinstance(form, Symbol) and _is_product(form)


def _with_guards(negative: bool, written: Written, guards: list[str]) -> str:
    text = f"−{written.at(MATRIX_PRODUCT)}" if negative else written.text
    return f"{text}, 0 where {' or '.join(guards)}" if guards else text


# ------------------------------------------------------------------------------- everything


def write(e: Any) -> Written:  # noqa: C901, PLR0911 - one case per line
    """Write an expression."""
    x = as_number(e)
    if x is not None:
        text = magnitude(abs(x))
        return (
            Written(f"−{text}", SUM) if x < 0 else Written(text, PRODUCT if "/" in text else ATOM)
        )
    if isinstance(e, bool):
        return Written(str(e), ATOM)
    if not isinstance(e, Symbol):
        raise NoFormula("an array of numbers")
    if e.arguments is None:
        return Written(e.head, ATOM)
    if is_identity_reshape(e):
        return write(e.arguments[0])
    if e.head in CONDITIONS:
        return Written(_one_hot(e) or f"[{condition(e)}]", ATOM)
    form = rewritten(e)
    if form is not None:
        return write(form)
    if e.head in ("add", "subtract", "negative", "zeros_like"):
        terms = _terms(e)
        if len(terms) != 1:
            return write_sum(e)[1]
    if _is_product(e):
        negative, written, guards = write_product(e)
        if guards:
            return Written(_with_guards(negative, written, guards), LOWEST)
        return Written(f"−{written.at(MATRIX_PRODUCT)}", SUM) if negative else written
    if e.head in ("add", "subtract"):
        negative, written = write_sum(e)
        return Written(f"−{written.at(MATRIX_PRODUCT)}", SUM) if negative else written
    return _write_other(e)


def _write_other(e: Symbol) -> Written:  # noqa: C901, PLR0911, PLR0912 - one case per line
    """Write an expression that is neither sum nor product."""
    parts = e.parts
    first: Any = parts[0] if parts else None
    if e.head == "power":  # integers are products
        base, exponent = write(first), write(parts[1])
        return Written(f"{base.at(ATOM)}^{exponent.at(ATOM)}", POWER)
    if e.head == "where":
        if only_non_finite(parts[0]):
            return write(parts[2])
        yes, no = write(parts[1]).at(SUM), write(parts[2]).at(LOWEST)
        return Written(f"{yes} if {condition(parts[0])} else {no}", LOWEST)
    if e.head == "transpose" and not e.parameters.get("axes"):
        return _transposed(first) if not _is_stack(first) else write_call(e)
    if e.head == "swapaxes" and {*e.parameters.values()} == {-1, -2}:
        return _transposed(first)
    if e.head == "broadcast_to":
        return Written(f"broadcast({write(without_broadcasting(first)).text})", ATOM)
    if e.head == "setitem":
        place = index(e.parameters["index"])
        return Written(f"{write(first).at(SUM)} with [{place}] = {write(parts[1]).at(SUM)}", LOWEST)
    if e.head == "output":
        return Written(f"{write(first).at(ATOM)}[{e.parameters['number']}]", ATOM)
    if e.head == "inv":
        return Written(f"{write(first).at(ATOM)}⁻¹", POWER)
    if e.head in ("matmul", "outer"):
        return _matrix_product(e, {"matmul": "@", "outer": "⊗"}[e.head])
    if e.head == "getitem":
        return Written(f"{write(first).at(ATOM)}[{index(e.parameters['index'])}]", ATOM)
    if e.head in DELIMITERS and e.parameters.get("axis") is None:
        left, right = DELIMITERS[e.head]
        return Written(f"{left}{write(first).text}{right}", ATOM)
    if e.head in PREFIXES:
        inner = write(first)
        return Written(PREFIXES[e.head] + inner.at(ATOM), POWER)
    if e.head == "floor_divide":
        return Written(f"⌊{write(np.true_divide(first, parts[1])).text}⌋", ATOM)
    return write_call(e)


def _is_stack(x: Any) -> bool:
    try:
        return isinstance(x, Symbol) and x.ndim > 2
    except NoFormula:
        return False


def _transposed(x: Any) -> Written:
    if isinstance(x, Symbol) and x.head == "inv":
        return Written(f"{write(x.parts[0]).at(ATOM)}⁻ᵀ", POWER)
    if isinstance(x, Symbol) and x.head == "transpose" and not x.parameters.get("axes"):
        return write(x.parts[0])
    return Written(f"{write(x).at(ATOM)}ᵀ", POWER)


def _matrix_product(e: Symbol, sign: str) -> Written:
    texts = []
    for place, x in enumerate(e.parts):
        chain = place == 0 and isinstance(x, Symbol) and x.head == e.head
        texts.append(write(x).at(MATRIX_PRODUCT if chain else POWER))
    return Written(f" {sign} ".join(texts), MATRIX_PRODUCT)


_OPTIONAL = ("bias", "b_hh", "mask")  # last inputs, which are 0 if they were not given


def write_call(e: Symbol) -> Written:
    """Write a call: function, arguments, and keywords that differ from their defaults."""
    name = (
        e.op.name if e.op is not None and not is_ours(e.op) else FUNCTION_NAMES.get(e.head, e.head)
    )
    given = e.parts
    texts = [write(x).at(LOWEST) for x in given]
    optional = () if e.op is None else set(_OPTIONAL) & set(e.op.order[: len(given)])
    if optional and as_number(given[-1]) == 0:
        texts.pop()
    defaults = dict(e.op.binder.own) if e.op is not None else {}
    all_shown = e.op is None or e.op.elementwise or is_numpys(e.op.function)
    for key, value in e.parameters.items():
        default = defaults.get(key)
        shown = all_shown or key == "axis" or (isinstance(value, Symbol) and value.is_array)
        if key in OMITTED_KEYWORDS or not shown:
            continue
        value = _as_plain(value)  # noqa: PLW2901
        if default is REQUIRED:
            texts.append(_keyword_text(value))
        elif isinstance(value, Symbol) or value != default:
            axis = value[0] if isinstance(value, tuple) and len(value) == 1 else value
            texts.append(f"{key}={_keyword_text(axis)}")
    return Written(f"{name}({', '.join(texts)})", ATOM)


def _as_plain(x: Any) -> Any:
    """Return a keyword as plain Python: small arrays as tuples, "…" for anything long."""
    if isinstance(x, np.ndarray | np.generic):
        x = x.tolist()
    if isinstance(x, list | tuple) and len(x) <= 8:
        return tuple(map(_as_plain, x))
    return x if x is None or isinstance(x, int | float | str | Symbol) else "…"


def _keyword_text(value: Any) -> str:
    if isinstance(value, Symbol):
        return write(value).at(LOWEST)
    if isinstance(value, tuple):
        return f"({', '.join(map(_keyword_text, value))}{',' * (len(value) == 1)})"
    return str(value).replace("-", "−")


def index(i: Any) -> str:  # noqa: PLR0911 - one case per line
    """Write an index as in Python."""
    if isinstance(i, tuple):
        parts = list(map(index, i))
        return "index" if "index" in parts else ", ".join(parts) or "()"
    if isinstance(i, slice):
        parts = ["" if n is None else index(n) for n in (i.start, i.stop, i.step)]
        return ":".join(parts if parts[2] else parts[:2])
    if i is Ellipsis:
        return "…"
    if i is None or isinstance(i, bool):
        return str(i)
    if (x := as_number(i)) is not None:
        return f"{x}".replace("-", "−")
    if isinstance(i, Symbol):
        return write(i).text
    return "index"
