"""Linear classifiers on digits: SVM and softmax, with the bias as one more column of W.

    python examples/linear_classifiers.py [folder for the picture] [--data cifar10]

linear_classifiers.png: what each class looks for, and how much regularisation is good.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import data, nn, optim
from graphgrad.viz import plots

F = nn.functional
LOSSES: dict[str, Any] = {"SVM": F.hinge_loss, "softmax": F.cross_entropy}
STRENGTHS = [1e-1, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5]  # λ of λ ΣW²; of equals the first is chosen
STEPS, BATCH, LR = 200, 100, 3.0
CLASSES = {
    "digits": list("0123456789"),
    "cifar10": ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}
CAT = {  # an image of four pixels, its scores for cat, dog, ship
    "W": np.array([[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0.0, 0.25, 0.2, -0.3]]),
    "x": np.array([56.0, 231, 24, 2]),
    "b": np.array([1.1, 3.2, -1.2]),
}
SCORES = np.array([-2.85, 0.86, 0.28])  # of an image of class 2


def with_one(images: Any) -> Any:
    """Append the constant 1 to each image: (N, D) → (N, D + 1), so that W can hold the bias."""
    return np.concatenate([images, np.ones((len(images), 1), images.dtype)], axis=1)


def data_loss(name: str, W: gg.Tensor, images: Any, digits: Any) -> gg.Tensor:
    """Return the mean loss of the scores images · Wᵀ, W (10, D + 1)."""
    loss: gg.Tensor = LOSSES[name](images @ W.T, digits)
    return loss


def objective(name: str, W: gg.Tensor, images: Any, digits: Any, strength: float) -> gg.Tensor:
    """Return the data loss + λ ΣW², without the column of the bias."""
    penalty = optim.l2_penalty(W[:, :-1], 2 * strength)  # there it is ½ λ
    return data_loss(name, W, images, digits) + penalty


def numbers() -> dict[str, Any]:
    """Compute what the CS231n notes work out on linear classification."""
    cat = F.affine(CAT["x"], CAT["W"], CAT["b"])
    near, far = np.array([10.0, 9, 9]), np.array([10.0, -100, -100])
    one, spread = np.array([1.0, 0, 0, 0]), np.full(4, 0.25)
    return {
        "cat, dog, ship": cat,
        "ship without its bias": cat[2] - CAT["b"][2],  # what the notes print
        "SVM": F.hinge_loss(SCORES, 2),
        "softmax": F.cross_entropy(SCORES, 2),
        "softmax, logarithm to base 10": F.cross_entropy(SCORES, 2) / np.log(10),  # as there
        "SVM of [10, -2, 3], [10, 9, 9]": [F.hinge_loss(s, 0) for s in ([10, -2, 3], near)],
        "softmax of [10, 9, 9], [10, -100, -100]": [F.cross_entropy(s, 0) for s in (near, far)],
        "ΣW² of two templates alike to [1, 1, 1, 1]": [(w**2).sum() for w in (one, spread)],
    }


def bias_trick(images: Any, digits: Any, rng: np.random.Generator) -> dict[str, float]:
    """Return the largest difference between xWᵀ + b and [x, 1][W, b]ᵀ, and of their gradients."""
    W = gg.Tensor(rng.standard_normal((10, images.shape[1])), requires_grad=True)
    b = gg.Tensor(rng.standard_normal(10), requires_grad=True)
    both = gg.Tensor(np.column_stack([W.data, b.data]), requires_grad=True)
    apart, joined = images @ W.T + b, with_one(images) @ both.T
    F.cross_entropy(apart, digits).backward()
    F.cross_entropy(joined, digits).backward()
    return {
        "scores": float(np.abs(apart.numpy() - joined.numpy()).max()),
        "gradient of W": float(np.abs(W.grad - both.grad[:, :-1]).max()),
        "gradient of b": float(np.abs(b.grad - both.grad[:, -1]).max()),
    }


def learn(name: str, train: data.Dataset, strength: float, seed: int) -> Any:
    """Return W (10, D + 1) after some hundred mini-batches, three epochs at least."""
    rng = np.random.default_rng(seed)
    images = with_one(train.images)
    W = gg.Tensor(1e-2 * rng.standard_normal((10, images.shape[1]), np.float32), requires_grad=True)
    rate = LR / float((images**2).sum(axis=1).mean())  # longer images have steeper losses
    optimizer = optim.SGD([W], lr=rate, momentum=0.9, nesterov=True)
    steps = max(STEPS, 3 * train.size // BATCH)
    schedule = optim.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        some = rng.integers(train.size, size=BATCH)
        optimizer.zero_grad()
        objective(name, W, images[some], train.labels[some], strength).backward()
        optimizer.step()
        schedule.step()
    return W.data


def right(W: Any, images: Any, digits: Any) -> float:
    """Return the share of images whose highest score is the right digit's."""
    return float(((with_one(images) @ W.T).argmax(axis=1) == digits).mean())


Learned = tuple[list[float], Any, float]


def load(kind: str, files: Path | None, seed: int) -> tuple[data.Dataset, data.Dataset]:
    """Return training and test images (N, D) with their labels."""
    if kind == "digits":
        return data.load_digits(seed=seed)
    return data.load_cifar10(flatten=True, folder=files)


def run(name: str, sets: tuple[data.Dataset, data.Dataset], seed: int) -> Learned:
    """Choose λ: shares right of the validation images, then W of the best and its test share."""
    train, test = sets
    rest, held = data.split(train, 0.2, rng=np.random.default_rng(seed))
    center = data.Center().fit(rest.images)
    rest, held, test = (
        data.Dataset(center(images), digits) for images, digits in (rest, held, test)
    )
    learned = [learn(name, rest, strength, seed) for strength in STRENGTHS]
    shares = [right(W, *held) for W in learned]
    W = learned[int(np.argmax(shares))]
    return shares, W, right(W, *test)


def draw(runs: dict[str, list[Learned]], classes: list[str], path: Path) -> None:
    """Draw the validation shares against λ, and the rows of W of the first division as images."""
    figure = plots.figure(13, 6.4)
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    axes = left.subplots()
    for number, (name, found) in enumerate(runs.items()):
        colour, style = plots.curve_style(number)
        places = (0.95, 1.05)[number] * np.array(STRENGTHS)  # side by side
        shares = np.array([each for each, _, _ in found])
        mean, deviation = shares.mean(axis=0), shares.std(axis=0)
        line: Any = {"color": colour, "ls": style, "capsize": 3, "label": name}
        axes.errorbar(places, mean, deviation, **line)
    axes.set(title="Choosing λ by validation", xlabel="λ of λ ΣW²")
    axes.set_ylabel("share of validation images recognised")
    axes.set_xscale("log")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    for part, (name, found) in zip(right.subfigures(2, 1), runs.items(), strict=True):
        W = found[0][1][:, :-1]
        grey = W.shape[1] == 64
        templates = W.reshape(10, *((8, 8) if grey else (3, 32, 32)))
        title = f"{name}: the template of each class"
        title += " (red speaks for it, blue against)" if grey else ""
        plots.show_images(part, templates, titles=classes, columns=5, title=title, diverging=True)
    plots.save(figure, path)


def check() -> None:
    """Print the worked examples, and check the trick and the gradients on digits."""
    for name, value in numbers().items():
        print(f"{name:44} {np.round(value, 3)}")

    train, _ = data.load_digits()
    few, digits = np.float64(train.images[:20]), train.labels[:20]
    for name, gap in bias_trick(few, digits, np.random.default_rng(0)).items():
        print(f"x Wᵀ + b and [x, 1] [W, b]ᵀ, {name}: differ by {gap:.0e} at most")
    W = np.random.default_rng(1).standard_normal((10, 65))
    for name in LOSSES:
        report = gg.gradcheck(lambda W, name=name: data_loss(name, W, with_one(few), digits), W)
        print(f"{name}, gradient of 650 weights against differences:\n{report}")


def main(folder: Path, kind: str = "digits", files: Path | None = None) -> None:
    """Check, learn with all seeds, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    check()
    seeds = range(5) if kind == "digits" else range(1)
    sets = [load(kind, files, seed) for seed in seeds]
    runs = {}
    for name in LOSSES:
        runs[name] = [run(name, sets[seed], seed) for seed in seeds]
        chosen = [STRENGTHS[int(np.argmax(shares))] for shares, _, _ in runs[name]]
        mean = np.mean([share for _, _, share in runs[name]])
        print(f"{name}: λ chosen {chosen}")
        count = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
        print(f"{name}: mean of {count}: {mean:.2%} of the test images")
    path = folder / "linear_classifiers.png"
    draw(runs, CLASSES[kind], path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo_output"))
    parser.add_argument("--data", dest="kind", choices=CLASSES, default="digits")
    parser.add_argument("--files", type=Path, help="the folder of CIFAR-10, if not to be fetched")
    main(**vars(parser.parse_args()))
