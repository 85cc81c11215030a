"""What an op computes and sends back, as formulas that come from its own gradient rules.

A rule is run on symbols (`applied.py`) and the expression is written (`notation.py`), so the text
cannot drift from the code: for ``sin`` the rule ``g * np.cos(x)`` gives ``g · cos(x)``. Where a
rule cannot run on symbols (it needs numbers, or is too long to be read), the docstring's
sentence on the gradient takes its place.
"""

import functools
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import Absent, Freed, Node
from graphgrad.engine.op import Op
from graphgrad.viz.formulas.applied import OUT, UNPRINTABLE, AppliedOp, FormulaKey, KeyedValue
from graphgrad.viz.formulas.local_derivatives import local_derivatives
from graphgrad.viz.formulas.notation import write, write_call
from graphgrad.viz.formulas.number_format import (
    PLACEHOLDER,
    UPSTREAM,
    array_text,
    number,
    substitute,
)
from graphgrad.viz.formulas.symbols import Shape

# Cached texts have placeholders for the names of inputs, of the upstream gradient and of the
# output, so that the text of one use of an op serves for all.
_FIRST_PLACEHOLDER = 0xE000
_DERIVATIVE = "\uf8ef"
_LONGEST = 90  # characters of a formula that a picture still shows
_LONGEST_NAME = 24
_CACHED = 512  # uses of one op
_FEW = 4  # elements of an array that a formula shows
Name = str | int | float | None
R = TypeVar("R")


class KnownValue(NamedTuple):
    """The shape of a value, and its elements if they are few."""

    shape: Shape | None
    elements: tuple[float, ...] | None


class NodeFormulas(NamedTuple):
    """The formulas of one op in a graph."""

    formula: str
    gradients: tuple[str | None, ...]
    numbers: tuple[float | None, ...]
    in_numbers: str | None = None  # "200 + 450 = 650", "4×3 @ 3×2 → 4×2"
    gradients_in_numbers: tuple[str | None, ...] = ()  # of single numbers: "1.1 × 650"


def formula_of(
    op: Op[Any],
    names: Sequence[Name] = (),
    keywords: Mapping[str, Any] | None = None,
    shapes: Sequence[Shape | None] | None = None,
) -> str:
    """Write what an op computes, such as ``sin(x)`` or ``x · y``.

    Parameters
    ----------
    op
        The op.
    names
        The names of its inputs, or their values if they are numbers. Where one is missing, the
        name of the op's parameter is used.
    keywords
        Its other arguments by name. Those that are missing have their defaults, or are not shown.
    shapes
        The shapes of the inputs, as far as they are known.
    """
    return _OpFormulas(op, names, keywords or {}, shapes).formula()


def local_gradients(
    op: Op[Any],
    names: Sequence[Name] = (),
    keywords: Mapping[str, Any] | None = None,
    wanted: Sequence[bool] | None = None,
    shapes: Sequence[Shape | None] | None = None,
) -> tuple[str | None, ...]:
    """Write the gradient of each input of an op for an upstream gradient ``g``.

    None where it has no gradient or none is wanted. The other parameters are those of
    :func:`formula_of`; with the shapes, more rules can be run.
    """
    return _OpFormulas(op, names, keywords or {}, shapes).gradients(wanted)


def from_rules(
    op: Op[Any],
    keywords: Mapping[str, Any] | None = None,
    shapes: Sequence[Shape | None] | None = None,
) -> tuple[bool, ...]:
    """Return for each differentiable input whether its text comes from its rule."""
    case = _OpFormulas(op, (), keywords or {}, shapes)
    return tuple(
        t is not None
        for t, able in zip(case.from_rules, case.differentiable(), strict=True)
        if able
    )


def formulas_of(
    node: Node, names: Sequence[Name], known_values: Sequence[KnownValue] = ()
) -> NodeFormulas:
    """Write all formulas of one op in a graph.

    Parameters
    ----------
    node
        The node of the op.
    names
        The names of its inputs, or their values if they are numbers.
    known_values
        Shape and elements of each input, of the result, and of its upstream gradient, for the
        formulas in numbers; default: none.
    """
    op = node.plan.op
    shapes = [p.shape if isinstance(p, Node | Absent) else () for p in node.parents]
    keywords: dict[str, Any] = {}
    if not isinstance(node.values, Freed) and len(op.order) > op.inputs:
        kept = zip(node.plan.kept_names, node.values, strict=True)
        keywords = {n: v for n, v in kept if n in op.order[op.inputs :]}
    case = _OpFormulas(
        op, _distinct_names(node, names), keywords, shapes, out_shape=node.shape, complete=False
    )
    gradients, derivatives = case.gradients(node.plan.wanted), local_derivatives(node)
    if not known_values:
        return NodeFormulas(case.formula(), gradients, derivatives)
    *inputs, result, upstream = known_values
    sent: tuple[str | None, ...] = ()
    if any(derivative is not None for derivative in derivatives):
        sent = case.gradients_in_numbers(inputs, result, upstream, derivatives)
    return NodeFormulas(
        case.formula(), gradients, derivatives, case.in_numbers(inputs, result), sent
    )


def _distinct_names(node: Node, names: Sequence[Name]) -> list[Name]:
    """Name the inputs so that different values have different names."""
    own: list[Name] = []
    for i, (parent, name) in enumerate(zip(node.parents, names, strict=True)):
        same = [j for j in range(i) if parent is node.parents[j] and isinstance(parent, Node)]
        if same:
            name = own[same[0]]  # noqa: PLW2901
        elif isinstance(name, str):
            name = _unused_name(own, _readable(name)) or None  # noqa: PLW2901
        elif name is None and not node.plan.op.variadic:
            name = _unused_name([*own, *names], node.plan.op.order[i])  # noqa: PLW2901
        own.append(name)
    return own


# ---------------------------------------------------------------------------- running rules


class _OpFormulas:
    """The formulas of one use of an op, with its names, keywords and shapes."""

    def __init__(
        self,
        op: Op[Any],
        names: Sequence[Name],
        keywords: Mapping[str, Any],
        shapes: Sequence[Shape | None] | None,
        *,
        out_shape: Shape | None = None,
        complete: bool = True,
    ) -> None:
        """Assign the placeholders; if ``complete``, missing keywords have their defaults."""
        count = _count(op, shapes or names)
        own = [f"x{i + 1}" for i in range(count)] if op.variadic else op.order[: op.inputs]
        given = [*names, *[None] * count][:count]
        taken = [_readable(n) if isinstance(n, str) else n for n in given]
        self.placeholders: dict[str, str] = {}
        placeholders: list[Any] = []
        for name, default in zip(taken, own, strict=True):
            if name is None or isinstance(name, str):
                shown = name or _unused_name(taken, default)
                placeholder = next((k for k, n in self.placeholders.items() if n == shown), None)
                placeholder = placeholder or chr(_FIRST_PLACEHOLDER + len(self.placeholders))
                self.placeholders[placeholder] = shown
                placeholders.append(placeholder)
            else:
                placeholders.append(name)
        self.placeholders |= {
            UPSTREAM: "ḡ" if "g" in taken else "g",
            OUT: _unused_name(taken, "out"),
        }
        known = shapes is not None and None not in shapes
        self.key = FormulaKey(
            op,
            tuple(map(KeyedValue, placeholders)),  # equal, but shown differently: 1, 1.0, True
            tuple((k, KeyedValue(v)) for k, v in keywords.items()),
            tuple(map(tuple, shapes)) if known else None,  # type: ignore[arg-type]
            out_shape,
            complete,
        )

    def formula(self) -> str:
        """Write what the op computes."""
        return self._with_names(self.template)

    def in_numbers(self, inputs: Sequence[KnownValue], result: KnownValue) -> str | None:
        """Write what the op computes with numbers for the inputs, and the result.

        Where all arrays have few elements these are shown, else shapes. A scalar whose value is
        not known stays a name.
        """
        everything = (*inputs, result)
        few = all(x.elements is not None and len(x.elements) <= _FEW for x in everything)
        return (few and self._substituted(inputs, result, elements=True)) or self._substituted(
            inputs, result, elements=False
        )

    def _substituted(
        self, inputs: Sequence[KnownValue], result: KnownValue, *, elements: bool
    ) -> str | None:
        known: dict[str, str] = {}
        single = True
        for name, (shape, numbers) in zip(self.key.names, inputs, strict=True):
            if isinstance(name.value, str) and shape is not None and (shape or numbers):
                shown = numbers if elements or not shape else None
                known[name.value] = array_text(shape, shown)
            single = single and not shape
        text = self._with_names(substitute(self.template, known))
        if single:
            text = text.replace(" · ", " × ")
        if result.shape is None:
            gives = ""
        elif result.elements is not None and (elements or not result.shape):
            gives = f" = {array_text(result.shape, result.elements)}"
        else:
            gives = f" → {array_text(result.shape, None)}" if result.shape else ""
        return text + gives if len(text + gives) <= _LONGEST else None

    def gradients_in_numbers(
        self,
        inputs: Sequence[KnownValue],
        result: KnownValue,
        upstream: KnownValue,
        derivatives: Sequence[float | None],
    ) -> tuple[str | None, ...]:
        """Write the gradients with numbers for all names; None where that adds nothing.

        Where the rule has conditions or no formula: the upstream gradient times the local
        derivative.
        """
        placeholders = [*(n.value for n in self.key.names), OUT, UPSTREAM]
        known = {
            placeholder: array_text((), numbers)
            for placeholder, (shape, numbers) in zip(
                placeholders, (*inputs, result, upstream), strict=True
            )
            if isinstance(placeholder, str) and shape == () and numbers
        }
        if UPSTREAM not in known:
            return ()
        texts: list[str | None] = []
        for rule, derivative in zip(self.from_rules, derivatives, strict=True):
            text = rule
            if derivative is None or rule in (UPSTREAM, f"−{UPSTREAM}"):
                texts.append(None)
                continue
            if rule is None or any(word in rule for word in (" = ", " where ", " if ", " is ")):
                text, known[_DERIVATIVE] = f"{UPSTREAM} × {_DERIVATIVE}", number(derivative)
            text = substitute(text or "", known)
            texts.append(None if PLACEHOLDER.search(text) else text.replace(" · ", " × "))
        return tuple(texts) if any(texts) else ()

    def _with_names(self, text: str) -> str:
        return text.translate({ord(k): name for k, name in self.placeholders.items()})

    def gradients(self, wanted: Sequence[bool] | None) -> tuple[str | None, ...]:
        """Write the gradient of each input."""
        texts, sentences = self.from_rules, _docstring_gradients(self.key.op, len(self.key.names))
        return tuple(
            (self._with_names(text) if text else sentence) if able and w else None
            for text, sentence, able, w in zip(
                texts,
                sentences,
                self.differentiable(),
                wanted or self.differentiable(),
                strict=True,
            )
        )

    @functools.cached_property
    def template(self) -> str:
        """What the op computes, with placeholders for names."""
        return _formula(self.key)

    @functools.cached_property
    def from_rules(self) -> tuple[str | None, ...]:
        """The gradients with placeholders for names; None where a rule has no formula."""
        return _gradients(self.key)

    def differentiable(self) -> list[bool]:
        """Return for each input whether it has a gradient."""
        op = self.key.op
        return [True] * len(self.key.names) if op.joint else [r is not None for r in op.rules]


def _memoized(write_texts: Callable[[FormulaKey], R]) -> Callable[[FormulaKey], R]:
    """Cache the texts of an op's latest uses, for as long as the op lives."""
    texts: weakref.WeakKeyDictionary[Op[Any], dict[Any, R]] = weakref.WeakKeyDictionary()

    @functools.wraps(write_texts)
    def cached(key: FormulaKey) -> R:
        if not all(value.identifies for _, value in key.keywords):
            return write_texts(key)
        of_op = texts.setdefault(key.op, {})
        # neither the op nor the values of keywords: the cache must not keep them alive
        names, keywords = (held.key for held in key.names), ((k, v.key) for k, v in key.keywords)
        plain = (*names, *keywords, *key[3:])
        if plain not in of_op:
            if len(of_op) >= _CACHED:
                of_op.clear()
            of_op[plain] = write_texts(key)
        return of_op[plain]

    return cached


@_memoized
def _formula(key: FormulaKey) -> str:
    applied = AppliedOp(key, key.shapes or ((),) * len(key.names))
    for writer in (
        lambda: _written(applied.user_formula()),
        lambda: write(applied.as_typed()).text,
        lambda: write_call(applied.symbol).text,
    ):
        text = _try_writer(writer)
        if text is not None:
            return text
    return f"{key.op.name}({', '.join(str(n.value) for n in key.names)})"


@_memoized
def _gradients(key: FormulaKey) -> tuple[str | None, ...]:
    """Write the gradient of each input by its rule; None where that has no formula."""
    count, known = len(key.names), key.shapes is not None
    # without the shapes: only a text that does not depend on them, the same for two guesses
    guesses = [key.shapes] if key.shapes is not None else [((n,) * 2,) * count for n in (7, 11)]
    attempts = [AppliedOp(key, guess, shapes_known=known) for guess in guesses]
    texts: list[str | None] = []
    for i in range(count):
        found = {_try_writer(functools.partial(applied.gradient, i)) for applied in attempts}
        texts.append(found.pop() if len(found) == 1 else None)
    return tuple(texts)


def _written(e: Any) -> str | None:
    return None if e is None else write(e).text


def _try_writer(writer: Callable[[], str | None]) -> str | None:
    """Return the text of a writer; None if it raises or a picture cannot show the text."""
    before = ignore_warnings()
    try:
        text = writer()
    except Exception:  # noqa: BLE001 - whatever a function of the user's does with a symbol
        return None
    finally:
        restore_warnings(before)
    return text if text and len(text) <= _LONGEST and UNPRINTABLE not in text else None


# ------------------------------------------------------------ where a rule has no formula


def _docstring_gradients(op: Op[Any], count: int) -> tuple[str, ...]:
    """Return the docstring's sentence on the gradient of each input."""
    doc = " ".join((op.__doc__ or "").split())
    found = re.search(r"Gradients?\b(?: of \w+| by \w+)?[:,] (.+)$", doc)
    if found is None:
        return (f"by the rule of {op.name}",) * count
    sentence = found[1].removesuffix(".")
    for mark in (r"; ", r"(?:[;,] )?\band "):
        parts = [p.strip(" ,;").removeprefix("and ") for p in re.split(mark, sentence)]
        if len(parts) == count > 1 and all(parts):
            return tuple(parts)
    return (sentence,) * count


def _count(op: Op[Any], inputs: Sequence[Any]) -> int:
    return (len(inputs) or 2) if op.variadic else op.inputs


def _unused_name(taken: Sequence[Any], name: str) -> str:
    """Return the name with primes, so that no other has it."""
    while name in taken:
        name += "′"
    return name


def _readable(name: str) -> str:
    """Make a name printable, of one line and not too long."""
    if len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable() and "  " not in name:
        return name.strip()  # as nearly all are
    text = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
