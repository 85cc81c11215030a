"""A net for 8 × 8 digits reads a large page in one pass: its affine layers become convolutions.

    python examples/fully_connected_as_convolution.py [folder for the picture]

fully_connected_as_convolution.png: the page, where a digit was seen, what zero padding would do.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from graphgrad import nn, optim
from graphgrad.viz import plots

SIZE, STRIDE, PAGE, DIGITS = 8, 2, 64, 12
NOTHING = 10  # the eleventh class: no digit in the middle of the window


def network(rng: np.random.Generator, padding: int = 0) -> nn.Sequential:
    """Two convolutions, the second of stride 2, and two affine layers: 11 scores of 8 × 8."""
    side = (SIZE - 2 + 2 * padding) // STRIDE
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=padding, rng=rng),
        nn.ReLU(),
        nn.Conv2d(16, 32, 2, stride=STRIDE, rng=rng),
        nn.ReLU(),
        nn.Flatten(),
        nn.Affine(32 * side * side, 64, rng=rng),
        nn.ReLU(),
        nn.Affine(64, NOTHING + 1, rng=rng),
    )


def scattered(images: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Put images at random places of one page, apart from each other; return their corners too."""
    page = np.zeros((PAGE, PAGE), np.float32)
    free = np.zeros((PAGE, PAGE), bool)
    free[1 : PAGE - SIZE, 1 : PAGE - SIZE] = True
    corners = []
    for image in images:
        i, j = corner = rng.choice(np.argwhere(free))
        free[max(0, i - SIZE) : i + SIZE + 1, max(0, j - SIZE) : j + SIZE + 1] = False
        page[i : i + SIZE, j : j + SIZE] = image
        corners.append(corner)
    return page, np.array(corners)


def windows(page: Any, stride: int = STRIDE) -> Any:
    """Return every window of a page, (rows, columns, 8, 8)."""
    return sliding_window_view(page, (SIZE, SIZE))[::stride, ::stride]


def lesson(images: Any, digits: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Cut windows from a page: each digit, up to one pixel off, and others that show none."""
    page, corners = scattered(images, rng)
    places = np.clip(corners + rng.integers(-1, 2, corners.shape), 0, PAGE - SIZE)
    beside = corners + rng.integers(-4, 5, (DIGITS, 2))
    anywhere = rng.integers(0, PAGE - SIZE + 1, (DIGITS // 2, 2))
    others = np.clip(np.concatenate([beside, anywhere]), 0, PAGE - SIZE)
    nearest = np.abs(others[:, None] - corners).max(axis=2).min(axis=1)
    others = others[nearest > 1]
    every = np.concatenate([places, others])
    labels = np.concatenate([digits, np.full(len(others), NOTHING)])
    return windows(page, 1)[every[:, 0], every[:, 1]][:, None], labels


def learn(net: nn.Sequential, images: Any, digits: Any, *, epochs: int) -> None:
    """Train on windows of pages with digits at random places."""
    rng = np.random.default_rng(0)
    adam = optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for first in range(0, len(order) - 4 * DIGITS + 1, 4 * DIGITS):
            chosen = order[first : first + 4 * DIGITS].reshape(4, DIGITS)
            pages = [lesson(images[few], digits[few], rng) for few in chosen]
            x, labels = (np.concatenate(parts) for parts in zip(*pages, strict=True))
            nn.functional.cross_entropy(net(x), labels).backward()
            adam.step()
            adam.zero_grad()


def in_one_pass(converted: nn.Sequential, page: Any) -> Any:
    """Return the map of scores, (11, rows, columns)."""
    return converted(page[None, None]).numpy()[0]


def one_by_one(net: nn.Sequential, page: Any) -> Any:
    """Return the same scores from all windows as one batch."""
    seen = windows(page)
    scores = net(seen.reshape(-1, 1, SIZE, SIZE)).numpy()
    return scores.T.reshape(-1, *seen.shape[:2])


def found(scores: Any) -> list[tuple[int, int, int]]:
    """Return row, column and digit of places that show one, surest first, none next to another."""
    sure = 1 - np.asarray(nn.functional.softmax(scores, axis=0))[NOTHING]
    places: list[tuple[int, int, int]] = []
    for place in np.argsort(-sure, axis=None)[: np.sum(sure > 0.5)]:
        i, j = divmod(int(place), sure.shape[1])
        if all(max(abs(i - a), abs(j - b)) * STRIDE >= SIZE for a, b, _ in places):
            places.append((i, j, int(scores[:NOTHING, i, j].argmax())))
    return places


def seconds(call: Any, *others: Any, rounds: int = 30) -> list[float]:
    """Return the shortest time of each call, taking turns."""
    best = [np.inf] * (1 + len(others))
    for _ in range(rounds):
        for number, one in enumerate((call, *others)):
            start = time.perf_counter()
            one()
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def is_right(place: tuple[int, int, int], corners: Any, digits: Any) -> bool:
    """Whether a digit was read right, at most two pixels beside its place."""
    beside = np.abs(STRIDE * np.array(place[:2]) - corners).max(axis=1)
    return bool(np.any((beside <= 2) & (digits == place[2])))


def work(net: nn.Module, size: int) -> int:
    """Return how many multiplications one image costs."""
    return sum(row.multiply_adds for row in nn.summary(net, (1, size, size)).rows)


def plot(page: Any, scores: Any, reading: Any, right_ones: Any, apart: Any, path: Path) -> None:
    """Draw the page with what was read, the map of scores, and where padding makes it differ."""
    figure = Figure(figsize=(14, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.imshow(page, cmap=plots.INK)
    for (i, j, digit), is_so in zip(reading, right_ones, strict=True):
        colour, style = plots.curve_style(0 if is_so else 1)
        box = {"boxstyle": "square,pad=0.1", "fc": colour, "ec": "none"}
        top, side = STRIDE * i - 0.5, STRIDE * j - 0.5
        corners = np.array([[0, 0], [0, SIZE], [SIZE, SIZE], [SIZE, 0], [0, 0]])
        left.plot(side + corners[:, 0], top + corners[:, 1], color=colour, ls=style, lw=1.5)
        left.text(side, top - 0.4, str(digit), color=plots.PAPER, fontsize=9, va="bottom", bbox=box)
    left.set_title(f"One page of {PAGE} × {PAGE}, and what was read", fontsize=11, pad=16)
    left.set_xlabel("blue: right; orange, dashed: wrong")
    chances = np.asarray(nn.functional.softmax(scores, axis=0))
    images = (
        (middle, 1 - chances[NOTHING], 1.0, "a digit is there, by one pass"),
        (right, apart, None, "error with zero padding"),
    )
    for axes, image, top, title in images:
        shown = axes.imshow(image, cmap=plots.AMOUNT, vmin=0, vmax=top)
        figure.colorbar(shown, ax=axes, shrink=0.8)
        axes.set_title(f"{image.shape[0]} × {image.shape[1]} map: {title}", fontsize=11, pad=16)
    middle.set_xlabel("probability; each place is one window of 8 × 8")
    right.set_xlabel("largest difference of a score to that of the window")
    for axes in (left, middle, right):
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=120)


def main(folder: Path) -> None:
    """Train on 8 × 8 windows, convert, read a page, compare with windows one by one, draw."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, digit = load_digits(return_X_y=True)
    images = np.float32(pixels / 16).reshape(-1, SIZE, SIZE)
    x, x_test, digits, digits_test = train_test_split(
        images, digit, test_size=0.2, stratify=digit, random_state=0
    )
    page, corners = scattered(x_test[:DIGITS], np.random.default_rng(1))
    plain, padded = (network(np.random.default_rng(0), padding) for padding in (0, 1))
    learn(plain, x, digits, epochs=12)
    learn(padded, x, digits, epochs=1)  # only to see that it differs
    whole, whole_padded = (
        nn.to_convolution(net.freeze(), (1, SIZE, SIZE)) for net in (plain, padded)
    )
    print(f"{plain[5]!r} is now {whole[4]!r}")
    print(f"{plain[7]!r} is now {whole[6]!r}")

    scores, expected = in_one_pass(whole, page), one_by_one(plain, page)
    reading = found(scores)
    right = [is_right(place, corners, digits_test[:DIGITS]) for place in reading]
    print(f"{sum(right)} of {DIGITS} test digits read right, {len(reading)} places marked")
    places = scores[0].size
    apart = np.abs(scores - expected).max() / np.abs(expected).max()
    print(f"one pass against {places} windows: scores differ by {apart:.0e} of the largest")
    padded_scores, padded_expected = in_one_pass(whole_padded, page), one_by_one(padded, page)
    differences = np.abs(padded_scores - padded_expected).max(axis=0)
    apart = differences.max() / np.abs(padded_expected).max()
    print(f"the same with zero padding: by {apart:.2f} of the largest, so it does not hold")
    once, each = seconds(lambda: in_one_pass(whole, page), lambda: one_by_one(plain, page))
    times = f"one pass {1e3 * once:.1f} ms, all windows as one batch {1e3 * each:.1f} ms"
    print(f"{times}: {each / once:.1f} times faster")
    products = work(whole, PAGE), places * work(plain, SIZE)
    counts = " against ".join(f"{n / 1e6:.1f}" for n in products)
    print(f"million multiplications: {counts}, {products[1] / products[0]:.1f} times fewer")
    path = folder / "fully_connected_as_convolution.png"
    plot(page, scores, reading, right, differences, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
