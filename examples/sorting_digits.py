"""A transformer puts handwritten digits in order, and shows where it looked.

    python examples/sorting_digits.py [folder for the picture]

sorting_digits.png: each row is a digit that it says, each column an image; dark is where it looked.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.viz import plots

LENGTH, SIZE = 4, 64

Task = Callable[[Any], Any]  # from the digits that are shown, (N, LENGTH), to those to be said


def backwards(digits: Any) -> Any:
    """Say the digits from the last to the first."""
    return digits[:, ::-1]


def ascending(digits: Any) -> Any:
    """Say the digits in order, the smallest first."""
    return np.sort(digits, axis=1)


class Reader(nn.Module):
    """A few images → vectors with their places → transformer encoder → a digit at every place."""

    def __init__(self, layers: int, rng: np.random.Generator) -> None:
        """Draw the initial values."""
        layer = nn.TransformerEncoderLayer(
            SIZE, 1, 2 * SIZE, dropout=0.0, batch_first=True, norm_first=True, rng=rng
        )
        self.image = nn.Affine(64, SIZE, rng=rng)
        self.place = nn.PositionalEncoding(SIZE, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(SIZE))
        self.scores = nn.Affine(SIZE, 10, rng=rng)

    def forward(self, images: Any) -> gg.Tensor:
        """Score (N, LENGTH, 64) pixels for the digit to be said at every place."""
        return self.scores(self.encoder(self.place(self.image(images))))


def learn(
    task: Task, layers: int, steps: int, images: Any, digits: Any, *, batch: int = 64
) -> Reader:
    """Train on random rows of images."""
    rng = np.random.default_rng(0)
    net = Reader(layers, rng)
    adam = optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(steps):
        chosen = rng.integers(len(images), size=(batch, LENGTH))
        scores = net(images[chosen]).reshape(-1, 10)
        loss = nn.functional.cross_entropy(scores, task(digits[chosen]).reshape(-1))
        loss.backward()
        adam.step()
        adam.zero_grad()
    return net


def say(net: Reader, images: Any) -> tuple[Any, list[Any]]:
    """Return the digits said, (N, LENGTH), and each layer's attention, (N, LENGTH, LENGTH)."""
    maps: list[Any] = []
    layers: Any = net.encoder.layers
    removers = [
        layer.self_attn.register_forward_hook(  # the encoder itself does without the weights
            lambda attention, x, _: maps.append(attention.forward(*x)[1].numpy())
        )
        for layer in layers
    ]
    with gg.no_grad():
        said = net(images).numpy().argmax(axis=2)
    for remove in removers:
        remove()
    return said, maps


def draw(axes: Any, images: Any, said: Any, weights: Any, title: str) -> None:
    """Draw which image (a column) each place (a row) looked at while saying its digit."""
    axes.imshow(weights, cmap=plots.AMOUNT, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=range(LENGTH), yticklabels=[f"says {d}" for d in said])
    axes.set_xlabel(title, labelpad=8)
    axes.tick_params(length=0)
    for column, image in enumerate(images):
        box = (column + 0.04) / LENGTH, 1.03, 0.92 / LENGTH, 0.92 / LENGTH
        above = axes.inset_axes(box)
        above.imshow(image.reshape(8, 8), cmap=plots.INK)
        above.set(xticks=[], yticks=[])
    for (row, column), weight in np.ndenumerate(weights):
        if weight >= 0.1:
            color = plots.PAPER if weight > 0.5 else plots.BLACK
            axes.text(column, row, f"{weight:.1f}", color=color, ha="center", va="center")


def main(folder: Path) -> dict[str, float]:
    """Learn both tasks, print and return how much is said right, draw the attention."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, digit = load_digits(return_X_y=True)
    images, unseen, digits, digits_unseen = train_test_split(
        np.float32(pixels / 16), digit, test_size=0.2, stratify=digit, random_state=0
    )
    rows = np.random.default_rng(1).integers(len(unseen), size=(500, LENGTH))
    shown = next(i for i, row in enumerate(digits_unseen[rows]) if len({*row}) == LENGTH)
    figure = Figure(figsize=(11.5, 4.9), layout="constrained")
    axes = figure.subplots(1, 3)
    shares = {}
    panels = iter(axes)
    for task, layers, steps in ((backwards, 1, 150), (ascending, 2, 600)):
        net = learn(task, layers, steps, images, digits)
        said, maps = say(net, unseen[rows])
        right = float(np.mean(said == task(digits_unseen[rows])))
        shares[task.__name__] = right
        print(f"{task.__name__}: {right:.1%} of {rows.size} digits said right")
        for number, weights in enumerate(maps, 1):
            layer = f", layer {number} of {layers}" if layers > 1 else ""
            title = f"{task.__name__}{layer}"
            draw(next(panels), unseen[rows[shown]], said[shown], weights[shown], title)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.95))  # the title above the images
    figure.suptitle("Where the transformer looks (columns) when it says each digit (rows)")
    path = folder / "sorting_digits.png"
    figure.savefig(path, dpi=120)
    print(f"written: {path}")
    return shares


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
