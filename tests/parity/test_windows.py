"""im2col and col2im against PyTorch's unfold and fold, up to the order of rows and columns."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from graphgrad import nn
from tests.nn.test_windows import layouts

torch = pytest.importorskip("torch")
F, TF = nn.functional, torch.nn.functional


def as_rows(columns: Any, shape: tuple[int, ...]) -> Any:
    """Turn PyTorch's (N, C · KH · KW, places) into ours."""
    return columns.numpy().transpose(0, 2, 1).reshape(-1, shape[1])


@settings(max_examples=60)
@given(layout=layouts())
def test_unfold_and_fold(layout: Any) -> None:
    shape, how = layout
    x = np.random.default_rng(0).standard_normal(shape)
    ours: Any = F.im2col(x, **how)
    columns = TF.unfold(torch.tensor(x), **how)
    np.testing.assert_array_equal(ours, as_rows(columns, ours.shape))
    folded = TF.fold(columns, shape[2:], **how)
    np.testing.assert_allclose(F.col2im(ours, shape, **how), folded, rtol=1e-12, atol=1e-12)
