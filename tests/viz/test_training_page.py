"""The page of a training: true numbers, nothing hidden, one file, and no name that runs."""

import base64
import hashlib
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import data, nn, optim
from graphgrad.errors import DtypeError, GraphError, ShapeError
from graphgrad.findings.thresholds import UPDATES
from graphgrad.findings.update_ratios import updates_outside_band
from graphgrad.viz.page.epochs import batches_per_epoch, list_marker
from tests.browser import OVERLAPS, Parts, data_of, reached_by_tab
from tests.builders import HOSTILE
from tests.golden.programs import apples_and_oranges


def told(path: Path) -> Any:
    return data_of(path.read_text("utf-8"))


def history_of(columns: dict[str, Any], losses: Any = ()) -> nn.History:
    history = nn.History()
    history.columns = {name: list(map(float, row)) for name, row in columns.items()}
    history.epochs = len(next(iter(columns.values()), ()))
    history.losses = list(map(float, losses))
    return history


def chart(path: Path, title: str) -> Any:
    (found,) = (c for c in told(path)["charts"] if c["title"] == title)
    return found


def learn(epochs: int, every: int) -> Any:
    rng = np.random.default_rng(0)
    sizes = [6, 16, 16, 16]
    layers: list[nn.Module] = []
    for inputs, units in itertools.pairwise(sizes):
        layers += [nn.Affine(inputs, units, rng=rng), nn.Tanh()]
    layers += [nn.Affine(16, 3, rng=rng), nn.ReLU()]
    model: Any = nn.Sequential(*layers)
    x = rng.normal(size=(64, 6)).astype(np.float32)
    samples = data.Dataset(x, x[:, :3].argmax(axis=1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    watch = nn.Diagnosis(model, every=every)
    batches = data.Batches(samples, 16, rng=rng, prefetch=0)
    trainer = nn.Trainer(model, optimizer, batches, validation=samples, diagnosis=watch)
    return trainer.fit(epochs), watch


@pytest.fixture(scope="module")
def training() -> Any:
    return learn(20, 2)


@pytest.fixture(scope="module")
def trained(training: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    history, watch = training
    path = tmp_path_factory.mktemp("pages") / "a.html"
    return gg.viz.training_page(history, path, diagnosis=watch, title=TITLE)


TITLE = "</title><b> & run"


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., Path]:
    def page(history: Any, watch: Any = None, **options: Any) -> Path:
        return gg.viz.training_page(history, tmp_path / "a.html", diagnosis=watch, **options)

    return page


@pytest.mark.parametrize("kind", ["graph", "training"])
def test_a_page_runs_its_own_style_and_script_and_loads_nothing(trained: Path, kind: str) -> None:
    graph = gg.graph(apples_and_oranges())
    text = graph.to_html() if kind == "graph" else trained.read_text("utf-8")
    parts = Parts(text)
    (policy,) = (str(a["content"]) for _, a in parts.tags if a.get("http-equiv"))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == "'none'"
    assert rules.pop("form-action") == "'none'"
    assert rules.pop("img-src") == "data:"
    running = [(t, a) for t, a in parts.tags if t == "script" and "type" not in a]
    assert len(running) == 1
    assert [t for t, _ in parts.tags].count("style") == 1
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        digest = base64.b64encode(hashlib.sha256(parts.content[tag].encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert not rules
    for tag, attributes in parts.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert "src" not in attributes
        assert tag != "link" or attributes["href"] == "data:,"
    addresses = set(re.findall(r"https?://[^\"' )]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nobody asks for


def test_the_same_training_gives_the_same_bytes(page: Any) -> None:
    first, second = (page(*learn(2, 2)).read_bytes() for _ in range(2))
    assert first == second


def test_numbers_are_those_of_the_history(training: Any, trained: Path) -> None:
    history, _ = training
    loss = chart(trained, "Loss")
    batches, learnt, held = loss["series"]
    assert [s["name"] for s in loss["series"]] == ["each batch", "training", "validation"]
    np.testing.assert_allclose(learnt["y"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(held["y"], history["validation_loss"], rtol=1e-5)
    np.testing.assert_allclose(batches["y"], history.losses, rtol=1e-5)
    assert loss["xs"][batches["x"]]["scale"] == 1 / 4, "four batches are an epoch"
    assert chart(trained, "Accuracy")["percent"]
    assert chart(trained, "Learning rate")["series"][0]["y"] == [0.1] * 20


def test_numbers_have_a_true_minus(page: Any) -> None:
    path = page({"loss": [-2.5, -1.5, -1e-05]}, title="run-3")
    body = path.read_text("utf-8").partition("<body>")[2].partition("<script")[0]
    assert "run-3" in body
    assert "−2.5" in body
    assert not re.search(r"[ >]-\d|e-\d", body)


def test_numbers_are_those_of_the_diagnosis(training: Any, trained: Path) -> None:
    _, watch = training
    watched = told(trained)["watched"]
    records = list(watch.records)
    assert watched["steps"] == [r.step for r in records]
    names = [layer["name"] for layer in watched["layers"]]
    assert names == list(records[0].layers)
    digits = {c: i for i, c in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
    digits |= {c: 36 + i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz-_")}
    for row, record in zip(watched["records"], records, strict=True):
        for cell, (name, m) in zip(row, record.layers.items(), strict=True):
            for found, d in zip(cell[:2], (m.activations, m.gradients), strict=True):
                expected = [d.mean, d.std, d.low, d.high, d.broken, d.counts.sum()]
                np.testing.assert_allclose(found[:6], expected, rtol=1e-3, atol=1e-30)
                shares = [
                    (64 * digits[found[6][i]] + digits[found[6][i + 1]]) / 4095
                    for i in range(0, len(found[6]), 2)
                ]
                np.testing.assert_allclose(shares, d.counts / d.counts.max(), atol=2e-4)
            weight = record.parameters.get(f"{name}.weight")
            assert (
                cell[3] is None
                if weight is None
                else math.isclose(cell[3], weight.ratio, rel_tol=1e-3)
            )
    ratios, resting = watched["charts"]
    assert [s["name"] for s in ratios["series"]] == [f"{i}.weight" for i in (0, 2, 4, 6)]
    assert ratios["band"][0] < 1e-3 < ratios["band"][1]
    shown = {*resting["quiet"], *(s["name"] for s in resting["series"])}
    assert {name.split(": ")[0] for name in shown} >= {"1", "3", "5", "7"}, "tanh and ReLU"
    assert shown <= {f"{name}: {m.kind}" for r in watch.records for name, m in r.layers.items()}


def test_findings_are_told_in_words(page: Any) -> None:
    history, watch = learn(1, 1)
    for record in watch.records:
        for p in record.parameters.values():
            object.__setattr__(p, "update", 10 * p.weight + 1)
    columns = {
        "loss": [1.0, 0.8, 0.7, 0.6, 0.5, 0.4],
        "validation_loss": [1.0, 0.5, 0.6, 0.7, 0.8, 0.9],
    }
    history = history_of(columns, [1, math.nan])
    text = page(history, watch).read_text("utf-8")
    items = re.findall(r"<li>(.*?)</li>", text)
    assert items[0].startswith("the losses of batches: 1 of 2 are NaN or infinite")
    assert items[1].startswith("overfitting: the validation loss rises from about 0.6 to 0.9")
    assert items[2:] == [line.replace("'", "&#x27;") for line in watch.findings()]
    assert items[2:], "such updates are reported"
    assert f"<p>U{updates_outside_band(watch.records)[0][1:]}.</p>" in text
    assert "lowest in epoch 2; 0.9 at the end, training 0.4" in text


def test_where_nothing_rests_one_sentence_says_so(page: Any) -> None:
    model = nn.Sequential(nn.Affine(4, 4, rng=np.random.default_rng(0)), nn.Tanh())
    watch = nn.Diagnosis(model, every=1)
    with watch.step():
        model(np.full((8, 4), 0.1, np.float32)).sum().backward()
    path = page({}, watch)
    assert "In none of all watched steps was a unit dead or a value" in path.read_text("utf-8")
    assert [c["id"] for c in told(path)["watched"]["charts"]] == ["ratios"]


def test_a_healthy_training_has_nothing_unusual(page: Any) -> None:
    text = page({"loss": [2, 1, 0.9], "validation_loss": [2, 1, 1.1]}).read_text("utf-8")
    assert "<p>Nothing unusual.</p>" in text
    assert "In the history we look for values that are NaN" in text
    assert "In the last" not in text, "of layers nothing is known"


def test_updates_that_left_their_band_for_a_while_are_told(page: Any) -> None:
    history, watch = learn(10, 1)
    assert "<p>Nothing unusual.</p>" in page(history, watch).read_text("utf-8")
    object.__setattr__(watch.records[0].parameters["0.weight"], "update", 1e3)
    assert not watch.findings()
    text = page(history, watch).read_text("utf-8")
    assert "<p>Nothing unusual on the whole.</p>" in text
    assert "<p>Updates of 0.weight were above 0.03 of the weights in step 0 (1 of 40 wat" in text
    assert f"In the last 10 watched steps we look for updates outside {UPDATES} of the" in text


def test_epochs_of_findings_are_marked(page: Any) -> None:
    """The case of a loss at ln 10 for 13 of 20 epochs: in words, and in the curve."""
    loss = [math.log(10)] * 13 + [1.9, 1.5, 1.0, 0.6, 0.5, 0.45, 0.4]
    right = [0.1] * 13 + [0.2, 0.4, 0.6, 0.8, 0.8, 0.85, 0.9]
    held = [0.1] * 13 + [0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5]
    columns = {"lr": [math.nan] * 20, "loss": loss, "accuracy": right, "validation_accuracy": held}
    path = page(history_of(columns))
    items = re.findall(r"<li>(.*?)</li>", path.read_text("utf-8"))
    assert items[1].startswith("the loss stood at 2.303, where it began, in epochs 1 to 13: that ")
    assert chart(path, "Loss")["marks"] == [[1, 13, "B"]]
    assert chart(path, "Accuracy")["marks"] == [], "of the gap no epoch is told"
    assert [list_marker(n) for n in (1, 26, 27, 52, 53, 703)] == ["A", "Z", "AA", "AZ", "BA", "AAA"]


def test_any_mapping_of_columns_will_do(page: Any) -> None:
    path = page({"top_5_rate": np.array([1, 2, 3])})
    assert chart(path, "Top 5 rate")["series"][0]["y"] == [1, 2, 3]
    assert "watched" not in told(path)


def test_a_diagnosis_without_epochs_will_do(training: Any, page: Any) -> None:
    path = page(nn.History(), training[1])
    assert told(path)["charts"] == []
    assert told(path)["watched"]["steps"]


@pytest.mark.parametrize("last", [1.0, 0.3])
@pytest.mark.parametrize(("epochs", "size", "rest"), [(3, 7, 0), (3, 7, 5), (5, 4, 3), (2, 90, 31)])
def test_epochs_end_where_the_means_of_the_batches_say(
    epochs: int, size: int, rest: int, last: float
) -> None:
    """The history may end within an epoch, and the last batch of each may count for less."""
    count = epochs * size + rest
    rng = np.random.default_rng(0)
    losses = 2 * np.exp(-np.arange(count) / 10) + 0.1 * rng.random(count)
    weights = np.ones(size)
    weights[-1] = last
    each = losses[: epochs * size].reshape(epochs, size)
    columns = {"loss": (each @ weights / weights.sum()).tolist()}
    assert batches_per_epoch(columns, losses.tolist()) == size


def test_epochs_of_which_one_number_does_not_tell() -> None:
    losses = [3.0, 2.5, 2.0, 0.6, 0.5]
    assert batches_per_epoch({"loss": [2.5]}, losses) == 3
    assert batches_per_epoch({"loss": [2.4]}, losses) == 4, "the last is small"
    assert batches_per_epoch({"loss": losses}, losses) == 1
    assert batches_per_epoch({"loss": [2.55]}, [3, 2, 3, 2, 3]) is None, "3 or 4, a small last one"


@pytest.mark.parametrize("told_losses", [[5.0, 4.0], [math.nan, 1.0], []])
def test_batches_whose_epochs_are_not_known_have_a_chart_of_their_own(
    told_losses: list[float], page: Any
) -> None:
    losses = [3.0, 2.9, 2.0, 1.9]
    columns = {"loss": told_losses, "lr": [0.1] * len(told_losses)}
    path = page(history_of(columns, losses))
    found = chart(path, "Loss of each batch")
    assert (found["xs"][0]["scale"], found["series"][0]["y"]) == (1, losses)
    if told_losses:
        assert "each batch" not in [s["name"] for s in chart(path, "Loss")["series"]]


def test_hostile_names_are_texts(page: Any) -> None:
    def tags(text: str) -> list[str]:
        return [t for t, _ in Parts(text).tags if t not in ("ol", "li", "p")]

    plain = tags(page({"a": [1]}).read_text("utf-8"))
    for name in HOSTILE:
        text = page({name: [1, math.nan]}, title=name).read_text("utf-8")
        assert tags(text) == plain, name
        assert len(text) < 60_000
        assert "\u202e" not in text


def test_hostile_names_of_layers_are_texts(training: Any, page: Any) -> None:
    history, watch = training
    record = watch.records[-1]
    names = dict(zip(record.layers, [*HOSTILE][::-1], strict=False))
    layers = {names.get(n, n): m for n, m in record.layers.items()}
    parameters = {f"{names.get(n, n)}.weight": p for n, p in record.parameters.items()}
    changed = SimpleNamespace(step=0, layers=layers, parameters=parameters)
    watch = SimpleNamespace(
        records=[changed],
        findings=lambda: [f"{n}: is dead" for n in names.values()],
        resting_shares=lambda: [dict.fromkeys(layers, 0.5)],
    )
    path = page(history, watch)
    tags = [t for t, _ in Parts(path.read_text("utf-8")).tags]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert "lone \ufffd" in [layer["name"] for layer in told(path)["watched"]["layers"]]
    assert max(len(layer["name"]) for layer in told(path)["watched"]["layers"]) == 80


def test_values_that_are_not_finite_are_kept(page: Any) -> None:
    row = [1, math.nan, math.inf, -math.inf]
    assert chart(page({"loss": row, "accuracy": row}), "Loss")["series"][0]["y"] == [
        1,
        "nan",
        "inf",
        "-inf",
    ]


def test_records_of_broken_values_and_of_layers_that_come_and_go(page: Any) -> None:
    _, watch = learn(1, 1)
    with np.errstate(all="ignore"):
        for p in watch.model.parameters():
            p.data[...] = math.nan
        watch.model(np.ones((4, 6), np.float32))
        with watch.step():
            watch.model(np.ones((4, 6), np.float32)).sum().backward()
    first = watch.records[0]
    del first.layers["1"], first.parameters["2.weight"]
    watched = told(page({}, watch))["watched"]
    broken = watched["records"][-1][0][0]
    assert broken[0] == broken[1] == "nan"
    assert broken[4:] == [1, 0, ""]
    place = [layer["name"] for layer in watched["layers"]].index("1")
    assert watched["records"][0][place] is None
    (weights,) = (s for s in watched["charts"][0]["series"] if s["name"] == "2.weight")
    assert weights["y"][0] is None


@pytest.mark.parametrize(
    ("history", "error", "says"),
    [
        (nn.History(), ShapeError, r"no epoch, no batch and no watched step .*train first \(at "),
        ({"loss": []}, ShapeError, "no epoch, no batch"),
        ([1, 2], DtypeError, "mapping of columns to numbers, as nn.History, not list"),
        ({"a": [1, 2], "b": [1]}, ShapeError, r"\{'a': 2, 'b': 1\} epochs"),
        ({"a": ["x"]}, DtypeError, "'a' is no row of real numbers"),
        ({"a": [1j]}, DtypeError, "'a' is no row of real numbers"),
        ({"a": [[1, 2]]}, ShapeError, r"'a' is \(1, 2\); give a row"),
    ],
)
def test_histories_that_cannot_be_drawn(
    history: Any, error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        gg.viz.training_page(history, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_diagnoses_that_cannot_be_drawn(tmp_path: Path) -> None:
    watch = nn.Diagnosis(nn.Affine(2, 2, rng=np.random.default_rng(0)))
    with pytest.raises(GraphError, match="watched no step; run them inside"):
        gg.viz.training_page({"loss": [1]}, tmp_path / "a.html", diagnosis=watch)
    with pytest.raises(DtypeError, match="diagnosis is a str"):
        gg.viz.training_page({"loss": [1]}, tmp_path / "a.html", diagnosis="watch")
    assert list(tmp_path.iterdir()) == []


def test_sizes(training: Any, trained: Path, page: Any) -> None:
    history, watch = training
    assert (history.epochs, len(watch.records)) == (20, 40)
    assert trained.stat().st_size <= 200_000
    rng = np.random.default_rng(0)
    assert page(history_of({}, rng.random(60_000))).stat().st_size <= 80_000


def test_thinning_keeps_the_extremes_and_counts_what_is_broken(page: Any) -> None:
    rng = np.random.default_rng(0)
    losses = 1 + rng.random(60_000)
    losses[[31_234, 777]] = 50, 0.001
    losses[[40_000, 40_001, 59_999]] = math.nan, math.inf, -math.inf
    losses[100:200] = math.nan
    found = chart(page(history_of({}, losses)), "Loss of each batch")
    (row,) = found["series"]
    assert found["xs"][0]["per"] == 100
    assert len(row["low"]) == len(row["mean"]) == len(row["high"]) == 600
    assert (row["high"][312], row["low"][7]) == (50, 0.001)
    assert (row["broken"][400], row["broken"][599], row["broken"][1]) == (2, 1, 100)
    assert row["low"][1] == row["mean"][1] == row["high"][1] == "nan"
    assert sum(row["broken"]) == 103
    np.testing.assert_allclose(row["mean"][5], losses[500:600].mean(), rtol=1e-5)


@pytest.mark.parametrize("count", [1200, 1201, 1801])
def test_every_number_is_in_one_bin(count: int, page: Any) -> None:
    row = np.arange(1, count + 1)
    path = page({"loss": row})
    (found,) = chart(path, "Loss")["series"]
    if count == 1200:
        assert found["y"] == row.tolist()
        return
    per = chart(path, "Loss")["xs"][0]["per"]
    assert found["low"] == row[::per].tolist()
    assert found["high"] == [min(low + per - 1, count) for low in row[::per].tolist()]


def test_of_very_many_histograms_some_are_left_out(training: Any, page: Any) -> None:
    """8 layers × 2 × 2000 steps: a quarter of them, the first and the last step among them."""
    history, watch = training
    records = [
        SimpleNamespace(step=7 * i, layers=r.layers, parameters=r.parameters)
        for i, r in enumerate(list(watch.records) * 50)
    ]
    resting = watch.resting_shares() * 50
    many = SimpleNamespace(records=records, findings=list, resting_shares=lambda: resting)
    path = page(history, many)
    watched = told(path)["watched"]
    assert watched["recorded"] == 2000
    assert len(watched["steps"]) == len(watched["records"]) == 500
    assert (watched["steps"][0], watched["steps"][-1]) == (0, 7 * 1999)
    axis = watched["charts"][0]["xs"][0]
    assert axis["to"][-1] == 7 * 1999, "the curves have all"
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize(("width", "scheme"), [(700, "dark"), (1280, "light")])
def test_it_is_drawn_and_fits(visit: Any, trained: Path, width: int, scheme: str) -> None:
    page = visit(trained, width, scheme)
    assert page.title() == TITLE
    assert page.locator("#charts .chart").count() == 5
    assert page.locator(".rows svg.plot .bars").count() == 16
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
    _, overlaps = page.evaluate(OVERLAPS)
    assert overlaps == []


def test_steps_by_slider_keys_and_click(visit: Any, training: Any, trained: Path) -> None:
    _, watch = training
    page = visit(trained)
    shown = page.locator(".bar output")
    assert shown.inner_text() == "step 78 (40 of 40)"
    last = page.locator(".rows .bars").first.get_attribute("d")
    page.keyboard.press("ArrowLeft")
    assert shown.inner_text() == "step 76 (39 of 40)"
    assert page.locator(".rows .bars").first.get_attribute("d") != last
    page.locator(".bar input[type=range]").focus()
    page.keyboard.press("Home")
    assert shown.inner_text() == "step 0 (1 of 40)"
    page.get_by_label("next step").click()
    assert shown.inner_text() == "step 2 (2 of 40)"
    first = watch.records[1].layers["0"].activations
    row = page.locator(".layer").first.inner_text()
    assert f"std {first.std:.3g}" in row
    ratios = page.locator("#charts .plot").nth(3)
    box = ratios.bounding_box()
    ratios.click(position={"x": box["width"] - 11, "y": 40})
    assert shown.inner_text() == "step 78 (40 of 40)"
    page.get_by_label("first step").click()
    page.get_by_label("play").click()
    for _ in range(100):
        page.wait_for_timeout(50)
        if "(1 of" not in shown.inner_text():
            break
    page.get_by_label("pause").click()
    stopped = int(re.findall(r"\d+", shown.inner_text())[1])
    assert 1 < stopped < 40


def test_tooltips_have_the_numbers(visit: Any, training: Any, trained: Path) -> None:
    history, watch = training
    page = visit(trained)
    tip = page.locator("#tip")
    page.locator("#charts .plot").first.focus()
    page.keyboard.press("End")
    assert f"{history['validation_loss'][-1]:.6g}" in tip.inner_text()
    page.keyboard.press("ArrowLeft")
    text = tip.inner_text()
    assert "epoch 19" in text
    assert f"{history['loss'][18]:.6g}" in text
    page.keyboard.press("Escape")
    assert tip.inner_text() == ""
    page.locator("#charts .plot").first.hover()
    assert "epoch 1" in tip.inner_text()
    page.locator(".rows .plot").first.focus()
    page.keyboard.press("Home")
    d = watch.records[-1].layers["0"].activations
    share = d.counts[0] / d.counts.sum()
    assert (
        f"{share:.3g}"[:4] in f"{float(tip.inner_text().splitlines()[-1].split('%')[0]) / 100:.3g}"
    )
    assert f"of {d.counts.sum():,} activations" in tip.inner_text()


def test_everything_is_reached_by_the_keyboard(visit: Any, trained: Path) -> None:
    page = visit(trained)
    every = page.locator("button, input, svg.plot").count()
    assert reached_by_tab(page, "button, input, svg.plot", every + 2) == set(range(every))


def test_of_many_layers_those_with_weights_are_shown_first(visit: Any, page: Any) -> None:
    rng = np.random.default_rng(0)
    layers = [[nn.Affine(4, 4, rng=rng), nn.Tanh()] for _ in range(9)]
    model = nn.Sequential(*itertools.chain(*layers))
    watch = nn.Diagnosis(model, every=1)
    with watch.step():
        model(rng.normal(size=(8, 4)).astype(np.float32)).sum().backward()
    shown = visit(page({}, watch))
    rows = shown.locator(".layer:visible")
    assert rows.count() == 9
    shown.get_by_label("only the 9 layers with weights").uncheck()
    assert rows.count() == shown.locator(".rows .bars").count() / 2 == 18


def test_hostile_names_in_a_browser(visit: Any, page: Any) -> None:
    columns = {name: [0, math.inf, -math.inf] for name in HOSTILE}
    history = history_of({"loss": [2, math.nan, 1], **columns}, [3, 2, 1])
    shown = visit(page(history, title=next(iter(HOSTILE))), 700)
    assert shown.locator("#charts .chart").count() == 2 + len(HOSTILE)
    assert "✕ NaN or infinite: 2." in shown.inner_text("#charts")
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_marks_are_drawn_over_their_epochs(visit: Any, page: Any) -> None:
    loss = [2.3] * 10 + [1.5, 1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    shown = visit(page(history_of({"loss": loss}, loss)), 360)
    mark = shown.locator(".judged").bounding_box()
    plot = shown.locator("svg.plot").bounding_box()
    half = (mark["x"] + mark["width"] - plot["x"]) / plot["width"]
    assert 0.5 < half < 0.6, "ten of twenty epochs, right of the numbers"
    assert shown.locator("svg .letter").inner_html() == "A"
    assert "Marked: finding A." in shown.inner_text("#charts")
    assert shown.locator("#findings li").count() == 1
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_thinned_losses_say_so(visit: Any, page: Any) -> None:
    losses = 1 + np.random.default_rng(0).random(60_000)
    losses[5] = math.nan
    shown = visit(page(history_of({}, losses)))
    text = shown.inner_text("#charts")
    assert (
        "60,000 batches: of each 100 the band shows lowest and highest, the line the mean" in text
    )
    assert "✕ NaN or infinite: 1." in text
    shown.locator("svg.plot").focus()
    shown.keyboard.press("Home")
    assert "batches 1 to 100" in shown.locator("#tip").inner_text()
