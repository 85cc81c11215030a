"""Ops, the table of ops by NumPy function, and `op(...)`, which declares one.

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
from graphgrad.engine.plan import Plan, Rule, rule_arguments
from graphgrad.engine.recording import tracers
from graphgrad.errors import UnsupportedError
from graphgrad.typing import Array

R = TypeVar("R")

TABLE: dict[Any, Any] = {}  # by NumPy function: Op or Composite
MAX_INPUTS_OF_CACHED_PLANS = 8  # above this the plans of a variadic op are not cached


def is_ours(function: Any) -> bool:
    """Whether a function is defined in this package, or is one of Python's operators."""
    module = getattr(function, "__module__", None) or ""
    return module.startswith(("graphgrad.", "_operator"))


class Singleton:
    """Base of ops and compositions: singletons, also under copying and pickling."""

    name: str

    def __copy__(self) -> Self:
        """Return the op itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the op itself, so that copies of a module share it."""
        return self

    def __reduce__(self) -> str:
        """Pickle by name, as functions are."""
        home = vars(sys.modules.get(self.__module__, object))
        name = next((name for name, value in home.items() if value is self), None)
        if name is None:
            message = (
                f"pickle: the op '{self.name}' has no name in module {self.__module__}, by which "
                "another process could import it; assign it to one, outside of any function"
            )
            raise PicklingError(message)
        return name


class Op(Singleton, Generic[R]):
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
        """Read the declaration; `op` documents the parameters."""
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
            raise UnsupportedError(f"{self.name}: a list of inputs has one joint rule, not several")
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
        needed = {
            n for rule in (*self.rules, joint) if rule is not None for n in rule_arguments(rule)
        }
        self._refuse_unknown(needed.union(() if chooses is None else parameters(chooses)))
        self.has_saved = "saved" in needed
        self.needs_shapes = any(n in needed for n in self.layout[-len(names) :])
        self.differentiable = (
            -1 if joint or variadic else sum(1 << i for i, r in enumerate(rules) if r is not None)
        )
        self.simple = outputs == 1 and self._returns_real_arrays()
        self.constant = {i for i, rule in enumerate(self.rules) if rule is None}
        self.whole, self.floats = self._integers()
        self.plans: dict[Any, Plan] = {}
        self.first_bit = 0 if variadic else 1  # in the mask of inputs; a list has no mask

    def _refuse_unknown(self, needed: set[str]) -> None:
        for name in sorted(needed.difference(known := (*self.layout, "inputs", "wanted"))):
            message = (
                f"{self.name}: a gradient rule has the parameter '{name}'; it can take {known}"
            )
            raise UnsupportedError(message)

    def _returns_real_arrays(self) -> bool:
        """Whether the forward certainly returns real arrays; the output of a user's is checked."""
        forward = self.forward
        return (
            is_ours(forward)
            or (self.view and is_numpys(forward))
            or (isinstance(forward, np.ufunc) and forward is getattr(np, forward.__name__, None))
        )

    def _integers(self) -> tuple[bool, tuple[int, ...]]:
        """Return whether parameters are integers, and the inputs whose integers become floats.

        A user's op gets its arguments as they are.
        """
        if not (is_ours(self.forward) or is_numpys(self.forward)):
            return False, ()
        inputs = range(0 if self.variadic else self.inputs)
        exact = is_numpys(self.function) or self.name in EXACT
        floats = () if exact else tuple(i for i in inputs if self.differentiable >> i & 1)
        return not NAMES.isdisjoint(self.parameters), floats

    @functools.cached_property
    def positional(self) -> bool:
        """Whether positional arguments are in our order, so that a full list needs no binding."""
        ours = self.inputs == len(self.order) or self.binder.order == self.order
        return ours and not self.variadic

    def plan(self, wanted: Any, inputs: int) -> Plan:
        """Return the plan for some wanted inputs: set bits, or for a variadic op a tuple of bools.

        Plans are cached, except for long lists of inputs.
        """
        found = self.plans.get(wanted)
        if found is None:
            if not self.variadic:
                wants = tuple(i for i in range(inputs) if wanted >> i & 1)
                found = self.plans[wanted] = Plan(self, wants, inputs)
            elif inputs <= MAX_INPUTS_OF_CACHED_PLANS:
                found = self.plans[wanted] = self._first_plan.for_inputs(wanted)
            else:
                found = self._first_plan.for_inputs(wanted)
        return found

    @functools.cached_property
    def _first_plan(self) -> Plan:
        """The plan that the others of a variadic op are made from."""
        return Plan(self, (0,), 1)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Split the arguments of a call into inputs and parameters."""
        if not kwargs and len(args) == len(self.order) and self.positional:
            return args[: self.inputs], args[self.inputs :]
        bound = self.binder.bind(args, kwargs)
        if self.variadic:
            given = bound[0]
            if given.__class__ is not list and given.__class__ is not tuple:
                given = self._input_list(given)
            return tuple(given), bound[1:]
        return bound[: self.inputs], bound[self.inputs :]

    def _input_list(self, inputs: Any) -> list[Any]:
        """List the inputs of a variadic op; raise for a set, dict or string."""
        if isinstance(inputs, set | frozenset | dict):
            raise wrong(self.name, self.order[0], inputs, "a list or tuple of arrays")
        return several(self.name, self.order[0], inputs, "arrays")

    def evaluate(self, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
        """Compute on plain arrays, without recording."""
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
        if tracers:
            out = tracers[-1].forward(self, arrays, params)
        else:
            out = self.forward(arrays, *params) if self.variadic else self.forward(*arrays, *params)
        return out[0] if self.has_saved else out

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Apply the op, and record it if a Tensor is among the inputs."""
        inputs, params = self.bind(args, kwargs)
        for x in inputs:
            if isinstance(x, Recorded):
                return x._record(self, inputs, params)  # type: ignore[attr-defined, no-any-return]
        try:
            return self.evaluate(inputs, params)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - raised again
            raise_named(self, error)

    def __repr__(self) -> str:
        """Show the signature."""
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

    A rule takes the upstream gradient ``g`` and, by name, the values it needs (see the table at the
    top of this module), and returns the gradient of its input, in the shape of that input. If the
    output is float16, the rule gets all values in float32. A rule in plain NumPy can be
    differentiated to every order::

        swish = gg.op(
            lambda x: x / (1 + np.exp(-x)),
            lambda g, x, out: g * (out + (1 - out) / (1 + np.exp(-x))),
            name="swish", elementwise=True,
        )

    Parameters
    ----------
    function
        Computes the output, an array of real numbers or one number, from plain arrays. A function
        of NumPy is also entered into the table, so that ``np.f(tensor)`` finds the op. Its first
        parameters are the differentiable inputs, the others are passed through (``axis``).
    rules
        One per input; None if the input has no gradient (a condition).
    joint
        Instead of rules: one function that returns a tuple with a gradient, or None, per input.
        With several outputs its ``g`` is a tuple, with None for unused outputs.
    forward
        Computes the output instead of ``function``, e.g. to return ``(out, saved)``.
    inputs
        The number of inputs, with a joint rule.
    variadic
        The first parameter is a sequence of inputs (``concatenate``); the rule is joint.
    outputs
        The number of outputs; above 1, function returns a tuple and the rule is joint.
    elementwise
        Each output element depends on the same element of the (broadcast) inputs.
    broadcasts
        Rules may return gradients of the broadcast shape, which the engine sums.
    view
        The output may share memory with the first input.
    masks
        The op selects between branches (``where``): a branch that was not taken contributes
        exactly 0 even if its local derivative is not finite.
    chooses
        For an op with kinks or jumps: which piece each element is on, such as ``lambda x: x > 0``.
        It takes values by name, as rules do, and returns an array. `gradcheck` uses it to detect
        steps across a kink.
    name, symbol, doc
        For errors, pictures and help.
    domain
        The calls for property tests: ``elementwise(…)``, ``Reduction(…)``, ``Cases(…)``.
    replace
        Replace the rule of a function of NumPy that already has one, for the whole process: in
        every library that uses graphgrad.

    Raises
    ------
    UnsupportedError
        If the number of rules is not the number of inputs, or a function of NumPy already has a
        rule or a plain result and ``replace`` is False.
    """
    whole("op", "outputs", outputs, 1)
    if inputs is not None:
        whole("op", "inputs", inputs, 1)
    if (function in TABLE or function in PLAIN) and not replace:
        has = "a rule" if function in TABLE else "a plain result"
        message = (
            f"op: np.{function.__name__} already has {has}; declare another function that calls "
            "it, or pass replace=True to change it for the whole process"
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
    """Return the module that called `op`, outside its argument checks."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") == guarded.__module__:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))
