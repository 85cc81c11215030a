"""Watching a model learn, and checks before it does: planted faults are found, nothing changes."""

import contextlib
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.extra import numpy as hnp

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    IndexingError,
    PictureError,
    ShapeError,
)
from graphgrad.findings.thresholds import short
from graphgrad.nn.diagnosis.measurements import BINS, distribution, norm
from graphgrad.randomness import default_generator
from tests.builders import Refusals, refuses

F = nn.functional
RNG = np.random.default_rng
X = RNG(1).random((60, 8)).astype(np.float32)
LABELS = np.argmax(X[:, :3], axis=1)


def network(activation: type[nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    rng = RNG(seed)
    hidden, scores = nn.Affine(8, 10, rng=rng), nn.Affine(10, 3, rng=rng)
    return nn.Sequential({"hidden": hidden, "between": activation(), "scores": scores})


def learn(
    model: nn.Module,
    watch: nn.Diagnosis | None,
    steps: int = 6,
    optimizer: Any = None,
    x: Any = X,
    loss: Callable[..., Any] = F.cross_entropy,
) -> list[float]:
    optimizer = optimizer or optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        with watch.step() if watch else contextlib.nullcontext():
            losses.append(one_step(model, optimizer, x, loss).item())
    return losses


def watched(model: nn.Module, steps: int = 1, lr: float = 0.1, **options: Any) -> nn.Diagnosis:
    watch = nn.Diagnosis(model, every=1)
    learn(model, watch, steps, optim.SGD(model.parameters(), lr=lr), **options)
    return watch


def one_step(model: Any, optimizer: Any, x: Any = X, loss: Any = F.cross_entropy) -> Any:
    optimizer.zero_grad()
    value = loss(model(x), LABELS)
    value.backward()
    optimizer.step()
    return value


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks or {}) for m in model.modules())


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        elements=st.floats(width=16),
    )
)
@example(np.linspace(0, 1e-323, 41))  # NumPy's own refuses ranges too narrow for its bins
@example(np.linspace(0, 1e-45, 41))
@example(np.linspace(0, 1e300, 41))
def test_every_finite_value_is_in_the_histogram(x: Any) -> None:
    finite = x[np.isfinite(x)].astype(float)
    with np.errstate(all="ignore"):
        d = distribution(x)
        mean, std = (finite.mean(), finite.std()) if finite.size else (math.nan, math.nan)
    assert d.counts.sum() == finite.size
    assert d.broken * x.size == pytest.approx(x.size - finite.size)
    if finite.size:
        assert d.mean == pytest.approx(mean, abs=1e-12, rel=1e-12)
        assert d.std == pytest.approx(std, abs=1e-12, rel=1e-9) or std == math.inf
        assert d.low <= finite.min() <= finite.max() <= d.high
        assert len(d.edges) == BINS + 1 == len(d.counts) + 1
        if finite.min() < finite.max():
            assert d.counts[0] >= (finite == d.low).sum()


def test_large_arrays_are_measured_in_blocks_as_if_whole() -> None:
    x = RNG(0).standard_normal((300, 1001)).astype(np.float32)[:, ::2]  # not contiguous
    d = distribution(x)
    assert d.mean == pytest.approx(x.mean(dtype=float), rel=1e-9)
    assert d.std == pytest.approx(x.std(dtype=float), rel=1e-9)
    assert d.counts.sum() == x.size
    assert norm(x) == pytest.approx(np.linalg.norm(x.astype(float)))
    expected, _ = np.histogram(x.astype(float), BINS, (d.low, d.high))
    assert np.abs(d.counts - expected).sum() <= 4  # a value on a limit may fall on either side


@pytest.mark.parametrize("momentum", [0.0, 0.9, None])
def test_the_ratio_is_how_far_a_weight_moved(momentum: float | None) -> None:
    """As the documents compute it by hand, whatever the optimizer made of the gradient."""
    model = network()
    params = list(model.parameters())
    optimizer: Any = optim.Adam(params)
    if momentum is not None:
        optimizer = optim.SGD(params, lr=0.1, momentum=momentum)
    watch = nn.Diagnosis(model, every=2)
    learn(model, watch, 2, optimizer)
    before = model.state_dict()
    learn(model, watch, 1, optimizer)
    record = watch.records[-1]
    assert record.step == 2
    assert record.parameters.keys() == before.keys()
    for name, p in model.named_parameters():
        measured, old = record.parameters[name], before[name]
        moved = np.linalg.norm(p.numpy() - old) / np.linalg.norm(old)
        assert measured.ratio == pytest.approx(moved, rel=1e-4)
        assert measured.gradient == pytest.approx(norm(p.grad))
        assert measured.matrix == (p.ndim == 2)


def test_a_parameter_that_was_zero_has_no_ratio() -> None:
    model = network()
    model["scores"].bias = nn.Parameter(np.zeros(3, np.float32))
    watch = watched(model)
    assert math.isnan(watch.records[0].parameters["scores.bias"].ratio)


def test_activations_and_gradients_of_a_layer_are_those_of_the_graph() -> None:
    model = network(nn.Tanh)
    watch = nn.Diagnosis(model, every=1)
    hidden: Any = model["hidden"](X)
    hidden.retain_grad()
    out = gg.tanh(hidden)
    F.cross_entropy(model["scores"](out), LABELS).backward()
    model.zero_grad()
    learn(model, watch, 1)
    layers = watch.records[0].layers
    assert list(layers) == ["hidden", "between", "scores"]
    assert [m.kind for m in layers.values()] == ["Linear", "Tanh", "Linear"]
    measured = layers["hidden"]
    assert measured.activations.mean == pytest.approx(hidden.numpy().mean(), rel=1e-5)
    assert measured.activations.std == pytest.approx(hidden.numpy().std(), rel=1e-5)
    assert measured.activations.counts.sum() == hidden.size
    assert measured.gradients is not None
    assert measured.gradients.std == pytest.approx(hidden.grad.std(), rel=1e-4)
    assert measured.gradients.counts.sum() == hidden.size


class Written(nn.Module):
    def __init__(self) -> None:
        rng = RNG(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, rng=rng)
        self.again = nn.Affine(16, 16, rng=rng)
        self.scores = nn.Affine(16, 3, rng=rng)

    def forward(self, x: Any) -> Any:
        x = self.conv(x.reshape(-1, 1, 2, 2)).reshape(-1, 16).relu()
        x = self.again(x).relu()
        return self.scores(self.again(x).relu())


def test_dead_units_are_found_behind_a_function_too() -> None:
    """A channel of a convolution is one unit; a layer that runs twice is listed twice."""
    model = Written()
    model.conv.bias.data[1] = -100.0  # type: ignore[union-attr]
    model.again.bias.data[:5] = -100.0  # type: ignore[union-attr]
    watch = watched(model, 2, x=X[:, :4])
    layers = watch.records[-1].layers
    assert list(layers) == ["conv", "again", "again (2)", "scores"]
    assert layers["conv"].dead.tolist() == [False, True, False, False]
    assert layers["again"].dead[:5].all()
    assert layers["again"].dead.shape == (16,)
    assert layers["scores"].dead is None  # what the model returns is no ReLU's input
    assert any(text.startswith("conv: 25% of the units are dead") for text in watch.findings())


def test_dead_units_of_relu_layers_are_counted_once() -> None:
    model = network()
    model["hidden"].bias.data[:4] = -100.0
    watch = watched(model, 3)
    layers = watch.records[-1].layers
    assert layers["between"].dead[:4].all()
    assert layers["hidden"].dead is None
    assert sum("dead" in text for text in watch.findings()) == 1
    assert "between: 40% of the units are dead: lower the learning rate" in watch.findings()[0]
    numbered = watched(nn.Sequential(*model), 2)  # "1: 40% of the units" says nothing to a reader
    assert any(text.startswith("layer 1: 40% of the units") for text in numbered.findings())


def test_a_unit_is_dead_only_if_it_rests_in_every_step_of_the_window() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=1, window=2)
    bias = model["hidden"].bias
    optimizer = optim.SGD(model.parameters(), lr=1e-6)
    for down in ([0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [3, 4, 8, 9]):
        bias.data[:] = 0.5
        bias.data[down] = -100.0
        learn(model, watch, 1, optimizer)
    assert [len(r.layers["between"].dead.nonzero()[0]) for r in watch.records] == [5, 5, 4]
    assert any("20% of the units are dead" in text for text in watch.findings())


@pytest.mark.parametrize(("kind", "share"), [(nn.Tanh, 0.3), (nn.Sigmoid, 0.3), (nn.ReLU, None)])
def test_saturated_values_are_found(kind: type[nn.Module], share: float | None) -> None:
    """Slopes below 5 % of the largest: |tanh| above √0.95, and σ where 2σ − 1 is there."""
    model = network(kind)
    model["hidden"].weight.data *= 0.01
    model["hidden"].bias.data[:] = [0, 1.0, -1, 2, -0.5, 0.5, 0, 30, -30, 12]
    watch = watched(model)
    measured = watch.records[0].layers["between"].saturated
    assert measured == (share if share is None else pytest.approx(share))
    assert not any("saturated" in text for text in watch.findings())
    model["hidden"].bias.data[:6] = -30
    learn(model, watch, 3)
    assert any("between: 90% of the values" in t for t in watch.findings()) == (share is not None)


def test_gradients_that_vanish_are_named_from_layer_to_layer() -> None:
    layers = [(nn.Affine(8, 8, rng=RNG(seed)), nn.Sigmoid()) for seed in range(6)]
    deep = nn.Sequential(*itertools.chain(*layers), nn.Affine(8, 3, rng=RNG(9)))
    watch = watched(deep, 3)
    newest = watch.records[-1].layers
    assert newest["0"].gradients is not None
    assert newest["12"].gradients is not None
    assert newest["0"].gradients.std < 1e-3 * newest["12"].gradients.std
    assert any(text.startswith("gradients vanish: at layer 0 ") for text in watch.findings())


def test_updates_of_another_size_than_usual_are_named() -> None:
    for lr, word in ((10.0, "lower"), (1e-6, "raise")):
        watch = watched(network(), lr=lr)
        ratio = watch.records[0].parameters["hidden.weight"].ratio
        text = next(t for t in watch.findings() if t.startswith("hidden.weight: "))
        assert f"updates are {short(ratio)} of the weights, about 0.001 is usual" in text
        assert f"{word} the learning rate" in text
    watch = watched(network(), 5, lr=0.02)
    assert watch.findings() == []
    assert str(watch).endswith("nothing unusual")


def test_what_does_not_learn_is_named() -> None:
    model = network()
    head = optim.SGD(model["scores"].parameters(), lr=0.1)
    watch = nn.Diagnosis(model, every=1)
    learn(model, watch, 1, head)
    never = "hidden.weight: never changes: give it to the optimizer, or freeze it"
    assert never in watch.findings()
    model["hidden"].freeze()  # on purpose: nothing to complain about
    watch = nn.Diagnosis(model, every=1)
    learn(model, watch, 1, head)
    assert watch.findings() == []
    assert "hidden.weight" not in watch.records[0].parameters
    watch = nn.Diagnosis(model, every=1)
    block = watch.step()
    for _ in range(2):  # used again, it starts anew
        with block:
            F.cross_entropy(model(X), LABELS).backward()
    assert watch.findings() == ["no weight changed: is optimizer.step() inside the block?"]
    assert [list(r.layers) for r in watch.records] == [["hidden", "between", "scores"]] * 2
    texts = watched(Cut(), lr=0.01).findings()
    assert [t.split(": gets no gradient")[0] for t in texts] == ["first.weight", "first.bias"]


class Cut(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Affine(8, 8, rng=RNG(0))
        self.second = nn.Affine(8, 3, rng=RNG(1))

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x).detach())


def test_what_is_so_in_many_places_is_said_once_of_the_worst() -> None:
    deep = nn.Sequential(*[nn.Affine(8, 8, rng=RNG(i)) for i in range(5)])
    deep[3].weight.data *= 1e-3  # so that its update is the largest in proportion
    watch = nn.Diagnosis(deep, every=1)
    learn(deep, watch, 1, optim.SGD(deep.parameters(), lr=1e3))
    (text,) = [t for t in watch.findings() if "updates" in t]
    assert text.startswith("3.weight (and 4 more): updates are ")


def test_nan_is_named() -> None:
    model = network()
    x = X.copy()
    x[0] = np.nan
    watch = watched(model, x=x)
    assert watch.findings()[0].startswith(
        "hidden (and 4 more): up to 2% of the activations are NaN or infinite: look at the inputs"
    )
    assert "nan" in str(watch)


def test_prints_a_table_with_a_line_per_layer() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=2)
    assert str(watch) == "Sequential: nothing recorded yet"
    assert watch.findings() == []
    learn(model, watch, 5)
    lines = str(watch).splitlines()
    assert lines[0] == "Sequential, step 4 (3 steps recorded)"
    assert lines[1].split() == [
        *("layer", "mean", "std", "at", "rest", "gradient", "std", "update/weight")
    ]
    assert [line.split()[0] for line in lines[3:6]] == ["hidden:", "between:", "scores:"]
    newest = watch.records[-1]
    assert lines[3].endswith(f"{newest.parameters['hidden.weight'].ratio:.1e}")
    assert f"{newest.layers['between'].activations.std:.3g}" in lines[4]
    assert "% dead" in lines[4]
    assert repr(watch) == "Diagnosis(Sequential, every=2)"


def convnet() -> nn.Sequential:
    rng = RNG(3)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, rng=rng),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3, rng=rng),
        nn.Affine(6, 3, rng=rng),
    )


@pytest.mark.parametrize("make", [network, convnet, Written])
def test_training_is_the_same_bit_for_bit(make: Callable[[], nn.Module]) -> None:
    x: Any = {network: X, convnet: X.reshape(-1, 1, 2, 4), Written: X[:, :4]}[make]
    runs = []
    for every in (None, 1, 2):
        model = make()
        watch = nn.Diagnosis(model, every) if every else None
        losses = learn(model, watch, 5, optim.Adam(model.parameters()), x)
        grads = [p.grad for p in model.parameters()]
        runs.append((losses, list(model.state_dict().values()), grads))
        assert watch is None or len(watch.records) == {1: 5, 2: 3}[every or 0]
        assert hooks(model) == 0
    for losses, state, grads in runs[1:]:
        assert losses == runs[0][0]
        for ours, theirs in zip(state + grads, runs[0][1] + runs[0][2], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_trainer_watches_each_of_its_steps() -> None:
    histories = []
    for every in (None, 4):
        model = network()
        watch = nn.Diagnosis(model, every) if every else None
        batches = gg.data.Batches(gg.data.Dataset(X, LABELS), 10, rng=RNG(0))
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        trainer = nn.Trainer(model, optimizer, batches, diagnosis=watch)
        histories.append(trainer.fit(2).losses)
    assert histories[0] == histories[1]
    assert watch is not None
    assert [r.step for r in watch.records] == [0, 4, 8]


def test_an_exception_leaves_no_hook_and_no_record() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=1)
    kept: list[Any] = []

    def interrupted() -> None:
        with watch.step():
            kept.append(model(X))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert hooks(model) == 0
    assert not kept[0]._node.hooks
    assert not watch.records
    learn(model, watch, 1)
    assert [r.step for r in watch.records] == [1]


def test_what_is_watched_is_neither_kept_alive_nor_hooked_afterwards() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=1)
    with watch.step():
        loss = F.cross_entropy(model(X), LABELS)
        loss.backward(retain_graph=True)
    record = watch.records[0]
    loss.backward()  # after the block: of no concern
    model(X)
    assert watch.records[0] is record
    assert len(watch.records) == 1
    arrays = [m.dead for m in record.layers.values() if m.dead is not None]
    assert all(a.size <= 10 for a in arrays)  # a flag for each unit, no activations


def test_only_the_first_forward_pass_of_a_step_counts() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=1)
    with watch.step():
        loss = F.cross_entropy(model(X), LABELS)
        with gg.no_grad():
            model(100 * X)
        loss.backward()
    layers = watch.records[0].layers
    assert list(layers) == ["hidden", "between", "scores"]
    assert layers["hidden"].activations.std < 2
    assert layers["hidden"].gradients is not None


def test_only_every_so_many_step_is_watched_and_the_newest_are_kept() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=3, last=2)
    learn(model, watch, 10)
    assert [r.step for r in watch.records] == [6, 9]
    with watch.step(300):  # the number of one's own, as after a break
        one_step(model, optim.SGD(model.parameters(), lr=0.1))
    assert [r.step for r in watch.records] == [9, 300]
    assert watch.step(301) is watch.step(302)  # nothing happens there


def test_layers_by_name_come_with_their_parameters_only() -> None:
    model = nn.Sequential({"a": network(), "b": nn.Affine(3, 3, rng=RNG(0))})
    watch = nn.Diagnosis(model, every=1, layers=["a", "a.hidden"])
    learn(model, watch, 1)
    record = watch.records[0]
    assert list(record.layers) == ["a.hidden", "a"]
    assert all(name.startswith("a.") for name in record.parameters)
    assert len(record.parameters) == 4
    assert "a.scores.weight" in str(watch)  # its layer is not watched itself


def test_a_model_that_is_one_layer_and_one_with_several_outputs() -> None:
    watch = watched(nn.Affine(8, 3, rng=RNG(0)))
    assert list(watch.records[0].layers) == ["Linear"]
    assert watch.records[0].parameters.keys() == {"weight", "bias"}

    rnn = nn.RNN(2, 5, rng=RNG(0))
    watch = nn.Diagnosis(rnn, every=1)
    with watch.step():
        out, _ = rnn(RNG(0).random((4, 3, 2)).astype(np.float32))
        out.sum().backward()
    assert watch.records[0].layers["RNN"].activations.counts.sum() == 4 * 3 * 5


def test_blocks_do_not_overlap() -> None:
    model = network()
    watch = nn.Diagnosis(model, every=1)
    with watch.step(), pytest.raises(GraphError, match="inside the block"), watch.step():
        pass
    assert hooks(model) == 0


def test_draws_a_picture_or_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("graphgrad.nn.diagnosis.drawing.LAYERS", 3)
    watch = nn.Diagnosis(network(nn.Tanh), every=2)
    with pytest.raises(GraphError, match="nothing is recorded"):
        watch.plot(tmp_path / "none.png")
    learn(watch.model, watch, 4)
    path = watch.plot(tmp_path / "layers.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    text = watch.plot(tmp_path / "layers.svg", title="sound").read_text("utf-8")
    assert "<!-- sound; filled: step 2, outlined: step 0 -->" in text
    assert text.count("<!-- between: Tanh -->") == 2, "beside its histograms, and in the legend"
    with pytest.raises(PictureError, match="no folder"):
        watch.plot(tmp_path / "missing" / "layers.png")
    many = nn.Sequential(*[nn.Affine(8, 8, rng=RNG(i)) for i in range(5)])
    watch = nn.Diagnosis(many, every=1)
    with watch.step():  # no gradient, and values that are not finite
        many(np.full((2, 8), np.nan, np.float32))
    watch.plot(tmp_path / "many.svg")
    assert "2 more layers are not drawn" in (tmp_path / "many.svg").read_text("utf-8")


def test_small_numbers_in_the_picture_have_a_minus_not_a_hyphen(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = nn.Sequential(nn.Affine(8, 8, rng=RNG(0)))
    model[0].weight.data *= 1e-6
    model[0].bias.data[:] = 0
    watch = nn.Diagnosis(model, every=1)
    with watch.step():
        model(X)
    text = watch.plot(tmp_path / "small.svg").read_text("utf-8")
    assert re.search(r"<!-- std \d(\.\d)?e−\d\d -->", text)
    assert not re.search(r"<!-- std [^>]*e-", text)


def test_a_sound_model_passes_and_the_numbers_are_those_of_the_theory() -> None:
    """Row 27: ln 3 for softmax, 3 − 1 for the hinge, 20 samples learnt by heart."""
    report = nn.sanity_checks(network(), (X, LABELS), penalty=optim.l2_penalty)
    assert report.passed
    names = ["initial loss", "penalty", "overfitting", "all layers learn"]
    assert [check.name for check in report.checks] == names
    assert "in theory ln 3 = 1.099" in report["initial loss"].detail
    assert "on 20 samples" in report["overfitting"].detail
    assert str(report).count("✓") == 4
    hinge = nn.sanity_checks(network(), (X, LABELS), F.hinge_loss)
    assert hinge.passed
    assert "in theory 3 − 1 = 2" in hinge["initial loss"].detail
    assert hinge["penalty"].passed is None
    assert "– penalty: none given" in str(hinge)


def test_the_initial_losses_of_ten_classes() -> None:
    """2.302 and 9, as the documents have it."""
    ten = nn.Affine(8, 10, rng=RNG(0))
    ten.weight.data *= 0.1
    assert ten.bias is not None
    ten.bias.data *= 0.1
    losses: list[tuple[Any, float]] = [(F.cross_entropy, math.log(10)), (F.hinge_loss, 9)]
    losses += [(nn.HingeLoss(2.0, squared=True), 36), (nn.MultiMarginLoss(2), 0.9)]
    for loss, expected in losses:
        report = nn.sanity_checks(ten, (X, LABELS), loss, steps=1, tolerance=0.1)
        assert report["initial loss"].passed, report
        assert report["initial loss"].detail.endswith(f"{expected:.4g}")


def test_a_loss_without_theory_wants_the_number() -> None:
    data = X, X[:, :3]
    report = nn.sanity_checks(network(), data, F.mse_loss, steps=1)
    assert report["initial loss"].passed is None
    assert "give expected=" in report["initial loss"].detail
    report = nn.sanity_checks(network(), data, F.mse_loss, steps=1, expected=99.0)
    assert report["initial loss"].passed is False


def shuffled() -> Callable[..., Any]:
    rng = RNG(0)
    return lambda scores, labels: F.cross_entropy(scores, rng.permutation(labels))


def large() -> nn.Module:
    model = network()
    model["scores"].weight.data *= 100
    return model


@pytest.mark.parametrize(
    ("make", "options", "failing"),
    [
        (large, {}, ["initial loss"]),
        (network, {"loss": shuffled(), "expected": math.log(3), "steps": 100}, ["overfitting"]),
        (network, {"loss": lambda y, t: F.cross_entropy(F.softmax(y), t)}, ["overfitting"]),
        (lambda: network().freeze(), {}, ["overfitting"]),
        (Cut, {"steps": 100, "lr": 0.03, "goal": 0.9}, ["all layers learn"]),
        (network, {"penalty": lambda w, s: -optim.l2_penalty(w, s)}, ["penalty"]),
        (network, {"loss": lambda y, t: F.cross_entropy(y, t) * np.nan}, ["overfitting"]),
    ],
)
def test_a_sabotaged_model_fails_the_check_that_is_for_it(
    make: Callable[[], nn.Module], options: dict[str, Any], failing: list[str]
) -> None:
    report = nn.sanity_checks(make(), (X, LABELS), **options)
    assert [check.name for check in report.checks if check.passed is False] == failing
    assert not report.passed
    assert str(report).count("✗") == 1


def test_sanity_checks_change_nothing() -> None:
    model = nn.Sequential(
        nn.Affine(8, 16, rng=RNG(0)),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.9),  # draws from the package's generator
        nn.Dropout(0.9, rng=RNG(5)),
        nn.Affine(16, 3, rng=RNG(1)),
    )
    learn(model, None, 1)
    model[1].eval()
    modes = [m.training for m in model.modules()]
    state, grads = model.state_dict(), [p.grad.copy() for p in model.parameters()]
    gg.manual_seed(0)
    first = RNG(0).random()
    chance = model[4].rng.bit_generator.state
    report = nn.sanity_checks(model, (X, LABELS), tolerance=1.0)
    assert report["overfitting"].passed, report  # nothing is dropped in it
    assert [m.training for m in model.modules()] == modes
    np.testing.assert_equal(model.state_dict(), state)
    for p, grad in zip(model.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    assert model[4].rng.bit_generator.state == chance
    assert default_generator().random() == first


def test_dropout_inside_recurrent_layers_is_off_too() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            self.rnn = nn.GRU(2, 12, 2, dropout=0.9, batch_first=True, rng=RNG(0))
            self.scores = nn.Affine(12, 3, rng=RNG(1))

        def forward(self, x: Any) -> Any:
            return self.scores(self.rnn(x.reshape(-1, 4, 2))[0][:, -1])

    model = Reader()
    assert nn.sanity_checks(model, (X, LABELS), lr=1e-2)["overfitting"].passed
    assert model.rnn.dropout == 0.9


DATA = X, LABELS
NO_MODULE: Any = F.relu
REFUSED: Refusals = {
    DtypeError: {},
    ArgumentError: {},
    IndexingError: {
        "no layer hiden; there are hidden, between, scores": lambda: nn.Diagnosis(
            network(), layers=["hidden", "hiden"]
        ),
    },
    ShapeError: {
        "one label per image": lambda: nn.sanity_checks(network(), (X, LABELS[:-1])),
        "must be one number": lambda: nn.sanity_checks(
            network(), DATA, nn.CrossEntropyLoss(reduction="none")
        ),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
