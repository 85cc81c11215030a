"""What an op computes and what it sends back, in mathematics, told by its own gradient rules.

A rule is run on symbols (`symbols.py`) and what it computes is written down (`notation.py`), so
that the text cannot drift from the code: for ``sin`` the rule ``g * np.cos(x)`` tells
``g · cos(x)``. Where a rule cannot run on symbols (it needs numbers, or is too long to be read)
the sentence on the gradient in the op's docstring stands in its place.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphgrad.binder import REQUIRED
from graphgrad.node import Freed, Node
from graphgrad.quiet import ignore_warnings, restore_warnings
from graphgrad.registry import Op, Scatter
from graphgrad.viz.formulas.lettering import UPSTREAM, as_number
from graphgrad.viz.formulas.notation import called, index, write
from graphgrad.viz.formulas.simplification import without_safeguards
from graphgrad.viz.formulas.slopes import asked_of, local_numbers
from graphgrad.viz.formulas.symbols import Shape, Symbol, Untold, head_of, is_ours

# In texts that are kept, names stand as single letters of no meaning, so that what was told of one
# use of an op serves for all: of inputs, of the gradient that arrives, and of the output.
_LETTERS, OUT = 0xE000, "\uf8f1"
_LONGEST = 90  # letters of a gradient that a picture still shows
_SHORT = 24  # letters of a formula that may stand for ``out``
_LONGEST_NAME = 24
_HIDDEN = "\0"  # begins the name of what must not be seen in a text
_ARITHMETIC = ("add", "subtract", "multiply", "divide")
_CRYPTIC = ("tensordot(", "argsort(", "concatenate(", "cumprod(")  # the docstring says it better
Name = str | int | float | None


class Told(NamedTuple):
    """What is to be told of one op in a graph."""

    formula: str
    gradients: tuple[str | None, ...]
    numbers: tuple[float | None, ...]


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
    return tuple(t is not None for t, able in zip(case.derived(), case.able(), strict=True) if able)


def told(node: Node, names: Sequence[Name]) -> Told:
    """Tell all of one op of a graph, given the names of its inputs."""
    op = node.plan.op
    shapes = [p.shape if isinstance(p, Node) else () for p in node.parents]
    keywords: dict[str, Any] = {}
    if not isinstance(node.values, Freed) and len(op.order) > op.inputs:
        kept = zip(node.plan.kept_names, node.values, strict=True)
        keywords = {n: v for n, v in kept if n in op.order[op.inputs :]}
    case = _Case(op, _one_each(node, names), keywords, shapes, out_shape=node.shape, complete=False)
    return Told(case.formula(), case.gradients(node.plan.wanted), local_numbers(node))


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


class _Held:
    """A keyword's value as a part of a key: equal to what is shown the same."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = (type(value), repr(value.shape if hasattr(value, "shape") else value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


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
        self.op = op
        self.key = (
            op,
            tuple(map(_Held, letters)),  # 1, 1.0 and True are equal, but not shown the same
            tuple((k, _Held(v)) for k, v in keywords.items()),
            tuple(map(tuple, shapes)) if known else None,  # type: ignore[arg-type]
            out_shape,
            complete,
        )

    def formula(self) -> str:
        """Write what it computes."""
        return self._spelled(_formula(*self.key))

    def _spelled(self, text: str) -> str:
        return text.translate({ord(letter): name for letter, name in self.letters.items()})

    def gradients(self, wanted: Sequence[bool] | None) -> tuple[str | None, ...]:
        """Write what it sends back."""
        texts, sentences = self.derived(), _sentences(self.op, len(self.key[1]))
        return tuple(
            (self._spelled(text) if text else sentence) if able and w else None
            for text, sentence, able, w in zip(
                texts, sentences, self.able(), wanted or self.able(), strict=True
            )
        )

    def derived(self) -> tuple[str | None, ...]:
        """Write what the rules tell, None where they do not."""
        return _gradients(*self.key)

    def able(self) -> list[bool]:
        """Say which inputs have a gradient."""
        op = self.op
        return [True] * len(self.key[1]) if op.joint else [r is not None for r in op.rules]


_Names = tuple[_Held, ...]
_Keywords = tuple[tuple[str, _Held], ...]
_Shapes = tuple[Shape, ...]


@functools.lru_cache(maxsize=4096)
def _formula(
    op: Op[Any],
    names: _Names,
    keywords: _Keywords,
    shapes: _Shapes | None,
    out_shape: Shape | None,
    complete: bool,
) -> str:
    use = _Use(op, names, keywords, shapes or ((),) * len(names), out_shape, complete)
    for writer in (
        lambda: _written(use.in_own_words()),
        lambda: write(use.as_typed()).text,
        lambda: called(use.applied).text,
    ):
        text = _attempt(writer)
        if text is not None:
            return text
    return f"{op.name}({', '.join(str(n.value) for n in names)})"


@functools.lru_cache(maxsize=4096)
def _gradients(
    op: Op[Any],
    names: _Names,
    keywords: _Keywords,
    shapes: _Shapes | None,
    out_shape: Shape | None,
    complete: bool,
) -> tuple[str | None, ...]:
    """Tell the gradient of each input by its rule; None where that cannot be."""
    # without the shapes: only what does not depend on them, so what two guesses agree on
    guesses = [shapes] if shapes is not None else [((n,) * 2,) * len(names) for n in (7, 11)]
    known = shapes is not None
    uses = [
        _Use(op, names, keywords, guess, out_shape, complete, shapes_known=known)
        for guess in guesses
    ]
    texts: list[str | None] = []
    for i in range(len(names)):
        told = {_attempt(functools.partial(use.gradient, i)) for use in uses}
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
    return text if text and len(text) <= _LONGEST and _HIDDEN not in text else None


class _Use:
    """An op applied to symbols."""

    def __init__(
        self,
        op: Op[Any],
        names: _Names,
        keywords: _Keywords,
        shapes: _Shapes,
        out_shape: Shape | None,
        complete: bool,
        *,
        shapes_known: bool = True,
    ) -> None:
        """Make the symbols."""
        self.op, self.shapes, self.shapes_known = op, shapes, shapes_known
        self.inputs = tuple(
            Symbol(n.value, shape=s) if isinstance(n.value, str) else n.value
            for n, s in zip(names, shapes, strict=True)
        )
        given = dict(keywords)
        self.parameters: dict[str, Any] = {}
        for name, default in op.binder.own[op.inputs :]:
            if name in given:
                value = given[name].value
            elif default is REQUIRED:
                value = Symbol(name)
            elif complete:
                value = default
            else:
                continue
            if isinstance(value, np.ndarray) and (value.ndim or value.dtype.kind != "f"):
                value = Symbol(name, shape=np.shape(value))
            self.parameters[name] = value
        self.complete = len(self.parameters) == len(op.order) - op.inputs
        self.arguments = (self.inputs,) if op.variadic else self.inputs
        self.applied = Symbol(head_of(op), self.inputs, self.parameters, op=op, shape=out_shape)

    def as_typed(self) -> Symbol:
        """Return the op with a 0 or 1 of the user's as a name, not to be simplified away."""
        if not is_ours(self.op) or self.op.name not in _ARITHMETIC:
            return self.applied
        names = {"0": 0, "1": 1}
        inputs = [
            next((Symbol(n) for n, x in names.items() if as_number(given) == x), given)
            for given in self.inputs
        ]
        return Symbol(head_of(self.op), tuple(inputs), op=self.op)

    def in_own_words(self) -> Any:
        """Return what a user's op computes, where its function can be run on symbols."""
        op = self.op
        if is_ours(op) or op.outputs > 1 or not self.complete:
            return None
        out = op.forward(*self.arguments, *self.parameters.values())
        return out[0] if op.has_saved else out

    def gradient(self, i: int) -> str | None:
        """Run the rule of an input."""
        op = self.op
        rule: Any = op.joint or op.rules[i]
        if rule is None:
            return None
        out = self._out()
        values = {
            **self.parameters,
            "inputs": self.inputs,
            "wanted": (True,) * len(self.inputs),
            "out": out,
        }
        if op.variadic:
            values["inputs_shape"] = self.shapes
        else:
            values |= dict(zip(op.order, self.inputs, strict=False))
            values |= {f"{n}_shape": s for n, s in zip(op.order, self.shapes, strict=False)}
        if op.has_saved:
            values["saved"] = self._saved()
        g: Any = Symbol(UPSTREAM, shape=None if op.outputs > 1 else out._shape)
        if op.outputs > 1:
            g = [Symbol(f"{UPSTREAM}{'₀₁₂₃'[k]}") for k in range(op.outputs)]
        e = rule(g, *(values[n] for n in asked_of(rule)))
        e = e[i] if op.joint else e
        if is_ours(op):
            e = without_safeguards(e)
        text = _top(e) + self._summed(e, i)
        return None if any(word in text for word in _CRYPTIC) else text

    def _summed(self, e: Any, i: int) -> str:
        """Say that the engine sums what comes back for an input that was broadcast."""
        op = self.op
        if not op.broadcasts or not isinstance(e, Symbol):
            return ""
        if not self.shapes_known:
            return ", summed" if op.name == "broadcast_to" else ""
        shape = self.applied._shape if op.elementwise else _known_shape(e)
        if shape is None or shape == self.shapes[i]:
            return ""
        return f", summed to {self.shapes[i]}" if self.shapes[i] else ", summed"

    def _out(self) -> Any:
        """Return what stands for the output: its formula if that is short, else a name."""
        if self.op.outputs > 1:
            return tuple(Symbol(f"{OUT}{'₀₁₂₃'[k]}") for k in range(self.op.outputs))
        shape = _known_shape(self.applied)
        with contextlib.suppress(Exception):  # whatever a function of the user's does
            own = self.in_own_words()
            e = self.applied if own is None else own
            if len(write(e).text) <= _SHORT:
                return e
        return Symbol(OUT, shape=shape)

    def _saved(self) -> Any:
        """Return what the forward hands to the rules; if it cannot tell, what must not be seen."""
        if not self.complete:
            return Symbol(f"{_HIDDEN}saved")
        try:
            return self.op.forward(*self.arguments, *self.parameters.values())[1]
        except Exception:  # noqa: BLE001 - a forward may write, loop and branch as it likes
            return Symbol(f"{_HIDDEN}saved")


def _known_shape(e: Symbol) -> Shape | None:
    try:
        return e.shape
    except Untold:
        return None


def _top(e: Any) -> str:
    """Write a gradient as it is returned: it may also be put in a place, or repeated."""
    if isinstance(e, Scatter):
        return f"{_top(e.values)} at [{index(e.index)}], 0 elsewhere"
    if isinstance(e, tuple):  # (output number, its gradient)
        return _top(e[1])
    if isinstance(e, Symbol) and e.head == "broadcast_to":
        return f"{_top(_without_lining_up((e.arguments or (None,))[0]))}, repeated"
    return write(e).text


def _without_lining_up(e: Any) -> Any:
    while isinstance(e, Symbol) and e.head in ("reshape", "expand_dims"):
        (e,) = e.arguments or (e,)
    return e


# ------------------------------------------------------------------- where no rule can tell


@functools.lru_cache(maxsize=1024)
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
