"""The numbers that the documents give about gates, digits and learning, from examples/."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphgrad import data
from graphgrad.errors import DownloadError
from tests.test_data_formats import idx
from tests.test_seeds import example


def put_mnist(folder: Path) -> None:
    """Write files of MNIST's names and shapes: digits on a larger sheet."""
    digits = data.load_digits(normalize=False, flatten=False)
    names = "train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"
    arrays = []
    for images, labels in digits:
        sheet = np.kron(images[:, 0] * np.uint8(15), np.ones((3, 3), np.uint8))
        arrays += [np.pad(sheet, ((0, 0), (2, 2), (2, 2))), labels.astype(np.uint8)]
    for name, array in zip(names, arrays, strict=True):
        (folder / f"{name}-ubyte").write_bytes(idx(array))


# --------------------------------------------------------------------------- row 1: gates


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("AND", [0, 0, 0, 1]), ("NAND", [1, 1, 1, 0]), ("OR", [0, 1, 1, 1])],
)
def test_gates(name: str, outputs: list[int]) -> None:
    script = example("perceptrons")
    rows = [script.gate(name, row).item() for row in itertools.product([0.0, 1.0], repeat=2)]
    assert rows == outputs


def test_weights_are_those_of_the_documents() -> None:
    assert example("perceptrons").WEIGHTS == {
        "AND": ([0.5, 0.5], -0.7),
        "NAND": ([-0.5, -0.5], 0.7),
        "OR": ([0.5, 0.5], -0.2),
    }


def test_xor_takes_two_layers() -> None:
    script = example("perceptrons")
    assert script.xor(script.CORNERS).tolist() == [0, 1, 1, 0]
    assert script.best_single_perceptron() == 3


def test_xor_is_learned_by_two_layers_and_not_by_one() -> None:
    script = example("perceptrons")
    two, one = (make(np.random.default_rng(0)) for make in (script.two_layers, script.one_layer))
    assert script.learn(two) < 0.01
    assert script.right(two) == 4
    assert script.learn(one) > 0.69  # log 2: it cannot decide
    assert script.right(one) < 4


# -------------------------------------------------------------------------- row 4: digits


def test_one_by_one_and_in_batches_give_the_same_answers() -> None:
    """Also where the last batch is smaller."""
    script = example("showing_digits")
    train, test = data.load_digits()
    net = script.learn(train, 2)
    images = test.images[:250]
    alone, together = script.one_by_one(net, images), script.in_batches(net, images)
    np.testing.assert_array_equal(alone, together)
    assert len(set(alone.tolist())) > 5, "a net that always says 1 would pass"


def test_mnist_is_shown_and_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_mnist(tmp_path)
    script = example("showing_digits")
    monkeypatch.setattr(script, "seconds", lambda *_: 1.0)
    script.main([str(tmp_path / "out"), "--data", "mnist", "--files", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "(1437, 784)" in printed
    assert "(1437, 1, 28, 28) uint8     0 … 240" in printed
    assert "that differ: 0" in printed
    assert (tmp_path / "out" / "showing_digits.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["showing_digits", "two_layer_net"])
def test_offline_it_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise DownloadError("put x.gz there")

    monkeypatch.setattr(data, "load_mnist", offline)
    with pytest.raises(SystemExit, match=r"put x\.gz there;\n.*--data digits"):
        example(name).main([str(tmp_path), "--data", "mnist"])


# ------------------------------------------------------------------- row 11: two-layer net


def test_gradients_of_the_two_layer_net() -> None:
    script = example("two_layer_net")
    train, _ = data.load_digits()
    found = script.gradient_check(*train.take(slice(3)), np.random.default_rng(0))
    assert set(found) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert all(0 < difference < 1e-9 for difference in found.values()), found


def test_two_layer_net_learns_digits() -> None:
    """The five seeds of the documents' figure are the example's own run."""
    script = example("two_layer_net")
    train, test = data.load_digits(seed=0)
    curves = script.learn(train, test, 60, 0)
    assert all(len(curve) == 60 for curve in curves.values())
    assert curves["loss"][0] > 1.8
    assert curves["loss"][-1] < 0.15
    assert curves["training"][-1] > 0.97
    assert curves["test"][-1] > 0.94


def test_two_layer_net_is_the_books_on_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """784-50-10; each image has 28 × 28 pixels."""
    put_mnist(tmp_path)
    script = example("two_layer_net")
    monkeypatch.setattr(script, "gradient_check", lambda *_: {})  # 40,000 elements take seconds
    monkeypatch.setitem(script.EPOCHS, "mnist", 8)
    script.main([str(tmp_path / "out"), "--data", "mnist", "--files", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "784-50-10 on mnist" in printed
    found = re.search(r"mean of 1: ([\d.]+)%", printed)
    assert found
    assert float(found[1]) > 85
    assert (tmp_path / "out" / "two_layer_net.png").stat().st_size > 10_000
