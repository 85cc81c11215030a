"""Anomaly detection: NaNs where they arise, and writes that nobody announced."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.errors import GraphError, NonFiniteError
from tests.builders import leaf


def test_a_nan_is_caught_where_an_op_makes_it() -> None:
    x = leaf([1.0, -1.0])
    with gg.detect_anomaly(), np.errstate(all="ignore"):
        with pytest.raises(NonFiniteError, match=r"log \(2,\) float64 \(built at test_anomaly"):
            np.log(x)
        assert np.isfinite(np.exp(x).data).all()
    with np.errstate(all="ignore"):
        assert np.isnan(np.log(x).data[1])


def test_a_nan_is_caught_where_a_rule_makes_it() -> None:
    x = leaf([4.0, 0.0])
    y = np.sqrt(x) * 0.0
    with (
        gg.detect_anomaly(),
        pytest.raises(NonFiniteError, match=r"sqrt.*built at test_anomaly.*rule made a NaN"),
    ):
        y.sum().backward()
    assert x.grad is None


def test_a_nan_that_was_given_is_no_anomaly() -> None:
    x = leaf([np.nan, 1.0])
    with gg.detect_anomaly():
        (x * 2).sum().backward()
        gg.recompute(lambda x: x * 3, x).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_a_write_through_an_array_taken_earlier_is_found() -> None:
    x = leaf([1.0, 2.0])
    array = x.data
    with gg.detect_anomaly():
        y = (x * x).sum()
        array[0] = 5.0
        with pytest.raises(GraphError, match=r"multiply.*test_anomaly\.py.*written to"):
            y.backward()
    assert not np.any(x.grad)
    array[0] = 1.0
    with gg.detect_anomaly():
        (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_explain_nan_names_the_first_op_that_made_one() -> None:
    x = leaf([1.0, 0.0], name="x")
    with np.errstate(all="ignore"):
        y = np.log(x)
        z = (y * 0.0 + x).sum()
    told = z.explain_nan()
    assert told.startswith("infinity first appears in log (2,) float64 (built at test_anomaly.py:")
    assert told.endswith("from [1. 0.]")
    given = leaf([np.nan], name="data")
    assert "leaf 'data'" in (given * 2).explain_nan()
    assert "no NaN" in (x * 2).explain_nan()


def test_large_values_that_later_ops_saved_are_looked_at_too() -> None:
    x = leaf(np.linspace(-1, 1, 100))
    with np.errstate(all="ignore"):
        y = np.log(x)
        z = (y * y).sum()
    assert "NaN first appears in log (100,)" in z.explain_nan()


def test_what_ops_of_several_inputs_or_outputs_saved_is_looked_at_too() -> None:
    x = leaf(np.diag([1.0, 2.0, 3.0]) + 0.1)
    values, vectors = gg.linalg.eigh(x)
    assert "no NaN" in (values.sum() * vectors[0, 0]).explain_nan()
    both = gg.op(
        lambda inputs: inputs[0] * inputs[1],
        joint=lambda g, inputs: (g * inputs[1], g * inputs[0]),
        variadic=True,
        name="both",
    )
    y = leaf(np.linspace(-1, 1, 20))
    with np.errstate(all="ignore"):
        z = both([np.log(y), y]).sum()
    assert "NaN first appears in log (20,)" in z.explain_nan()
