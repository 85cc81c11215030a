"""Planted faults in a history are found with their epochs, healthy noise is not."""

import itertools
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import data, nn, optim
from graphgrad.findings.history import MAX_EPOCHS, Finding, findings
from graphgrad.findings.thresholds import SATURATED, STUCK, UPDATES, Band, short
from graphgrad.findings.update_ratios import ratios, updates_outside_band
from graphgrad.nn import init
from graphgrad.nn.diagnosis.measurements import LayerMeasure, ParameterMeasure, Record, distribution
from graphgrad.viz.page.layers import limits_text, watched_data

RNG = np.random.default_rng
SEEDS = range(12)
SOME = distribution(np.arange(3.0))


def said(history: dict[str, Any], losses: Any = ()) -> list[str]:
    return list(map(str, findings(history, losses)))


def only(history: dict[str, Any], losses: Any = ()) -> Finding:
    (found,) = findings(history, losses)
    return found


def noisy(values: Any, seed: int, share: float = 0.03) -> Any:
    values = np.asarray(values, float)
    return values + share * np.ptp(values) * RNG(seed).normal(size=values.size)


FALLS = {
    "exponential": lambda t: np.exp(-6 * t),
    "slow at the end": lambda t: (1 + 20 * t) ** -1.0,
    "straight": lambda t: 1 - 0.9 * t,
    "fast": lambda t: np.exp(-60 * t),
    "flat at the end": lambda t: np.maximum(1 - 5 * t, 0.1),  # whether more could come is not known
}


@pytest.mark.parametrize("fall", FALLS)
@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 8, 20, 60, 300, 1000])
def test_a_healthy_noisy_descent_is_nothing_unusual(fall: str, epochs: int) -> None:
    """Of any length and height, with validation a little worse, and batches that stray."""
    for seed in SEEDS:
        rng = RNG(seed)
        start, floor = rng.choice([0.7, 2.3, 100.0]), rng.choice([0.01, 0.1, 0.5])
        share = FALLS[fall](np.arange(epochs) / epochs)
        mean = start * (floor + (1 - floor) * share)
        right = 1 - 0.9 * share
        columns = {
            "loss": np.maximum(noisy(mean, seed), 0.3 * floor * start),
            "validation_loss": noisy(1.1 * mean, seed + 100),
            "accuracy": right,
            "validation_accuracy": right - 0.03 + 0.02 * rng.normal(size=epochs),
        }
        batches = np.repeat(mean, 10) * (1 + 0.1 * rng.normal(size=10 * epochs))
        batches[0] = start
        assert said(columns, batches) == []
        assert said(columns) == []
    assert repr(findings({"loss": [2.0, 1.0, 0.5]})) == "nothing unusual"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("epochs", [20, 100])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_a_network_that_guesses_at_first(seed: int, epochs: int, classes: int) -> None:
    level, stop = math.log(classes), 13 * epochs // 20
    loss = np.full(epochs, level) + 0.003 * level * RNG(seed).normal(size=epochs)
    loss[stop:] = level * np.linspace(0.9, 0.1, epochs - stop)
    right = np.full(epochs, 1 / classes)
    right[stop:] = np.linspace(0.8, 0.95, epochs - stop)
    found = only({"loss": loss, "accuracy": right}, [level])
    assert found.epochs == (1, stop)
    assert f"where it began, in epochs 1 to {stop}: that is " in found.text
    assert f"ln {classes}, and" in found.text
    assert "the network guesses; it fell to" in found.text
    assert "nn.sanity_checks" in found.remedy


def test_guessing_needs_an_accuracy_that_confirms_it() -> None:
    loss = [math.log(10)] * 13 + [1.5, 1, 0.8, 0.6, 0.5, 0.4, 0.3]
    for columns in ({"loss": loss}, {"loss": loss, "accuracy": [0.6] * 20}):
        found = only(columns)
        assert found.epochs == (1, 13)
        assert "ln 10" not in found.text
        assert "stood at 2.303, where it began, in epochs 1 to 13" in found.text


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("start", [0.05, 2.79, 1e6])
def test_a_loss_that_stays_where_it_began(seed: int, start: float) -> None:
    loss = start * (1 - 0.0005 * np.arange(20) + 0.002 * RNG(seed).normal(size=20))
    found = only({"loss": loss}, loss[:1])
    assert found.epochs == (1, 20)
    assert "stayed at its start" in found.text
    assert found.remedy.startswith("raise the learning rate")


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("epochs", [4, 15, 100])
@pytest.mark.parametrize("fall", [1e-5, 0.003, 0.02, 0.03, 0.08])
def test_a_far_too_low_rate(fall: float, epochs: int, classes: int) -> None:
    """Evenly the loss falls, from its start and by little, be the network guessing or not."""
    loss: Any = math.log(classes) * np.linspace(1.001, 1.001 - fall, epochs)
    several: list[Any] = [{"loss": loss}, {"loss": loss, "accuracy": [1.02 / classes] * epochs}]
    for columns in several:
        found = findings(columns, loss[:1])
        assert len(found) == (fall < STUCK) or fall > 0.02
        assert all(f.remedy.startswith("raise the learning rate") for f in found)
    still = math.log(classes) * (1 + 0.002 * (-1.0) ** np.arange(epochs))
    dead = only({"loss": still, "accuracy": [1 / classes] * epochs}, still[:1])
    assert dead.remedy.startswith("try other learning rates")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_an_end_that_is_no_better_than_guessing(seed: int, classes: int) -> None:
    """After a burst the loss of far too high a rate comes down, to above that of guessing."""
    loss = math.log(classes) * (1.05 + 0.01 * RNG(seed).normal(size=15))
    loss[0] *= 8
    columns = {"loss": loss, "accuracy": np.full(15, 0.98 / classes)}
    found = only(columns, [math.log(classes), *loss])
    assert "no better than guessing" in found.text
    assert found.epochs == (2, 15)
    assert found.remedy.startswith("lower the learning rate")
    assert said(columns | {"accuracy": np.full(15, 1.6 / classes)}, [loss[1], *loss]) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("epochs", [20, 100, 1000])
def test_a_plateau_on_the_way(seed: int, epochs: int) -> None:
    first, flat = epochs // 5, 3 * epochs // 5
    falls = np.linspace(2, 1, first, endpoint=False), np.linspace(0.9, 0.1, epochs - flat)
    loss = np.concatenate([falls[0], np.full(flat - first, 1.0), falls[1]])
    found = only({"loss": noisy(loss, seed, 0.003)})
    assert "on a plateau" in found.text
    assert found.epochs == pytest.approx((first + 1, flat), abs=1 + 0.04 * epochs)
    assert found.epochs is not None
    assert f"to {found.epochs[1]:,}, and fell to about 0." in found.text


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("loss", "losses", "word"),
    [
        (np.linspace(2.3, 9, 20), [2.3], "diverges"),
        ([1.0, 1.1, 1.2], [], "diverges"),
        ([150.0, *[42.0] * 19], [2.9, 1497, *[42.0] * 20], "diverges"),
        ([*np.linspace(2, 0.5, 10), *np.linspace(0.6, 1.9, 10)], [], "rises from about 0."),
    ],
)
def test_a_loss_that_rises(loss: Any, losses: Any, word: str, seed: int) -> None:
    found = findings({"loss": noisy(loss, seed, 0.01)}, losses)
    (rising,) = [f for f in found if word in f.text]
    assert "lower the learning rate" in rising.remedy
    assert rising.epochs is not None
    assert rising.epochs[1] == len(loss)
    assert len(found) == 1 + (len(losses) > 1), "and the batch that rose"


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(broken: float) -> None:
    found = said({"loss": [2, 1, broken], "x" * 1000: [1, 1, broken]}, [2, 1, broken, broken])
    assert [text.split(": ")[1] for text in found] == [
        "2 of 4 are NaN or infinite",
        "1 of 3 are NaN or infinite",
        "1 of 3 are NaN or infinite",
    ]
    assert max(map(len, found)) < 200
    assert repr(findings({"loss": [2, 1, broken]})).startswith("loss: 1 of 3 are NaN")
    assert said({"loss": [broken] * 3})[0].startswith("loss: 3 of 3 are NaN")


def test_a_batch_many_times_above_the_others() -> None:
    losses = np.linspace(2, 0.1, 100)
    losses[41] = 500
    (text,) = said({}, losses)
    assert text.startswith("the loss rose to 500 in batch 42, from 2 in the first one: lower the")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_loss_that_jumps_up_and_down(seed: int) -> None:
    jumps = (-1.0) ** np.arange(20)
    found = only({"loss": noisy(np.linspace(2, 1, 20) + 0.3 * jumps, seed, 0.02)})
    assert found.text.startswith("the loss jumps up and down by about 0.")
    assert found.epochs == (11, 20)
    little = np.linspace(2, 0.5, 20) + 0.07 * jumps
    assert said({"loss": noisy(little, seed, 0.001)}) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_overfitting(seed: int) -> None:
    t = np.arange(40)
    ours, theirs = np.exp(-t / 10), np.exp(-t / 5) + 0.01 * t + 0.3
    columns = {"loss": noisy(ours, seed, 0.01), "validation_loss": noisy(theirs, seed, 0.01)}
    found = only(columns)
    lowest = int(theirs.argmin()) + 1
    assert found.text.startswith("overfitting: the validation loss rises from about 0.")
    assert found.epochs is not None
    assert found.epochs[0] == pytest.approx(lowest + 1, abs=5)
    assert found.epochs[1] == 40
    gap = {"accuracy": 1 - 0.9 * ours, "validation_accuracy": 0.8 * (1 - 0.9 * ours)}
    both = only(columns | gap)
    assert both.text.startswith(f"{found.text}; the accuracy ends at about 97.8% in training, 78.")
    assert only(gap).text.startswith(
        "overfitting: the accuracy ends at about 97.8% in training, 78."
    )


def test_validation_that_rises_with_the_training_is_no_overfitting() -> None:
    rising = [1.0, 0.5, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1]
    found = said({"loss": rising, "validation_loss": rising})
    assert len(found) == 1
    assert "overfitting" not in found[0]


def test_short_or_odd_columns() -> None:
    for row in ([], [0.0], [0.0] * 30, [-3.0, -4.0, -5.0], [1.0, 1.0], [1e308, -1e308] * 300):
        for name in ("loss", "validation_loss", "accuracy"):
            findings({name: row, "loss": row, "accuracy": row}, row)
    assert said({"loss": [0.0] * 30}) == []


def test_long_columns_are_analysed_by_bins() -> None:
    level = np.full(10 * MAX_EPOCHS, 2.3026)
    level[5 * MAX_EPOCHS :] = np.linspace(2, 0.1, 5 * MAX_EPOCHS)
    found = only({"loss": level, "accuracy": np.where(level > 2, 0.1, 0.9)})
    assert found.epochs == pytest.approx((1, 5 * MAX_EPOCHS), abs=25)
    assert "in epochs 1 to 2,0" in found.text


def network(activation: type[nn.Module] = nn.ReLU, hidden: int = 3, **start: Any) -> nn.Sequential:
    rng = RNG(0)
    layers: list[nn.Module] = []
    for inputs, units in itertools.pairwise([64, *[100] * hidden]):
        layers += [nn.Affine(inputs, units, rng=rng), activation()]
    model = nn.Sequential(*layers, nn.Affine(100, 10, rng=rng))
    draw = partial(init.normal, **start) if start else init.he_normal
    init.initialize(model, draw, rng=rng)
    return model


def trained(
    model: nn.Module, few: int = 0, epochs: int = 20, by: Any = optim.SGD, **options: Any
) -> Any:
    digits, held = data.split(data.load_digits()[0], 0.2, rng=RNG(0))
    digits = digits.take(np.arange(few)) if few else digits
    watch = nn.Diagnosis(model, every=10)
    batches = data.Batches(digits, 50, rng=RNG(0), prefetch=0)
    optimizer = by(model.parameters(), **options)
    trainer = nn.Trainer(model, optimizer, batches, validation=held, diagnosis=watch)
    with np.errstate(all="ignore"):
        return trainer.fit(epochs), watch


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (network, {"lr": 0.05, "momentum": 0.9}, []),
        (network, {"lr": 0.1, "epochs": 40}, []),
        (network, {"lr": 1e-6, "epochs": 8}, ["stayed at its start in epochs 1 to 8"]),
        (
            partial(network, hidden=1),
            {"lr": 100.0, "epochs": 8},
            ["the loss rose to", "the training diverges"],
        ),
        (partial(network, hidden=1), {"lr": 3.0, "epochs": 10}, ["that is ln 10, and"]),
        (network, {"lr": 1.0, "epochs": 14}, ["the network guesses"]),
        (
            partial(network, hidden=2),
            {"lr": 1.0, "epochs": 10, "by": optim.Adam},
            ["the loss rose to", "no better than guessing"],
        ),
        (partial(network, hidden=1), {"lr": 1e-4, "epochs": 8}, ["raise the learning rate"]),
        (network, {"few": 60, "lr": 0.03, "momentum": 0.9, "epochs": 60}, ["overfitting: "]),
        (
            partial(network, nn.Tanh, std=0.01),
            {"lr": 0.1, "momentum": 0.9},
            ["where it began, in epochs 1 to 13: that is ln 10, and"],
        ),
    ],
)
def test_real_trainings(make: Any, options: Any, words: list[str], tmp_path: Path) -> None:
    history, watch = trained(make(), **options)
    found = history.findings()
    assert len(found) == len(words), found
    for finding, word in zip(found, words, strict=True):
        assert word in str(finding)
    if options["lr"] == 1.0 and "by" not in options:
        assert any("of the units are dead" in text for text in watch.findings())
    page = gg.viz.training_page(history, tmp_path / "a.html", diagnosis=watch).read_text("utf-8")
    assert ("<p>Nothing unusual" in page) == (not found and not watch.findings())


def records_of(rows: dict[str, list[float]]) -> list[Record]:
    return [
        Record(
            7 * step,
            {name: LayerMeasure("Linear", weighted=True, activations=SOME, gradients=SOME,
                                saturated=None, dead=None) for name in rows},
            {f"{name}.weight": ParameterMeasure(True, 1.0, row[step], 1.0)
             for name, row in rows.items()},
        )
        for step in range(len(next(iter(rows.values()))))
    ]  # fmt: skip


@given(
    st.integers(1, 14).flatmap(
        lambda steps: st.lists(
            st.lists(st.floats(-6, 1).map(lambda power: 10**power), min_size=steps, max_size=steps),
            min_size=1,
            max_size=3,
        )
    )
)
def test_sentences_cover_exactly_the_values_outside_the_band(rows: Any) -> None:
    """A weight is named if and only if the page draws a value of it beyond the grey band."""
    named = {f"layer{i}": row for i, row in enumerate(rows)}
    records = records_of(named)
    watch = nn.Diagnosis(nn.Affine(1, 1, rng=RNG(0)))
    watch.records.extend(records)
    chart = watched_data(records, watch.resting_shares())["charts"][0]
    low, high = chart["band"]
    told = updates_outside_band(records)
    for series in chart["series"]:
        for word, outside in (
            ("above", [v for v in series["y"] if v > high]),
            ("below", [v for v in series["y"] if v < low]),
        ):
            texts = [t for t in told if series["name"] in t and f" {word} " in t]
            assert len(texts) == bool(outside)
            assert not outside or texts[0] in str(watch)
        middle = float(np.median(series["y"][-watch.window :]))
        findings_of = [t for t in watch.findings() if t.startswith(series["name"])]
        assert len(findings_of) == (not low <= middle <= high)
    inside = not told
    assert str(watch).endswith("nothing unusual") == inside


def test_a_sentence_names_three_weights_at_most() -> None:
    records = records_of({f"layer{i}": [1e-3, 1.0] for i in range(9)})
    (told,) = updates_outside_band(records)
    assert told.startswith("updates of layer0.weight, layer1.weight, layer2.weight and 6 more were")
    assert told.endswith("above 0.03 of the weights in step 7 (1 of 2 watched): 1 at the most")


def test_pictures_draw_the_band_of_the_sentences() -> None:
    pytest.importorskip("matplotlib")
    from graphgrad.nn.diagnosis.drawing import _ratios
    from graphgrad.viz import plots

    records = records_of({"a": [1e-3, 1e-2]})
    axes: Any = plots.figure(4, 3).subplots()
    _ratios(axes, records)
    (patch,) = axes.patches
    assert patch.get_bbox().intervaly.tolist() == pytest.approx([UPDATES.low, UPDATES.high])
    chart = watched_data(records, [{}, {}])["charts"][0]
    assert chart["band"] == pytest.approx([UPDATES.low, UPDATES.high], rel=1e-5)
    assert str(UPDATES) in chart["about"]
    assert f"{SATURATED:.0%}" in limits_text()


def test_a_band_has_two_sides() -> None:
    band = Band(0.1, 10)
    values = [0.01, 0.1, 1, 10, 11, math.nan, None, 0, math.inf]
    assert list(map(band.side, values)) == [-1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert str(band) == "0.1 to 10"
    assert str(UPDATES) == "3e−5 to 0.03", "a factor of 30 to either side of 0.001"
    assert [short(v) for v in (0, 3e-5, 1e-3, 0.25, 21.3, 2345.0)] == [
        *("0", "3e−5", "0.001", "0.2", "21", "2e3")
    ]


def test_a_weight_that_comes_later_has_gaps() -> None:
    one, two = records_of({"a": [1e-3]}), records_of({"a": [1e-3], "b": [0.5]})
    records = [*one, SimpleNamespace(step=5, parameters=two[0].parameters)]
    assert ratios(records) == {"a.weight": [1e-3, 1e-3], "b.weight": [None, 0.5]}
    assert (
        "updates of b.weight were above 0.03 of the weights in step 5"
        in updates_outside_band(records)[0]
    )
