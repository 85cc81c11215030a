"""Nine optimizers on four functions of two numbers, and on handwritten digits.

    python examples/optimizers.py [folder for the pictures]

optimizers.png: their ways down a long valley. optimizers_elsewhere.png: a saddle, two minima, and
rates that are too high. optimizers_digits.png: the loss on digits. "rate" is the learning rate.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.viz import plots

Function = Callable[[Any, Any], Any]
Make = Callable[[list[Any]], Any]

MAKE: dict[str, Make] = {
    "SGD": lambda w: optim.SGD(w, lr=0.95),
    "Momentum": lambda w: optim.Momentum(w, lr=0.1),
    "Nesterov": lambda w: optim.Nesterov(w, lr=0.1),
    "AdaGrad": lambda w: optim.Adagrad(w, lr=1.5),
    "AdaDelta": lambda w: optim.Adadelta(w, eps=1e-2),
    "RMSprop": lambda w: optim.RMSprop(w, lr=0.3, alpha=0.9),
    "Adam": lambda w: optim.Adam(w, lr=0.3),
    "Newton": optim.Newton,
    "L-BFGS": lambda w: optim.LBFGS(w, max_iter=1, max_eval=25, line_search_fn="strong_wolfe"),
}
ON_DIGITS: dict[str, Make] = {
    "SGD": lambda w: optim.SGD(w, lr=0.1),
    "Momentum": lambda w: optim.Momentum(w, lr=0.1),
    "Nesterov": lambda w: optim.Nesterov(w, lr=0.1),
    "AdaGrad": lambda w: optim.Adagrad(w, lr=0.05),
    "AdaDelta": optim.Adadelta,
    "RMSprop": lambda w: optim.RMSprop(w, lr=0.002),
    "Adam": lambda w: optim.Adam(w, lr=0.005),
    "L-BFGS": lambda w: optim.LBFGS(w, max_iter=10, max_eval=12, line_search_fn="strong_wolfe"),
}
FAMILIES = {
    "one rate for all weights": ("SGD", "Momentum", "Nesterov", "L-BFGS", "Newton"),
    "a rate for each weight": ("AdaGrad", "AdaDelta", "RMSprop", "Adam"),
}


def valley(x: Any, y: Any) -> Any:
    """Twenty times steeper in one direction than in the other."""
    return x**2 / 20 + y**2


def saddle(x: Any, y: Any) -> Any:
    """Least in y and greatest in x at the origin."""
    return y**2 - x**2


def two_minima(x: Any, y: Any) -> Any:
    """At (−4, 0) it is −512, at (2, 0) only −80."""
    return y**4 + 3 * x**4 + 8 * x**3 - 48 * x**2


def bowl(x: Any, y: Any) -> Any:
    """Have the same curvature, 2, in all directions."""
    return x**2 + y**2


# Some code for Nesterov's momentum is another method: it takes the velocity after the update where
# CS231n and PyTorch, and optim.Nesterov, take the one before.


def late_nesterov(w: Any, g: Any, u: Any, *, lr: float, momentum: float) -> Any:  # noqa: ARG001
    """Do u ← μu − ηg; w ← w + μ²u − (1 + μ)ηg."""
    u = momentum * u - lr * g
    return (1 + momentum) * lr * g - momentum**2 * u, u


class LateNesterov(optim.Optimizer):
    """An optimizer of one's own is a rule and its options."""

    def __init__(self, params: list[Any], lr: float, momentum: float = 0.9) -> None:
        """Take the parameters."""
        super().__init__(params, lr=lr, momentum=momentum)

    def rule(self, options: Mapping[str, Any]) -> Any:  # noqa: ARG002
        """One for all options."""
        return late_nesterov


def rate(name: str, make: Make) -> str:
    """Say the learning rate, if the optimizer does not choose its steps by itself."""
    if name in ("AdaDelta", "Newton", "L-BFGS"):
        return ""
    return f", rate {make([gg.Tensor(0.0, requires_grad=True)]).param_groups[0]['lr']:g}"


def path(f: Function, start: tuple[float, float], make: Make, steps: int) -> Any:
    """Return the points on the way, shape (steps + 1, 2)."""
    w = gg.Tensor(start, dtype=float, requires_grad=True)
    optimizer = make([w])
    points = [w.numpy().copy()]

    def closure() -> Any:
        optimizer.zero_grad()
        loss = f(w[0], w[1])
        if not isinstance(optimizer, optim.Newton):  # which differentiates twice itself
            loss.backward()
        return loss

    for _ in range(steps):
        if isinstance(optimizer, optim.Newton | optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        points.append(w.numpy().copy())
    return np.stack(points)


def learn(make: Make, data: list[Any], epochs: int = 20) -> tuple[list[float], float]:
    """Learn digits from one start; return the training loss after each epoch, and the accuracy."""
    x, x_test, t, t_test = data
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Linear(64, 50, rng=rng), nn.ReLU(), nn.Linear(50, 10, rng=rng))
    optimizer = make(list(net.parameters()))
    losses = []

    def closure(chosen: Any = slice(None)) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x[chosen]), t[chosen])
        loss.backward()
        return loss

    for _ in range(epochs):
        if isinstance(optimizer, optim.LBFGS):  # noise between batches would look like curvature
            optimizer.step(closure)
        else:
            for chosen in np.split(rng.permutation(len(x)), range(100, len(x), 100)):
                closure(chosen)
                optimizer.step()
        with gg.no_grad():
            losses.append(nn.functional.cross_entropy(net(x), t).item())
    with gg.no_grad():
        return losses, float((net(x_test).argmax(axis=1) == t_test).mean())


def contours(axes: Any, f: Function, box: tuple[float, float, float, float], levels: Any) -> None:
    """Draw lines of equal value, and the frame."""
    x, y = np.meshgrid(np.linspace(*box[:2], 300), np.linspace(*box[2:], 300))
    axes.contour(x, y, f(x, y), levels=levels, colors=plots.FRAME, linewidths=0.7, linestyles="-")
    axes.set(xlim=box[:2], ylim=box[2:])
    axes.spines[["top", "right"]].set_visible(False)


def on_the_valley(picture: Path) -> None:
    """Follow each from (−7, 2)."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    panels = figure.subplots(3, 3, sharex=True, sharey=True).flat
    print("x²/20 + y² from (−7, 2), after 30 steps")
    for axes, (name, make) in zip(panels, MAKE.items(), strict=True):
        points = path(valley, (-7, 2), make, 30)
        end = valley(*points[-1])
        place = f"({points[-1, 0]:+.4f}, {points[-1, 1]:+.4f})"
        print(f"    {name:9} {place}, loss {end:.1e}{rate(name, make)}")
        contours(axes, valley, (-8, 8, -3, 3), np.geomspace(0.03, 10, 10))
        axes.plot(*points.T, "o-", color=plots.BLUE, ms=3, lw=1.2)
        axes.plot(0, 0, "+", color=plots.ORANGE, ms=11, mew=2)
        loss = f"loss {plots.number(end, 1)}"
        axes.set_title(f"{name}{rate(name, make)}: {loss}", fontsize=11)
    figure.suptitle("30 steps down x²/20 + y² from (−7, 2)")
    figure.savefig(picture, dpi=110)

    one, other = (
        path(valley, (-7, 2), make, 30)
        for make in (MAKE["Nesterov"], lambda w: LateNesterov(w, lr=0.1))
    )
    strides = [(p[1, 1] - p[0, 1]) / (-0.1 * 2 * 2) for p in (one, other)]
    print(
        "SGD zigzags: its rate is close to 1, from where on the steep direction diverges. With it"
    )
    print(
        "SGD ends nearer than Momentum with rate 0.1, whose velocity carries it past the minimum."
    )
    print("Nesterov's momentum: how many times ηg, a step of SGD, its first step is long")
    print(f"    as in CS231n and PyTorch  {strides[0]:.2f} = 1 + μ")
    print(f"    velocity after the update {strides[1]:.2f} = 1 + μ + μ², another method")


def on_the_others(picture: Path) -> None:
    """Show a saddle, two minima, and rates that are too large."""
    figure = Figure(figsize=(11, 9.5), layout="constrained")
    (*saddles, middle, right) = figure.subplots(2, 2).flat

    print("\ny² − x² from (−0.01, 1): steps until |x| > 1")
    gentle: dict[str, Make] = {
        "SGD": lambda w: optim.SGD(w, lr=0.1),
        "AdaGrad": lambda w: optim.Adagrad(w, lr=0.1),
        "RMSprop": lambda w: optim.RMSprop(w, lr=0.1, alpha=0.9),
        "Adam": lambda w: optim.Adam(w, lr=0.1),
    }
    steps = {"L-BFGS": 3, "Newton": 1}
    for axes, (family, names) in zip(saddles, FAMILIES.items(), strict=True):
        contours(axes, saddle, (-1.2, 1.2, -1.2, 1.2), np.linspace(-1.5, 1.5, 13))
        for number, name in enumerate(names):
            make = gentle.get(name, MAKE[name])
            points = path(saddle, (-0.01, 1), make, steps.get(name, 60))
            away = np.flatnonzero(np.abs(points[:, 0]) > 1)
            x, y = np.abs(points[-1])
            stays = f"never: its first step ends on the saddle, ({x:.0f}, {y:.0f})"
            print(f"    {name:9} {away[0] if away.size else stays}")
            colour, style = plots.look(number)
            axes.plot(*points.T, marker=".", color=colour, ls=style, ms=4, lw=1.5, label=name)
        axes.set_title(f"y² − x² from (−0.01, 1): {family}")
        axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=9, loc="lower right")

    print("\ny⁴ + 3x⁴ + 8x³ − 48x²: where each start leads")
    contours(middle, two_minima, (-6, 4, -3.5, 3.5), [*range(-500, 0, 60), 0, 60, 150, 300, 600])
    makes: dict[str, Make] = {
        "SGD": lambda w: optim.SGD(w, lr=0.003),
        "AdaGrad": lambda w: optim.Adagrad(w, lr=0.5),
        "Adam": lambda w: optim.Adam(w, lr=0.1),
    }
    for number, (name, make) in enumerate(makes.items()):
        colour, style = plots.look(number)
        for begin in (-0.5, 0.5):
            points = path(two_minima, (begin, 2.0), make, 300)
            x, y = points[-1]
            value = two_minima(x, y)
            print(f"    {name:9} from ({begin:+}, 2): ({x:+.2f}, {abs(y):.2f}), value {value:.1f}")
            label = name if begin < 0 else None
            line: Any = {"color": colour, "ls": style, "lw": 1, "marker": "os^"[number], "ms": 2.5}
            middle.plot(*points.T, **line, markevery=2, label=label)
    x, y = path(two_minima, (0.5, 2.0), MAKE["Newton"], 30)[-1]
    print(
        f"    Newton    from (+0.5, 2): ({abs(x):.2f}, {abs(y):.2f}), no minimum but the top of x"
    )
    for x, words in ((-4, "−512"), (2, "−80")):
        middle.plot(x, 0, "+", color=plots.BLACK, ms=12, mew=2)
        middle.annotate(words, (x, 0), (0, -16), textcoords="offset points", ha="center")
    middle.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=9, loc="lower right")
    middle.set_title("Two minima of y⁴ + 3x⁴ + 8x³ − 48x²")

    print("\nx² + y² from (1, 0) by SGD: x after 1, 2, 3 and 20 steps")
    for number, lr in enumerate((0.1, 0.5, 0.9, 1.0, 1.05)):
        colour, style = plots.look(number)
        x = path(bowl, (1.0, 0.0), functools.partial(optim.SGD, lr=lr), 20)[:, 0]
        first = " ".join(f"{v:+.2f}" for v in x[1:4])
        print(f"    lr = {lr:<4} {first} … {x[20]:+.2f}")
        line = {"color": colour, "ls": style, "lw": 1.3, "marker": "o", "ms": 3}
        right.plot(x, **line, label=f"lr = {lr:g}")
    right.set(title="SGD on x² + y²: x after each step", xlabel="step", ylim=(-4.2, 3))
    right.set(xlim=(0, 20), xticks=range(0, 21, 5))
    right.legend(frameon=True, framealpha=1, edgecolor="none", ncols=3, loc="lower left")
    right.spines[["top", "right"]].set_visible(False)
    right.grid(alpha=0.25)
    figure.savefig(picture, dpi=110)


def on_digits(picture: Path) -> None:
    """Compare learning curves; Newton is for fewer than these 3760 numbers."""
    x, t = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    data = train_test_split(x, t, test_size=360, random_state=0, stratify=t)
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    print("\ndigits, 64-50-10, 20 epochs in batches of 100 (L-BFGS: 10 steps on all images each)")
    for axes, (family, names) in zip(panels, FAMILIES.items(), strict=True):
        curves = {}
        for name in names:
            if name in ON_DIGITS:
                losses, accuracy = learn(ON_DIGITS[name], data)
                make = ON_DIGITS[name]
                end = f"training loss {losses[-1]:.1e}, test {accuracy:.1%}"
                print(f"    {name:9} {end}{rate(name, make)}")
                curves[f"{name}{rate(name, make)} (test {accuracy:.1%})"] = losses
        plots.show_curves(axes, curves, family, log=True)
        axes.legend(frameon=False, loc="lower right")
    print("SGD is slowest: with its rate Momentum goes 10 times as far along a slope, 1 / (1 − μ).")
    panels[0].set(ylabel="training loss", xlim=(1, 20), ylim=(1e-4, 5), xticks=range(2, 21, 2))
    figure.suptitle("Digits, 64-50-10")
    figure.savefig(picture, dpi=110)


def main(folder: Path) -> None:
    """Draw everything."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [folder / f"optimizers{name}.png" for name in ("", "_elsewhere", "_digits")]
    on_the_valley(pictures[0])
    on_the_others(pictures[1])
    on_digits(pictures[2])
    print(f"\nWritten: {', '.join(map(str, pictures))}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
