"""Convolutions against PyTorch: values, first and second derivatives, over all arguments."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from graphgrad import nn
from tests.builders import drawn
from tests.parity.compare import agree

torch = pytest.importorskip("torch")
F, TF = nn.functional, torch.nn.functional
EXAMPLES = 60
positive = st.integers(1, 3)


def compare(name: str, shapes: Any, *args: Any, **how: Any) -> None:
    agree(
        lambda *xs: getattr(F, name)(*xs, *args, **how),
        lambda *xs: getattr(TF, name)(*xs, *args, **how),
        *drawn(*shapes),
    )


@st.composite
def arguments(draw: Any, axes: int) -> tuple[Any, ...]:
    """Draw shapes of x (without the batch) and weight, stride, padding, dilation, groups."""
    groups = draw(st.integers(1, 3))
    inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    several = st.tuples(*[positive] * axes)
    kernel, stride, dilation = draw(several), draw(several), draw(several)
    padding = draw(st.tuples(*[st.integers(0, 3)] * axes))
    spans = [d * (k - 1) + 1 - 2 * p for k, p, d in zip(kernel, padding, dilation, strict=True)]
    size = [max(1, span) + draw(st.integers(0, 4)) for span in spans]
    shape = (groups * inner, *size)
    return shape, (groups * outer, inner, *kernel), stride, padding, dilation, groups


@settings(max_examples=EXAMPLES)
@given(how=arguments(axes=2))
def test_conv2d(how: Any) -> None:
    shape, weight, *rest = how
    compare("conv2d", [(2, *shape), weight, weight[:1]], *rest)


@settings(max_examples=EXAMPLES)
@given(how=arguments(axes=1), single=st.booleans())
def test_conv1d(how: Any, single: bool) -> None:
    shape, weight, *rest = how
    compare("conv1d", [shape if single else (2, *shape), weight, weight[:1]], *rest)


@settings(max_examples=EXAMPLES)
@given(data=st.data(), axes=st.integers(1, 2))
def test_transposed(data: Any, axes: int) -> None:
    shape, weight, stride, padding, dilation, groups = data.draw(arguments(axes))
    extra = tuple(
        data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    shape = (weight[0], *shape[1:])
    steps = zip(shape[1:], weight[2:], stride, padding, extra, dilation, strict=True)
    if any((n - 1) * s - 2 * p + d * (k - 1) + e < 0 for n, k, s, p, e, d in steps):
        return
    shapes = [(2, *shape), weight, (weight[1] * groups,)]
    compare(f"conv_transpose{axes}d", shapes, stride, padding, extra, groups, dilation)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(2, 3), (4, 1)])
@pytest.mark.parametrize("dilation", [1, (3, 2)])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_padding_by_name(padding: str, kernel: Any, dilation: Any) -> None:
    compare("conv2d", [(2, 2, 10, 9), (3, 2, *kernel)], padding=padding, dilation=dilation)
