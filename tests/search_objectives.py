"""Searches and their objectives, in a module that worker processes import quickly."""

import math
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data, nn, optim

RATE = nn.Range(1e-6, 1e-2, log=True)
SPACE = {
    "lr": RATE,
    "hidden": nn.Range(20, 200, whole=True),
    "act": nn.Choice(["relu", "tanh", None]),
}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def search(objective: Any, space: Any = SPACE, **options: Any) -> nn.SearchResult:
    options = {"trials": 6, "maximize": False, "rng": generator(), **options}
    return nn.search(objective, space, **options)


def distance(point: dict[str, Any], trial: nn.Trial) -> float:
    """The best rate is 1e-4; the generator of the trial adds some noise."""
    return abs(math.log10(point["lr"]) + 4) + 1e-3 * trial.rng.random()


def reporting(point: dict[str, Any], trial: nn.Trial) -> float:
    for step in range(4):
        try:
            trial.report(distance(point, trial), step)
        except Exception as error:  # noqa: BLE001 - as careless objectives do
            return float("pruning is no error" in str(error))
    return distance(point, trial)


def faulty(point: dict[str, Any], trial: nn.Trial) -> Any:
    if trial.number == 1:
        raise ValueError("one went wrong")
    if trial.number == 2:
        return math.nan
    if trial.number == 3:
        trial.report(0.5, 0)
        trial.report(math.inf, 1)
    return None if trial.number == 4 else reporting(point, trial)


def broken(_: Any, trial: nn.Trial) -> float:
    raise KeyError(f"no such layer in {trial.number}")


# ------------------------------------------------------------------------------ interruptions


def begun(folder: Path) -> Counter[int]:
    """Count by number how often trials were begun."""
    return Counter(int(line.split()[0]) for line in (folder / "begun").read_text().splitlines())


def killing(point: dict[str, Any], trial: nn.Trial, folder: Path, victim: str) -> float:
    threads = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]
    with (folder / "begun").open("a") as file:
        file.write(f"{trial.number} {os.getpid()} {threads}\n")
    again = begun(folder)[trial.number] > 1
    trial.report(trial.number, 0)
    if victim == "worker, always" and trial.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if trial.number == 3 and not again:
        if victim == "search":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)  # it ends with its parent
        if victim.startswith("worker"):
            os.kill(os.getpid(), signal.SIGKILL)
        if victim == "Ctrl-C":
            raise KeyboardInterrupt
    return distance(point, trial)


def undisturbed(point: dict[str, Any], trial: nn.Trial) -> float:
    trial.report(trial.number, 0)
    return distance(point, trial)


def learning(point: dict[str, Any], trial: nn.Trial, log: Path, kill: bool) -> float:
    x = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    t = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    train, held = data.Dataset(x[:200], t[:200]), data.Dataset(x[200:], t[200:])
    layers = [nn.Affine(2, 20, rng=trial.rng), nn.ReLU(), nn.Affine(20, 2, rng=trial.rng)]
    net = nn.Sequential(*layers)
    checkpoints = nn.Checkpoints(trial.folder)
    trainer = nn.Trainer(
        net,
        optim.SGD(net.parameters(), lr=point["lr"], momentum=0.9),
        data.Batches(train, 50, rng=trial.rng),
        validation=held,
        checkpoints=checkpoints,
        progress=False,
    )
    there = len(checkpoints.paths)
    with log.open("a") as file:
        file.write(f"{trial.number}:{there} ")
    if kill and trial.number == 1 and not there:
        trainer.fit(2)
        os.kill(os.getpid(), signal.SIGKILL)
    return trial.fit(trainer, 4)
