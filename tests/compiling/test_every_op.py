"""Every op of the table, compiled: the same bits as without, whatever its inputs hold."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import AnyOp, Case
from graphgrad.compiling.traced import Traced
from graphgrad.compiling.tracing import Trace
from graphgrad.engine.domains import Call
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphgradError
from graphgrad.testing import typical_calls
from tests.compiling.against_eager import assert_compiles
from tests.every_op import EVERY_OP

DRAWS = 4  # the first two are traced
UNCOMPILED: dict[str, str] = {}  # ops that run as usual when compiled, and why


class Changing:
    """A call of an op as a function of all arrays that it takes, be they data or indices."""

    def __init__(self, op: AnyOp, call: Call) -> None:
        self.case = Case(op, call)
        leaves = self.case.leaves
        self.places = [i for i, x in enumerate(leaves) if isinstance(x, np.ndarray)]
        self.arrays = [leaves[i] for i in self.places]
        self.wanted = tuple(k for k, i in enumerate(self.places) if i in self.case.places)

    def draws(self) -> list[list[np.ndarray]]:
        """Draw values for all arrays: near by where they are floating, else in another order."""
        rng = np.random.default_rng(0)
        found = []
        for _ in range(DRAWS):
            new = [_near(x, rng) if x.dtype.kind == "f" else x for x in self.arrays]
            mixed = [x if x.dtype.kind == "f" else _mixed(x, rng) for x in new]
            found.append(mixed if self.takes(mixed) else new)
        return found

    def takes(self, arrays: list[np.ndarray]) -> bool:
        """Whether the op accepts these values."""
        try:
            self.outputs(*arrays)
        except (GraphgradError, ValueError, IndexError, np.linalg.LinAlgError):
            return False
        return True

    def outputs(self, *arrays: Any) -> list[Any]:
        """List what the op returns."""
        leaves = list(self.case.leaves)
        for i, array in zip(self.places, arrays, strict=True):
            leaves[i] = array
        args, kwargs = self.case.rebuild(leaves)
        return flatten(self.case.op(*args, **kwargs))[0]

    def total(self, *arrays: Any) -> Any:
        """Add up all floating outputs, each element with another weight."""
        outs = [y for y in self.outputs(*arrays) if isinstance(y, gg.Tensor)]
        weighted = [
            (y * (np.arange(1, y.size + 1).reshape(y.shape) / 7)).sum()
            for y in outs
            if y.dtype.kind == "f"
        ]
        return sum(weighted[1:], weighted[0]) if weighted else gg.Tensor(0.0)

    def gradients(self) -> Callable[..., Any]:
        """Return the function that computes the total and its gradients."""
        return gg.value_and_grad(self.total, self.wanted)

    def products(self) -> Callable[..., Any]:
        """Return the function that computes a product with the second derivatives."""

        def product(*arrays: Any) -> Any:
            def total(*variables: Any) -> Any:
                given = list(arrays)
                for k, variable in zip(self.wanted, variables, strict=True):
                    given[k] = variable
                return self.total(*given)

            points = tuple(arrays[k] for k in self.wanted)
            return gg.hvp(total, points, tuple(map(np.cos, points)))

        return product


def _near(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((x * rng.uniform(0.98, 1.02, x.shape)).astype(x.dtype))


def _mixed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.permutation(x.reshape(-1)).reshape(x.shape))


def functions(call: Changing) -> Iterator[Callable[..., Any]]:
    """Yield what can be compiled of a call: its value, gradients, second derivatives."""
    if not call.wanted:
        yield call.outputs
        return
    for make in (call.gradients, call.products):
        f = make()
        try:
            f(*call.arrays)
        except GraphgradError:  # no second derivative, say
            continue
        yield f


def check(op: AnyOp, most: int | None = None) -> None:
    """Compile each of the typical calls, or so many functions of the op."""
    changing = [Changing(op, call) for call in typical_calls(op)]
    changing.sort(key=lambda c: -len(c.arrays))  # the call with most arrays first
    every = ((c, f) for c in changing for f in functions(c))
    for call, f in itertools.islice(every, most):
        try:
            assert_compiles(f, call.draws())
        except AssertionError as error:
            raise AssertionError(f"{call.case}: {error}") from error


COMPILED = [name for name in EVERY_OP if name not in UNCOMPILED]


@pytest.mark.parametrize("name", COMPILED)
def test_same_bits_as_without(name: str) -> None:
    check(EVERY_OP[name], 2)


@pytest.mark.whole
@pytest.mark.parametrize("name", COMPILED)
def test_same_bits_as_without_in_all_typical_calls(name: str) -> None:
    check(EVERY_OP[name])


@pytest.mark.parametrize("name", UNCOMPILED)
def test_what_is_listed_does_not_compile(name: str) -> None:
    with pytest.raises(AssertionError):
        check(EVERY_OP[name])


def test_nearly_all_ops_compile() -> None:
    assert len(UNCOMPILED) <= 0.05 * len(EVERY_OP)


# ----------------------------------------------------------------- would these tests find a fault?


def test_an_input_taken_for_a_constant_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    correct = Trace.input

    def frozen(self: Any, value: Any, source: Any, name: str | None = None) -> Any:
        traced = correct(self, value, source, name)
        return value if name == "arrays_1" else traced

    check(EVERY_OP["multiply"], 1)
    monkeypatch.setattr(Trace, "input", frozen)
    with pytest.raises(AssertionError):
        check(EVERY_OP["multiply"], 1)


def test_a_value_that_became_a_constant_unnoticed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnoticed(self: Traced, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.value, dtype=dtype, copy=copy)

    draws = [[np.full(3, float(k))] for k in range(DRAWS)]
    monkeypatch.setattr(Traced, "__array__", unnoticed)
    with pytest.raises(AssertionError):
        assert_compiles(lambda x: x * np.asarray(x), draws)
