"""Trainer: what a loop by hand does, and a good end whatever comes between."""

import contextlib
import functools
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import data, nn, optim
from graphgrad.errors import (
    ArgumentError,
    DtypeError,
    FileFormatError,
    GraphError,
    GraphgradError,
    NonFiniteError,
    ShapeError,
    StorageError,
    UnsupportedError,
)
from graphgrad.nn.training.checkpoints import read_state, write_state
from tests.builders import Refusals, memory_of, refuses


def samples(n: int = 40, seed: int = 0) -> data.Dataset:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    points = rng.standard_normal((n, 3)).astype(np.float32) + 2 * labels[:, None]
    return data.Dataset(points.astype(np.float32), labels)


def network(seed: int = 0, hidden: int = 5) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    first, second = nn.Affine(3, hidden, rng=rng), nn.Affine(hidden, 2, rng=rng)
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(0.2, rng=rng), second)


def trainer(model: nn.Module | None = None, lr: float = 1e-2, **how: Any) -> nn.Trainer:
    model = model or network()
    optimizer = how.pop("optimizer", None) or optim.Adam(model.parameters(), lr=lr)
    batches = data.Batches(samples(), 16, rng=np.random.default_rng(1))
    if folder := how.pop("folder", None):
        how["checkpoints"] = nn.Checkpoints(folder)
    return nn.Trainer(model, optimizer, batches, **{"validation": samples(20, 1), **how})


def equal(a: nn.Trainer, b: nn.Trainer) -> bool:
    return repr(a.state_dict()) == repr(b.state_dict()) and all(
        np.array_equal(x, b.model.state_dict()[name]) for name, x in a.model.state_dict().items()
    )


def test_it_does_what_a_loop_by_hand_does() -> None:
    ours = trainer()
    ours.fit(3)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    batches = data.Batches(samples(), 16, rng=np.random.default_rng(1))
    losses = []
    for _ in range(3):
        for x, labels in batches:
            loss = nn.functional.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_equal(ours.model.state_dict(), model.state_dict())
    assert ours.history.losses == losses
    sizes = np.array([16, 16, 8])
    means = np.reshape(losses, (3, 3)) @ sizes / 40
    np.testing.assert_allclose(ours.history["loss"], means, rtol=1e-12)
    assert ours.step == 9
    assert ours.epoch == ours.history.epochs == 3
    columns = ["loss", "accuracy", "validation_loss", "validation_accuracy", "lr"]
    assert sorted(ours.history) == sorted(columns)


def test_epochs_that_are_done_are_not_learned_again(capsys: Any) -> None:
    ours = trainer()
    ours.fit(2)
    for asked in (1, 2):
        assert ours.fit(asked) is ours.history
        said = capsys.readouterr().err
        assert said == "2 epochs done already: fit(epochs) takes how many in all\n"
    assert ours.fit(3).epochs == 3
    assert capsys.readouterr().err == ""


def test_validation_is_in_evaluation_mode_and_modes_come_back() -> None:
    model = network()
    model[2].eval()  # a frozen part stays as its owner wants it
    ours = trainer(model)
    ours.fit(1)
    assert [m.training for m in model] == [True, True, False, True]
    found = ours.evaluate(samples(20, 1))
    assert found == {name: ours.history[f"validation_{name}"][-1] for name in ("loss", "accuracy")}
    assert ours.evaluate(samples(20, 1), batch_size=7)["loss"] == pytest.approx(found["loss"])
    assert [m.training for m in model] == [True, True, False, True]
    trainer(model.eval()).fit(2)  # the whole in evaluation: nobody meant that
    assert all(m.training for m in model.modules())


def test_schedules_step_by_batch_or_epoch_and_plateaus_by_what_is_monitored() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    ours = trainer(model, optimizer=optimizer, schedule=optim.StepLR(optimizer, 4, 0.5))
    ours.fit(3)
    np.testing.assert_allclose(ours.history["lr"], [0.1, 0.05, 0.025])  # that of the last batch
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    plateau = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=1e9)
    schedules = [optim.StepLR(optimizer, 1, 0.5), plateau]
    ours = trainer(model, optimizer=optimizer, schedule=schedules, schedule_each="epoch")
    ours.fit(1)
    assert optimizer.lr == pytest.approx(0.05)
    assert plateau.best == ours.history["validation_loss"][0]


def test_averages_are_what_validation_sees() -> None:
    model = network()
    average = optim.RunningAverage(model.parameters(), 0.5)
    ours = trainer(model, average=average)
    ours.fit(2)
    with average.applied():
        scores = nn.predict(model, samples(20, 1).images)
    loss = nn.functional.cross_entropy(scores, samples(20, 1).labels)
    assert ours.history["validation_loss"][-1] == pytest.approx(float(np.asarray(loss)), rel=1e-6)
    assert average.updates == ours.step


def test_gradients_are_clipped() -> None:
    ours = trainer(clip_norm=1e-3)
    seen: list[float] = []
    step = ours.optimizer.step

    def watched() -> None:
        seen.append(float(np.sqrt(sum((p.grad**2).sum() for p in ours.model.parameters()))))
        step()

    ours.optimizer.step = watched  # type: ignore[method-assign]
    ours.fit(1)
    assert max(seen) <= 1e-3 * (1 + 1e-5)


def test_it_stops_early_after_patience_epochs_without_a_new_best() -> None:
    ours = trainer(lr=0.0, patience=3)
    history = ours.fit(50)
    assert history.epochs == 4, "the first is the best, three more are not better"
    assert ours.stalled
    assert ours.fit(60).epochs == 4, "asked again it does not go on"


def test_metrics_of_ones_own_and_what_has_an_accuracy() -> None:
    points, labels = samples()
    sums = points.sum(axis=1, keepdims=True)
    model: nn.Module = nn.Affine(3, 1, rng=np.random.default_rng(0))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    batches = data.Batches((points, sums), 10, rng=np.random.default_rng(0))
    worst = {"worst": lambda scores, labels: float(np.abs(scores.data - labels).max())}
    history = nn.Trainer(model, optimizer, batches, nn.functional.mse_loss, metrics=worst).fit(20)
    assert set(history) == {"loss", "worst", "lr"}
    assert history["loss"][-1] < 1e-3
    assert set(nn.Trainer(model, optimizer, batches).metrics) == {"loss"}, "no accuracy"
    model = network()
    batches = data.Batches((points, data.one_hot(labels, 2)), 10)
    history = nn.Trainer(model, optim.Adam(model.parameters()), batches).fit(1)
    assert 0 <= history["accuracy"][0] <= 1


def test_auxiliary_heads_are_for_the_loss_and_not_for_the_accuracy() -> None:
    rng = np.random.default_rng(0)
    model = nn.models.googlenet(3, width=1 / 64, rng=rng)
    images = rng.standard_normal((4, 3, 32, 32)).astype(np.float32)
    batches = data.Batches((images, np.arange(4) % 3), 4, rng=rng)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    loss = nn.models.auxiliary_cross_entropy
    held = images, batches.dataset.labels
    history = nn.Trainer(model, optimizer, batches, loss, validation=held).fit(2)
    assert 0 <= history["accuracy"][0] <= 1
    assert history["loss"][0] > history["validation_loss"][0], "that of the three heads"


def test_predictions_that_overlap_leave_the_modes_as_they_were() -> None:
    late = threading.Event()
    modes: list[bool] = []

    class Waiting(nn.Module):
        def forward(self, x: Any) -> Any:
            if len(x) == 2:
                assert late.wait(10)
            modes.append(self.training)
            return x

    model = nn.Sequential(Waiting(), nn.Dropout(0.5), Waiting().eval())
    slow = threading.Thread(target=nn.predict, args=(model, np.ones((2, 1))))
    slow.start()
    while model.training:
        time.sleep(0.001)
    nn.predict(model, np.ones((1, 1)))
    late.set()
    slow.join()
    assert modes == [False] * 4
    assert [module.training for module in model.modules()] == [True, True, True, False]


def test_predictions_of_many_images_are_those_of_one_by_one() -> None:
    model = network()
    images = samples().images
    whole = nn.predict(model, images)
    assert whole.shape == (40, 2)
    assert isinstance(whole, np.ndarray)
    np.testing.assert_array_equal(nn.predict(model, images, 7), whole)
    np.testing.assert_allclose(nn.predict(model, images, 1), whole, rtol=1e-5)
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ShapeError, match="at least one"):
        nn.predict(model, images[:0])
    with pytest.raises(ShapeError, match=r"accuracy: scores \(40, 2\), labels \(3,\)"):
        nn.accuracy(whole, np.zeros(3, int))


@contextlib.contextmanager
def ctrl_c_at(step: int, times: int = 1) -> Iterator[Any]:
    seen = 0

    def press(scores: Any, labels: Any) -> float:
        nonlocal seen
        seen += 1
        if seen == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return nn.accuracy(scores, labels)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield press
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_after_the_batch_and_the_rest_comes_later(tmp_path: Path, capsys: Any) -> None:
    reference = trainer()
    reference.fit(3)
    with ctrl_c_at(2) as press:
        ours = trainer(metrics={"accuracy": press}, folder=tmp_path)
        history = ours.fit(3)
    assert ours.interrupted
    assert ours.step == len(history.losses) == 2
    assert history.epochs == 0
    assert "interrupted: 0 epochs and 2 steps are done" in capsys.readouterr().err
    assert read_state(nn.Checkpoints(tmp_path).latest or "")["step"] == 2
    # here and now, and from the file
    again = trainer(folder=tmp_path)
    again.fit(3, resume=True)
    ours.fit(3)
    assert not ours.interrupted
    assert equal(ours, reference)
    assert equal(again, reference)


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ctrl_c_at(5, times=2) as press:
        ours = trainer(metrics={"accuracy": press}, folder=tmp_path)
        history = ours.fit(3)
    assert ours.interrupted
    assert history.epochs == 1
    assert "once more ends it now" in capsys.readouterr().err
    assert nn.Checkpoints(tmp_path).best is not None, "that of the first epoch"


def test_handlers_and_threads_of_others_are_left_alone() -> None:
    def own(*_: Any) -> None: ...

    before = signal.signal(signal.SIGINT, own)
    try:
        trainer().fit(1)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    with ctrl_c_at(-1):
        trainer().fit(1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ours = trainer()
    thread = threading.Thread(target=ours.fit, args=(1,))  # only the main one may set handlers
    thread.start()
    thread.join()
    assert ours.epoch == 1


class Poison(nn.Module):
    def __init__(self, step: int) -> None:
        self.left = step

    def forward(self, x: Any) -> Any:
        if self.training:
            self.left -= 1
        return gg.log(gg.abs(x) - (1e9 if self.left <= 0 else -1.0))


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
def test_a_nan_names_step_batch_layer_op_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Affine(3, 4, rng=rng), Poison(5), nn.Affine(4, 2, rng=rng))
    ours = trainer(model, folder=tmp_path)
    with pytest.raises(NonFiniteError) as caught:
        ours.fit(4)
    message = str(caught.value)
    assert "the loss is nan at step 5 (epoch 2, batch 2 of 3)" in message
    assert "1 (Poison): log (16, 4) float32" in message, "the layer and the op"
    assert "step-00000003.safetensors" in message, "the last good checkpoint"
    assert ours.history.epochs == 1
    state = read_state(tmp_path / "step-00000003.safetensors")
    assert all(np.isfinite(x).all() for x in state["model"].values())


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_a_nan_in_the_data_or_from_the_step_before_is_told_apart() -> None:
    ours = trainer()
    ours.batches.dataset.images[:] = np.nan
    with pytest.raises(NonFiniteError, match="the images of this batch are not finite"):
        ours.fit(1)
    ours = trainer()
    next(iter(ours.model.parameters())).data[0, 0] = np.inf
    with pytest.raises(NonFiniteError, match=r"0\.weight is not finite, since the step before"):
        ours.fit(1)


def test_a_broken_model_is_never_saved(tmp_path: Path) -> None:
    """The last step of an epoch may break what no loss has seen yet."""
    ours = trainer(folder=tmp_path, validation=None)
    ours.fit(1)
    weights = next(iter(ours.model.parameters()))

    class Breaking(optim.SGD):
        def step(self) -> None:
            super().step()
            if ours.step == 5:
                weights.data[0, 0] = np.nan

    ours.optimizer = Breaking(ours.model.parameters(), lr=0.01)
    with pytest.raises(NonFiniteError, match=r"0\.weight is not finite after step 6.*00003"):
        ours.fit(2)
    assert [p.name for p in nn.Checkpoints(tmp_path).paths] == ["step-00000003.safetensors"]


@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_checkpoint_in_the_middle_goes_on_to_the_bit(tmp_path: Path, prefetch: int) -> None:
    def make() -> nn.Trainer:
        gg.manual_seed(3)
        ours = trainer(nn.Sequential(*network(), nn.Dropout(0.1)))  # one draws from the default
        ours.batches.prefetch = prefetch
        return ours

    reference = make()
    reference.fit(2)
    ours = make()
    ours.checkpoints = nn.Checkpoints(tmp_path / "x", every=2, keep=10)
    ours.fit(2)
    names = [p.name for p in ours.checkpoints.paths]
    assert names == [f"step-{n:08}.safetensors" for n in (2, 3, 4, 6)]
    for name in names:
        again = make()
        gg.manual_seed(99)
        again.load(tmp_path / "x" / name)
        again.fit(2)
        assert equal(again, reference), name


def test_the_last_few_are_kept_and_the_best_is_marked(tmp_path: Path) -> None:
    values = iter([0.5, 0.9, 0.7, 0.9, 0.1])

    def validated(_scores: Any, labels: Any) -> float:
        return next(values) if len(labels) == 20 else 0.0

    checkpoints = nn.Checkpoints(tmp_path, keep=2)
    score: dict[str, Any] = {"metrics": {"score": validated}, "monitor": "validation_score"}
    trainer(**score, checkpoints=checkpoints).fit(5)
    checkpoints = nn.Checkpoints(tmp_path)
    assert [p.stem for p in checkpoints.paths] == ["step-00000012", "step-00000015"]
    assert checkpoints.best is not None
    assert read_state(checkpoints.best)["epoch"] == 2, "of equal ones the first"
    assert "2 files, keep=3" in repr(checkpoints)


def test_in_a_folder_only_its_own_files_count_and_are_cleared_away(tmp_path: Path) -> None:
    mine = [".mine", "step-mine.safetensors"]
    for name in (*mine, ".step-00000003.safetensors.123.unfinished"):  # one process was killed
        (tmp_path / name).write_text("half")
    checkpoints = nn.Checkpoints(tmp_path, keep=2)
    trainer(checkpoints=checkpoints).fit(1)
    for step in (99_999_998, 99_999_999, 100_000_000, 100_000_001):  # in the order of numbers
        checkpoints.save({"step": step}, step)
        assert checkpoints.latest == tmp_path / f"step-{step}.safetensors"
    left = ["best.safetensors", "step-100000000.safetensors", "step-100000001.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*mine, *left])


def test_what_was_to_be_forgotten_is_forgotten_when_resumed(tmp_path: Path) -> None:
    ours = trainer(checkpoints=nn.Checkpoints(tmp_path, keep=9))
    ours.fit(1)
    ours.save(tmp_path / "step-00000002.safetensors")  # killed before it forgot this one
    trainer(checkpoints=nn.Checkpoints(tmp_path, keep=1)).fit(1, resume=True)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["best.safetensors", "step-00000003.safetensors"]


def test_nothing_of_an_earlier_training_is_overwritten(tmp_path: Path) -> None:
    trainer(folder=tmp_path).fit(1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(StorageError, match=r"from step-00000003.*delete this one"):
        trainer(folder=tmp_path).fit(1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    ours = trainer(folder=tmp_path)
    ours.fit(2, resume=True)
    ours.fit(3)  # its own


OTHERS: dict[str, tuple[nn.Module, Callable[[Any], dict[str, Any]]]] = {
    r"0\.weight is \(6, 3\) here, \(5, 3\) in the state": (network(hidden=6), lambda _: {}),
    "missing: 4": (nn.Sequential(*network(), nn.Affine(2, 2)), lambda _: {}),
    "schedules here: 1, in the state: 0": (
        network(4),
        lambda p: {"optimizer": (adam := optim.Adam(p)), "schedule": optim.StepLR(adam, 5)},
    ),
    "a running average here: True": (network(4), lambda p: {"average": optim.RunningAverage(p)}),
    "the state is of Adam": (network(4), lambda p: {"optimizer": optim.SGD(p, lr=0.1)}),
    "generators here": (network(4), lambda _: {"rngs": [np.random.default_rng(0)]}),
}


@pytest.mark.parametrize("words", OTHERS)
def test_a_checkpoint_of_another_training_changes_nothing(tmp_path: Path, words: str) -> None:
    trainer().save(tmp_path / "x")
    model, how = OTHERS[words]
    other = trainer(model, **how(model.parameters()))
    before = repr(other.state_dict())
    with pytest.raises(FileFormatError, match=f"x is of another training run: .*{words}"):
        other.load(tmp_path / "x")
    assert repr(other.state_dict()) == before


def test_damaged_and_newer_checkpoints_are_clear_errors_and_change_nothing(tmp_path: Path) -> None:
    """Whatever bytes come: an error of ours that names the file, or a state; no half-way load."""
    ours = trainer(schedule=())
    ours.fit(1)
    path = tmp_path / "x"
    ours.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    start = repr(ours.state_dict())
    header = int.from_bytes(whole[:8], "little")
    refused: list[str] = []
    unchanged = True
    for number in range(300):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            # most of them in the JSON, where almost every byte matters
            place = rng.integers(8, 8 + header) if number % 3 else rng.integers(len(whole))
            content[int(place)] = int(rng.integers(32, 127))
        if number % 10 == 0:
            del content[int(rng.integers(len(content))) :]
        path.write_bytes(content)
        try:
            ours.load(path)
        except FileFormatError as error:
            refused.append(str(error))
            unchanged &= repr(ours.state_dict()) == start
        else:
            path.write_bytes(whole)
            ours.load(path)
    assert len(refused) > 150
    assert unchanged
    assert all(str(path) in message for message in refused)


def test_foreign_files_are_named(tmp_path: Path) -> None:
    ours = trainer()
    path = tmp_path / "x"
    for content in (b"", b"PK\x03\x04", b"\x80\x04\x95 a pickle"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="x"):
            ours.load(path)
    ours.save(path)
    assert nn.load(path).keys() == ours.model.state_dict().keys(), "weights can be read out of it"
    nn.save(ours.model, path)
    with pytest.raises(FileFormatError, match=r"no checkpoint, but weights alone; nn\.load"):
        ours.load(path)
    write_state({"model": {}}, path)
    with pytest.raises(FileFormatError, match="parts here"):
        ours.load(path)
    text = path.read_bytes().replace(b'\\"format\\":1', b'\\"format\\":7')
    path.write_bytes(text)
    with pytest.raises(FileFormatError, match="in format 7; this one reads format 1"):
        ours.load(path)
    with pytest.raises(FileNotFoundError):
        ours.load(tmp_path / "nowhere")
    with pytest.raises(DtypeError, match=r"a\.0 is a set"):
        write_state({"a": [set()]}, tmp_path / "y")
    with pytest.raises(DtypeError, match="not the key 3"):
        write_state({3: 1}, tmp_path / "y")  # type: ignore[dict-item]
    assert not (tmp_path / "y").exists()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    state = {
        "numbers": [1, 2.5, -math.inf, 2**127, None, True, np.float32(0.5)],
        "a": {"b": np.arange(3.0)},
        "a.b": np.arange(4),
        "empty": [],
        "text": "µ\n",
    }
    write_state(state, tmp_path / "x")
    found = read_state(tmp_path / "x")
    assert found["numbers"] == [1, 2.5, -math.inf, 2**127, None, True, 0.5]
    np.testing.assert_array_equal(found["a"]["b"], np.arange(3.0))
    np.testing.assert_array_equal(found["a.b"], np.arange(4))
    assert found["text"] == "µ\n"


def test_every_kind_of_generator_is_kept(tmp_path: Path) -> None:
    kinds = [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM]
    rngs = [np.random.Generator(kind(5)) for kind in kinds]
    ours = trainer(rngs=rngs)
    ours.save(tmp_path / "x")
    expected = [rng.random(5).tolist() for rng in rngs]
    ours.load(tmp_path / "x")
    assert [rng.random(5).tolist() for rng in rngs] == expected


def test_a_full_disk_leaves_the_checkpoints_before(tmp_path: Path) -> None:
    """The limit on the size of files makes writing fail in the middle, as a full disk does."""
    resource: Any = pytest.importorskip("resource", reason="only POSIX has such limits")
    ours = trainer(folder=tmp_path)
    ours.fit(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(StorageError, match=r"00006.*could not be written.*00003.*is whole"):
            ours.fit(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["best.safetensors", "step-00000003.safetensors"]
    again = trainer(folder=tmp_path)
    again.fit(3, resume=True)
    ours.fit(3)
    assert equal(again, ours), "who is still there goes on as well"


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Be a user whom permissions hold back, which they do not the superuser."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_learned(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as top:  # unlike tmp_path, everyone may look into it
        Path(top).chmod(0o755)
        folder = Path(top) / "read only"
        trainer(folder=folder).fit(1)
        before = sorted(p.name for p in folder.iterdir())
        folder.chmod(0o555)
        ours = trainer(folder=folder)
        with nobody(), pytest.raises(StorageError, match=r"cannot be written to .*read only"):
            ours.fit(2, resume=True)
        assert ours.step == 0
        folder.chmod(0o755)
        assert sorted(p.name for p in folder.iterdir()) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Not a directory"):
        trainer(checkpoints=nn.Checkpoints(tmp_path / "file" / "x")).fit(1)


def test_one_training_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    checkpoints = nn.Checkpoints(tmp_path)
    half = tmp_path / ".step-00000003.safetensors.1-ab.unfinished"
    with checkpoints.opened():
        half.write_text("half")  # as the owner is writing it
        with pytest.raises(StorageError, match=r"another training run writes .*at test_trainer"):
            trainer(folder=tmp_path).fit(1)
        assert half.exists()
    trainer(checkpoints=checkpoints).fit(1)
    assert not half.exists()
    trainer(checkpoints=checkpoints).fit(2, resume=True)


ODD: list[Any] = [-5, 1.7, 1e300, math.nan, 2**80, True, "text", None, [1], {"a": 1}]


def changed(state: Any, odd: Any) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Yield the way to each number and text, what stands there, and a copy with an odd one."""
    if isinstance(state, np.ndarray):
        return
    if not isinstance(state, dict | list | tuple):
        yield (), state, odd
        return
    keys = state if isinstance(state, dict) else range(len(state))
    for key in keys:
        for path, before, other in changed(state[key], odd):
            parts = {**state, key: other} if isinstance(state, dict) else [*state]
            parts[key] = other
            yield (key, *path), before, parts


def plausible(path: tuple[Any, ...], before: Any, odd: Any) -> bool:
    """Whether a state with this odd value may be one of another training, and so be loaded."""
    words = [str(part) for part in path]
    number = isinstance(odd, int | float) and not isinstance(odd, bool)
    count = number and isinstance(odd, int) and odd >= 0
    if words[0] == "history" or (words[0] == "means" and words[1] == "sums"):
        return number and words[1] != "epochs"  # a loss or an accuracy
    if words[0] == "generators":
        return isinstance(odd, int)  # whatever bits a generator takes are a state of it
    if words[:2] == ["optimizer", "param_groups"]:
        return number or odd in (True, before)
    if words[-1] in ("initial_lrs", "lrs", "best") or words[-2] in ("initial_lrs", "lrs"):
        return number
    if words[-1] in ("seed", "t", "updates") or words[:2] == ["optimizer", "state"]:
        return count
    return bool(odd == before)


def test_odd_counters_are_refused_and_change_nothing() -> None:
    model = network()
    adam = optim.Adam(model.parameters(), lr=1e-2)
    ours = trainer(
        model,
        optimizer=adam,
        schedule=[optim.StepLR(adam, 3), optim.ReduceLROnPlateau(adam)],
        average=optim.RunningAverage(model.parameters(), 0.9),
    )
    ours.fit(2)
    state = ours.state_dict()
    start = repr(state)
    believed: list[str] = []
    for odd in ODD:
        for path, before, other in changed(state, odd):
            try:
                ours.load_state_dict(other)
            except GraphgradError:
                assert repr(ours.state_dict()) == start, f"{path} = {odd!r} was refused too late"
            else:
                if not plausible(path, before, odd):
                    believed.append(f"{path} = {odd!r}")
                ours.load_state_dict(state)
    assert believed == []


def test_a_finished_schedule_goes_on_with_more_epochs(tmp_path: Path) -> None:
    def made(epochs: int) -> nn.Trainer:
        model = network()
        adam = optim.Adam(model.parameters(), lr=1e-2)
        schedule = optim.CosineAnnealingLR(adam, 3 * epochs)
        return trainer(model, optimizer=adam, schedule=schedule)

    finished = made(2)
    finished.fit(2)
    assert finished.optimizer.param_groups[0]["lr"] == 0
    finished.save(tmp_path / "x")
    longer = made(4)
    longer.load(tmp_path / "x")
    assert longer.optimizer.param_groups[0]["lr"] == pytest.approx(5e-3)
    longer.fit(4)


class NoisyLoss(nn.Module):
    def __init__(self) -> None:
        self.drop = nn.Dropout(0.5, rng=np.random.default_rng(3))
        self.mean = nn.Buffer(np.zeros(()))

    def forward(self, scores: Any, labels: Any) -> Any:
        loss = nn.functional.cross_entropy(self.drop(scores), labels)
        self.mean.data = 0.9 * self.mean.data + 0.1 * loss.item()
        return loss + self.mean.item()


class Jitter(nn.Module):
    def __init__(self) -> None:
        self.rngs: list[Any] = [np.random.default_rng(4), {"other": np.random.default_rng(5)}]

    def forward(self, x: Any) -> Any:
        first, second = self.rngs[0], self.rngs[1]["other"]
        return x + 0.1 * (first.random(x.shape) + second.random(x.shape)).astype(np.float32)


def noisy_loss(scores: Any, labels: Any, *, rng: Any) -> Any:
    noise = rng.standard_normal(scores.shape).astype(np.float32)
    return nn.functional.cross_entropy(scores + noise, labels)


class Noise:
    shared = np.random.default_rng(0)

    def __init__(self) -> None:
        Noise.shared = np.random.default_rng(8)
        self.draw = np.random.default_rng(9).standard_normal  # a method, bound

    def __call__(self, scores: Any, labels: Any) -> Any:
        noise = (self.draw(scores.shape) + Noise.shared.random(scores.shape)).astype(np.float32)
        return nn.functional.cross_entropy(scores + noise, labels)


ANY = np.random.default_rng(0)


def by_a_global() -> Any:
    ANY.bit_generator.state = np.random.default_rng(10).bit_generator.state
    return lambda scores, labels: noisy_loss(scores, labels, rng=ANY)


def closed_over(rng: Any) -> Any:
    return lambda scores, labels: noisy_loss(scores, labels, rng=rng)


LOSSES: dict[str, Callable[[], Any]] = {
    "module": NoisyLoss,
    "partial": lambda: functools.partial(noisy_loss, rng=np.random.default_rng(6)),
    "closure": lambda: closed_over(np.random.default_rng(6)),
    "old generator": lambda: closed_over(np.random.RandomState(6)),
    "held by a held": lambda: functools.partial(lambda noise, *args: noise(*args), Noise()),
    "object": Noise,
    "global": by_a_global,
}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_a_loss_draws_and_keeps_is_resumed_to_the_bit(tmp_path: Path, kind: str) -> None:
    def made() -> nn.Trainer:
        return trainer(nn.Sequential(Jitter(), *network()), loss=LOSSES[kind]())

    whole = made()
    whole.fit(4)
    first = made()
    first.fit(2)
    first.save(tmp_path / "x")
    second = made()
    second.load(tmp_path / "x")
    second.fit(4)
    assert equal(second, whole)


def test_saving_and_loading_copy_little(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Affine(3, 400), nn.Affine(400, 400), nn.Affine(400, 2))
    ours = trainer(model)
    ours.fit(1)
    size = sum(p.data.nbytes for p in model.parameters())
    peaks = []
    for act in (ours.save, ours.load):
        act(tmp_path / "x")  # what is loaded at the first one is no part of it
        peaks.append(memory_of(functools.partial(act, tmp_path / "x"))[1] / size)
    saving, loading = peaks
    assert saving < 0.3, "the arrays are written from where they are"
    assert loading < 4.5, "the state is three times the weights, and theirs may have to come back"


def test_a_history_is_a_table_and_a_picture(tmp_path: Path) -> None:
    history = trainer().fit(2)
    lines = repr(history).splitlines()
    assert lines[0].split() == ["epoch", *history]
    assert len(lines) == 3
    assert history.best("loss") == int(np.argmin(history["loss"]))
    assert history.best("accuracy") == int(np.argmax(history["accuracy"]))
    assert history.plot(tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    drawn = history.plot(tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert drawn.count("<!-- training, while learning -->") == 2, "the learning rate is no curve"
    with pytest.raises(ShapeError, match="no column 'x'"):
        history.best("x")
    with pytest.raises(ShapeError, match="use one set"):
        history.append({"loss": 1.0})
    with pytest.raises(ShapeError, match="no epoch to draw"):
        nn.History().plot(tmp_path / "x.png")


def drawn_axes(columns: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("matplotlib")
    from graphgrad.viz import plots

    kept: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda figure, _: kept.append(figure))
    history = nn.History()
    for row in zip(*columns.values(), strict=True):
        history.append(dict(zip(columns, row, strict=True)))
    history.plot("unused.png")
    (figure,) = kept
    return {axes.get_title(): axes for axes in figure.axes}, figure.get_supxlabel()


@pytest.mark.parametrize("loss", [1e-3, 2.3026, 1e4])
def test_a_loss_that_hardly_moves_looks_flat(loss: float, monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = loss * 0.999, loss
    axes, said = drawn_axes({"loss": [high, loss, low], "accuracy": [0.2] * 3}, monkeypatch)
    to_axes = axes["loss"].transData + axes["loss"].transAxes.inverted()
    heights = to_axes.transform([(1, low), (1, high)])[:, 1]
    assert 0 < heights[1] - heights[0] < 0.01
    assert heights.mean() == pytest.approx(0.5, abs=0.01)
    assert axes["accuracy"].get_ylim() == (-0.02, 1.02)
    assert said.startswith("the loss stayed at its start")


def test_a_sound_history_is_drawn_close_up(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"loss": [2.0, 0.5, 0.05], "accuracy": [0.9, 0.95, 0.99]}
    axes, said = drawn_axes(columns, monkeypatch)
    assert 0.03 < axes["loss"].get_ylim()[0] < 0.05
    assert 2 < axes["loss"].get_ylim()[1] < 3
    assert axes["accuracy"].get_ylim()[0] > 0.85
    assert said == ""


def test_progress_shows_rate_loss_and_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    trainer(progress=True).fit(1)
    shown = capsys.readouterr().err
    for word in ("epoch 1/1", "40/40", "samples/s", "loss", "accuracy", "validation_loss"):
        assert word in shown
    trainer(progress=False).fit(1)
    trainer().fit(1)  # not a terminal here
    assert capsys.readouterr().err == ""


MODEL, OTHER = network(), network(1)
ADAM, THEIRS = optim.Adam(MODEL.parameters()), optim.SGD(OTHER.parameters(), lr=0.1)
BATCHES = data.Batches(samples(), 10)
FITTING = nn.Trainer(MODEL, ADAM, BATCHES)


def made(*parts: Any, **how: Any) -> Any:
    return lambda: nn.Trainer(MODEL, *parts, **how)


REFUSED: Refusals = {
    DtypeError: {
        r"such as data\.Batches\(train, 100, rng=rng\)": made(ADAM, samples()),
        r"optim\.SGD\(": made(BATCHES, ADAM),  # the other way round
        r"must be an Optimizer, such as optim\.SGD\(": made(list(MODEL.parameters()), BATCHES),
        r"rngs\[0\] is a int": made(ADAM, BATCHES, rngs=[3]),
    },
    GraphError: {
        "4 of the optimizer's 4 parameters are not this model's": made(THEIRS, BATCHES),
        "4 of the running average's 4 parameters": made(
            ADAM, BATCHES, average=optim.RunningAverage(OTHER.parameters())
        ),
        r"after 0 steps: lr 0\.1> is of another optimizer": made(
            ADAM, BATCHES, schedule=optim.StepLR(THEIRS, 2)
        ),
        "a newer schedule sets the lr": lambda: nn.Trainer(
            MODEL, ADAM, BATCHES, schedule=[optim.StepLR(ADAM, 2), optim.StepLR(ADAM, 3)]
        ),
        "resume=True needs checkpoints=": lambda: FITTING.fit(1, resume=True),
    },
    UnsupportedError: {
        "LBFGS asks for the loss several times": made(optim.LBFGS(MODEL.parameters()), BATCHES)
    },
    ArgumentError: {
        "the columns are loss, accuracy, lr": made(ADAM, BATCHES, monitor="validation_loss"),
        "schedule_each='step'": made(ADAM, BATCHES, schedule_each="step"),
    },
    ShapeError: {
        "Trainer: images.*give one label per image": made(
            ADAM, BATCHES, validation=(np.zeros((3, 3)), np.zeros(2))
        ),
        r"one number, not \(10,\); take the mean": lambda: nn.Trainer(
            MODEL, ADAM, BATCHES, nn.CrossEntropyLoss(reduction="none")
        ).fit(1),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
