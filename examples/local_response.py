"""Local response normalisation, and a layer that has kernels of its own at every place.

    python examples/local_response.py [folder for the pictures]

local_response.png: a channel that is active damps its neighbours.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import nn
from graphgrad.nn.functional import local_response_norm
from graphgrad.viz import plots

K, N, ALPHA, BETA = 2.0, 5, 1e-4, 0.75  # of AlexNet's paper


def as_in_the_paper(x: Any) -> Any:
    """Normalise with the paper's numbers: its α is not divided by n, ours (PyTorch's) is."""
    return local_response_norm(x, N, alpha=N * ALPHA, beta=BETA, k=K)


def by_the_formula(a: Any) -> Any:
    """Compute b_i = a_i / (k + α Σ a_j²)^β, j from i − n/2 to i + n/2, channel by channel."""
    b = np.empty_like(a)
    for i in range(a.shape[1]):
        around = a[:, max(0, i - N // 2) : i + N // 2 + 1]
        b[:, i] = a[:, i] / (K + ALPHA * np.sum(around**2, axis=1)) ** BETA
    return b


def activity() -> Any:
    """Make up 16 channels at one place: all alike but for two, (1, 16, 1, 1)."""
    x = np.full((1, 16, 1, 1), 40.0)
    x[0, 4], x[0, 11] = 300.0, 150.0
    return x


def inhibition(a: Any) -> Any:
    """Return the slope ∂b_i/∂a_j as a matrix."""
    return gg.jacobian(lambda t: as_in_the_paper(t).ravel())(a).reshape(16, 16)


def locally_connected() -> tuple[int, int, float]:
    """Count the parameters of a convolution and of a locally connected layer, and compare them.

    The comparison gives the latter the former's kernel at every place: how far apart are they?
    """
    rng = np.random.default_rng(0)
    one = nn.Conv2d(1, 4, 3, rng=rng, dtype=np.float64)
    many = nn.LocallyConnected2d(1, 4, (8, 8), 3, rng=rng, dtype=np.float64)
    counts = [sum(p.size for p in layer.parameters()) for layer in (one, many)]
    kernel, bias = one.state_dict().values()
    shapes = {name: p.shape for name, p in many.named_parameters()}
    everywhere = {"weight": kernel, "bias": bias[:, None, None]}
    many.load_state_dict({n: np.broadcast_to(everywhere[n], shapes[n]) for n in shapes})
    x = rng.standard_normal((5, 1, 8, 8))
    apart = np.abs(one(x).numpy() - many(x).numpy()).max()
    return counts[0], counts[1], float(apart)


def plot(a: Any, path: Path) -> None:
    """Draw channels before and after, and the output against the input among neighbours."""
    figure = plots.figure(11, 4)
    left, right = figure.subplots(1, 2)
    channels = np.arange(16)
    quiet = K**-BETA  # what is left of a channel among silent ones
    left.bar(channels - 0.2, a.ravel(), 0.4, color=plots.BLUE, alpha=0.4, label="before")
    after = as_in_the_paper(a).ravel() / quiet
    left.bar(channels + 0.2, after, 0.4, color=plots.BLUE, label="after, times $k^β$")
    left.set(title="Sixteen channels at one place", xlabel="channel", ylabel="activity")
    left.set_xticks(channels)
    own = np.linspace(0, 400, 200)
    curves = {}
    for others in (0, 100, 300):
        x = np.full((200, 5), float(others))
        x[:, 2] = own
        curves[f"four neighbours at {others}"] = as_in_the_paper(x)[:, 2]
    words: Any = {"xlabel": "its activity", "ylabel": "its output"}
    plots.show_curves(right, curves, "A channel among its neighbours", x=list(own), **words)
    plots.tidy(left)
    plots.save(figure, path)


def main(folder: Path) -> None:
    """Compare with the paper's formula, show slopes, draw."""
    folder.mkdir(parents=True, exist_ok=True)
    a = activity()
    b = as_in_the_paper(a)
    apart = np.abs(b - by_the_formula(a)).max()
    print(f"k = {K:g}, n = {N}, α = {ALPHA:g}, β = {BETA:g}; from the formula: {apart:.0e}")
    for i in (0, 3, 4, 11):
        print(f"channel {i:2}: {a.ravel()[i]:5.1f} → {b.ravel()[i]:6.2f}")
    slopes = inhibition(a)
    print(f"∂ output 3 / ∂ input 3 = {slopes[3, 3]:.4f}")
    print(f"∂ output 3 / ∂ input 4 = {slopes[3, 4]:.4f}: more of 4 is less of 3")
    print(f"∂ output 3 / ∂ input 9 = {slopes[3, 9]:.4f}: too far away")
    shared, own, apart = locally_connected()
    print(f"3×3 kernels, 4 channels on 8×8: {shared} parameters shared, {own:,} locally connected;")
    print(f"with the shared kernel at every place they differ by {apart:.0e}")
    path = folder / "local_response.png"
    plot(a, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
