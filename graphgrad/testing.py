"""Property tests of ops, modules and optimizers, of graphgrad and of users; needs hypothesis.

``check_op(my_op)`` draws calls from the op's domain and checks each by every law of laws.py. The
strategies that draw them are public too.
"""

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.arguments import guarded, whole, wrong
from graphgrad.checks.laws import LAWS, AnyOp, Case, Law
from graphgrad.checks.module_laws import MODULE_LAWS, ModuleCase, ModuleLaw
from graphgrad.checks.modules import is_module
from graphgrad.checks.optimizer_laws import (
    OPTIMIZER_LAWS,
    OptimizerCase,
    OptimizerLaw,
    loss_of,
    parameters,
    usual_step,
)
from graphgrad.engine.domains import Call, Domain, Elementwise, Reduction
from graphgrad.errors import ArgumentError, GraphgradError, ShapeError, UnsupportedError
from graphgrad.typing import Array

try:
    from hypothesis import HealthCheck, given, settings, strategies as st
    from hypothesis.extra import numpy as st_numpy
except ImportError as error:
    message = "graphgrad.testing needs hypothesis: pip install 'graphgrad[test]'"
    raise ImportError(message) from error

SPECIAL = (0.0, 1.0, -1.0, 0.5, 2.0)  # where rules are often wrong

# ---------------------------------------------------------------------------- drawing numbers


@guarded
def sample(
    shape: tuple[int, ...],
    interval: tuple[float, float] = (-2.0, 2.0),
    avoid: Sequence[float] = (),
    *,
    rng: np.random.Generator,
) -> Array:
    """Draw a float64 array from an open interval, at a distance from the points to avoid."""
    low, high = interval
    margin = min(0.02 * (high - low), 0.04)
    size = int(np.prod(shape))
    pool = rng.uniform(low + margin, high - margin, 20 * size + 20)
    usual = [s for s in SPECIAL if low + margin <= s <= high - margin]
    if usual:
        pool = np.where(rng.random(pool.size) < 0.1, rng.choice(usual, pool.size), pool)
    if len(avoid):
        pool = pool[np.min(np.abs(pool[:, None] - np.asarray(avoid)), axis=1) >= margin]
    return pool[:size].reshape(shape)


@guarded
def sample_apart(
    shapes: Sequence[tuple[int, ...]],
    intervals: Sequence[tuple[float, float]],
    avoid: Sequence[float] = (),
    *,
    rng: np.random.Generator,
) -> list[Any]:
    """Draw float64 arrays in which no two numbers are close."""
    if not shapes or len(shapes) != len(intervals):
        counts = f"{len(shapes)} shapes and {len(intervals)} intervals"
        raise ShapeError(f"sample_apart: {counts}; give an interval per array")
    sizes = [int(np.prod(shape)) for shape in shapes]
    narrowest = min(high - low for low, high in intervals)
    gap = min(narrowest / (4 * (sum(sizes) + len(avoid)) + 4), 0.04)
    taken = list(avoid)
    arrays = []
    for shape, size, (low, high) in zip(shapes, sizes, intervals, strict=True):
        free = rng.permutation(np.arange(low + gap, high - gap, gap / 2))
        for number in taken:
            free = free[np.abs(free - number) >= gap]
        numbers: list[float] = []
        while len(numbers) < size:
            numbers.append(float(free[0]))
            free = free[np.abs(free - free[0]) >= gap]
        arrays.append(np.array(numbers).reshape(shape))
        taken += numbers
    return arrays


class Sampler:
    """The ``r`` of :class:`Cases`: ``r(2, 3)`` draws a 2 × 3 array of distinct numbers.

    Their absolute values are between 0.3 and 2, and they differ by at least 0.005.
    """

    @guarded
    def __init__(self, *, rng: np.random.Generator) -> None:
        self.rng = rng
        self.stock: list[float] = []

    def __repr__(self) -> str:
        """Show the generator."""
        return f"<Sampler drawing from {self.rng}>"

    def __call__(self, *shape: int) -> Any:
        """Draw an array of float64."""
        size = int(np.prod(shape))
        while len(self.stock) < size:
            grid = np.arange(0.3, 2.0, 0.02)
            grid = grid + self.rng.uniform(0, 0.015, grid.size)
            grid = grid * self.rng.choice((-1, 1), grid.size)
            self.stock += self.rng.permutation(grid).tolist()
        taken, self.stock = self.stock[:size], self.stock[size:]
        return np.array(taken).reshape(shape)


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Draw a NumPy generator; shrinks towards seed 0."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


# ------------------------------------------------------------------------------ drawing calls


def _counts(who: str, **numbers: int) -> None:
    for what, value in numbers.items():
        whole(who, what, value, least=0)


@guarded
def shapes(max_dims: int = 3, max_side: int = 3, min_side: int = 0) -> Any:
    """Draw the shape of an array, also 0-d and empty ones."""
    _counts("shapes", max_dims=max_dims, max_side=max_side, min_side=min_side)
    return st_numpy.array_shapes(
        min_dims=0, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


@guarded
def broadcastable(count: int, max_dims: int = 3, max_side: int = 3) -> Any:
    """Draw shapes of ``count`` arrays that broadcast against one another."""
    _counts("broadcastable", count=count, max_dims=max_dims, max_side=max_side)
    return st_numpy.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=0, max_side=max_side
    ).map(lambda drawn: drawn.input_shapes)


@guarded
@st.composite
def elementwise_calls(draw: Any, domain: Elementwise) -> Call:
    """Draw arrays of broadcastable shapes, sometimes a Python number for one of them."""
    count = len(domain.intervals)
    args = _arrays(domain, draw(broadcastable(count)), draw(generators()))
    if count > 1 and draw(st.integers(0, 3)) == 3:
        k = draw(st.integers(0, count - 1))
        args[k] = float(_arrays(domain, [()] * count, draw(generators()))[k])
    return Call(tuple(args), {})


def _arrays(
    domain: Elementwise, shapes: Sequence[tuple[int, ...]], rng: np.random.Generator
) -> list[Any]:
    if domain.distinct:
        return sample_apart(shapes, domain.intervals, domain.avoid, rng=rng)
    pairs = zip(shapes, domain.intervals, strict=True)
    return [sample(shape, interval, domain.avoid, rng=rng) for shape, interval in pairs]


@guarded
@st.composite
def axes(draw: Any, shape: tuple[int, ...], tuple_axis: bool = True) -> Any:
    """Draw an axis: None, a positive or negative int, or a tuple, also an empty one."""
    ndim = len(shape)
    if not ndim:
        return None
    one = st.integers(-ndim, ndim - 1)
    kinds: list[Any] = [st.none(), one]
    if tuple_axis:
        some = st.lists(one, max_size=ndim, unique_by=lambda i: i % ndim)
        kinds.append(st.builds(tuple, some))
    return draw(st.one_of(kinds))


@guarded
@st.composite
def reduction_calls(draw: Any, domain: Reduction) -> Call:
    """Draw an array and an axis that is long enough to be reduced."""
    shape = draw(shapes())
    axis = draw(axes(shape, domain.tuple_axis))
    if _reduced(shape, axis) < domain.minimum:
        shape = tuple(max(n, domain.minimum) for n in shape) or (domain.minimum,)
        axis = None if axis == () else axis
    x = _array(domain, shape, draw(generators()))
    kwargs = {} if axis is None and draw(st.booleans()) else {"axis": axis}
    if domain.keepdims and draw(st.booleans()):
        kwargs["keepdims"] = True
    return Call((x,), kwargs)


def _array(domain: Reduction, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if domain.distinct:
        return sample_apart([shape], [domain.interval], rng=rng)[0]
    return sample(shape, domain.interval, rng=rng)


def _reduced(shape: tuple[int, ...], axis: Any) -> int:
    chosen = range(len(shape)) if axis is None else [axis] if isinstance(axis, int) else axis
    return int(np.prod([shape[i] for i in chosen]))


@guarded
def calls(op: AnyOp, domain: Domain | None = None) -> st.SearchStrategy[Call]:
    """Draw calls of an op from its domain, or from another one."""
    domain = _domain_of(op, domain)
    if isinstance(domain, Elementwise):
        return elementwise_calls(domain)
    if isinstance(domain, Reduction):
        return reduction_calls(domain)
    return st.builds(
        lambda make, rng: make(Sampler(rng=rng)), st.sampled_from(domain.calls), generators()
    )


@guarded
def typical_calls(op: AnyOp, domain: Domain | None = None) -> list[Call]:
    """List calls that every test of an op should include: each case, 0-d, empty, broadcast."""
    domain = _domain_of(op, domain)
    rng = np.random.default_rng(0)
    if isinstance(domain, Elementwise):
        corners: list[list[tuple[int, ...]]] = [[()], [(2, 3)], [(0, 3)], [(2, 1), (3,)]]
        count = len(domain.intervals)
        rounds = [list(itertools.islice(itertools.cycle(c), count)) for c in corners]
        found = [_arrays(domain, shapes, rng) for shapes in rounds]
        for k in range(count if count > 1 else 0):  # a Python number for each input
            found.append(_arrays(domain, [() if i == k else (2,) for i in range(count)], rng))
            found[-1][k] = float(found[-1][k])
        return [Call(tuple(args), {}) for args in found]
    if isinstance(domain, Reduction):
        n = max(3, domain.minimum)
        arrays = [_array(domain, shape, rng) for shape in ((n, 2), (n,), (0, n))]
        return [Call((x,), {"axis": -1 if x.size == 0 else 0}) for x in arrays]
    return [make(Sampler(rng=rng)) for make in domain.calls]


def _domain_of(op: AnyOp, domain: Domain | None) -> Domain:
    found = op.domain if domain is None else domain
    if found is None:
        message = (
            f"{op.name} has no domain; declare it with domain=elementwise((low, high), …), "
            "Reduction(…) or Cases(…), or pass one here"
        )
        raise UnsupportedError(message)
    return found


# ----------------------------------------------------------------------------------- checking


@guarded
def check_call(op: AnyOp, call: Call, laws: Sequence[Law] = LAWS) -> None:
    """Check one call of an op by the laws.

    Raises
    ------
    AssertionError
        If a law is violated; the message begins with the call and the law.
    """
    for law in laws:
        _check_laws(Case(op, call), [law])


@guarded
def check_op(
    op: AnyOp, domain: Domain | None = None, *, examples: int = 10, laws: Sequence[Law] = LAWS
) -> None:
    """Check an op by the laws, on its typical calls and on ``examples`` random ones.

    Parameters
    ----------
    op
        An op of graphgrad, or one made by ``gg.op``.
    domain
        The domain of calls; default: the one that the op declares.
    examples
        The number of random calls, the same ones each time.
    laws
        Functions of a :class:`graphgrad.checks.laws.Case` that raise if they are violated.

    Raises
    ------
    AssertionError
        If a law is violated; the message begins with the call and the law.
    UnsupportedError
        If there is no domain.
    """
    whole("check_op", "examples", examples, 0, 10**6)
    for call in typical_calls(op, domain):
        check_call(op, call, laws)
    if not examples:
        return

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(calls(op, domain))
    def holds(drawn: Call) -> None:
        check_call(op, drawn, laws)

    holds()


def _check_laws(case: Any, laws: Sequence[Any]) -> None:
    for law in laws:
        try:
            law(case)
        except AssertionError as error:
            message = f"{case}: {law.__name__.replace('_', ' ')}\n{error}"
            raise AssertionError(message) from error
        except (GraphgradError, ArithmeticError, TypeError, ValueError) as error:
            error.add_note(f"{case}: {law.__name__.replace('_', ' ')}")
            raise


@guarded
def check_module(
    module: Any,
    *inputs: Any,
    loss: Any = None,
    resting: Sequence[str] = (),
    laws: Sequence[ModuleLaw] = MODULE_LAWS,
) -> None:
    """Check a module by the laws of modules, on typical inputs.

    Gradients agree with differences, every parameter gets one and changes the output, float32 stays
    float32, inputs are not written to, the state dict is complete, ``eval()`` changes nothing. The
    module itself does not change. A layer with state outside its state dict::

        >>> import numpy as np
        >>> from graphgrad import nn, testing
        >>> class Scale(nn.Module):
        ...     def __init__(self):
        ...         self.factor = np.ones(3)  # an array, where a Parameter was meant
        ...     def forward(self, x):
        ...         self.factor += 1
        ...         return x * self.factor
        >>> testing.check_module(Scale(), np.ones((2, 3)))
        Traceback (most recent call last):
        AssertionError: ...

    Parameters
    ----------
    module
        A module of graphgrad, or your own.
    inputs
        Arguments of its ``forward``, a small batch: differences are taken in every element of small
        parameters.
    loss
        A function of the output, for the gradients; default: the output itself.
    resting
        Names of parameters, or of modules, that these inputs need not use, such as the experts
        that a gate leaves out: ``resting=["experts.1"]``.
    laws
        Functions of a :class:`graphgrad.checks.module_laws.ModuleCase` that raise if they are
        violated.

    Raises
    ------
    AssertionError
        If a law is violated; the message begins with the module and the law.
    """
    if not is_module(module):
        raise wrong("check_module", "module", module, "a Module")
    resting = list(resting)
    names = [name for name, _ in (*module.named_parameters(), *module.named_modules())]
    for name in resting:
        if not isinstance(name, str) or name not in names:
            raise wrong("check_module", "resting", name, f"among {', '.join(filter(None, names))}")
    _check_laws(ModuleCase(module, inputs, loss, resting), laws)


def _require_step(make: Callable[..., Any]) -> None:
    """Raise an error that says how, if an optimizer cannot step by itself."""
    params = parameters()
    optimizer = make(params)
    try:
        usual_step(optimizer, lambda: loss_of(params))
    except (GraphgradError, TypeError) as error:
        message = (
            f"check_optimizer: {type(optimizer).__name__} cannot step by itself: {error}; say how "
            "it steps, as step=lambda optimizer, loss: optimizer.step(loss), or with a function "
            "that clears the gradients, computes the loss and calls its backward()"
        )
        raise ArgumentError(message) from error


@guarded
def check_optimizer(
    make: Callable[..., Any],
    step: Callable[..., Any] | None = None,
    *,
    laws: Sequence[OptimizerLaw] = OPTIMIZER_LAWS,
) -> None:
    """Check an optimizer by the laws of optimizers, on a small problem.

    The loss falls, equal starts have equal results, a saved and loaded optimizer continues bit for
    bit, a step writes into parameters only. An optimizer that ascends::

        >>> from graphgrad import optim, testing
        >>> testing.check_optimizer(lambda params: optim.SGD(params, lr=0.01))
        >>> class Ascent(optim.SGD):
        ...     def step(self):
        ...         for p in self.params:
        ...             p.data += 0.01 * p.grad
        >>> testing.check_optimizer(lambda params: Ascent(params, lr=0.01))
        Traceback (most recent call last):
        AssertionError: Ascent: it goes downhill...

    Parameters
    ----------
    make
        Function from a list of parameters to an optimizer, with a rate for a small problem.
    step
        Function of an optimizer and a function that computes the loss, which makes one step.
        Default: reset the gradients, compute new ones and call ``optimizer.step()``.
    laws
        Functions of a :class:`graphgrad.checks.optimizer_laws.OptimizerCase` that raise if they
        are violated.

    Raises
    ------
    AssertionError
        If a law is violated; the message begins with the optimizer and the law.
    ArgumentError
        If it cannot step by itself, and there is no ``step``.
    """
    made = make(parameters())
    if not hasattr(made, "step"):
        raise wrong("check_optimizer", "what make returned", made, "an Optimizer")
    if step is None and inspect.signature(made.step).parameters:
        _require_step(make)
    _check_laws(OptimizerCase(make, step or usual_step), laws)
