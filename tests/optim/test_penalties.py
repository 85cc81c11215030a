"""Penalties against their formula, to every order; the ball of max-norm."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import graphgrad as gg
from graphgrad import optim
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tests.builders import Refusals, leaf, refuses
from tests.equality import assert_equals_composition

W = np.array([[3.0, 0.0, -1.0], [0.5, 2.0, -2.0]])
V = np.array([-4.0, 1.0])


@pytest.mark.parametrize(
    ("penalty", "l1", "l2"),
    [
        (lambda ws: optim.l1_penalty(ws, 0.3), 0.3, 0.0),
        (lambda ws: optim.l2_penalty(ws, 0.7), 0.0, 0.7),
        (lambda ws: optim.elastic_penalty(ws, 0.3, 0.7), 0.3, 0.7),
    ],
)
def test_equals_its_composition(penalty: Any, l1: float, l2: float) -> None:
    assert_equals_composition(
        lambda *ws: penalty(ws),
        lambda *ws: sum(l1 * abs(w).sum() + l2 / 2 * (w * w).sum() for w in ws),
        W,  # with the subgradient 0 at the kink
        V,
        np.array(0.7),
    )


def test_one_node_for_all_parameters() -> None:
    params = [leaf(W) for _ in range(50)]
    out = optim.l2_penalty(params, 0.1)
    assert len(out._node.parents) == 50  # type: ignore[union-attr]
    assert all(parent.is_leaf for parent in out._node.parents)  # type: ignore[union-attr]


def test_frozen_weights_count_and_get_no_gradient() -> None:
    w, fixed = leaf(V), gg.Tensor(V)
    out = optim.l2_penalty(iter([w, fixed]), 1.0)
    assert out.item() == 17.0
    out.backward()
    assert fixed.grad is None
    assert optim.l2_penalty([fixed], 1.0).item() == 8.5
    assert optim.l2_penalty(w, 1.0).item() == 8.5, "one tensor alone"
    assert optim.l2_penalty([w, w], 1.0).item() == 8.5, "a shared weight, once"


@pytest.mark.parametrize(("dtype", "rel"), [("f2", 1e-3), ("f4", 1e-6), ("f8", 1e-14)])
def test_dtype_stays_and_many_small_terms_are_not_lost(dtype: str, rel: float) -> None:
    w = leaf(np.full(100_000, 0.0625), dtype=dtype)
    out = optim.elastic_penalty([w], 1e-3, 1e-3)
    assert out.dtype == dtype
    assert out.item() == pytest.approx(6.25 + 0.1953125, rel=rel)
    out.backward()
    assert w.grad.dtype == dtype


def path(make: Any, penalty: float, decay: float) -> Any:
    """Follow Σ w⁴ + Σ w downhill, the weights pulled in by a penalty or by the optimizer."""
    w = leaf(V)
    optimizer = make([w], lr=0.01, weight_decay=decay)
    for _ in range(20):
        optimizer.zero_grad()
        ((w**4).sum() + w.sum() + optim.l2_penalty([w], penalty)).backward()
        optimizer.step()
    return w.numpy()


def test_l2_is_weight_decay_for_sgd_and_not_for_adamw() -> None:
    def sgd(params: Any, **options: Any) -> Any:
        return optim.SGD(params, momentum=0.9, **options)

    np.testing.assert_allclose(path(sgd, 0.2, 0.0), path(sgd, 0.0, 0.2), rtol=1e-13)
    assert abs(path(sgd, 0.2, 0.0) - path(sgd, 0.0, 0.0)).max() > 1e-3
    assert abs(path(optim.AdamW, 0.2, 0.0) - path(optim.AdamW, 0.0, 0.2)).max() > 1e-3


@given(
    hnp.arrays("f8", hnp.array_shapes(min_dims=2, max_dims=4), elements=st.floats(-5, 5)),
    st.floats(0.1, 6),
)
def test_every_unit_ends_in_the_ball_with_its_direction(values: Any, limit: float) -> None:
    w = leaf(values)
    optim.max_norm_([w], limit)
    rows, before = w.numpy().reshape(len(values), -1), values.reshape(len(values), -1)
    lengths = np.linalg.norm(before, axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(rows, axis=1), np.minimum(lengths, limit), rtol=1e-14, atol=1e-150
    )
    np.testing.assert_array_equal(rows[lengths < limit * 0.999], before[lengths < limit * 0.999])
    turned = rows * lengths[:, None] - before * np.minimum(lengths, limit)[:, None]
    np.testing.assert_allclose(turned, 0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_max_norm_keeps_the_dtype_and_adds_halves_up_wider(dtype: str) -> None:
    w = leaf(np.full((2, 400), 100.0), dtype=dtype)
    optim.max_norm_([w], 3.0)
    assert w.dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(w.numpy().astype(float), axis=1), 3.0, rtol=2e-3)


def test_backward_notices_the_projection() -> None:
    w = leaf([[3.0, 4.0]])
    y = (w * w).sum()
    optim.max_norm_([w], 10.0)  # changes nothing
    y.backward(retain_graph=True)
    optim.max_norm_([w], 1.0)
    with pytest.raises(GraphError, match="overwritten"):
        y.backward()


def test_max_norm_checks_all_parameters_before_it_changes_one() -> None:
    w = leaf(10 * W)
    says = r"parameter 1 \(2,\) has no axis of inputs; leave out the bia"
    with pytest.raises(ShapeError, match=says):
        optim.max_norm_([w, leaf(V)], 1.0)
    np.testing.assert_array_equal(w.numpy(), 10 * W)


NO_TENSOR: Any = V
REFUSED: Refusals = {
    GraphError: {
        "l2_penalty: params is empty": lambda: optim.l2_penalty([], 0.1),
        "max_norm_.*empty": lambda: optim.max_norm_([], 1.0),
    },
    ArgumentError: {},
    DtypeError: {"parameter 1 is a ndarray": lambda: optim.l2_penalty([leaf(V), NO_TENSOR], 0.1)},
    ShapeError: {
        r"parameter 0 \(2,\): axis 1": lambda: optim.max_norm_([leaf(V)], 1.0, axis=1),
        "repeated axis": lambda: optim.max_norm_([leaf(V)], 1.0, axis=(0, 0)),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
