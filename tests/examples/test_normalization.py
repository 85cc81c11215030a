"""Rows 15 and 21 of the source documents, from the scripts in examples/ themselves."""

import numpy as np

from tests.examples.test_numbers import example


def test_where_both_learn_batch_normalisation_is_faster() -> None:
    script = example("batch_normalization")
    ((with_it, without),) = script.experiment([0.16]).values()
    assert with_it[-1] >= 0.99
    assert without[-1] >= 0.6
    assert np.mean(with_it) > np.mean(without)


def test_a_channel_quiets_its_neighbours_and_no_others() -> None:
    script = example("local_response")
    slopes = script.inhibition(script.activity())
    distance = np.abs(np.arange(16)[:, None] - np.arange(16))
    assert (slopes[(distance > 0) & (distance <= 2)] < 0).all()
    assert (slopes[distance > 2] == 0).all()
