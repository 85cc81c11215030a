"""What an op is, the table of ops by NumPy function, and `op(...)` that declares one.

An op is declared once: the function, its gradient rules, its symbol in pictures, the
domain that its property tests sample. A rule is a plain NumPy function whose first
parameter is the upstream gradient ``g`` and whose other parameter names say what it
needs; from the names the engine derives what a node must keep:

=============  ======================================================================
an input       by the name it has in the forward function (ufuncs: ``x``, or ``x, y``)
``x_shape``    the shape of input ``x``, without keeping ``x``
``out``        the output
``saved``      what the forward function returned beside the output, as ``(out, saved)``;
               constant under differentiation (a mask, an argmax)
``inputs``     all inputs as a tuple
``wanted``     a bool per input: is its gradient wanted? (joint rules)
a keyword      such as ``axis``
=============  ======================================================================
"""

import functools
import operator
import sys
from collections.abc import Callable, Sequence
from pickle import PicklingError
from typing import Any, Generic, Self, TypeVar

import numpy as np

from graphgrad.arguments import guarded, several, whole, wrong
from graphgrad.engine.binder import REQUIRED, Binder, parameters
from graphgrad.engine.domains import Domain
from graphgrad.engine.failures import raise_named
from graphgrad.engine.graph import Absent, Recorded
from graphgrad.engine.integers import EXACT, NAMES, as_floats
from graphgrad.engine.operands import operand, plain_params
from graphgrad.engine.plain import PLAIN, is_numpys
from graphgrad.engine.plan import Plan, Rule, asked_by
from graphgrad.errors import UnsupportedError
from graphgrad.typing import Array

R = TypeVar("R")

TABLE: dict[Any, Any] = {}  # Op or Composite, by NumPy function
SHARED_INPUTS = 8  # an op of a list keeps its plans for lists of up to so many inputs


def is_ours(function: Any) -> bool:
    """Whether a function is of this package, or one of Python's operators."""
    module = getattr(function, "__module__", None) or ""
    return module.startswith(("graphgrad.", "_operator"))


class Declared:
    """What ops and compositions share: one object each, which copying and pickling keep so."""

    name: str

    def __copy__(self) -> Self:
        """Return the op itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the op itself, so that copies of a module that keeps one share it."""
        return self

    def __reduce__(self) -> str:
        """Pickle by name, as functions are."""
        home = vars(sys.modules.get(self.__module__, object))
        name = next((name for name, value in home.items() if value is self), None)
        if name is None:
            message = (
                f"pickle: no name of module {self.__module__} holds the op '{self.name}', by which "
                "another process would find it; assign it to one, outside of any function"
            )
            raise PicklingError(message)
        return name


class Op(Declared, Generic[R]):
    """One differentiable operation: a function with its gradient rules.

    Calling it on a Tensor records a node; on plain arrays it just computes.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        rules: Sequence[Rule | None],
        *,
        joint: Rule | None,
        forward: Callable[..., Any] | None,
        inputs: int | None,
        variadic: bool,
        outputs: int,
        elementwise: bool,
        broadcasts: bool,
        view: bool,
        masks: bool,
        chooses: Rule | None,
        name: str | None,
        symbol: str | None,
        domain: Domain | None,
        doc: str | None,
    ) -> None:
        """Read the declaration; `op` describes the arguments."""
        ufunc = isinstance(function, np.ufunc)
        self.function = function
        self.forward: Callable[..., Any] = forward or function
        self.name = name or function.__name__.replace("<lambda>", "op")
        self.symbol = symbol or self.name
        self.domain = domain
        self.rules = tuple(rules)
        self.joint = joint
        self.variadic = variadic
        self.outputs = outputs
        self.elementwise = elementwise or (ufunc and function.signature is None)  # type: ignore[attr-defined]
        self.broadcasts = broadcasts or self.elementwise
        self.view = view
        self.masks = masks
        self.chooses = chooses
        self.__doc__ = doc or getattr(function, "__doc__", None)
        self.__name__ = self.name
        if ufunc:
            self.order: tuple[str, ...] = ("x", "y")[: function.nin]  # type: ignore[attr-defined]
            self.inputs = len(self.order)
            self.binder = Binder(self.name, _signature_only[self.inputs])
        else:
            reference = function if is_numpys(function) else None
            self.binder = Binder(self.name, self.forward, reference)
            self.order = tuple(n for n, _ in self.binder.own)
            required = sum(default is REQUIRED for _, default in self.binder.own)
            self.inputs = 1 if variadic else (inputs or (required if joint else len(rules)))
        if variadic and not joint:
            message = f"{self.name}: a list of inputs has one joint rule, not a rule per input"
            raise UnsupportedError(message)
        if not joint and len(self.rules) != (self.inputs or 1):
            message = (
                f"{self.name}: {len(self.rules)} gradient rules for the inputs {self.order}; "
                "give one per differentiable input, or a joint rule"
            )
            raise UnsupportedError(message)
        names = self.order[: self.inputs]
        self.parameters = self.order[self.inputs :]
        self.layout = (
            *(("inputs",) if variadic else names),
            "out",
            "saved",
            *self.parameters,
            *(f"{n}_shape" for n in (("inputs",) if variadic else names)),
        )
        asked = {n for rule in (*self.rules, joint) if rule is not None for n in asked_by(rule)}
        self._refuse_unknown(asked.union(() if chooses is None else parameters(chooses)))
        self.has_saved = "saved" in asked
        self.asks_shapes = any(n in asked for n in self.layout[-len(names) :])
        self.differentiable = (
            -1 if joint or variadic else sum(1 << i for i, r in enumerate(rules) if r is not None)
        )
        self.simple = outputs == 1 and self._keeps_to_real_arrays()
        self.constant = {i for i, rule in enumerate(self.rules) if rule is None}
        self.whole, self.floats = self._integers()
        self.plans: dict[Any, Plan] = {}
        self.first_bit = 0 if variadic else 1  # in the mask of inputs; a list has no mask

    def _refuse_unknown(self, asked: set[str]) -> None:
        known = (*self.layout, "inputs", "wanted")
        for name in sorted(asked.difference(known)):
            message = f"{self.name}: a gradient rule asks for '{name}', which is none of {known}"
            raise UnsupportedError(message)

    def _keeps_to_real_arrays(self) -> bool:
        """Whether the forward surely returns a real array; what a user's returns is checked."""
        forward = self.forward
        return (
            is_ours(forward)
            or (self.view and is_numpys(forward))
            or (isinstance(forward, np.ufunc) and forward is getattr(np, forward.__name__, None))
        )

    def _integers(self) -> tuple[bool, tuple[int, ...]]:
        """Say whether parameters are whole numbers, and in which inputs integers become floats.

        A user's own op gets what its user gave.
        """
        if not (is_ours(self.forward) or is_numpys(self.forward)):
            return False, ()
        inputs = range(0 if self.variadic else self.inputs)
        exact = is_numpys(self.function) or self.name in EXACT
        floats = () if exact else tuple(i for i in inputs if self.differentiable >> i & 1)
        return not NAMES.isdisjoint(self.parameters), floats

    @functools.cached_property
    def positional(self) -> bool:
        """Whether a full list of positional arguments is in our order, and need not be bound."""
        ours = self.inputs == len(self.order) or self.binder.order == self.order
        return ours and not self.variadic

    def plan(self, wanted: Any, inputs: int) -> Plan:
        """Return the plan for some wanted inputs: set bits, or for a variadic op a tuple of bools.

        It is shared, unless the list of inputs is so long that few others are like it.
        """
        found = self.plans.get(wanted)
        if found is None:
            if not self.variadic:
                wants = tuple(i for i in range(inputs) if wanted >> i & 1)
                found = self.plans[wanted] = Plan(self, wants, inputs)
            elif inputs <= SHARED_INPUTS:
                found = self.plans[wanted] = self._first_plan.among(wanted)
            else:
                found = self._first_plan.among(wanted)
        return found

    @functools.cached_property
    def _first_plan(self) -> Plan:
        """What the plans of a variadic op have in common."""
        return Plan(self, (0,), 1)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Split the arguments of a call into inputs and parameters."""
        if not kwargs and len(args) == len(self.order) and self.positional:
            return args[: self.inputs], args[self.inputs :]
        bound = self.binder.bind(args, kwargs)
        if self.variadic:
            given = bound[0]
            if given.__class__ is not list and given.__class__ is not tuple:
                given = self._listed(given)
            return tuple(given), bound[1:]
        return bound[: self.inputs], bound[self.inputs :]

    def _listed(self, inputs: Any) -> list[Any]:
        """List the inputs of a variadic op; what has no order, and a text, is none."""
        if isinstance(inputs, set | frozenset | dict):
            raise wrong(self.name, self.order[0], inputs, "a list or tuple of arrays")
        return several(self.name, self.order[0], inputs, "arrays")

    def evaluate(self, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
        """Compute on plain arrays, recording nothing."""
        arrays: Sequence[Any] = tuple(
            [x.value if isinstance(x, Absent) else operand(x, self.name) for x in inputs]
        )
        for x in arrays:
            if hasattr(x, "dtype"):
                break
        else:
            arrays = tuple(map(np.asarray, arrays))
        if params:
            params = plain_params(params, self.parameters, self.name, self.whole)
        if self.floats:
            arrays = as_floats(arrays, self.floats)
        out = self.forward(arrays, *params) if self.variadic else self.forward(*arrays, *params)
        return out[0] if self.has_saved else out

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Apply the op; hands over to the Tensor where there is one among the inputs."""
        inputs, params = self.bind(args, kwargs)
        for x in inputs:
            if isinstance(x, Recorded):
                return x._record(self, inputs, params)  # type: ignore[attr-defined, no-any-return]
        try:
            return self.evaluate(inputs, params)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - raised again
            raise_named(self, error)

    def __repr__(self) -> str:
        """Show the op as its users call it."""
        return f"<op {self.name}({', '.join(self.order)})>"


def _unary(x: Array) -> None: ...
def _binary(x: Array, y: Array) -> None: ...


_signature_only: dict[int, Callable[..., Any]] = {1: _unary, 2: _binary}


@guarded
def op(
    function: Callable[..., Any],
    *rules: Rule | None,
    joint: Rule | None = None,
    forward: Callable[..., Any] | None = None,
    inputs: int | None = None,
    variadic: bool = False,
    outputs: int = 1,
    elementwise: bool = False,
    broadcasts: bool = False,
    view: bool = False,
    masks: bool = False,
    chooses: Rule | None = None,
    name: str | None = None,
    symbol: str | None = None,
    domain: Domain | None = None,
    doc: str | None = None,
    replace: bool = False,
) -> Op[Any]:
    """Declare a differentiable op: a function and the gradient rule of each input.

    A rule takes the upstream gradient ``g`` and, by name, what else it needs (see the
    table at the head of this module), and returns the gradient of its input, of the
    shape of that input. Where the output is float16, the rule is given all of these in float32.
    Written in plain NumPy it differentiates to every order::

        swish = gg.op(
            lambda x: x / (1 + np.exp(-x)),
            lambda g, x, out: g * (out + (1 - out) / (1 + np.exp(-x))),
            name="swish", elementwise=True,
        )

    Parameters
    ----------
    function
        Computes the output from plain arrays: an array of real numbers, or one number. A
        function of NumPy's is also entered into the table, so that ``np.f(tensor)`` finds
        the op. Its first parameters are the differentiable inputs, the rest are passed
        through (``axis``).
    rules
        One per input; None where the input has no gradient (a condition).
    joint
        Instead of rules: one function that returns a tuple with a gradient per input (or
        None). With several outputs its ``g`` is a tuple, None where an output was unused.
    forward
        How to compute the output where that is not ``function`` itself, e.g. to return
        ``(out, saved)``.
    inputs
        The number of inputs, where rules do not tell (joint rules).
    variadic
        The first parameter is a sequence of inputs (``concatenate``); the rule is joint.
    outputs
        The number of outputs; above 1, function returns a tuple and the rule is joint.
    elementwise
        Each output element depends on the same element of the (broadcast) inputs.
    broadcasts
        Gradients may come back with broadcast axes, which the engine sums away.
    view
        The output may share memory with the first input.
    masks
        The op chooses between branches (``where``): behind it, a branch that was not taken
        contributes exactly 0 even where its local derivative is not finite.
    chooses
        For an op with kinks or jumps: which piece of it each element takes, such as
        ``lambda x: x > 0``; asks by name as rules do, and returns an array. `gradcheck`
        sees by it that a step crosses a kink.
    name, symbol, doc
        For errors, pictures and help.
    domain
        What property tests sample: ``elementwise(...)``, ``Reduction(...)``, ``Cases(...)``.
    replace
        Whether a function of NumPy's may already have a rule, which this one takes the place
        of: for the whole process, in every library that uses graphgrad.

    Raises
    ------
    UnsupportedError
        If the number of rules is not the number of inputs, or a function of NumPy's has a
        rule, or an answer without one, and ``replace`` is not set.
    """
    whole("op", "outputs", outputs, 1)
    if inputs is not None:
        whole("op", "inputs", inputs, 1)
    if (function in TABLE or function in PLAIN) and not replace:
        has = "a rule" if function in TABLE else "an answer, which is plain,"
        message = (
            f"np.{function.__name__} has {has} already; give a name of its own to a function that "
            "calls it, or pass replace=True to change it for the whole process"
        )
        raise UnsupportedError(message)
    new: Op[Any] = Op(
        function,
        rules,
        joint=joint,
        forward=forward,
        inputs=inputs,
        variadic=variadic,
        outputs=outputs,
        elementwise=elementwise,
        broadcasts=broadcasts,
        view=view,
        masks=masks,
        chooses=chooses,
        name=name,
        symbol=symbol,
        domain=domain,
        doc=doc,
    )
    new.__module__ = _caller_module()
    if is_numpys(function) or function in (operator.getitem, operator.setitem):
        TABLE[function] = new
    return new


def _caller_module() -> str:
    """Name the module that called the function that calls this one, past the check around it."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") == guarded.__module__:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))
