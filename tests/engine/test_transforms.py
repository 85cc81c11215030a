"""Functional transforms: every order, every nesting, plain in and plain out."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.graph import ancestors
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tests.builders import leaf


def cube(x: Any) -> Any:
    return np.sum(x * x * x)


def test_no_perturbation_confusion() -> None:
    assert gg.grad(lambda x: x * gg.grad(lambda y: x + y)(x))(1.0) == 1
    assert gg.grad(lambda x: gg.grad(lambda y: x * y**2)(3.0))(2.0) == 6
    assert gg.grad(lambda x: x * gg.grad(lambda y: x * y)(2.0))(3.0) == 6
    inner = gg.grad(lambda x: gg.jvp(lambda y: x * y, 5.0, x)[1])
    assert inner(3.0) == 6


def test_plain_in_plain_out_tensor_in_tensor_out() -> None:
    assert isinstance(gg.grad(cube)(2.0), np.float64)
    assert isinstance(gg.grad(cube)(np.ones(2)), np.ndarray)
    assert isinstance(gg.grad(cube)(gg.Tensor(np.ones(2))), gg.Tensor)
    w = leaf(2.0)
    closed = gg.grad(lambda x: w * x * x)(3.0)
    assert isinstance(closed, gg.Tensor)
    closed.backward()
    assert w.grad == 6
    with gg.no_grad():
        assert isinstance(gg.grad(lambda x: w * x * x)(3.0), np.float64)


def test_argnums() -> None:
    def f(x: Any, y: Any, scale: float = 1.0) -> Any:
        return scale * x * y

    assert gg.grad(f, argnums=1)(3.0, 4.0) == 3
    assert gg.grad(f, argnums=(0, 1))(3.0, 4.0, scale=2.0) == (8, 6)
    assert gg.grad(f, argnums=-1)(3.0, 4.0) == 3
    assert gg.grad(f, argnums=np.int64(1))(3.0, 4.0) == 3  # type: ignore[call-overload]
    with pytest.raises(ShapeError, match="argnums 2: f was given 2"):
        gg.grad(f, argnums=2)(3.0, 4.0)
    with pytest.raises(DtypeError, match="grad: argnums = 'x' must be a whole number"):
        gg.grad(f, argnums="x")  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="give an int or a tuple of ints"):
        gg.grad(f, argnums=())


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2), (-1, 1), [1, 0, np.int64(1)]])
def test_an_argument_named_twice_is_an_error(argnums: Any) -> None:
    for transform in (gg.grad, gg.value_and_grad, gg.jacobian, gg.hessian):
        derivative = transform(lambda a, b: a * a * b, argnums)
        with pytest.raises(ArgumentError, match=r"argument [01] of .* is named twice.*test_tr"):
            derivative(2.0, 3.0)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.astype(int),
        lambda x: x > 0,
        np.argmax,
        lambda _: 3,
        lambda x: bool(x > 0),
        lambda x: np.floor(x).astype(np.int8),
    ],
)
def test_a_function_of_whole_numbers_has_no_gradient(f: Any) -> None:
    x = 1.5
    for derivative in (
        gg.grad(f),
        gg.value_and_grad(f),
        gg.jacobian(f),
        gg.hessian(f),
        lambda x: gg.vjp(f, x),
        lambda x: gg.jvp(f, x, 1.0),
        lambda x: gg.hvp(f, x, 1.0),
        gg.jacobian(lambda x: (f(x), [f(x)])),
    ):
        with pytest.raises(DtypeError, match=r"returned (bool|int\d+), .* no gradient.*at t"):
            derivative(x)


def test_whole_numbers_beside_others_have_slope_zero() -> None:
    f = lambda x: (x * x, {"place": np.argmax(x), "above": x > 1})  # noqa: E731
    x = np.array([1.0, 2.0])
    squares, rest = gg.jvp(f, x, x)[1]
    assert squares.tolist() == [2, 8]
    assert (rest["place"].dtype, rest["above"].dtype) == (float, float)
    assert (rest["place"], rest["above"].tolist()) == (0, [0, 0])
    assert gg.jacobian(f)(x)[1]["above"].tolist() == [[0, 0], [0, 0]]


def test_gradients_go_to_outputs_by_their_keys_not_by_their_order() -> None:
    f = lambda p: {"a": p["x"] * 2, "b": [p["y"] * 3, p["x"]]}  # noqa: E731
    _, pullback = gg.vjp(f, {"x": 1.0, "y": 1.0})
    assert pullback({"b": (10.0, 100.0), "a": 1.0}) == ({"x": 102, "y": 30},)
    _, pushed = gg.jvp(f, ({"x": 1.0, "y": 1.0},), ({"y": 10.0, "x": 1.0},))
    assert pushed == {"a": 2, "b": [30, 1]}
    for wrong in ({"a": 1.0, "c": (1.0, 1.0)}, [1.0, (1.0, 1.0)], {"a": 1.0, "b": 1.0}):
        with pytest.raises(
            ShapeError, match=r"gradients for 3 outputs, or in other containers.*at t"
        ):
            pullback(wrong)
    with pytest.raises(ShapeError, match="tangents"):
        gg.jvp(f, ({"x": 1.0, "y": 1.0},), ({"y": 10.0, "z": 1.0},))


def test_a_single_output_takes_its_gradient_alone_or_in_a_tuple() -> None:
    _, pullback = gg.vjp(lambda x: x * 3, np.ones(2))
    for g in (np.ones(2), (np.ones(2),), [1.0, 1.0]):
        assert pullback(g)[0].tolist() == [3, 3]


def test_nothing_in_and_nothing_out() -> None:
    assert gg.grad(lambda x, y: y * 2.0)([], 3.0) == []  # noqa: ARG005
    assert gg.jacobian(lambda x: ())(1.0) == ()  # noqa: ARG005
    assert gg.vjp(lambda x: {}, 1.0)[1]({}) == (0,)  # noqa: ARG005
    assert gg.jvp(lambda: 2.0, (), ()) == (2, 0)
    assert gg.hvp(lambda x: 1.0, ([],), ([],)) == ([],)  # noqa: ARG005
    assert gg.jacobian(lambda t: t[:0])(np.ones(3)).shape == (0, 3)


def test_results_are_arrays_and_tensors_of_their_own() -> None:
    x, y = gg.Tensor(np.ones(2)), gg.Tensor(np.ones(2))
    found = gg.grad(lambda a, b: np.sum(a + b), (0, 1))(x, y)
    seed = np.ones(2)
    found += gg.vjp(lambda a: a, x)[1](seed)
    found += (gg.vjp(lambda a: (a, a), x)[0]) + (gg.jvp(lambda a: (a, a), x, x)[0])
    arrays = [t.data for t in found] + [x.data, y.data, seed]
    pairs = [(a, b) for i, a in enumerate(arrays) for b in arrays[:i]]
    assert not any(np.shares_memory(a, b) for a, b in pairs)
    assert not any(t.requires_grad for t in found), "nothing that was given is recorded"


def test_the_sum_of_what_one_tensor_starts_with_is_recorded() -> None:
    x, u = leaf(2.0), leaf(3.0)
    y = x * x
    with gg.no_grad():
        first, second = gg.gradients([y, y], [x, x], [u, 1.0], create_graph=True)
    assert first == second == 16
    assert first is not second
    assert gg.gradients(first, [u, x]) == (4, 8)


def test_an_inner_function_may_use_and_change_what_an_outer_one_made() -> None:
    w = leaf(3.0)

    def outer(x: Any, recompute: bool) -> Any:
        board = gg.Tensor(np.zeros(2))
        board[0] = x * w

        def inner(y: Any) -> Any:
            mine = board * 1.0 if recompute else board
            mine[1] = y * x  # board is older than y, and from here on computed from it
            return np.sum(mine * mine) * mine[0]

        if recompute:
            return gg.grad(lambda y: gg.recompute(inner, y))(x)
        return gg.grad(inner)(x) + 0 * board[0]

    for recompute in (False, True):  # ∂/∂y = 2 y x² · x w: 2 x⁴ w where y is x
        w.grad = None
        slope = gg.grad(outer)(2.0, recompute)
        assert slope == 8 * 2**3 * 3
        slope.backward()
        assert w.grad == 8 * 2**3
        second = gg.grad(gg.grad(outer))(2.0, recompute)
        assert second == 24 * 2**2 * 3


@pytest.mark.parametrize("nested", ["grad", "jvp", "hvp", "vjp", "jacobian"])
def test_a_transform_in_a_loop_looks_at_its_own_part_of_the_graph(
    nested: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = lambda y: np.sum(np.sin(y) * y)  # noqa: E731
    change: Any = {
        "grad": gg.grad(energy),
        "jvp": lambda x: gg.jvp(np.sin, x, x)[1],
        "hvp": lambda x: gg.hvp(energy, x, x),
        "vjp": lambda x: gg.vjp(np.sin, x)[1](x)[0],
        "jacobian": lambda x: gg.jacobian(np.sin)(x) @ x,
    }[nested]
    seen: list[int] = []

    def counting(*args: Any) -> Any:
        found = ancestors(*args)
        seen.append(len(found))
        return found

    monkeypatch.setattr("graphgrad.engine.sweep.ancestors", counting)

    def walked(steps: int) -> int:
        def simulate(x: Any) -> Any:
            for _ in range(steps):
                x = x - 0.01 * change(x)
            return np.sum(x)

        seen.clear()
        gg.grad(simulate)(np.ones(2))
        return sum(seen)

    counts = [walked(steps) for steps in (5, 10, 15)]
    assert counts[2] - counts[1] == counts[1] - counts[0], "each step costs what another does"


def test_integers_are_refused_by_name() -> None:
    with pytest.raises(DtypeError, match=r"int64 was asked for.*3\.0 or x\.astype\(float\)"):
        gg.grad(cube)(3)


def test_the_function_must_return_one_number() -> None:
    with pytest.raises(ShapeError, match=r"grad: the function returned shapes \[\(2,\)\]"):
        gg.grad(np.exp)(np.ones(2))


def test_a_function_that_does_not_depend_on_its_argument_has_gradient_zero() -> None:
    assert gg.grad(lambda _: 3.0)(1.0) == 0
    assert gg.grad(gg.grad(lambda x: 2 * x))(1.0) == 0
    assert gg.hessian(np.sum)(np.ones(2)).tolist() == [[0, 0], [0, 0]]


def test_in_place_changes_inside_a_function() -> None:
    def f(x: Any) -> Any:
        x[0] = x[1] * x[1]
        x += 1.0
        return np.sum(x * x)

    assert gg.grad(f)(np.array([5.0, 2.0])).tolist() == [0, 2 * 5 * 4 + 2 * 3]


def test_directions_and_gradients_must_fit() -> None:
    for transform in (gg.jvp, gg.hvp):
        with pytest.raises(ShapeError, match=r"tangents \[\(2,\)\] for primals \[\(3,\)\]"):
            transform(cube, np.ones(3), np.ones(2))
    with pytest.raises(ShapeError, match="1 gradients for 2 outputs"):
        gg.vjp(lambda a, b: (a * b, a + b), 2.0, 3.0)[1](1.0)


def test_differentiating_through_the_transforms() -> None:
    f = lambda x: x * x * x  # noqa: E731
    assert gg.grad(lambda x: gg.jvp(f, x, 1.0)[1])(2.0) == 12
    assert gg.grad(lambda v: gg.jvp(f, 2.0, v)[1])(1.0) == 12
    assert gg.grad(lambda x: gg.hvp(f, x, 1.0))(2.0) == 6
    assert gg.grad(lambda x: gg.vjp(f, x)[1](1.0)[0])(2.0) == 12
    assert gg.grad(lambda u: gg.vjp(f, 2.0)[1](u)[0])(1.0) == 12
    assert gg.grad(lambda x: gg.value_and_grad(f)(x)[0])(2.0) == 12


def test_gradients_of_recorded_tensors() -> None:
    x, y = leaf(2.0), leaf(3.0)
    z = x * x * y
    gx, gy = gg.gradients(z, [x, y], retain_graph=True)
    assert (gx, gy) == (12, 4)
    assert x.grad is None
    middle = x * y
    assert gg.gradients(middle * x, middle) == 2
    second = gg.gradients(gg.gradients(z, x, create_graph=True), y)
    assert second == 4
    assert gg.gradients([x * 1.0, x * 2.0], x, [1.0, 10.0]) == 21
    assert gg.gradients(x * 1.0, y) == 0
    total = x * y
    assert gg.gradients(total, [total, x]) == (1, 3)
    with pytest.raises(GraphError, match="x number 0 is not part of a graph"):
        gg.gradients(z, gg.Tensor(1.0))
    with pytest.raises(GraphError, match="y number 0 is not part of a graph"):
        gg.gradients(gg.Tensor(1.0), x)
    with pytest.raises(ShapeError, match="2 grad_outputs for 1 ys"):
        gg.gradients([z], x, [1.0, 2.0])
    once = x * y
    gg.gradients(once, x)
    with pytest.raises(GraphError, match=r"freed by gradients\(\)"):
        gg.gradients(once, x)


def test_recompute_keeps_nothing_of_the_inside() -> None:
    import tracemalloc

    x = leaf(np.full(100_000, 0.5))

    def deep(t: Any) -> Any:
        for _ in range(20):
            t = np.sin(t)
        return t

    def held(f: Any) -> int:
        tracemalloc.start()
        y = f(x)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert y.requires_grad
        return size

    assert held(lambda t: gg.recompute(deep, t)) < held(deep) / 10


def test_recompute_rewinds_generators() -> None:
    rng = np.random.default_rng(1)
    x = leaf(np.ones(50))

    def dropout(t: Any) -> Any:
        return t * (rng.random(50) < 0.5)

    y = gg.recompute(dropout, x, rngs=(rng,))
    state = rng.bit_generator.state
    y.sum().backward()
    assert x.grad.tolist() == y.data.tolist()
    assert rng.bit_generator.state == state
    y = gg.recompute(dropout, x)
    with pytest.raises(GraphError, match="other values"):
        y.sum().backward()


def test_recompute_notices_changed_inputs() -> None:
    x = leaf(3.0)
    y = gg.recompute(lambda t: t * t, x)
    x.data += 1
    with pytest.raises(GraphError, match="must not change its inputs"):
        y.backward()
    assert x.grad is None


def test_recompute_notices_tensors_that_took_the_place_of_others() -> None:
    w = leaf([2.0])
    layer = nn.Affine(1, 1, bias=False, rng=np.random.default_rng(0))

    def again(x: Any) -> Any:
        return np.sum(gg.recompute(lambda t: t * w, x))

    def changed() -> None:
        x = w * 1.0
        y = again(x)
        x *= 1.0  # the numbers stay as they are, but x is another value now
        y.backward()

    def frozen() -> None:
        y = again(w * 1.0)
        w.requires_grad = False
        try:
            y.backward()
        finally:
            w.requires_grad = True

    def lent() -> None:  # by the time of the second run the layer has its own weight back
        def loss(own: Any) -> Any:
            call = lambda t: gg.recompute(layer.forward, t)  # noqa: E731
            return np.sum(nn.functional_call(Calling(layer, call), {"layer.weight": own}, [[1.0]]))

        gg.grad(loss)(layer.weight.data.copy())

    for fault in (changed, frozen, lent):
        with pytest.raises(GraphError, match="depends on other tensors than the first"):
            fault()


class Calling(nn.Module):
    def __init__(self, layer: nn.Module, call: Any) -> None:
        self.layer, self.call = layer, call

    def forward(self, *inputs: Any) -> Any:
        return self.call(*inputs)


def test_recompute_of_an_input_that_is_also_closed_over() -> None:
    x = leaf(3.0)
    y = x * 2
    (gg.recompute(lambda t: t * y * x, y) + y).backward()
    assert x.grad == pytest.approx(12 * 9 + 2)


def test_an_op_with_the_wrong_number_of_rules_or_names_says_so() -> None:
    with pytest.raises(TypeError, match="0 gradient rules for the inputs"):
        gg.op(lambda x, y: x * y, name="two")
    with pytest.raises(TypeError, match=r"1 gradient rules for the inputs \('x', 'y'\)"):
        gg.op(np.nextafter, lambda g: g, replace=True)
    with pytest.raises(TypeError, match=r"np.tanh already has a rule; .*replace=True"):
        gg.op(np.tanh, lambda g: g)
    with pytest.raises(TypeError, match=r"np.isnan already has a plain result"):
        gg.op(np.isnan, lambda g: g)
    scaled = gg.op(lambda x, k: x * k, lambda g, k: g * k, name="scaled")
    with pytest.raises(TypeError, match=r"scaled: not differentiable in 'k'; pass \.detach"):
        scaled(gg.Tensor(1.0), leaf(2.0))
    with pytest.raises(
        TypeError, match=r"strange: a gradient rule has the parameter 'z'.*test_transforms"
    ):
        gg.op(lambda x: x, lambda g, z: g * z, name="strange")
