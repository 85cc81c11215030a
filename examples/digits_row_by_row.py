"""An LSTM reads handwritten digits row by row and says after each row what it believes.

    python examples/digits_row_by_row.py [folder for the picture]

digits_row_by_row.png: its belief becomes sharper with each row.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.viz import plots

ROWS, HIDDEN = 8, 64


class Reader(nn.Module):
    """8 pixels a step → LSTM → 10 scores after every step."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the initial values."""
        self.memory = nn.LSTM(8, HIDDEN, batch_first=True, rng=rng)
        self.scores = nn.Affine(HIDDEN, 10, rng=rng)

    def forward(self, images: Any) -> gg.Tensor:
        """Score images (N, 8, 8) for each digit, after each row: (N, 8, 10)."""
        states, _ = self.memory(images)
        return self.scores(states)


def loss(net: Reader, images: Any, digits: Any) -> gg.Tensor:
    """Return the mean cross-entropy over all rows, to guess early, and that of the last row."""
    scores = net(images)
    every = nn.functional.cross_entropy(scores.reshape(-1, 10), np.repeat(digits, ROWS))
    return every + nn.functional.cross_entropy(scores[:, -1], digits)


def beliefs(net: Reader, images: Any) -> Any:
    """Return the probability of each digit after each row, (N, 8, 10)."""
    with gg.no_grad():
        return nn.functional.softmax(net(images)).numpy()


def learn(
    images: Any, digits: Any, *, epochs: int = 20, batch: int = 32, seed: int = 0
) -> tuple[Reader, list[float]]:
    """Train on images (N, 8, 8); return the net and the mean loss of each epoch."""
    rng = np.random.default_rng(seed)
    net = Reader(rng)
    adam = optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    steps = len(images) // batch
    for _ in range(epochs):
        total = 0.0
        for chosen in np.split(rng.permutation(len(images))[: steps * batch], steps):
            error = loss(net, images[chosen], digits[chosen])
            error.backward()
            optim.clip_grad_norm(net.parameters(), 1.0)  # long memories may explode
            adam.step()
            adam.zero_grad()
            total += error.item()
        losses.append(total / steps)
    return net, losses


def plot(images: Any, found: Any, accuracy: Any, path: Path) -> None:
    """Draw some digits beside what the net believed after each row, and the accuracy."""
    figure = Figure(figsize=(11.5, 3.9), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.8, 1))
    left, right = halves
    axes = left.subplots(2, 6, width_ratios=(8, 10) * 3)
    for number, (image, belief) in enumerate(zip(images, found, strict=True)):
        row, column = divmod(number, 3)
        picture, table = axes[row, 2 * column : 2 * column + 2]
        picture.imshow(image, cmap=plots.INK)
        picture.set(xticks=[], yticks=range(ROWS), yticklabels=range(1, ROWS + 1))
        picture.set_title("reads", fontsize=10)
        table.imshow(belief, cmap=plots.AMOUNT, vmin=0, vmax=1)
        table.set(xticks=range(10), yticks=[])
        table.set_title("believes", fontsize=10)
        for side in (picture, table):
            side.tick_params(length=0, labelsize=8)
    left.suptitle("Probability of each digit, after each row of pixels")
    curve = right.subplots()
    rows = np.arange(1, ROWS + 1)
    curve.plot(rows, accuracy, color=plots.BLUE, lw=2, marker="o")
    curve.axhline(0.1, color=plots.ORANGE, ls="--", lw=1)
    curve.text(ROWS, 0.115, "guessing", color=plots.ORANGE, ha="right", va="bottom")
    curve.set(xlabel="rows read", ylabel="test digits recognised", ylim=(0, 1.03), xticks=rows)
    curve.set_title(f"Accuracy: {accuracy[-1]:.1%} at the end")
    curve.yaxis.set_major_formatter("{x:.0%}")
    curve.grid(alpha=0.25)
    curve.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main(folder: Path) -> float:
    """Learn, print the accuracy after each row, draw; return the accuracy at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, digit = load_digits(return_X_y=True)
    images = np.float32(pixels / 16).reshape(-1, ROWS, 8)
    parts = train_test_split(images, digit, test_size=0.2, stratify=digit, random_state=0)
    x, x_test, digits, digits_test = map(np.asarray, parts)
    net, losses = learn(x, digits)
    print(nn.summary(net, x.shape[1:]))
    print(f"\nloss: {losses[0]:.3f} in the first epoch, {losses[-1]:.3f} in the last")
    found = beliefs(net, x_test)
    accuracy = np.mean(found.argmax(axis=2) == digits_test[:, None], axis=0)
    for row, share in enumerate(accuracy, 1):
        print(f"after {row} row{'s' * (row > 1)}: {share:.1%} of {len(x_test)} test digits")
    shown = [int(np.flatnonzero(digits_test == d)[0]) for d in (0, 2, 3, 4, 7, 9)]
    path = folder / "digits_row_by_row.png"
    plot(x_test[shown], found[shown], accuracy, path)
    print(f"written: {path}")
    return float(accuracy[-1])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
