"""Modules: what belongs to them, saving and loading, switches, containers, the summary."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    IndexingError,
    ShapeError,
    UnsupportedError,
)
from tests.builders import Refusals, refuses
from tests.equality import assert_equals_composition

RNG = np.random.default_rng


def affine(inputs: int = 2, outputs: int = 2, **options: Any) -> nn.Affine:
    return nn.Affine(inputs, outputs, rng=RNG(0), **options)


class Net(nn.Module):
    """Parameters in every place where a user may put them."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(np.ones(2))
        self.mean = nn.Buffer(np.zeros(2))
        self.body: list[Any] = [affine(), {"head": affine(bias=False)}]
        self.pair = (nn.Parameter(np.zeros(1)), 3)
        self.label = "no parameter"
        self.constant = gg.Tensor([1.0])

    def forward(self, x: Any) -> Any:
        return self.body[1]["head"](self.body[0](x)) * self.scale


def test_finds_parameters_buffers_and_modules_wherever_they_stand() -> None:
    net = Net()
    names = ["scale", "pair.0", "body.0.weight", "body.0.bias", "body.1.head.weight"]
    assert [name for name, _ in net.named_parameters()] == names
    assert [name for name, _ in net.named_buffers()] == ["mean"]
    assert [name for name, _ in net.named_modules()] == ["", "body.0", "body.1.head"]
    assert list(net.children()) == [net.body[0], net.body[1]["head"]]
    order = ["scale", "mean", "body.0.weight", "body.0.bias", "body.1.head.weight", "pair.0"]
    assert list(net.state_dict()) == order


def test_needs_no_super_init_and_notices_what_comes_later() -> None:
    net = Net()
    net.extra = affine(bias=False)  # type: ignore[attr-defined]
    assert "extra.weight" in dict(net.named_parameters())


def test_a_shared_parameter_is_learnt_once_and_saved_by_each_name() -> None:
    layer = affine()
    twice = nn.Sequential(layer, layer)
    assert len(list(twice.parameters())) == 2
    assert list(twice.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    twice.load_state_dict(twice.state_dict())


def test_a_child_may_know_its_parent() -> None:
    parent, child = nn.Module(), affine()
    parent.child = child  # type: ignore[attr-defined]
    child.parent = parent  # type: ignore[attr-defined]
    assert len(list(parent.parameters())) == 2
    assert list(parent.state_dict()) == ["child.weight", "child.bias"]
    assert parent.eval().training is child.training is False


def test_apply_visits_children_first_in_order() -> None:
    net = nn.Sequential(affine(1, 1), nn.Sequential(affine(2, 2), affine(3, 3)))
    seen: list[Any] = []
    net.apply(lambda m: seen.append(getattr(m, "in_features", type(m).__name__)))
    assert seen == [1, 2, 3, "Sequential", "Sequential"]


def test_hooks_see_and_replace_the_output() -> None:
    layer = affine()
    shapes: list[Any] = []
    remove = [
        layer.register_forward_hook(lambda _, xs, y: shapes.append((xs[0].shape, y.shape))),
        layer.register_forward_hook(lambda _module, _xs, y: y * 0),
    ]
    assert not layer(np.ones((3, 2))).numpy().any()
    for function in remove:
        function()
    assert layer(np.ones((3, 2))).numpy().any()
    assert shapes == [((3, 2), (3, 2))]


def test_a_state_dict_is_a_copy() -> None:
    """Else the best weights so far would silently become the last ones."""
    layer = affine()
    state = layer.state_dict()
    before = copy.deepcopy(state)
    layer.weight.data += 1
    np.testing.assert_array_equal(state["weight"], before["weight"])


def test_loading_lists_every_problem_and_changes_nothing() -> None:
    net = nn.Sequential(affine(), affine())
    before = net.state_dict()
    state = net.state_dict()
    state["0.weight"] += 1
    del state["0.bias"]
    state["1.weight"] = np.zeros((3, 2))
    state["2.weight"] = np.zeros(1)
    with pytest.raises(ShapeError) as caught:
        net.load_state_dict(state)
    for part in (
        "another model than this Sequential",
        "missing: 0.bias",
        "unexpected: 2.weight",
        "1.weight is (2, 2) here, (3, 2) in the state",
        "test_module.py",
    ):
        assert part in str(caught.value)
    with pytest.raises(ShapeError, match=r"1\.weight"):  # a wrong shape is never skipped
        net.load_state_dict(state, strict=False)
    np.testing.assert_equal(net.state_dict(), before)


def test_loading_partly() -> None:
    layer = affine()
    result = layer.load_state_dict({"bias": [1, 2], "more": 0}, strict=False)
    assert result.missing == ["weight"]
    assert result.unexpected == ["more"]
    assert layer.bias is not None
    assert layer.bias.tolist() == [1, 2]


def step(layer: nn.Affine) -> None:
    for p in layer.parameters():
        p.grad = np.ones(p.shape, p.dtype)
    optim.SGD(layer.parameters(), lr=0.1).step()


def average(layer: nn.Affine) -> None:
    means = optim.RunningAverage(layer.parameters())
    means.update()
    means.applied().__enter__()


WRITES: dict[str, Callable[[nn.Affine], Any]] = {
    "loading": lambda layer: layer.load_state_dict(layer.state_dict()),
    "initial values": lambda layer: nn.init.initialize(layer, nn.init.zeros),
    "optimizer": step,
    "running average": average,
}


@pytest.mark.parametrize("name", WRITES)
def test_what_writes_between_forward_and_backward_is_noticed(name: str) -> None:
    layer = affine()
    loss = (layer(gg.Tensor(np.ones((1, 2)), requires_grad=True)) ** 2).sum()
    WRITES[name](layer)
    with pytest.raises(GraphError, match="overwritten"):
        loss.backward()


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert net.training
    assert not any(m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())


def test_frozen_parameters_get_no_gradient() -> None:
    net = nn.Sequential(affine(), affine())
    net(np.ones((1, 2))).sum().backward()
    net[0].freeze()
    assert net[0].weight.grad is None
    net.zero_grad()
    net(np.ones((1, 2))).sum().backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    assert all(p.requires_grad for p in net.unfreeze().parameters())


def test_astype_casts_parameters_and_floating_buffers() -> None:
    net = Net()
    net.count = nn.Buffer(np.array(3))  # type: ignore[attr-defined]
    weight = net.body[0].weight
    net.astype(np.float16)
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float16)}
    assert net.body[0].weight is weight, "an optimizer that holds it learns on"
    assert weight.requires_grad
    assert net.count.dtype.kind == "i"  # type: ignore[attr-defined]


def test_the_repr_is_a_tree() -> None:
    net = nn.Sequential({"first": affine(3, 2), "rest": nn.Sequential(affine(bias=False))})
    assert repr(net) == (
        "Sequential(\n"
        "  (first): Linear(3, 2)\n"
        "  (rest): Sequential(\n"
        "    (0): Linear(2, 2, bias=False)\n"
        "  )\n"
        ")"
    )


def test_sequential_is_a_list_of_modules_by_name() -> None:
    first, second, third = affine(), affine(), affine()
    net = nn.Sequential(first, second)
    net.append(third)
    assert len(net) == 3
    assert net[-1] is third
    assert net["1"] is second
    assert list(net[1:]) == [second, third]
    net[0] = third
    assert list(net) == [third, second, third]
    for index in (3, -4, "x"):
        with pytest.raises(IndexingError, match="there is no module"):
            net[index]


@pytest.mark.parametrize("wrong", [nn.Affine, lambda x: x, None])
def test_containers_take_modules_only(wrong: Any) -> None:
    with pytest.raises(DtypeError, match="is no Module"):
        nn.Sequential(wrong)
    net = nn.ModuleList([affine()])
    with pytest.raises(DtypeError, match="is no Module"):
        net.extend([affine(), wrong])
    assert len(net) == 1


def test_module_list() -> None:
    layers = nn.ModuleList(affine() for _ in range(3))
    layers.extend([affine()])
    assert len(layers[1:]) == 3
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("shape", [(3,), (2, 1, 3), (0, 3)])
def test_affine_equals_its_composition(shape: tuple[int, ...]) -> None:
    x, W, b = (RNG(0).normal(size=s) for s in (shape, (2, 3), 2))
    assert_equals_composition(nn.functional.affine, lambda x, W, b: x @ W.T + b, x, W, b)


def test_affine_from_the_books_matrix() -> None:
    layer = nn.Affine.from_matrix([[1, 3, 5], [2, 4, 6]], [0, 0, 1])
    assert layer.weight.shape == (3, 2)
    np.testing.assert_array_equal(layer(np.array([1.0, 2.0])).numpy(), [5, 11, 18])


REFUSED: Refusals = {
    DtypeError: {"astype.*int": lambda: Net().astype(int)},
    ShapeError: {
        r"linear: x \(4, 2\), weight \(2, 3\)": lambda: affine(3, 2)(np.zeros((4, 2))),
        r"linear: x \(\), weight \(2, 3\)": lambda: affine(3, 2)(np.zeros(())),
        r"linear: x \(3, 1\), weight \(2, 3\)": lambda: affine(3, 2)(np.zeros((3, 1))),
        "from_matrix": lambda: nn.Affine.from_matrix([[1, 2]], [1]),
        r"linear: bias \(3,\)": lambda: nn.functional.affine(
            np.zeros((1, 3)), np.zeros((2, 3)), np.zeros(3)
        ),
    },
    ArgumentError: {
        "names no input": lambda: nn.summary(nn.Embedding(3, 2), []),
    },
    UnsupportedError: {
        r"Module has no forward\(\)": lambda: nn.Module()(1),
        "ModuleList": lambda: nn.ModuleList([affine()])(1),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


def test_a_functional_call_of_a_module_that_returns_its_parameters() -> None:
    class Weights(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
            self.count = nn.Buffer(np.zeros(()))

        def forward(self) -> Any:
            self.count.data += 1
            return {"a": self.a, "both": [self.a, self.b], "count": self.count}

    module = Weights()

    def f(w: Any) -> Any:
        return nn.functional_call(module, {"a": w, "count": np.array(5.0)})

    out = f(np.full(2, 3.0))
    assert out["a"].data.tolist() == out["both"][0].data.tolist() == [3, 3]
    assert out["both"][1] is module.b
    assert out["count"].item() == 6
    assert module.count.item() == 0
    slope = gg.grad(lambda w: np.sum(f(w)["a"] * f(w)["both"][0]))(np.full(2, 3.0))
    assert slope.tolist() == [6, 6]


def test_a_failed_functional_call_leaves_the_module_as_it_was() -> None:
    layer = affine()
    weight = layer.state_dict()["weight"]
    for name, value, x, says in (
        ("weight", np.zeros((2, 2)), np.zeros(3), "linear"),
        ("weight", np.zeros(3), np.zeros((1, 2)), "functional_call: 'weight'"),
        ("wait", np.zeros((2, 2)), np.zeros((1, 2)), "functional_call: 'wait'"),
    ):
        with pytest.raises(ShapeError, match=says):
            nn.functional_call(layer, {name: value}, x)
    np.testing.assert_array_equal(layer.weight.numpy(), weight)


def test_summary_counts_by_hand() -> None:
    net = nn.Sequential(affine(6, 4), nn.Sequential(affine(4, 3, bias=False)))
    net[0].freeze()
    table = nn.summary(net, (5, 6))
    assert [row.output for row in table.rows] == [(1, 5, 3), (1, 5, 4), (1, 5, 3), (1, 5, 3)]
    assert [row.name for row in table.rows] == ["", "0", "1", "1.0"]
    assert table.parameters == 6 * 4 + 4 + 4 * 3
    assert table.trainable == 12
    assert table.activations == 5 * 4 + 5 * 3
    assert table.activation_bytes == 4 * table.activations
    assert table.multiply_adds == 5 * (6 * 4 + 4 * 3)
    assert "12 of the parameters are trainable" in str(table)


def test_summary_counts_shared_parameters_once_and_their_work_twice() -> None:
    layer = affine(3, 3)
    table = nn.summary(nn.Sequential(layer, layer), (3,))
    assert table.parameters == sum(row.parameters for row in table.rows) == 12
    assert table.multiply_adds == 18
    assert [row.output for row in nn.summary(nn.Embedding(3, 2), (4,), int).rows] == [(1, 4, 2)]


def test_summary_leaves_the_model_as_it_was() -> None:
    net = nn.Sequential(affine(), affine())
    net[0].eval()
    nn.summary(net, (2,))
    assert [m.training for m in net.modules()] == [True, False, True]
    with pytest.raises(ShapeError):
        nn.summary(net, (3,))
    assert [m.training for m in net.modules()] == [True, False, True]
    assert not any(m._forward_hooks for m in net.modules())
    assert gg.is_grad_enabled()


@pytest.mark.parametrize(
    ("name", "value", "kind", "says"),
    [
        *[
            ("num_batches_tracked", count, ShapeError, "num_batches_tracked is int64 here, and can")
            for count in (3.7, np.nan, 2**64 - 1, 1e300)
        ],
        ("bias", np.zeros(2, complex), DtypeError, "complex"),
    ],
)
def test_a_value_that_cannot_be_converted_is_refused_before_any_change(
    name: str, value: Any, kind: Any, says: str
) -> None:
    norm = nn.BatchNorm1d(2)
    before = repr(norm.state_dict())
    state = {**norm.state_dict(), "weight": np.zeros(2), name: np.asarray(value)}
    with pytest.raises(kind, match=says):
        norm.load_state_dict(state)
    assert repr(norm.state_dict()) == before


def test_entries_that_are_not_copies_may_be_exchanged() -> None:
    pair = nn.Sequential(nn.Affine(2, 2), nn.Affine(2, 2))
    state = pair.state_dict()
    own = pair.state_dict(copy=False)
    own["0.weight"], own["1.weight"] = own["1.weight"], own["0.weight"]
    pair.load_state_dict(own)
    np.testing.assert_array_equal(pair[0].weight.numpy(), state["1.weight"])
    np.testing.assert_array_equal(pair[1].weight.numpy(), state["0.weight"])


@pytest.mark.parametrize("as_tensors", [True, False])
def test_a_functional_call_moves_the_state_that_it_is_given(as_tensors: bool) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(4, 2)).astype(np.float32) for _ in range(3)]
    norm, same = nn.BatchNorm1d(2, momentum=None), nn.BatchNorm1d(2, momentum=None)
    state = norm.state_dict()
    values: dict[str, Any] = {k: gg.Tensor(v) for k, v in state.items()} if as_tensors else state
    for x in batches:
        nn.functional_call(norm, values, x)
        same(x)
    for name, array in same.state_dict().items():
        np.testing.assert_allclose(np.asarray(values[name]), array, rtol=1e-6, err_msg=name)
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.item() == 0
