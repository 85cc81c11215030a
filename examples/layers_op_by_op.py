"""Two layers as the circuits that they are: softmax with its loss, and batch normalisation.

    python examples/layers_op_by_op.py [folder for the pictures]

`F.cross_entropy` and `F.batch_norm` are one op each. Step through softmax_with_loss.html and
batch_norm.html: where y − t comes from, and why the gradient of a normalised batch sums to zero. At
a fork, what each use sends adds.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg


def named(name: str, x: Any) -> gg.Tensor:
    """Give a value the name that it bears in the picture."""
    x.name = name
    return x  # type: ignore[no-any-return]


def softmax_with_loss(scores: Any, target: Any) -> gg.Tensor:
    """Return −Σ t log y, y = exp a / Σ exp a."""
    raised = named("exp a", np.exp(scores))
    y = named("y", raised / named("S", raised.sum()))
    return named("loss", -(target * np.log(y)).sum())


def batch_norm(x: Any, gamma: Any, beta: Any) -> gg.Tensor:
    """Return γ x̂ + β, x̂ = (x − μ) / √(mean of (x − μ)²)."""
    centred = named("x − μ", x - named("μ", x.mean()))
    spread = named("σ", np.sqrt((centred**2).mean() + 1e-7))
    return named("out", gamma * named("x̂", centred / spread) + beta)


def main(folder: Path) -> None:
    """Print the gradients and what they are by formula; write a picture and a page of each."""
    scores = gg.Tensor([[0.3], [2.9], [4.0]], requires_grad=True, name="a")  # columns are narrow
    target = gg.Tensor([[0.0], [1.0], [0.0]], name="t")
    loss = softmax_with_loss(scores, target)
    loss.backward(retain_graph=True)  # so that the picture has what lies between, too
    less = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum() - target.numpy()
    print(f"loss {loss:.4f}: ∂a = {scores.grad.T.round(4)}, y − t = {less.T.round(4)}")

    x = gg.Tensor([[1.0], [2.0], [6.0]], requires_grad=True, name="x")
    gamma, beta = (gg.Tensor(v, requires_grad=True, name=n) for v, n in ((1.5, "γ"), (0.5, "β")))
    out = batch_norm(x, gamma, beta)
    first = np.array([[1.0], [0.0], [0.0]])  # as if only the first of the three mattered
    out.backward(first, retain_graph=True)
    print(f"out {out.numpy().T.round(4)}: ∂x = {x.grad.T.round(4)}, sum {abs(x.grad.sum()):.9f}")

    folder.mkdir(parents=True, exist_ok=True)
    for name, result in (("softmax_with_loss", loss), ("batch_norm", out)):
        for suffix in ("svg", "html"):
            print(f"drawn: {gg.graph(result).render(folder / f'{name}.{suffix}')}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
