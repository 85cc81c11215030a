"""Ensembles: the mean of probabilities is a mean of probabilities, and one model to everyone."""

from typing import Any

import numpy as np
import pytest

from graphgrad import nn
from graphgrad.errors import ArgumentError, ShapeError


def members(count: int = 3) -> list[nn.Module]:
    rng = np.random.default_rng(0)
    return [nn.Affine(4, 3, rng=rng, dtype=np.float64) for _ in range(count)]


X = np.random.default_rng(1).standard_normal((5, 4))


def probabilities(scores: Any) -> Any:
    powers = np.exp(np.asarray(scores.data))
    return powers / powers.sum(axis=1, keepdims=True)


def test_its_softmax_is_the_mean_of_the_softmaxes() -> None:
    models = members()
    wanted = np.mean([probabilities(model(X)) for model in models], axis=0)
    np.testing.assert_allclose(probabilities(nn.Ensemble(models)(X)), wanted, rtol=1e-12)
    means = np.mean([model(X).data for model in models], axis=0)
    np.testing.assert_allclose(nn.Ensemble(models, "outputs")(X).data, means, rtol=1e-12)


def test_scores_of_any_size_do_not_overflow() -> None:
    models = members(2)
    for model in models:
        for p in model.parameters():
            p.data[...] *= 1e4
    assert np.isfinite(nn.Ensemble(models)(X).data).all()


def test_bad_input_is_named() -> None:
    with pytest.raises(ArgumentError, match="no models"):
        nn.Ensemble([])
    with pytest.raises(ArgumentError, match="mean='votes'"):
        nn.Ensemble(members(), "votes")  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    with pytest.raises(ShapeError, match=r"shapes \[\(5, 3\), \(5, 2\)\]"):
        nn.Ensemble([nn.Affine(4, 3, rng=rng), nn.Affine(4, 2, rng=rng)])(X)
