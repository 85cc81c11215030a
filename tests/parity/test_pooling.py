"""Pooling against PyTorch: values, first and second derivatives, over all arguments."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import graphgrad as gg
from graphgrad import nn
from tests.builders import drawn
from tests.nn.test_pooling import arguments
from tests.parity.compare import agree

torch = pytest.importorskip("torch")
F, TF = nn.functional, torch.nn.functional
EXAMPLES = 50
either = st.sampled_from([1, 2])


def compare(name: str, x: Any, *args: Any, **how: Any) -> None:
    agree(
        lambda t: getattr(F, name)(t, *args, **how) ** 2,
        lambda t: getattr(TF, name)(t, *args, **how) ** 2,
        x,
    )


@settings(max_examples=EXAMPLES)
@given(how=either.flatmap(lambda axes: arguments(axes, dilated=True)), ties=st.booleans())
def test_max_pooling(how: Any, ties: bool) -> None:
    """Among equal elements PyTorch takes the first as well."""
    x = drawn(how.pop("shape"))[0]
    if ties:
        x = np.round(x)
    name = f"max_pool{len(how['stride'])}d"
    if np.isfinite(np.asarray(getattr(F, name)(x, **how))).all():  # else a window is all margin
        compare(name, x, **how)


@settings(max_examples=EXAMPLES)
@given(
    how=either.flatmap(lambda axes: arguments(axes, dilated=False)),
    include=st.booleans(),
    divisor=st.sampled_from([None, 3]),
)
def test_mean_pooling(how: Any, include: bool, divisor: Any) -> None:
    x = drawn(how.pop("shape"))[0]
    how["count_include_pad"] = include
    if len(how["stride"]) == 2:
        how["divisor_override"] = divisor
    compare(f"avg_pool{len(how['stride'])}d", x, **how)


@settings(max_examples=EXAMPLES)
@given(how=arguments(2, dilated=False), p=st.sampled_from([1, 2, 3, 2.5]))
def test_lp_pooling(how: Any, p: float) -> None:
    shape = how["shape"]
    kernel = tuple(map(min, how["kernel_size"], shape[-2:]))
    compare("lp_pool2d", np.abs(drawn(shape)[0]) + 0.1, p, kernel, how["stride"])


@settings(max_examples=EXAMPLES)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    bins=st.tuples(st.integers(1, 4), st.none() | st.integers(1, 4)),
    single=st.booleans(),
    ties=st.booleans(),
)
def test_adaptive_pooling(sizes: Any, bins: Any, single: bool, ties: bool) -> None:
    x = drawn((2, *sizes) if single else (2, 2, *sizes))[0]
    if ties:
        x = np.round(x)
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        compare(name, x, bins)


def slopes(ours: Any, theirs: Any, x: Any) -> tuple[Any, Any]:
    """Return the gradients of the sum of what each computes."""
    v, t = gg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours(v).sum().backward()
    theirs(t).sum().backward()
    return v.grad, t.grad.numpy()


@pytest.mark.parametrize("value", [-math.inf, math.inf])
def test_infinities(value: float) -> None:
    """A window over −∞ alone, in part over a margin, sends its gradient to the image."""
    x = np.full((1, 1, 3, 3), value)
    ours, theirs = slopes(
        lambda t: F.max_pool2d(t, 2, 2, 1), lambda t: TF.max_pool2d(t, 2, 2, 1), x
    )
    np.testing.assert_array_equal(ours, theirs)
    assert ours.sum() == 4


@pytest.mark.parametrize("p", [2, 2.5, 3])
def test_the_length_of_zeros(p: float) -> None:
    zeros = np.zeros((1, 1, 2, 2))
    agree(lambda t: F.lp_pool2d(t, p, 2) ** 2, lambda t: TF.lp_pool2d(t, p, 2) ** 2, zeros)


def test_where_pytorch_differs_docs_conventions_says_how() -> None:
    # the gradient goes to the first NaN; PyTorch's to the last
    x = np.array([[[[1, math.nan, 2, math.nan]]]])
    ours, theirs = slopes(lambda t: F.max_pool2d(t, (1, 4)), lambda t: TF.max_pool2d(t, (1, 4)), x)
    np.testing.assert_array_equal(ours, [[[[0, 1, 0, 0]]]])
    np.testing.assert_array_equal(theirs, [[[[0, 0, 0, 1]]]])
    # a window partly over the image: its length; PyTorch's is that of its mean, times its size
    ones = np.ones((1, 1, 1, 3))
    np.testing.assert_allclose(F.lp_pool2d(ones, 1, (1, 2), ceil_mode=True)[0, 0], [[2, 1]])
    theirs = TF.lp_pool2d(torch.tensor(ones), 1, (1, 2), ceil_mode=True)
    np.testing.assert_allclose(theirs[0, 0], [[2, 2]])
