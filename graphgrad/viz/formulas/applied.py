"""An op applied to symbols: the expressions of its output and of its gradients."""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.binder import REQUIRED
from graphgrad.engine.op import Op
from graphgrad.viz.formulas.local_derivatives import cached_rule_arguments
from graphgrad.viz.formulas.notation import index, write
from graphgrad.viz.formulas.number_format import UPSTREAM, as_number
from graphgrad.viz.formulas.simplification import without_safeguards
from graphgrad.viz.formulas.symbols import NoFormula, Shape, Symbol, head_of, is_ours

OUT = "\uf8f1"  # the placeholder of the output
UNPRINTABLE = "\0"  # begins the name of a symbol that no text may contain
_SHORT = 24  # characters of a formula that may replace ``out``
_ARITHMETIC = ("add", "subtract", "multiply", "divide")
_UNREADABLE = ("tensordot(", "argsort(", "concatenate(", "cumprod(")  # the docstring is clearer


_TYPED = (str, int, float, np.generic, np.ndarray, np.dtype, type, slice, type(None), type(...))


class KeyedValue:
    """A name or keyword in a key of the cache: equal to any value that is shown the same."""

    def __init__(self, value: Any) -> None:
        self.value = value
        shown = value
        if isinstance(value, np.ndarray | np.generic):
            shown = value.shape if is_shown_by_name(value) else (value.dtype, value.item())
        self.key = (type(value), repr(shown))

    @property
    def identifies(self) -> bool:
        """Whether the key identifies the value; two objects of a user may have one repr."""
        parts = self.value if isinstance(self.value, tuple | list) else (self.value,)
        return all(isinstance(part, _TYPED) for part in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyedValue) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class FormulaKey(NamedTuple):
    """Everything that the formulas of one use of an op depend on: a key of the cache."""

    op: Op[Any]
    names: tuple[KeyedValue, ...]  # of the inputs, or their values if they are numbers
    keywords: tuple[tuple[str, KeyedValue], ...]
    shapes: tuple[Shape, ...] | None
    out_shape: Shape | None
    complete: bool  # whether keywords that are missing have their defaults


class AppliedOp:
    """An op applied to symbols."""

    def __init__(
        self, key: FormulaKey, shapes: tuple[Shape, ...], *, shapes_known: bool = True
    ) -> None:
        """Make the symbols; the shapes are those of the key, or guesses."""
        op = key.op
        self.op, self.shapes, self.shapes_known = op, shapes, shapes_known
        self.inputs = tuple(
            Symbol(n.value, shape=s) if isinstance(n.value, str) else n.value
            for n, s in zip(key.names, shapes, strict=True)
        )
        given = dict(key.keywords)
        self.parameters: dict[str, Any] = {}
        for name, default in op.binder.own[op.inputs :]:
            if name in given:
                value = given[name].value
            elif default is REQUIRED:
                value = Symbol(name)
            elif key.complete:
                value = default
            else:
                continue
            if is_shown_by_name(value):
                value = Symbol(name, shape=np.shape(value))
            self.parameters[name] = value
        self.complete = len(self.parameters) == len(op.order) - op.inputs
        self.arguments = (self.inputs,) if op.variadic else self.inputs
        self.symbol = Symbol(head_of(op), self.inputs, self.parameters, op=op, shape=key.out_shape)

    def as_typed(self) -> Symbol:
        """Return the op with an operand 0 or 1 as a name, so that it is not simplified away."""
        if not is_ours(self.op) or self.op.name not in _ARITHMETIC:
            return self.symbol
        names = {"0": 0, "1": 1}
        inputs = [
            next((Symbol(n) for n, x in names.items() if as_number(given) == x), given)
            for given in self.inputs
        ]
        return Symbol(head_of(self.op), tuple(inputs), op=self.op)

    def user_formula(self) -> Any:
        """Return the expression of a user's op, if its forward can be run on symbols."""
        op = self.op
        if is_ours(op) or op.outputs > 1 or not self.complete:
            return None
        out = op.forward(*self.arguments, *self.parameters.values())
        return out[0] if op.has_saved else out

    def gradient(self, i: int) -> str | None:
        """Write the gradient of an input, by running its rule."""
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
        e = rule(g, *(values[n] for n in cached_rule_arguments(rule)))
        e = e[i] if op.joint else e
        if is_ours(op):
            e = without_safeguards(e)
        text = _gradient_text(e) + self._summation_note(e, i)
        return None if any(word in text for word in _UNREADABLE) else text

    def _summation_note(self, e: Any, i: int) -> str:
        """Return the note that the engine sums the gradient of an input that was broadcast."""
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
        """Return the output as rules get it: its formula if that is short, else a name."""
        if self.op.outputs > 1:
            return tuple(Symbol(f"{OUT}{'₀₁₂₃'[k]}") for k in range(self.op.outputs))
        shape = _shape_or_none(self.symbol)
        with contextlib.suppress(Exception):  # a user's function may raise anything
            own = self.user_formula()
            e = self.symbol if own is None else own
            if len(write(e).text) <= _SHORT:
                return e
        return Symbol(OUT, shape=shape)

    def _saved(self) -> Any:
        """Return the saved value as rules get it; unprintable if the forward has no formula."""
        if not self.complete:
            return Symbol(f"{UNPRINTABLE}saved")
        try:
            return self.op.forward(*self.arguments, *self.parameters.values())[1]
        except Exception:  # noqa: BLE001 - a forward may write, loop and branch as it likes
            return Symbol(f"{UNPRINTABLE}saved")


def is_shown_by_name(value: Any) -> bool:
    """Whether formulas show a keyword by its name, since its value is an array."""
    return isinstance(value, np.ndarray) and bool(value.ndim or value.dtype.kind != "f")


def _shape_or_none(e: Symbol) -> Shape | None:
    try:
        return e.shape
    except NoFormula:
        return None


def _gradient_text(e: Any) -> str:
    """Write what a rule returned: an expression, a scatter, or a repetition."""
    if isinstance(e, Scatter):
        return f"{_gradient_text(e.values)} at [{index(e.index)}], 0 elsewhere"
    if isinstance(e, tuple):  # (output number, its gradient)
        return _gradient_text(e[1])
    if isinstance(e, Symbol) and e.head == "broadcast_to":
        return f"{_gradient_text(_without_reshapes((e.arguments or (None,))[0]))}, repeated"
    return write(e).text


def _without_reshapes(e: Any) -> Any:
    while isinstance(e, Symbol) and e.head in ("reshape", "expand_dims"):
        (e,) = e.arguments or (e,)
    return e
