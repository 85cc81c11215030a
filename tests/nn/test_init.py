"""Initial values: moments by theory, structure, and a whole model in one line.

Of n draws the mean has the standard error σ / √n, the variance about σ² √(2 / n) (less if uniform);
the tolerances are five of them.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, ShapeError
from tests.builders import Refusals, refuses, seeded

init = nn.init
SHAPE = (60, 40, 3, 3)  # n_in 360, n_out 540
N = math.prod(SHAPE)


# what each draws: function, variance, whether uniform
DRAWS: dict[str, tuple[Callable[..., Any], float, bool]] = {
    "normal": (partial(init.normal, std=0.01), 1e-4, False),
    "uniform": (partial(init.uniform, low=-2, high=2), 4 / 3, True),
    "xavier_normal": (init.xavier_normal, 2 / 900, False),
    "xavier_uniform": (init.xavier_uniform, 2 / 900, True),
    "xavier_normal, Caffe's": (partial(init.xavier_normal, fan="in"), 1 / 360, False),
    "xavier_uniform, Caffe's": (partial(init.xavier_uniform, fan="in"), 1 / 360, True),
    "xavier_normal for tanh": (partial(init.xavier_normal, gain=5 / 3), 50 / 8100, False),
    "kaiming_normal": (init.kaiming_normal, 2 / 360, False),
    "kaiming_uniform": (init.kaiming_uniform, 2 / 360, True),
    "kaiming_normal, gradients": (partial(init.kaiming_normal, fan="out"), 2 / 540, False),
    "kaiming_uniform, leaky": (partial(init.kaiming_uniform, negative_slope=1), 1 / 360, True),
    "lecun_normal": (init.lecun_normal, 1 / 360, False),
    "lecun_uniform": (init.lecun_uniform, 1 / 360, True),
}


@pytest.mark.parametrize("name", DRAWS)
def test_moments(name: str) -> None:
    function, variance, even = DRAWS[name]
    W = function(SHAPE, rng=seeded(), dtype=np.float64)
    assert W.shape == SHAPE
    assert abs(W.mean()) < 5 * math.sqrt(variance / N)
    assert W.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / N))
    bound = math.sqrt(3 * variance)
    assert (np.abs(W).max() <= bound) == even
    fourth = np.mean(W**4) / variance**2  # 3 of a normal distribution, 9/5 of a uniform one
    assert fourth == pytest.approx(1.8 if even else 3, rel=0.05)


def test_numbers_that_move_the_mean() -> None:
    assert init.normal((1000,), rng=seeded(), mean=5, std=0.1).mean() == pytest.approx(5, abs=0.02)
    W = init.uniform((1000,), rng=seeded(), low=2, high=3)
    assert W.min() >= 2
    assert W.max() < 3
    np.testing.assert_array_equal(init.zeros((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(init.constant((2, 3), value=0.01), np.full((2, 3), 0.01, "f4"))


EVERY: dict[str, Callable[..., Any]] = {
    **{name: function for name, (function, _, _) in DRAWS.items()},
    "zeros": init.zeros,
    "constant": partial(init.constant, value=2),
    "sparse": init.sparse,
    "orthogonal": init.orthogonal,
}


@pytest.mark.parametrize("name", EVERY)
def test_dtype_and_generator(name: str) -> None:
    function = EVERY[name]
    shape = (12, 11)
    assert function(shape).dtype == np.float32
    assert function(shape, dtype=np.float16).dtype == np.float16
    gg.manual_seed(7)
    drawn = function(shape)
    np.testing.assert_array_equal(drawn, function(shape, rng=np.random.default_rng(7)))
    if name not in ("zeros", "constant"):
        assert not np.array_equal(drawn, function(shape)), "the generator moved on"


@pytest.mark.parametrize(
    ("shape", "expected"), [((100, 50), (50, 100)), ((8, 3, 5, 5), (75, 200)), ((4, 2, 3), (6, 12))]
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert init.fans(shape) == expected


@pytest.mark.parametrize("shape", [(50, 30), (20, 4, 3, 3)])
def test_sparse_gives_each_unit_so_many_weights(shape: tuple[int, ...]) -> None:
    W = init.sparse(shape, rng=seeded(), nonzero=7, std=0.5).reshape(shape[0], -1)
    assert (np.count_nonzero(W, axis=1) == 7).all()
    assert len({tuple(np.flatnonzero(row)) for row in W}) > shape[0] / 2, "not the same for all"
    assert np.count_nonzero(W, axis=0).std() < 4, "each input is as likely as any"
    assert W[W != 0].std() == pytest.approx(0.5, rel=5 / math.sqrt(2 * 7 * shape[0]))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3, 3), (40, 2, 3, 3)])
def test_orthogonal_keeps_lengths(shape: tuple[int, ...]) -> None:
    W = init.orthogonal(shape, rng=seeded(), dtype=np.float64, gain=2).reshape(shape[0], -1)
    gram = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-13)


def test_orthogonal_is_even_over_all_directions() -> None:
    """Without the signs of R the first element of Q would never be positive."""
    rng = seeded()
    corners = [init.orthogonal((3, 3), rng=rng)[0, 0] for _ in range(400)]
    assert abs(np.mean(np.sign(corners))) < 5 / math.sqrt(400)


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (partial(nn.Affine, 400, 300), 400),
        (partial(nn.Maxout, 100, 50, pieces=4), 100),
        (partial(nn.Conv1d, 8, 90, 5, groups=2), 20),
        (partial(nn.Conv2d, 8, 90, (3, 2)), 48),
        (partial(nn.ConvTranspose2d, 90, 8, (3, 2), groups=2), 24),
        (partial(nn.LocallyConnected2d, 2, 9, 7, 3), 18),
    ],
)
def test_layers_begin_as_pytorchs_do(make: Any, fan_in: int) -> None:
    for p in make(rng=seeded()).parameters():
        assert p.dtype == np.float32
        assert 0.8 < np.abs(p.data).max() * math.sqrt(fan_in) <= 1
        if p.ndim > 1:
            assert p.data.std() == pytest.approx(1 / math.sqrt(3 * fan_in), rel=0.05)


class Net(nn.Module):
    def __init__(self) -> None:
        self.hidden = nn.Affine(30, 40, rng=seeded())
        self.slopes = nn.PReLU(40)
        self.filters = nn.Conv2d(3, 8, 5, rng=seeded())
        self.scores = nn.Affine(40, 10, rng=seeded())
        self.tied = nn.Affine(40, 10, bias=False, rng=seeded())
        self.tied.weight = self.scores.weight

    def forward(self, x: Any) -> Any:
        return self.scores(self.slopes(self.hidden(x)))


def test_one_line_draws_every_weight_by_its_own_fan() -> None:
    model = Net().astype(np.float64)
    init.initialize(model, init.kaiming_normal, rng=seeded())
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {np.dtype(float)}
    for weight, n_in in ((model.hidden.weight, 30), (model.filters.weight, 75)):
        assert weight.data.var() == pytest.approx(2 / n_in, rel=5 * math.sqrt(2 / weight.size))
    for layer in (model.hidden, model.filters, model.scores):
        assert layer.bias is not None
        assert not layer.bias.data.any()
    assert (model.slopes.weight.data == 0.25).all()
    assert model.tied.weight is model.scores.weight
    rng = seeded()
    for layer in (model.hidden, model.filters, model.scores):  # each once, in order
        np.testing.assert_array_equal(
            layer.weight.data, init.kaiming_normal(layer.weight.shape, rng=rng, dtype=np.float64)
        )


def test_options_go_to_the_function() -> None:
    model = Net()
    assert model.hidden.bias is not None
    before = model.hidden.bias.data.copy()
    init.initialize(model, init.normal, std=0.01, bias=None, rng=seeded())
    assert model.hidden.weight.data.std() == pytest.approx(0.01, rel=0.15)
    np.testing.assert_array_equal(model.hidden.bias.data, before)
    init.initialize(model, init.zeros, bias=0.01)
    np.testing.assert_array_equal(model.hidden.bias.data, np.full(40, 0.01, np.float32))


def test_only_some_kinds_and_nothing_frozen() -> None:
    model = Net()
    model.scores.freeze()
    before = model.state_dict()
    init.initialize(model, init.zeros, kinds=nn.Affine)
    after = model.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"hidden.weight", "hidden.bias"}


FANNED = [
    *(init.xavier_normal, init.xavier_uniform, init.kaiming_normal, init.kaiming_uniform),
    *(init.lecun_normal, init.lecun_uniform, init.sparse, init.orthogonal),
]


@pytest.mark.parametrize("function", FANNED)
def test_a_shape_without_a_fan_is_refused(function: Any) -> None:
    rng = seeded()
    for shape in ((), (3,), (3, 0), (0, 3), (3, 2, 0)):
        with pytest.raises(ShapeError, match=f"{function.__name__}: .*no inputs or no outputs"):
            function(shape, rng=rng)
    assert rng.random() == seeded().random(), "nothing was drawn"


REFUSED: Refusals = {
    ArgumentError: {
        "low=1 is above high=0": lambda: init.uniform((2, 3), low=1, high=0),
        r"nonzero=10; shape \(5, 9\) has 9 inputs": lambda: init.sparse((5, 9)),
    },
    ShapeError: {"ReLU has no weights": lambda: init.initialize(nn.ReLU(), init.zeros)},
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


def test_a_function_of_another_shape_changes_nothing() -> None:
    model = Net()
    before = model.state_dict()

    def transposed(shape: tuple[int, ...], **more: Any) -> Any:
        return init.normal(shape, **more).T if shape == (10, 40) else init.normal(shape, **more)

    with pytest.raises(ShapeError, match=r"scores.weight is \(10, 40\), .*returned \(40, 10\)"):
        init.initialize(model, transposed, rng=seeded())
    np.testing.assert_equal(model.state_dict(), before)
