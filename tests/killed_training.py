"""A training that kills itself at a point that one names; started by the tests.

``python -m tests.killed_training FOLDER [KIND NUMBER]`` goes on from the newest checkpoint and, at
the NUMBER-th point of a KIND of `POINTS`, ends by SIGKILL, as a machine without power does.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from graphgrad import data, manual_seed, nn, optim

# what the writing of a checkpoint asks of the system, before and after; and the batches
CALLS = {"open", "write", "fsync", "replace", "link", "unlink"}
POINTS = ("batch", "torn", *(f"{when} {call}" for call in sorted(CALLS) for when in ("to", "did")))
EPOCHS = 4


def trainer(folder: Path) -> nn.Trainer:
    """Put together a training in which everything that has a state takes part."""
    manual_seed(7)
    rng = np.random.default_rng(0)
    samples = data.Dataset(rng.random((60, 1, 8, 8), np.float32), rng.integers(0, 3, 60))
    train, held = samples.take(slice(0, 45)), samples.take(slice(45, None))
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3, rng=np.random.default_rng(1)),
        nn.Affine(144, 3, rng=rng),
        nn.Dropout(0.1),  # draws from the default generator
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    return nn.Trainer(
        model,
        optimizer,
        data.Batches(train, 10, rng=rng, augment=data.Shift(1)),
        validation=held,
        schedule=[
            optim.CosineAnnealingLR(optimizer, 20),
            optim.ReduceLROnPlateau(optimizer, patience=0),
        ],
        average=optim.RunningAverage(model.parameters(), 0.9),
        clip_norm=1.0,
        monitor="validation_accuracy",
        checkpoints=nn.Checkpoints(folder, keep=2, every=2),
    )


class Killer:
    """Counts the points of a kind, and kills at one of them."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.left = number

    def pass_by(self, kind: str) -> None:
        if kind == self.kind:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Be told by the interpreter of each call of a function written in C."""
        name = getattr(argument, "__name__", "") if event.startswith("c_") else ""
        if name not in CALLS or not _inside_writing(frame):
            return
        self.pass_by(f"{'to' if event == 'c_call' else 'did'} {name}")

    def metric(self, scores: Any, labels: Any) -> float:
        """Count batches, where metrics are asked for."""
        self.pass_by("batch")
        return nn.accuracy(scores, labels)


def _inside_writing(frame: FrameType | None) -> bool:
    while frame is not None:
        if Path(frame.f_code.co_filename).name == "checkpoints.py":
            return True
        frame = frame.f_back
    return False


def tear_files(size: int) -> None:
    """Let the system kill this process when a file grows beyond this size."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def main(folder: Path, kind: str = "", number: int = 0) -> None:
    killer = Killer(kind, number)
    training = trainer(folder)
    training.metrics["accuracy"] = killer.metric
    if kind == "torn":
        tear_files(number)
    sys.setprofile(killer.profile if kind.startswith(("to ", "did ")) else None)
    training.fit(EPOCHS, resume=True)


if __name__ == "__main__":
    _, place, *point = sys.argv
    main(Path(place), point[0], int(point[1])) if point else main(Path(place))
