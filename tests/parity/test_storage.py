"""Files of weights written by PyTorch's users, and read by them."""

from pathlib import Path

import numpy as np
import pytest

from graphgrad import nn

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")


def test_weights_travel_both_ways(tmp_path: Path) -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    safetensors.save_file(theirs.state_dict(), tmp_path / "theirs")
    ours = nn.Sequential(nn.Affine(3, 4), nn.BatchNorm1d(4))
    ours.load_state_dict(nn.load(tmp_path / "theirs"))
    x = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    np.testing.assert_allclose(
        ours(x).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    nn.save(ours, tmp_path / "ours")
    theirs.load_state_dict(safetensors.load_file(tmp_path / "ours"))
