"""The main job: draw a graph with its gradients, then learn real handwritten digits.

    python examples/demo.py [folder for the pictures]

Both parts use nothing but a Tensor and its operators. Open apples_and_oranges.html in a browser and
step through it; digits.png shows how the network learned, digits.html the network itself.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import graphgrad as gg
from graphgrad.viz import plots

# -------------------------------------------------------------- 1. apples and oranges


def apples_and_oranges(folder: Path) -> list[Path]:
    """Buy fruit, and ask how the price changes with everything that it depends on."""
    apple = gg.Tensor(100.0, requires_grad=True, name="apple")
    apples = gg.Tensor(2.0, requires_grad=True, name="number of apples")
    orange = gg.Tensor(150.0, requires_grad=True, name="orange")
    oranges = gg.Tensor(3.0, requires_grad=True, name="number of oranges")
    tax = gg.Tensor(1.1, requires_grad=True, name="tax")

    price = (apple * apples + orange * oranges) * tax
    price.name = "price"
    price.backward()

    print(f"{apples:g} apples at {apple:g}, {oranges:g} oranges at {orange:g}, tax {tax:g}")
    print(f"    price = {price:g}")
    for x in (apple, apples, orange, oranges, tax):
        print(f"    ∂price/∂({x.name}) = {x.grad:g}")
    graph = gg.graph(price)
    return [graph.render(folder / f"apples_and_oranges.{form}") for form in ("svg", "html")]


# ----------------------------------------------------------------- 2. handwritten digits


class TwoLayers:
    """64 pixels → 100 hidden units → 10 scores."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw weights from N(0, 2 / fan-in); biases start at 0."""

        def parameter(name: str, values: Any) -> gg.Tensor:
            return gg.Tensor(values, dtype=np.float32, requires_grad=True, name=name)

        self.W1 = parameter("W1", rng.standard_normal((64, 100)) * np.sqrt(2 / 64))
        self.b1 = parameter("b1", np.zeros(100))
        self.W2 = parameter("W2", rng.standard_normal((100, 10)) * np.sqrt(2 / 100))
        self.b2 = parameter("b2", np.zeros(10))
        self.parameters = [self.W1, self.b1, self.W2, self.b2]

    def __call__(self, x: Any) -> gg.Tensor:
        """Score each image for each digit."""
        hidden: gg.Tensor = (x @ self.W1 + self.b1).relu()
        return hidden @ self.W2 + self.b2


def cross_entropy(scores: gg.Tensor, labels: Any) -> gg.Tensor:
    """Return the mean of −log softmax(scores) at the right digit."""
    shifted = scores - scores.numpy().max(axis=1, keepdims=True)  # exp cannot overflow now
    log_softmax = shifted - shifted.exp().sum(axis=1, keepdims=True).log()
    right: gg.Tensor = log_softmax[np.arange(len(labels)), labels]
    return -right.mean()


def accuracy(net: TwoLayers, x: Any, labels: Any) -> float:
    """Return the share of images whose highest score is the right digit's."""
    with gg.no_grad():
        return float((net(x).argmax(axis=1) == labels).mean())


def digits(
    folder: Path, *, epochs: int = 40, batch: int = 64, lr: float = 0.3, seed: int = 0
) -> tuple[list[Path], float]:
    """Learn scikit-learn's 1,797 real images; return the pictures and the test accuracy."""
    pixels, digit = load_digits(return_X_y=True)
    images = np.float32(pixels) / 16  # pixels are 0 … 16
    x, x_test, labels, labels_test = train_test_split(
        images, digit, test_size=0.2, stratify=digit, random_state=seed
    )
    rng = np.random.default_rng(seed)
    net = TwoLayers(rng)
    losses, train, test = [], [], []

    start = time.perf_counter()
    steps = len(x) // batch
    with tqdm(total=epochs * steps, desc="    learning", unit=" steps") as bar:
        for _ in range(epochs):
            for chosen in np.split(rng.permutation(len(x))[: steps * batch], steps):
                loss = cross_entropy(net(x[chosen]), labels[chosen])
                loss.backward()
                for p in net.parameters:
                    p.data -= lr * p.grad
                    p.grad = None
                losses.append(loss.item())
                bar.update()
            train.append(accuracy(net, x, labels))
            test.append(accuracy(net, x_test, labels_test))
            mean = f"{np.mean(losses[-steps:]):.4f}"
            bar.set_postfix(loss=mean, test=f"{test[-1]:.1%}", refresh=False)
    seconds = time.perf_counter() - start

    print(f"    {len(x)} images learnt, {len(x_test)} held back for the test, {seconds:.1f} s")
    print(
        f"    accuracy: {train[-1]:.2%} on the training images, {test[-1]:.2%} on the test images"
    )
    path = folder / "digits.png"
    plot(losses, train, test, path)
    seen = gg.Tensor(x[:batch], name="images")
    with gg.viz.tracing():  # so that the page knows the numbers of large arrays, too
        loss = cross_entropy(net(seen), labels[:batch])
    loss.name = "loss"
    return [path, gg.graph(loss).render(folder / "digits.html")], test[-1]


def plot(losses: list[float], train: list[float], test: list[float], path: Path) -> None:
    """Draw loss per step and accuracy per epoch, side by side."""
    steps = len(losses) // len(train)
    per_epoch = np.reshape(losses, (len(train), steps)).mean(axis=1)
    epochs = np.arange(1, len(train) + 1)

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(
        np.arange(1, len(losses) + 1) / steps,
        losses,
        color=plots.BLUE,
        alpha=0.4,
        lw=0.7,
        label="batch",
    )
    left.plot(epochs - 0.5, per_epoch, color=plots.BLUE, lw=2, label="mean of the epoch")
    left.set(yscale="log", title="Loss", xlabel="epoch", ylabel="cross-entropy")
    right.plot(epochs, train, color=plots.BLUE, lw=2, label=f"training ({train[-1]:.2%})")
    right.plot(epochs, test, color=plots.ORANGE, lw=2, ls="--", label=f"test ({test[-1]:.2%})")
    right.set(title="Accuracy", xlabel="epoch", ylabel="share of digits recognised")
    right.set_ylim(min(0.9, *test) - 0.005, 1.003)
    right.yaxis.set_major_formatter("{x:.0%}")
    for axes in (left, right):
        axes.set_xlim(0, len(train))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main(folder: Path) -> None:
    """Do both, and say where the pictures are."""
    folder.mkdir(parents=True, exist_ok=True)
    print("1. Apples and oranges: a graph, its value, its gradients")
    picture, page = apples_and_oranges(folder)
    print("\n2. Handwritten digits: two layers, written with operators alone")
    (curves, network), _ = digits(folder)
    written = {
        picture: "the graph, values above the wires and gradients below",
        page: "steps through it, forward and back: open it in a browser",
        curves: "loss and accuracy",
        network: "steps through the network that learned, with its loss",
    }
    width = max(len(str(path)) for path in written)
    for label, (path, what) in zip(("\nWritten: ", *[" " * 9] * 3), written.items(), strict=True):
        print(f"{label}{path!s:{width}}  {what}")
    python = os.path.relpath(sys.executable)
    python = "python" if python.startswith("..") else python
    print("Next:    change the prices or the network in examples/demo.py, and run it again;")
    print(f"         {python} examples/circuits.py draws more graphs, and")
    print(f"         {python} examples/numerical_differentiation.py checks gradients;")
    print("         gg.graph(tensor).show() steps through your own")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
