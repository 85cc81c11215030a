"""The training scripts as a user calls them: other data, no data, going on."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphgrad import nn, optim
from graphgrad.data import Batches, load_digits
from tests.data.test_formats import cifar10, idx
from tests.examples.test_examples import EXAMPLES, run, run_apart


def write_mnist(folder: Path, *counts: int | None) -> None:
    """Write real digits, enlarged to 28×28, as MNIST's four files are once unpacked."""
    folder.mkdir(exist_ok=True)
    sets = load_digits(normalize=False, flatten=False)
    for (images, labels), kind, n in zip(sets, ("train", "t10k"), counts or (150, 30), strict=True):
        large = np.kron(images[:n, 0] * np.uint8(15), np.ones((3, 3), np.uint8))
        padded = np.pad(large, ((0, 0), (2, 2), (2, 2)))
        (folder / f"{kind}-images-idx3-ubyte").write_bytes(idx(padded))
        (folder / f"{kind}-labels-idx1-ubyte").write_bytes(idx(labels[:n].astype(np.uint8)))


def write_cifar10(folder: Path, drawn: Any = None) -> None:
    """Write images, random ones if no others are drawn for their labels, as CIFAR-10's files."""
    folder.mkdir(exist_ok=True)
    labels, rng = np.arange(40) % 10, np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        images = drawn(labels) if drawn else rng.integers(0, 256, (40, 3, 32, 32))
        (folder / f"{name}.bin").write_bytes(cifar10(images.astype(np.uint8), labels))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("train_mlp", "cifar10"),
        pytest.param("train_convnet", "fashion", marks=pytest.mark.whole),
        pytest.param("train_deep_convnet", "mnist", marks=pytest.mark.whole),
    ],
)
def test_other_data_are_read_from_their_files(tmp_path: Path, name: str, kind: str) -> None:
    """Small files in the true format; colours and other sizes reach every layer and picture."""
    (write_cifar10 if kind == "cifar10" else write_mnist)(tmp_path / "files")
    printed = run(name, tmp_path, "--data", kind, "--files", "files", "--epochs", "1")
    assert "mean of 1 seeds" in printed
    assert (tmp_path / "pictures" / f"{name}_filters.png").exists()


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    script = str(EXAMPLES / "train_mlp.py")
    result = run_apart(tmp_path, script, "pictures", "--data", "fashion", "--files", ".")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "train-images-idx3-ubyte.gz is not in ." in result.stderr
    assert "--files names a folder that has it" in result.stderr


def test_a_careless_second_run_is_refused_and_goes_on_with_resume(tmp_path: Path) -> None:
    how = ("train_mlp", tmp_path, "--seeds", "1", "--epochs")
    run(*how, "2")
    with pytest.raises(SystemExit, match="--resume, or another folder"):
        run(*how, "2")
    run(*how, "3", "--resume")
    steps = [path.stem for path in (tmp_path / "pictures").rglob("step-*")]
    assert sorted(steps) == ["step-00000026", "step-00000052", "step-00000078"]


def test_an_image_that_several_networks_misread_is_one_mistake(monkeypatch: Any) -> None:
    """Of three networks that read every image as 0, on test sets that overlap."""
    monkeypatch.syspath_prepend(EXAMPLES)
    common = importlib.import_module("common")
    model = nn.Sequential(nn.Flatten(), nn.Affine(64, 10))
    for p in model.parameters():
        p.data[...] = 0
    _, test = load_digits(flatten=False, seed=0)
    three = test.take(np.flatnonzero(test.labels == 3)[:3])
    zero = test.take(np.flatnonzero(test.labels == 0)[:1])
    trainer = nn.Trainer(
        model, optim.SGD(model.parameters(), lr=1), Batches(three, 1, rng=np.random.default_rng(0))
    )
    sets = three, three.take(slice(1, 3)), zero
    found = common.mistakes([common.Run(trainer, None, each) for each in sets])
    told = [(m.label, m.answers, m.tested) for m in found]
    assert told == [(3, [0, 0], 2), (3, [0, 0], 2), (3, [0], 1)]
    assert len({mistake.image.tobytes() for mistake in found}) == 3
