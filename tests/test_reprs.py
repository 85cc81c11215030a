"""What the prompt shows of every public object: what it is, how it was made, where it stands."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import data, nn, optim, testing, viz
from graphgrad.checks.laws import Case as LawCase
from graphgrad.checks.module_laws import ModuleCase
from graphgrad.checks.optimizer_laws import OptimizerCase
from graphgrad.data import Dataset
from graphgrad.engine.domains import Call, Elementwise, Reduction
from graphgrad.errors import GraphgradError
from graphgrad.nn.tuning.workers import Job
from graphgrad.ops.elementwise import add
from graphgrad.reprs import Described, call_of
from graphgrad.viz.views.view import view
from tests.every_module import EXAMPLES
from tests.groups import Groups
from tests.optimizer_cases import CASES, Case

SPACES = (gg, gg.linalg, nn, nn.models, nn.init, optim, data, viz, viz.plots, testing)
LONGEST = 300  # characters of a line: about three lines of a terminal


def public_classes() -> set[type]:
    """Every class of ours that has a public name, but for errors."""
    named = [x for space in SPACES for name, x in vars(space).items() if not name.startswith("_")]
    ours = [x for x in named if inspect.isclass(x) and x.__module__.startswith("graphgrad")]
    return {x for x in ours if not issubclass(x, GraphgradError)}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Affine(4, 3, rng=rng()))


def samples(count: int = 1200) -> Dataset:
    return Dataset(np.zeros((count, 4), np.float32), np.arange(count) % 3)


def groups() -> Groups:
    return Groups({"lr": 0.5, "momentum": 0.9}, {"lr": 0.25, "momentum": 0.9})


def trainer() -> nn.Trainer:
    model = net()
    batches = data.Batches(samples(), 600, rng=rng())
    return nn.Trainer(model, optim.SGD(model.parameters(), lr=0.1), batches, progress=False)


def graph(uses: int = 1) -> viz.Graph:
    x = y = gg.Tensor(2.0, requires_grad=True, name="x")
    for _ in range(uses):
        y = y * x
    return gg.graph(y)


def trial() -> nn.TrialResult:
    kept = dict.fromkeys(range(1000), 0.5)
    return nn.TrialResult(3, {"lr": 0.01}, "complete", 0.97, kept, None, None, None)


def optimizer(case: Case) -> Any:
    return getattr(optim, case.name)(net().parameters(), **case.options)


def rising(t: int) -> float:
    return 2.0**t


def two_schedules() -> optim.SequentialLR:
    o = groups()
    parts = [optim.LinearLR(o, 0.25, total_iters=3), optim.CosineAnnealingLR(o, 4)]
    return optim.SequentialLR(o, parts, milestones=[3])


# What shows its arguments: all of them, with values that are no defaults.
ARGUMENTS: dict[type[Described], dict[str, Any]] = {
    optim.StepLR: {"step_size": 30, "gamma": 0.5, "warmup": 2},
    optim.MultiStepLR: {"milestones": [2, 5], "gamma": 0.5, "warmup": 2},
    optim.ExponentialLR: {"gamma": 0.5, "warmup": 2},
    optim.InverseTimeLR: {"k": 0.25, "warmup": 2},
    optim.CosineAnnealingLR: {"T_max": 95, "eta_min": 0.001, "warmup": 2},
    optim.LinearLR: {"start_factor": 0.25, "end_factor": 0.5, "total_iters": 3, "warmup": 2},
    optim.LambdaLR: {"lr_lambda": rising, "warmup": 2},
    optim.OneCycleLR: {
        "max_lr": [0.1, 0.2], "total_steps": 10, "pct_start": 0.25, "three_phase": True,
        "anneal_strategy": "linear", "base_momentum": 0.5, "max_momentum": 0.75,
        "div_factor": 2.0, "final_div_factor": 4.0, "cycle_momentum": True,
    },
    optim.MomentumSchedule: {"total_steps": 10, "start": 0.25, "end": 0.75},
    optim.ReduceLROnPlateau: {
        "mode": "max", "factor": 0.5, "patience": 3, "threshold": 0.25, "cooldown": 1,
        "threshold_mode": "abs", "min_lr": 0.001, "eps": 1e-6,
    },
    data.Batches: {"batch_size": 500, "shuffle": False, "drop_last": True, "prefetch": 0},
    data.Shift: {"pixels": 2},
    data.Crop: {"height": 4, "width": 5, "padding": 1},
    data.Flip: {"probability": 0.25},
    data.Brightness: {"amount": 0.25},
    data.Rotate: {"degrees": 20},
    data.Scale: {"amount": 0.25},
    data.Center: {},
    data.Standardize: {},
    data.PCA: {"components": 3},
    data.Whiten: {"components": 3, "epsilon": 0.001},
}  # fmt: skip


def made(kind: type[Described], **arguments: Any) -> Described:
    first: Any = {"optimizer": groups(), "dataset": samples()}
    needed = [x for name, x in first.items() if name in inspect.signature(kind).parameters]
    return kind(*needed, **arguments)


# What shows something else.
OTHERS: dict[str, Callable[[], Any]] = {
    "Tensor": lambda: gg.Tensor([1.0, 2.0]),
    "Parameter": lambda: nn.Parameter([1.0, 2.0]),
    "Buffer": lambda: nn.Buffer([1.0, 2.0]),
    "Dataset": samples,
    "Checkpoints": lambda: nn.Checkpoints(Path("runs")),
    "Diagnosis": lambda: nn.Diagnosis(net(), every=20),
    "History": nn.History,
    "RunningAverage": lambda: optim.RunningAverage(net().parameters()),
    "SanityReport": lambda: nn.sanity_checks(net(), samples(30), steps=1),
    "SearchResult": lambda: nn.SearchResult({"lr": nn.Range(0.001, 1.0)}, True, (trial(),) * 100),
    "Trainer": trainer,
    "Trial": lambda: nn.Trial(Job(3, {"lr": 0.01}, 0, None), lambda *_: False),
    "TrialResult": trial,
    "Choice": lambda: nn.Choice(["relu", "tanh"]),
    "Range": lambda: nn.Range(0.001, 1.0, log=True),
    "summary": lambda: nn.summary(net(), (4,)),
    "Graph": lambda: graph(1000),
    "Snapshot": lambda: graph(1000).snapshot,
    "View": lambda: view(graph(1000).snapshot),
    "Sampler": lambda: testing.Sampler(rng=rng()),
    "Case": lambda: LawCase(add, Call((np.ones(2), np.ones(2)), {})),
    "ModuleCase": lambda: ModuleCase(nn.Tanh(), [np.ones(2)]),
    "OptimizerCase": lambda: OptimizerCase(lambda params: optim.SGD(params, lr=0.1)),
    "SequentialLR": two_schedules,
    **{name: functools.partial(optimizer, case) for name, case in CASES.items()},
    "Newton": lambda: optim.Newton(net().parameters()),
    "op": lambda: gg.exp,
    "composite": lambda: gg.ptp,
    "namespace": lambda: gg.linalg.norm,
}
RECORDS = {  # tuples and dataclasses of a few fields, each by its name
    *(Call, Elementwise, Reduction),
    *(viz.ModuleCall, viz.ModuleNote, viz.Numbers, viz.OpStep, viz.Value),
}


def test_every_public_class_is_here() -> None:
    objects = [make() for make in OTHERS.values()]
    objects += [made(kind, **given) for kind, given in ARGUMENTS.items()]
    objects += [e.make(rng(), np.float32) for e in EXAMPLES.values()]
    there = {c for x in objects for c in type(x).__mro__}
    modules = {
        c for c in public_classes() if issubclass(c, nn.Module)
    }  # test_every_module.py has all
    assert public_classes() - there - modules == RECORDS
    assert not [x for x in RECORDS if vars(x).get("__repr__") is None]


@pytest.mark.parametrize("name", OTHERS)
def test_it_says_what_it_is_in_a_few_lines(name: str) -> None:
    x = OTHERS[name]()
    text = repr(x)
    assert " at 0x" not in text
    assert max(map(len, text.splitlines())) <= LONGEST
    assert len(text.splitlines()) <= 15


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_its_arguments_stand_there_as_one_would_type_them(kind: type[Described]) -> None:
    x = made(kind, **ARGUMENTS[kind])
    assert set(ARGUMENTS[kind]) <= set(inspect.signature(kind).parameters)
    names = {"rising": rising, kind.__name__: dict}
    assert eval(call_of(x), names) == ARGUMENTS[kind]
    assert call_of(x) in repr(x)
    assert len(repr(x)) <= LONGEST


def test_what_is_off_is_not_shown() -> None:
    assert repr(data.Crop(4, 5)) == "Crop(height=4, width=5)"
    assert repr(data.PCA()) == "<PCA() not fitted yet>"
    assert call_of(optim.StepLR(groups(), 30)) == "StepLR(step_size=30, gamma=0.1)"


def test_a_schedule_says_the_rate_and_the_step() -> None:
    schedule = optim.StepLR(groups(), 1)
    assert repr(schedule) == "<StepLR(step_size=1, gamma=0.1) after 0 steps: lr 0.5, 0.25>"
    schedule.step()
    assert repr(schedule) == "<StepLR(step_size=1, gamma=0.1) after 1 step: lr 0.05, 0.025>"
    adam = Groups({"lr": 0.1, "betas": (0.9, 0.99)})
    rising_momentum = optim.MomentumSchedule(adam, 10, 0.5, 1.0)
    rising_momentum.step()
    assert repr(rising_momentum).endswith(" after 1 step: momentum 0.55>")
    cycle = repr(optim.OneCycleLR(adam, 1.0, 10))
    assert cycle.startswith("<OneCycleLR(max_lr=1, total_steps=10, ")
    assert cycle.endswith(" after 0 steps: lr 0.04, momentum 0.95>")
    assert "SequentialLR(schedulers=[LinearLR(start_factor=0.25, " in repr(two_schedules())


def test_a_plateau_says_the_best_and_how_long_it_waits() -> None:
    plateau = optim.ReduceLROnPlateau(groups(), patience=3)
    assert repr(plateau).endswith(" nothing measured: lr 0.5, 0.25>")
    for metric in (0.5, 0.75, 0.75):
        plateau.step(metric)
    assert repr(plateau).endswith(" best 0.5, 2 bad since: lr 0.5, 0.25>")


def test_a_schedule_of_ones_own_says_as_much() -> None:
    class Half(optim.Schedule):
        def __init__(self, optimizer: Any, power: int) -> None:
            self.power = power
            super().__init__(optimizer)

        def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:  # noqa: ARG002
            return {"lr": initial_lr / self.power**t}

    assert repr(Half(groups(), 2)) == "<Half(power=2) after 0 steps: lr 0.5, 0.25>"


def test_data_say_shapes_types_and_classes() -> None:
    assert repr(samples()) == "<Dataset: images (1200, 4) float32, labels (1200,) int64, 3 classes>"
    one_hot = samples()._replace(labels=data.one_hot(samples().labels))
    assert repr(one_hot).endswith(", labels (1200, 3) float32>")
    assert repr(Dataset([1], gg.Tensor([2]))) == (
        "<Dataset: images (1,) int64, labels (1,) int64, 1 class>"
    )
    batches = data.Batches(samples(), 500, rng=rng())
    next(iter(batches))
    assert repr(batches) == (
        "<Batches(batch_size=500, shuffle=True, prefetch=2) of 1,200 samples: "
        "epoch 0, 1 of 3 batches handed out>"
    )
    assert "augment=[Shift(pixels=1), Flip(probability=0.5)]" in repr(
        data.Batches(samples(), 500, rng=rng(), augment=[data.Shift(1), data.Flip()])
    )
    fitted = data.PCA(2).fit(np.eye(4))
    assert repr(fitted) == "<PCA(components=2) fitted to images of shape (4,)>"


def test_the_rest_says_how_far_it_is() -> None:
    training = trainer()
    assert repr(training) == "<Trainer of Sequential by SGD after 0 epochs, 0 steps>"
    training.fit(1)
    assert repr(training) == "<Trainer of Sequential by SGD after 1 epoch, 2 steps>"
    assert repr(OTHERS["Trial"]()) == "<Trial 3 of lr=0.01>"
    assert repr(graph()) == "<Graph of multiply, value 4: 1 op, 1 leaf, 0 constants>"
    assert repr(graph().snapshot) == "<Snapshot of 2 values, 2 steps, 0 modules>"
    assert repr(nn.Parameter([1.0])) == "Parameter([1.], requires_grad=True)"
