"""The numbers that the documents give about gates, digits and learning, from examples/."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphgrad import data
from graphgrad.errors import DownloadError
from tests.examples.test_numbers import example
from tests.examples.test_training_scripts import write_mnist


def test_xor_is_not_learned_by_one_layer() -> None:
    script = example("perceptrons")
    one = script.one_layer(np.random.default_rng(0))
    assert script.learn(one) > 0.69  # log 2: it cannot decide
    assert script.right(one) < 4


def test_mnist_is_shown_and_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mnist(tmp_path, None, None)
    script = example("showing_digits")
    monkeypatch.setattr(script, "seconds", lambda *_: 1.0)
    script.main([str(tmp_path / "out"), "--data", "mnist", "--files", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "(1437, 784)" in printed
    assert "(1437, 1, 28, 28) uint8     0 … 240" in printed
    assert "that differ: 0" in printed
    assert (tmp_path / "out" / "showing_digits.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["showing_digits", "two_layer_net"])
def test_offline_it_says_what_to_do(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise DownloadError("put x.gz there")

    monkeypatch.setattr(data, "load_mnist", offline)
    with pytest.raises(SystemExit, match=r"put x\.gz there;\n.*--data digits"):
        example(name).main([str(tmp_path), "--data", "mnist"])


def test_two_layer_net_is_the_books_on_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """784-50-10; each image has 28 × 28 pixels."""
    write_mnist(tmp_path, None, None)
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
