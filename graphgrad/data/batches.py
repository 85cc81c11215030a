"""Going through a dataset batch by batch, shuffled, augmented, and resumable."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphgrad.arguments import (
    CALLED,
    NonNegativeInt,
    PositiveInt,
    function,
    guarded,
    several,
    whole,
)
from graphgrad.data.dataset import Dataset, checked
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.randomness import default_generator
from graphgrad.reprs import Described, counted

Augmentation = Callable[[Any, np.random.Generator], Any]  # images, generator → images


class Batches(Described):
    """The samples of a dataset, batch by batch; to iterate once is one epoch.

    ::

        for x, labels in Batches(train, 100, rng=rng):
            ...

    Everything random comes from three numbers: the order in epoch e from the generator seeded
    by (seed, e, 0), the augmentation of its b-th batch from the one seeded by (seed, e, b). So
    the state of the last batch handed out is known however far a thread has prepared others, and
    ``load_state_dict`` goes on with the very next one.

    Parameters
    ----------
    dataset
        Images and labels of one length.
    batch_size
        Samples per batch, at most as many as there are.
    rng
        Draws the seed; None is the package's default generator.
    shuffle
        Whether each epoch has an order of its own.
    augment
        Functions ``(images, rng) -> images``, applied one after the other; see
        `graphgrad.data.augmentation`.
    drop_last
        Whether a smaller batch at the end is left out.
    prefetch
        How many batches a thread prepares in advance; 0 is no thread.

    Raises
    ------
    ArgumentError
        If a batch is larger than the data.
    ShapeError
        If the dataset is empty, or lengths differ.
    """

    @guarded
    def __init__(
        self,
        dataset: tuple[Any, Any],
        batch_size: PositiveInt,
        *,
        rng: np.random.Generator | None = None,
        shuffle: bool = True,
        augment: Augmentation | Sequence[Augmentation] = (),
        drop_last: bool = False,
        prefetch: NonNegativeInt = 2,
    ) -> None:
        """Check the arguments and draw the seed."""
        self.dataset = checked(dataset)
        if batch_size > self.dataset.size:
            message = (
                f"{CALLED}: batch_size={batch_size} of {self.dataset.size} samples; it must be "
                "between 1 and their number"
            )
            raise ArgumentError(message)
        if callable(augment):
            augment = [augment]
        changes = several(CALLED, "augment", augment, "functions")
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.augment = [function(CALLED, "an element of augment", change) for change in changes]
        self.drop_last = drop_last
        self.prefetch = prefetch
        self.seed = int(default_generator(rng).integers(2**63))
        self.epoch = 0  # that of the next batch
        self.batch = 0  # how many of this epoch were handed out
        self._resumed = False

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(self.dataset.size, self.batch_size)
        return full + bool(rest and not self.drop_last)

    @property
    def samples(self) -> int:
        """The number of samples in an epoch."""
        full = len(self) * self.batch_size
        return full if self.drop_last else self.dataset.size

    def __iter__(self) -> Iterator[Dataset]:
        """Go through an epoch; one that was left early is not taken up again, unless loaded."""
        if self.batch and not self._resumed:
            self.epoch, self.batch = self.epoch + 1, 0
        self._resumed = False
        epoch, first = self.epoch, self.batch
        batches = self._made(epoch, first)
        if self.prefetch:
            batches = _ahead(batches, self.prefetch, lambda done: self._made(epoch, first + done))
        try:
            for number, batch in enumerate(batches, first + 1):
                last = number == len(self)
                self.epoch, self.batch = (epoch + 1, 0) if last else (epoch, number)
                yield batch
        finally:
            batches.close()

    def _made(self, epoch: int, first: int) -> Generator[Dataset, None, None]:
        order = np.arange(self.dataset.size)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch, 0]).shuffle(order)
        for number in range(first, len(self)):
            start = number * self.batch_size
            images, labels = self.dataset.take(order[start : start + self.batch_size])
            # not (…, number): 0 is the order's, and NumPy takes a missing number for 0
            rng = np.random.default_rng([self.seed, epoch, number + 1])
            for change in self.augment:
                images = change(images, rng)
            yield Dataset(images, labels)

    def state_dict(self) -> dict[str, int]:
        """Return the three numbers that say which batch comes next."""
        return {"seed": self.seed, "epoch": self.epoch, "batch": self.batch}

    @guarded
    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on with the batch after the one at which the state was taken.

        Raises
        ------
        ShapeError
            If the state is not one of batches of this number per epoch.
        DtypeError
            If its values are not whole numbers.
        """
        names = ("seed", "epoch", "batch")
        if set(state) != set(names):
            message = f"{CALLED}: a state has {', '.join(names)}, not {', '.join(map(str, state))}"
            raise ShapeError(message)
        seed, epoch, batch = (whole(CALLED, f"{name} of a state", state[name]) for name in names)
        if min(seed, epoch, batch) < 0 or max(seed, epoch) >= 2**63 or batch >= len(self):
            message = f"{CALLED}: the state {state} is of other data: {len(self)} batches here"
            raise ShapeError(message)
        self.seed, self.epoch, self.batch, self._resumed = seed, epoch, batch, True

    def _state(self) -> str:
        place = f"epoch {self.epoch}, {self.batch} of {len(self)} batches handed out"
        return f"of {counted(self.dataset.size, 'sample')}: {place}"


def _ahead(
    items: Iterator[Any], count: int, again: Callable[[int], Iterator[Any]]
) -> Generator[Any, None, None]:
    """Let a thread prepare up to ``count`` items in advance; it ends with this generator.

    A process forked meanwhile has no such thread: there, ``again(done)`` makes what is left.
    """
    from concurrent.futures import ThreadPoolExecutor  # slow to load

    end = object()
    process = os.getpid()
    item = next(items, end)  # here, so that an error names the user's line
    pool = ThreadPoolExecutor(1, "graphgrad batches")  # one thread: items come in their order
    done = 0
    try:
        ready = deque(pool.submit(next, items, end) for _ in range(count))
        while item is not end:
            yield item
            done += 1
            if os.getpid() != process:
                yield from again(done)
                return
            item = ready.popleft().result()
            ready.append(pool.submit(next, items, end))
    finally:
        if os.getpid() == process:
            pool.shutdown(cancel_futures=True)
