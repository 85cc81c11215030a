"""Three ways down the loss of a linear SVM: random search, random steps, and the gradient.

    python examples/following_the_gradient.py [folder for the pictures]

All may compute the loss of the training digits a thousand times. A gradient by backward()
counts as three losses, one by differences as 651: one for each of the 650 weights, and one.
following_the_gradient.png: how far each comes. loss_slices.png: the loss as a curve, a landscape.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import data, nn
from graphgrad.viz import plots

BUDGET, SEEDS = 1000, range(5)
SCALE, STEP, LR = 0.3, 0.05, 1.0  # of random weights, random steps, gradients: best in training
Loss = Callable[[Any], Any]
Walk = Iterator[tuple[int, float, Any]]  # losses computed so far, the least one, its W


def digits(seed: int) -> tuple[data.Dataset, data.Dataset]:
    """Return centred training and test digits with a constant 1 as 65th pixel."""
    train, test = data.load_digits(seed=seed)
    center = data.Center().fit(train.images)

    def ready(part: data.Dataset) -> data.Dataset:
        ones = np.ones((part.size, 1), np.float32)
        return data.Dataset(np.hstack([center(part.images), ones]), part.labels)

    return ready(train), ready(test)


def loss_of(part: data.Dataset) -> Loss:
    """Return the mean hinge loss of weights (10, 65), plain or Tensors."""
    return lambda W: nn.functional.hinge_loss(part.images @ W.T, part.labels)


def random_weights(rng: np.random.Generator) -> Any:
    """Draw weights (10, 65)."""
    return np.float32(SCALE) * rng.standard_normal((10, 65), np.float32)


def random_search(loss: Loss, rng: np.random.Generator) -> Walk:
    """Draw new weights each time, and remember the best."""
    least, best = np.inf, None
    for count in range(1, BUDGET + 1):
        W = random_weights(rng)
        if (found := float(loss(W))) < least:
            least, best = found, W
        yield count, least, best


def random_local_search(loss: Loss, rng: np.random.Generator) -> Walk:
    """Try a small random step each time, and take it where it leads down."""
    W = random_weights(rng)
    least = float(loss(W))
    yield 1, least, W
    for count in range(2, BUDGET + 1):
        tried = W + np.float32(STEP) * rng.standard_normal(W.shape, np.float32)
        if (found := float(loss(tried))) < least:
            least, W = found, tried
        yield count, least, W


def by_backward(loss: Loss, W: Any) -> Any:
    """Return the gradient by the chain rule."""
    return gg.grad(loss)(W)


def by_differences(loss: Loss, W: Any) -> Any:
    """Return (f(W + h) − f(W)) / h with the h of the CS231n notes, one weight at a time."""
    return gg.numerical_gradient(loss, W, h=1e-5, kind="forward").astype(W.dtype)


def gradient_descent(
    loss: Loss, rng: np.random.Generator, gradient: Any = by_backward, cost: int = 3
) -> Walk:
    """Step against the gradient; ``cost`` is how many losses one gradient is worth."""
    W = random_weights(rng)
    for count in range(cost, BUDGET + 1, cost):
        W = W - np.float32(LR) * gradient(loss, W)
        yield count, float(loss(W)), W  # the next gradient will compute this loss


WALKS: dict[str, Callable[[Loss, np.random.Generator], Walk]] = {
    "random search": random_search,
    "random local search": random_local_search,
    "gradient descent": gradient_descent,
    "descent by differences": partial(gradient_descent, gradient=by_differences, cost=651),
}


def right(W: Any, part: data.Dataset) -> float:
    """Return the share of images whose highest score is the right digit's."""
    return float(((part.images @ W.T).argmax(axis=1) == part.labels).mean())


def compare(seed: int) -> dict[str, tuple[list[int], list[float], float]]:
    """Return of each way the counts, the losses, and the share of test digits in the end."""
    train, test = digits(seed)
    loss, found = loss_of(train), {}
    for name, walk in WALKS.items():
        counts, losses, Ws = zip(*walk(loss, np.random.default_rng(seed)), strict=True)
        found[name] = list(counts), list(losses), right(Ws[-1], test)
    return found


def steps(loss: Loss, W: Any) -> tuple[float, Any, list[float]]:
    """Return the loss at W, step sizes, and the loss after each against the gradient."""
    sizes, g = 10.0 ** np.arange(-6, 4), by_backward(loss, W)
    return float(loss(W)), sizes, [float(loss(W - np.float32(size) * g)) for size in sizes]


def slices(loss: Loss, size: float) -> tuple[Any, Any, Any]:
    """Return places a, the losses of a W₁, and of a W₁ + b W₂, a row per b; W₁, W₂ are random."""
    rng = np.random.default_rng(3)
    places, (W1, W2) = np.linspace(-size, size, 41), rng.standard_normal((2, 10, 65))
    line = [float(loss(a * W1)) for a in places]
    return places, line, [[float(loss(a * W1 + b * W2)) for a in places] for b in places]


def draw_walks(runs: list[Any], stepped: tuple[float, Any, list[float]], path: Path) -> None:
    """Draw the losses of all ways and seeds, and how the size of one step matters."""
    figure = plots.figure(12, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for found in runs:
        for number, (name, (counts, losses, _)) in enumerate(found.items()):
            colour, style = plots.curve_style(number)
            label = name if found is runs[0] else None
            marker, style = ("o", "") if len(counts) == 1 else ("", style)
            line: Any = {"color": colour, "ls": style, "lw": 1.2, "marker": marker, "ms": 4}
            left.plot(counts, losses, **line, label=label)
    left.set(title=f"The same budget, {len(runs)} seeds", yscale="log")
    left.set(xlabel="losses computed", ylabel="loss of the training digits")
    before, sizes, after = stepped
    right.loglog(sizes, after, "o-", color=plots.BLUE)
    right.axhline(before, color=plots.GUIDE, ls="--", lw=1)
    right.text(sizes[0], before * 1.1, "before the step", va="bottom", color=plots.GUIDE)
    right.set(title="One step against the gradient", xlabel="learning rate", ylabel="loss")
    plots.tidy(left)
    left.legend(frameon=False, loc=(0.12, 0.36))
    plots.tidy(right)
    plots.save(figure, path)


def draw_slices(train: data.Dataset, path: Path) -> None:
    """Draw the loss of one digit on a line and on a plane, and of a hundred on that plane."""
    figure = plots.figure(12, 3.9)
    line, *planes = figure.subplots(1, 3, gridspec_kw={"wspace": 0.06})
    rows = {}
    places: Any = None
    for axes, count in zip(planes, (1, 100), strict=True):
        places, row, plane = slices(loss_of(train.take(slice(count))), 0.5)
        drawn = axes.contourf(places, places, plane, levels=24, cmap=plots.AMOUNT)
        figure.colorbar(drawn, ax=axes, label="loss")
        axes.set(title=f"W = a W₁ + b W₂, {count} digit{'s' * (count > 1)}", xlabel="a", ylabel="b")
        axes.set(aspect="equal")
        rows[f"{count} digit{'s' * (count > 1)}"] = row
    words: Any = {"xlabel": "a", "ylabel": "loss"}
    plots.show_curves(line, rows, "W = a W₁, W₁ random", x=places, **words)
    line.legend(title="mean loss of", frameon=False)
    plots.save(figure, path)


def main(folder: Path) -> None:
    """Compare the two gradients and the three ways, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    train, _ = digits(0)
    loss, W = loss_of(train), random_weights(np.random.default_rng(0))
    clock, gradients = [perf_counter()], []
    for work in (by_backward, by_differences):
        gradients.append(work(loss, W))
        clock.append(perf_counter())
    exact, near = gradients
    quick, slow = np.diff(clock)
    gap = np.abs(exact - near).max() / np.abs(exact).max()
    print(
        f"gradient of {W.size} weights: backward() {quick * 1e3:.1f} ms, {W.size + 1} losses ",
        end="",
    )
    print(f"{slow * 1e3:.0f} ms; differ by {gap:.0e} of the largest")

    before, sizes, after = stepped = steps(loss, W)
    print(f"loss {before:.4f}; after one step against the gradient with learning rate")
    for size, found in zip(sizes, after, strict=True):
        print(f"  {size:7.0e} {found:10.4f}")

    runs = [compare(seed) for seed in SEEDS]
    for name in WALKS:
        losses = np.mean([found[name][1][-1] for found in runs])
        share = np.mean([found[name][2] for found in runs])
        print(f"{name:26} loss {losses:7.4f}, {share:.2%} of the test digits")
    print(f"(means of {len(SEEDS)} seeds. CIFAR-10 in the CS231n notes, for the first two ways:")
    print("15.5 % and 21.4 %, where guessing is right in 10 %)")
    paths = folder / "following_the_gradient.png", folder / "loss_slices.png"
    draw_walks(runs, stepped, paths[0])
    draw_slices(train, paths[1])
    print(f"drawn: {paths[0]}, {paths[1]}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
