"""An op applied to symbols: what it computes, and what its rules send back."""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.binder import REQUIRED
from graphgrad.engine.op import Op
from graphgrad.viz.formulas.notation import index, write
from graphgrad.viz.formulas.number_format import UPSTREAM, as_number
from graphgrad.viz.formulas.simplification import without_safeguards
from graphgrad.viz.formulas.slopes import asked_of
from graphgrad.viz.formulas.symbols import NoFormula, Shape, Symbol, head_of, is_ours

OUT = "\uf8f1"  # stands for the output, until it is called something
HIDDEN = "\0"  # begins the name of what must not be seen in a text
_SHORT = 24  # letters of a formula that may stand for ``out``
_ARITHMETIC = ("add", "subtract", "multiply", "divide")
_CRYPTIC = ("tensordot(", "argsort(", "concatenate(", "cumprod(")  # the docstring says it better


_TYPED = (str, int, float, np.generic, np.ndarray, np.dtype, type, slice, type(None), type(...))


class Held:
    """A keyword's value as a part of a key: equal to what is shown the same."""

    def __init__(self, value: Any) -> None:
        self.value = value
        shown = value
        if isinstance(value, np.ndarray | np.generic):
            shown = value.shape if is_named(value) else (value.dtype, value.item())
        self.key = (type(value), repr(shown))

    @property
    def tells_all(self) -> bool:
        """Whether the key does; two objects of the user's may look the same."""
        parts = self.value if isinstance(self.value, tuple | list) else (self.value,)
        return all(isinstance(part, _TYPED) for part in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Use(NamedTuple):
    """One use of an op, as a key: what is told of it depends on nothing else."""

    op: Op[Any]
    names: tuple[Held, ...]  # of the inputs, or their numbers
    keywords: tuple[tuple[str, Held], ...]
    shapes: tuple[Shape, ...] | None
    out_shape: Shape | None
    complete: bool  # whether keywords that are not given have their defaults


class AppliedOp:
    """An op applied to symbols."""

    def __init__(self, use: Use, shapes: tuple[Shape, ...], *, shapes_known: bool = True) -> None:
        """Make the symbols; the shapes are those of the use, or guessed."""
        op = use.op
        self.op, self.shapes, self.shapes_known = op, shapes, shapes_known
        self.inputs = tuple(
            Symbol(n.value, shape=s) if isinstance(n.value, str) else n.value
            for n, s in zip(use.names, shapes, strict=True)
        )
        given = dict(use.keywords)
        self.parameters: dict[str, Any] = {}
        for name, default in op.binder.own[op.inputs :]:
            if name in given:
                value = given[name].value
            elif default is REQUIRED:
                value = Symbol(name)
            elif use.complete:
                value = default
            else:
                continue
            if is_named(value):
                value = Symbol(name, shape=np.shape(value))
            self.parameters[name] = value
        self.complete = len(self.parameters) == len(op.order) - op.inputs
        self.arguments = (self.inputs,) if op.variadic else self.inputs
        self.symbol = Symbol(head_of(op), self.inputs, self.parameters, op=op, shape=use.out_shape)

    def as_typed(self) -> Symbol:
        """Return the op with a 0 or 1 of the user's as a name, not to be simplified away."""
        if not is_ours(self.op) or self.op.name not in _ARITHMETIC:
            return self.symbol
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
        g: Any = Symbol(UPSTREAM, shape=None if op.outputs > 1 else out.known_shape)
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
        shape = self.symbol.known_shape if op.elementwise else _shape_or_none(e)
        if shape is None or shape == self.shapes[i]:
            return ""
        return f", summed to {self.shapes[i]}" if self.shapes[i] else ", summed"

    def _out(self) -> Any:
        """Return what stands for the output: its formula if that is short, else a name."""
        if self.op.outputs > 1:
            return tuple(Symbol(f"{OUT}{'₀₁₂₃'[k]}") for k in range(self.op.outputs))
        shape = _shape_or_none(self.symbol)
        with contextlib.suppress(Exception):  # whatever a function of the user's does
            own = self.in_own_words()
            e = self.symbol if own is None else own
            if len(write(e).text) <= _SHORT:
                return e
        return Symbol(OUT, shape=shape)

    def _saved(self) -> Any:
        """Return what the forward hands to the rules; if it cannot tell, what must not be seen."""
        if not self.complete:
            return Symbol(f"{HIDDEN}saved")
        try:
            return self.op.forward(*self.arguments, *self.parameters.values())[1]
        except Exception:  # noqa: BLE001 - a forward may write, loop and branch as it likes
            return Symbol(f"{HIDDEN}saved")


def is_named(value: Any) -> bool:
    """Whether a keyword's value is an array that formulas show by its name."""
    return isinstance(value, np.ndarray) and bool(value.ndim or value.dtype.kind != "f")


def _shape_or_none(e: Symbol) -> Shape | None:
    try:
        return e.shape
    except NoFormula:
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
