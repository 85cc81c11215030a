"""Rows 15 and 21 of the source documents, from the scripts in examples/ themselves."""

import numpy as np

import graphgrad as gg
from tests.test_seeds import example


def test_batch_normalisation_learns_from_any_scale_of_weights() -> None:
    """Without it, large weights overflow and small ones never begin."""
    script = example("batch_normalization")
    assert len(script.SCALES) == 16
    curves = script.experiment([0.54, 0.004])
    for with_it, without in curves.values():
        assert with_it[-1] >= 0.95
        assert max(without) <= 0.2, "chance is 0.1"


def test_where_both_learn_batch_normalisation_is_faster() -> None:
    script = example("batch_normalization")
    ((with_it, without),) = script.experiment([0.16]).values()
    assert with_it[-1] >= 0.99
    assert without[-1] >= 0.6
    assert np.mean(with_it) > np.mean(without)


def test_the_papers_local_response_normalisation() -> None:
    script = example("local_response")
    a = np.random.default_rng(0).uniform(0, 300, (2, 16, 3, 3))
    np.testing.assert_allclose(script.as_in_the_paper(a), script.by_the_formula(a), rtol=1e-12)
    assert gg.gradcheck(script.as_in_the_paper, a[:1, :8, :1, :1])


def test_a_channel_quiets_its_neighbours_and_no_others() -> None:
    script = example("local_response")
    slopes = script.inhibition(script.activity())
    distance = np.abs(np.arange(16)[:, None] - np.arange(16))
    assert (slopes[(distance > 0) & (distance <= 2)] < 0).all()
    assert (slopes[distance > 2] == 0).all()
