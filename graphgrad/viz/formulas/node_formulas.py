"""What an op computes and what it sends back, in mathematics, told by its own gradient rules.

A rule is run on symbols (`applied.py`) and what it computes is written down (`notation.py`), so
that the text cannot drift from the code: for ``sin`` the rule ``g * np.cos(x)`` tells
``g · cos(x)``. Where a rule cannot run on symbols (it needs numbers, or is too long to be read)
the sentence on the gradient in the op's docstring stands in its place.
"""

import functools
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import Absent, Freed, Node
from graphgrad.engine.op import Op
from graphgrad.viz.formulas.applied import HIDDEN, OUT, AppliedOp, Held, Use
from graphgrad.viz.formulas.notation import called, write
from graphgrad.viz.formulas.number_format import LETTER, UPSTREAM, array, number, put_in
from graphgrad.viz.formulas.slopes import local_numbers
from graphgrad.viz.formulas.symbols import Shape

# In texts that are kept, names stand as single letters of no meaning, so that what was told of one
# use of an op serves for all: of inputs, of the gradient that arrives, and of the output.
_LETTERS = 0xE000
_SLOPE = "\uf8ef"
_LONGEST = 90  # letters of a gradient that a picture still shows
_LONGEST_NAME = 24
_USES = 512  # of an op, whose texts are kept
_FEW = 4  # elements of an array that a formula shows
Name = str | int | float | None
R = TypeVar("R")


class Figures(NamedTuple):
    """What is known of a value: its shape, and its elements if they are few."""

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
        What its inputs are called; a number stands for itself. Where one is missing, the name
        that the op's own definition has for it.
    keywords
        Its other arguments by name. What is not among them has its default, or is not shown.
    shapes
        The shapes of the inputs, as far as they are known.
    """
    return _Case(op, names, keywords or {}, shapes).formula()


def local_gradients(
    op: Op[Any],
    names: Sequence[Name] = (),
    keywords: Mapping[str, Any] | None = None,
    wanted: Sequence[bool] | None = None,
    shapes: Sequence[Shape | None] | None = None,
) -> tuple[str | None, ...]:
    """Write what an op sends back to each input for an upstream gradient ``g``.

    None where it has no gradient or none is wanted. The other parameters are those of
    :func:`formula_of`; with the shapes more rules can be told.
    """
    return _Case(op, names, keywords or {}, shapes).gradients(wanted)


def derived(
    op: Op[Any],
    keywords: Mapping[str, Any] | None = None,
    shapes: Sequence[Shape | None] | None = None,
) -> tuple[bool, ...]:
    """Say for each input with a gradient whether that is told by its rule, not by the docstring."""
    case = _Case(op, (), keywords or {}, shapes)
    return tuple(t is not None for t, able in zip(case.derived, case.able(), strict=True) if able)


def formulas_of(node: Node, names: Sequence[Name], figures: Sequence[Figures] = ()) -> NodeFormulas:
    """Tell all of one op of a graph, given the names of its inputs.

    Parameters
    ----------
    node
        Of the op.
    names
        Of its inputs; a number stands for itself.
    figures
        What is known of each input, of the result, and of the gradient that arrives there; to
        be put into the formulas.
    """
    op = node.plan.op
    shapes = [p.shape if isinstance(p, Node | Absent) else () for p in node.parents]
    keywords: dict[str, Any] = {}
    if not isinstance(node.values, Freed) and len(op.order) > op.inputs:
        kept = zip(node.plan.kept_names, node.values, strict=True)
        keywords = {n: v for n, v in kept if n in op.order[op.inputs :]}
    case = _Case(op, _one_each(node, names), keywords, shapes, out_shape=node.shape, complete=False)
    gradients, slopes = case.gradients(node.plan.wanted), local_numbers(node)
    if not figures:
        return NodeFormulas(case.formula(), gradients, slopes)
    *inputs, result, upstream = figures
    sent: tuple[str | None, ...] = ()
    if any(slope is not None for slope in slopes):
        sent = case.gradients_in_numbers(inputs, result, upstream, slopes)
    return NodeFormulas(case.formula(), gradients, slopes, case.in_numbers(inputs, result), sent)


def _one_each(node: Node, names: Sequence[Name]) -> list[Name]:
    """Give one value one name, and different values different ones."""
    own: list[Name] = []
    for i, (parent, name) in enumerate(zip(node.parents, names, strict=True)):
        same = [j for j in range(i) if parent is node.parents[j] and isinstance(parent, Node)]
        if same:
            name = own[same[0]]  # noqa: PLW2901
        elif isinstance(name, str):
            name = _other_than(own, _readable(name)) or None  # noqa: PLW2901
        elif name is None and not node.plan.op.variadic:
            name = _other_than([*own, *names], node.plan.op.order[i])  # noqa: PLW2901
        own.append(name)
    return own


# ---------------------------------------------------------------------------- running rules


class _Case:
    """An op with the names, keywords and shapes of one use."""

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
        """Get ready; ``complete`` says that keywords which are not given have their defaults."""
        count = _count(op, shapes or names)
        own = [f"x{i + 1}" for i in range(count)] if op.variadic else op.order[: op.inputs]
        given = [*names, *[None] * count][:count]
        taken = [_readable(n) if isinstance(n, str) else n for n in given]
        self.letters: dict[str, str] = {}
        letters: list[Any] = []
        for name, default in zip(taken, own, strict=True):
            if name is None or isinstance(name, str):
                shown = name or _other_than(taken, default)
                letter = next((k for k, n in self.letters.items() if n == shown), None)
                letter = letter or chr(_LETTERS + len(self.letters))
                self.letters[letter] = shown
                letters.append(letter)
            else:
                letters.append(name)
        self.letters |= {UPSTREAM: "ḡ" if "g" in taken else "g", OUT: _other_than(taken, "out")}
        known = shapes is not None and None not in shapes
        self.use = Use(
            op,
            tuple(map(Held, letters)),  # 1, 1.0 and True are equal, but not shown the same
            tuple((k, Held(v)) for k, v in keywords.items()),
            tuple(map(tuple, shapes)) if known else None,  # type: ignore[arg-type]
            out_shape,
            complete,
        )

    def formula(self) -> str:
        """Write what it computes."""
        return self._spelled(self.template)

    def in_numbers(self, inputs: Sequence[Figures], result: Figures) -> str | None:
        """Write what it computes with numbers for the inputs, and what that gives.

        Where all arrays have few elements these are shown, else shapes. What is not known of a
        single number is its name.
        """
        everything = (*inputs, result)
        few = all(x.elements is not None and len(x.elements) <= _FEW for x in everything)
        return (few and self._put_in(inputs, result, elements=True)) or self._put_in(
            inputs, result, elements=False
        )

    def _put_in(self, inputs: Sequence[Figures], result: Figures, *, elements: bool) -> str | None:
        known: dict[str, str] = {}
        single = True
        for name, (shape, numbers) in zip(self.use.names, inputs, strict=True):
            if isinstance(name.value, str) and shape is not None and (shape or numbers):
                shown = numbers if elements or not shape else None
                known[name.value] = array(shape, shown)
            single = single and not shape
        text = self._spelled(put_in(self.template, known))
        if single:
            text = text.replace(" · ", " × ")
        if result.shape is None:
            gives = ""
        elif result.elements is not None and (elements or not result.shape):
            gives = f" = {array(result.shape, result.elements)}"
        else:
            gives = f" → {array(result.shape, None)}" if result.shape else ""
        return text + gives if len(text + gives) <= _LONGEST else None

    def gradients_in_numbers(
        self,
        inputs: Sequence[Figures],
        result: Figures,
        upstream: Figures,
        slopes: Sequence[float | None],
    ) -> tuple[str | None, ...]:
        """Write what it sends back with numbers for all; None where the formula says it as well.

        Where the rule asks questions, or cannot be told: what arrives times the local derivative.
        """
        letters = [*(n.value for n in self.use.names), OUT, UPSTREAM]
        known = {
            letter: array((), numbers)
            for letter, (shape, numbers) in zip(letters, (*inputs, result, upstream), strict=True)
            if isinstance(letter, str) and shape == () and numbers
        }
        if UPSTREAM not in known:
            return ()
        texts: list[str | None] = []
        for rule, slope in zip(self.derived, slopes, strict=True):
            text = rule
            if slope is None or rule in (UPSTREAM, f"−{UPSTREAM}"):
                texts.append(None)
                continue
            if rule is None or any(word in rule for word in (" = ", " where ", " if ", " is ")):
                text, known[_SLOPE] = f"{UPSTREAM} × {_SLOPE}", number(slope)
            text = put_in(text or "", known)
            texts.append(None if LETTER.search(text) else text.replace(" · ", " × "))
        return tuple(texts) if any(texts) else ()

    def _spelled(self, text: str) -> str:
        return text.translate({ord(letter): name for letter, name in self.letters.items()})

    def gradients(self, wanted: Sequence[bool] | None) -> tuple[str | None, ...]:
        """Write what it sends back."""
        texts, sentences = self.derived, _sentences(self.use.op, len(self.use.names))
        return tuple(
            (self._spelled(text) if text else sentence) if able and w else None
            for text, sentence, able, w in zip(
                texts, sentences, self.able(), wanted or self.able(), strict=True
            )
        )

    @functools.cached_property
    def template(self) -> str:
        """What it computes, with letters for names."""
        return _formula(self.use)

    @functools.cached_property
    def derived(self) -> tuple[str | None, ...]:
        """What the rules tell, with letters for names; None where they do not."""
        return _gradients(self.use)

    def able(self) -> list[bool]:
        """Say which inputs have a gradient."""
        op = self.use.op
        return [True] * len(self.use.names) if op.joint else [r is not None for r in op.rules]


def _kept(tell: Callable[[Use], R]) -> Callable[[Use], R]:
    """Remember what was told of an op for as long as the op lives, and of so many uses of it."""
    texts: weakref.WeakKeyDictionary[Op[Any], dict[Any, R]] = weakref.WeakKeyDictionary()

    @functools.wraps(tell)
    def told(use: Use) -> R:
        if not all(value.tells_all for _, value in use.keywords):
            return tell(use)
        of_op = texts.setdefault(use.op, {})
        # neither the op nor the values of keywords: what is kept must not keep them
        names, keywords = (held.key for held in use.names), ((k, v.key) for k, v in use.keywords)
        key = (*names, *keywords, *use[3:])
        if key not in of_op:
            if len(of_op) >= _USES:
                of_op.clear()
            of_op[key] = tell(use)
        return of_op[key]

    return told


@_kept
def _formula(use: Use) -> str:
    applied = AppliedOp(use, use.shapes or ((),) * len(use.names))
    for writer in (
        lambda: _written(applied.in_own_words()),
        lambda: write(applied.as_typed()).text,
        lambda: called(applied.symbol).text,
    ):
        text = _attempt(writer)
        if text is not None:
            return text
    return f"{use.op.name}({', '.join(str(n.value) for n in use.names)})"


@_kept
def _gradients(use: Use) -> tuple[str | None, ...]:
    """Tell the gradient of each input by its rule; None where that cannot be."""
    count, known = len(use.names), use.shapes is not None
    # without the shapes: only what does not depend on them, so what two guesses agree on
    guesses = [use.shapes] if use.shapes is not None else [((n,) * 2,) * count for n in (7, 11)]
    ways = [AppliedOp(use, guess, shapes_known=known) for guess in guesses]
    texts: list[str | None] = []
    for i in range(count):
        told = {_attempt(functools.partial(applied.gradient, i)) for applied in ways}
        texts.append(told.pop() if len(told) == 1 else None)
    return tuple(texts)


def _written(e: Any) -> str | None:
    return None if e is None else write(e).text


def _attempt(writer: Callable[[], str | None]) -> str | None:
    """Return what a writer writes, if it can and a picture can show it."""
    before = ignore_warnings()
    try:
        text = writer()
    except Exception:  # noqa: BLE001 - whatever a function of the user's does with a symbol
        return None
    finally:
        restore_warnings(before)
    return text if text and len(text) <= _LONGEST and HIDDEN not in text else None


# ------------------------------------------------------------------- where no rule can tell


def _sentences(op: Op[Any], count: int) -> tuple[str, ...]:
    """Return what the docstring says on the gradient of each input."""
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


def _other_than(taken: Sequence[Any], name: str) -> str:
    """Return a name that nothing else has."""
    while name in taken:
        name += "′"
    return name


def _readable(name: str) -> str:
    """Make a name fit for a formula: printable, on one line and not too long."""
    if len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable() and "  " not in name:
        return name.strip()  # as nearly all are
    text = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
