"""The average of the parameters over the last steps, to predict with."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from graphgrad.arguments import CALLED, NonNegativeFloat, guarded, whole
from graphgrad.engine.operands import as_plain
from graphgrad.engine.recording import outside_traces
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, GraphError, ShapeError
from graphgrad.optim.arguments import check_names, leaves_of
from graphgrad.pieces import MANY_ARRAYS, pieces
from graphgrad.reprs import counted


class RunningAverage:
    """Average parameters while they are learnt, and lend the averages to the model.

        average = optim.RunningAverage(model.parameters(), decay=0.999)
        for x, labels in batches:
            ...
            optimizer.step()
            average.update()
        with average.applied():
            evaluate(model)

    After the n-th update a ← a + w (p − a) with w = (1 − d)/(1 − dⁿ): an exponential average
    whose weights d^(n−i) sum to 1, which is Adam's correction of the bias towards the start.
    The first update so copies the parameters, and nothing remains of where they were before.
    ``decay=None`` takes them all alike, w = 1/n: Polyak and Juditsky, 1992. (PyTorch's
    exponential average has w = 1 − d from the second update on, and so remembers the first
    for 1/(1 − d) steps.)

    The averages of float16 are kept in float32. Running statistics of batch normalisation are
    no parameters: after the weights were averaged, they belong to other weights.

    Parameters
    ----------
    params
        The tensors to average: leaves of floating numbers.
    decay
        0 ≤ d < 1; the average is over about 1/(1 − d) steps. None: over all.

    Raises
    ------
    GraphError
        If a parameter is no leaf, or there are none.
    ArgumentError
        If the decay is out of range.
    """

    compiled_as_object: ClassVar[bool] = True

    @guarded
    def __init__(
        self, params: Tensor | Iterable[Tensor], decay: NonNegativeFloat | None = 0.999
    ) -> None:
        self.params = leaves_of(params)
        if decay is not None and decay >= 1:
            message = f"{CALLED}: decay = {decay} must be below 1; None is the plain average"
            raise ArgumentError(message)
        self.decay = decay
        self.updates = 0
        self.averages = [np.zeros(p.shape, np.promote_types(p.dtype, "f4")) for p in self.params]
        self._lent = False

    @outside_traces
    def update(self) -> None:
        """Take in the parameters as they are now; called after ``optimizer.step()``."""
        self._refuse_lent("update()")
        self.updates += 1
        w = 1 / self.updates
        if self.decay:
            w = (1 - self.decay) / -math.expm1(self.updates * math.log(self.decay))
        elif self.decay == 0:
            w = 1.0
        for average, p in zip(self.averages, self.params, strict=True):
            for a, now in pieces((average, p.data), MANY_ARRAYS):
                np.add(a, w * (now - a), out=a)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the parameters be their averages inside the ``with``; put them back after it.

        Raises
        ------
        GraphError
            Before the first update, inside another ``applied()``, and at the end if the
            parameters were changed inside: those changes are lost, the parameters restored.
        """
        self._refuse_lent("applied()")
        if not self.updates:
            message = "RunningAverage: nothing to apply; call update() after optimizer.step()"
            raise GraphError(message)
        learnt = [p.data.copy() for p in self.params]
        lent = [a.astype(p.dtype) for a, p in zip(self.averages, self.params, strict=True)]
        self._lent = True
        try:
            self._put(lent)
            yield
            changed = [
                i
                for i, (p, a) in enumerate(zip(self.params, lent, strict=True))
                if not np.array_equal(p.data, a, equal_nan=True)
            ]
        finally:
            self._put(learnt)
            self._lent = False
        if changed:
            message = (
                f"RunningAverage: parameter {changed[0]} {self.params[changed[0]].shape} was "
                "changed inside applied(), and the change dropped; train outside of it"
            )
            raise GraphError(message)

    def state_dict(self, copy: bool = True) -> dict[str, Any]:
        """Return copies of what `load_state_dict` needs to go on from here.

        ``copy=False`` gives the arrays themselves, for what is written at once.
        """
        averages = [a.copy() for a in self.averages] if copy else list(self.averages)
        return {"updates": self.updates, "averages": averages}

    @guarded
    def load_state_dict(self, state: Mapping[str, Any], copy: bool = True) -> None:
        """Go on from where `state_dict` was taken.

        ``copy=False`` goes on with the arrays of the state themselves, where they fit.

        Raises
        ------
        ShapeError
            If names are missing or unknown, or shapes differ; nothing has changed then.
        """
        self._refuse_lent("load_state_dict()")
        check_names(self.state_dict(copy=False), state)
        updates = whole(CALLED, "updates", state["updates"], 0)
        arrays = [as_plain(CALLED, a, "averages") for a in state["averages"]]
        found, own = [a.shape for a in arrays], [a.shape for a in self.averages]
        if found != own:
            message = f"{CALLED}: the state has shapes {found}, the parameters {own}"
            raise ShapeError(message)
        self.averages = [
            np.array(array, average.dtype, copy=copy or None, order="C")
            for average, array in zip(self.averages, arrays, strict=True)
        ]
        self.updates = updates

    def _put(self, arrays: list[Any]) -> None:
        """Write into the memory of the parameters, which others may hold; backward() notices."""
        for p, array in zip(self.params, arrays, strict=True):
            data = p.data
            data[...] = array
            p.data = data

    def _refuse_lent(self, what: str) -> None:
        if self._lent:
            message = f"RunningAverage: {what} inside applied(), where the parameters are averages"
            raise GraphError(message)

    def __repr__(self) -> str:
        """Show what is averaged."""
        facts = f"decay={self.decay}, {counted(self.updates, 'update')}"
        return f"<RunningAverage of {counted(len(self.params), 'parameter')}, {facts}>"
