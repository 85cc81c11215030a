"""Diagnosis: how activations, gradients and updates look while a network learns."""

import contextlib
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.arguments import guarded, text, whole
from graphgrad.engine.operands import unwrapped
from graphgrad.errors import GraphError, IndexingError
from graphgrad.judging.updates import excursions
from graphgrad.nn.diagnosis.measurements import (
    LayerMeasure,
    ParameterMeasure,
    Record,
    distribution,
    norm,
    saturated,
)
from graphgrad.nn.diagnosis.symptoms import dead_share, findings
from graphgrad.nn.layers.activations import Identity, ReLU
from graphgrad.nn.layers.shape import Flatten
from graphgrad.nn.modules.module import Module, Parameter
from graphgrad.typing import Array

_UNWATCHED = contextlib.nullcontext()


class Diagnosis:
    """Watches some of the steps in which a model learns, and says what is wrong.

    ::

        watch = nn.Diagnosis(model, every=20)
        for x, labels in batches:
            with watch.step():
                loss = nn.functional.cross_entropy(model(x), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        print(watch)
        watch.plot("layers.png")

    Of a watched step it keeps, for each parameter, the norms of update, weight and gradient;
    for each layer mean, deviation and a histogram of its output and of the gradient there, the
    share of saturated values (of Tanh and Sigmoid), and which units are dead. The model, its
    gradients and every number of the training stay as they are, and no hook is left behind. A
    watched step takes a few times as long as usual and needs memory for a second copy of the
    parameters; any other step costs nothing.

    A unit (a channel, behind a convolution) is dead if it was at rest for every sample of every
    watched step in the window: the output of a ReLU layer is 0; that of a layer which no other
    layer takes as it is, is not above 0 and its gradient is 0, since a ReLU written as a function
    stands behind it. A saturated value is one where the slope is below 5 % of the largest.

    The first forward pass of a step counts. A layer that runs several times in it is listed as
    ``name``, ``name (2)``, …. Within ``gg.recompute`` only activations are seen.

    Parameters
    ----------
    model
        The module whose call is the forward pass.
    every
        Watch the first step, and then one in so many.
    layers
        Names of the layers to watch, with their parameters, as ``named_modules()`` has them.
        None: all that have no layers below, and all parameters.
    window
        How many of the newest records ``findings()`` and dead units are judged by.
    last
        How many records are kept.

    Raises
    ------
    DtypeError
        If the model is no module.
    ArgumentError
        If a number is no integer above 0.
    IndexingError
        If the model has no layer of a name.
    """

    @guarded
    def __init__(
        self,
        model: Module,
        every: int = 20,
        layers: Sequence[str] | None = None,
        *,
        window: int = 10,
        last: int = 500,
    ) -> None:
        for name, number in (("every", every), ("window", window), ("last", last)):
            whole("Diagnosis", name, number, 1)
        if layers is not None:
            layers = [layers] if isinstance(layers, str) else list(layers)
            layers = [text("Diagnosis", "an element of layers", name) for name in layers]
        known = [name for name, _ in model.named_modules() if name]
        unknown = [name for name in layers or () if name not in known]
        if unknown:
            message = f"Diagnosis: there is no layer {', '.join(unknown)}; there are"
            raise IndexingError(f"{message} {', '.join(known) or 'none'}")
        self.model = model
        self.every = int(every)
        self.layers = None if layers is None else list(layers)
        self.window = int(window)
        self.records: deque[Record] = deque(maxlen=int(last))  # newest last
        self.steps = 0  # the number of the next step
        self.watching = False  # whether the block of a step is open

    def step(self, number: int | None = None) -> AbstractContextManager[object]:
        """Return a block around one forward pass, backward pass and update.

        Parameters
        ----------
        number
            Of the step, from 0; None counts the calls.
        """
        if number is None:
            number = self.steps
        self.steps = number + 1
        return _UNWATCHED if number % self.every else _Watched(self, number)

    def findings(self) -> list[str]:
        """Say in words what is unusual in the newest records, and what helps; [] if nothing is.

        What is so in more than three places is said once, of the worst.
        The limits stand in ``graphgrad/judging/limits.py``, each with its source.
        """
        return findings(self._window())

    def plot(self, path: str | Path, *, title: str = "") -> Path:
        """Draw histograms of each layer, and over time updates / weights and units at rest.

        Histograms are those of the newest record, outlined by those of the first one kept. Of
        more than 16 layers those with weights are drawn, and of these at most 16. Above stand the
        title and the two steps.

        Raises
        ------
        GraphError
            If nothing has been recorded.
        UnsupportedError
            Without matplotlib (extra: train).
        """
        if not self.records:
            message = "Diagnosis: nothing is recorded; run steps inside `with watch.step():`"
            raise GraphError(message)
        from graphgrad.nn.diagnosis.drawing import draw

        return draw(list(self.records), self.resting_shares(), Path(path), title)

    def resting_shares(self) -> list[dict[str, float | None]]:
        """Return for each record, by layer, the share of its units dead or values saturated.

        None where a layer has neither.
        """
        records = list(self.records)
        return [
            {
                name: m.saturated
                if m.saturated is not None
                else dead_share(name, records[max(0, i + 1 - self.window) : i + 1])
                for name, m in record.layers.items()
            }
            for i, record in enumerate(records)
        ]

    def _window(self) -> list[Record]:
        return list(self.records)[-self.window :]

    def __repr__(self) -> str:
        named = "" if self.layers is None else f", layers={self.layers}"
        return f"Diagnosis({type(self.model).__name__}, every={self.every}{named})"

    def __str__(self) -> str:
        """Return the newest record as a table, the findings, and what was unusual before."""
        title = type(self.model).__name__
        if not self.records:
            return f"{title}: nothing recorded yet"
        records, window = list(self.records), self._window()
        newest = records[-1]
        cells = [("layer", "mean", "std", "at rest", "gradient std", "update/weight")]
        shown = set()
        below = _weights(newest.parameters)
        for name, m in newest.layers.items():
            weights = below.get(name, [])
            shown.update(weights[:1])
            ratio = f"{newest.parameters[weights[0]].ratio:.1e}" if weights else ""
            dead = dead_share(name, window)
            rest = f"{dead:.0%} dead" if dead or (dead == 0 and m.kind == "ReLU") else ""
            rest = rest if m.saturated is None else f"{m.saturated:.0%} saturated"
            back = f"{m.gradients.std:.2g}" if m.gradients else ""
            label = name if name == m.kind else f"{name}: {m.kind}"
            mean, std = f"{m.activations.mean:.3g}", f"{m.activations.std:.3g}"
            cells.append((label, mean, std, rest, back, ratio))
        for name, p in newest.parameters.items():
            if p.matrix and name not in shown:
                cells.append((name, "", "", "", "", f"{p.ratio:.1e}"))
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = [
            "  ".join(
                text.rjust(width) if i else text.ljust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        lines.insert(1, "─" * max(map(len, lines)))
        found, outside = findings(window), excursions(records)
        heading = f"{title}, step {newest.step} ({len(records)} steps recorded)"
        quiet = "nothing unusual on the whole" if outside else "nothing unusual"
        ending = [f"- {text}" for text in found] or [quiet]
        return "\n".join([heading, *lines, *ending, *(f"- {text}" for text in outside)])


def _above(name: str) -> Iterator[str]:
    """Yield the names of the modules that a parameter is in."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _weights(parameters: dict[str, ParameterMeasure]) -> dict[str, list[str]]:
    """Name the weights of each layer; one that ran again has none."""
    found: dict[str, list[str]] = {}
    for name, measure in parameters.items():
        if measure.matrix:
            found.setdefault(name.rpartition(".")[0], []).append(name)
    return found


class _Watched:
    """The block around one step: hooks on entry, numbers on exit."""

    @guarded
    def __init__(self, diagnosis: Diagnosis, number: int) -> None:
        self.diagnosis = diagnosis
        self.number = number
        self._start()

    def _start(self) -> None:
        """Forget an earlier use of the same block."""
        self.parts: dict[str, dict[str, Any]] = {}  # by layer, what LayerMeasure is made of
        self.outputs: dict[int, tuple[str, weakref.ref[Any]]] = {}  # by the id of the tensor
        self.runs: Counter[str] = Counter()  # of each layer
        self.undo: list[Callable[[], object]] = []
        self.before: dict[str, tuple[Parameter, Any]] = {}
        self.open = False
        self.units_last = False  # (N, T, units) rather than (N, units, …)

    def __enter__(self) -> None:
        diagnosis, model = self.diagnosis, self.diagnosis.model
        if diagnosis.watching:
            raise GraphError("Diagnosis: step() inside the block of a step()")
        self._start()
        diagnosis.watching = self.open = True
        named = None if diagnosis.layers is None else set(diagnosis.layers)
        for name, module in model.named_modules():
            leaf = next(module.children(), None) is None
            if leaf:
                self._hook(module, self._taken)
            every = leaf and not isinstance(module, Flatten | Identity)
            if every if named is None else name in named:
                self._hook(module, partial(self._layer, name or type(module).__name__))
        self._hook(model, self._end_of_pass)
        for name, p in model.named_parameters():
            mine = named is None or not named.isdisjoint(_above(name))
            if mine and p.requires_grad:
                self.before[name] = p, unwrapped(p).copy()

    def __exit__(self, *error: object) -> None:
        self.open = False
        self.diagnosis.watching = False
        for undo in self.undo:
            undo()
        if error[0] is not None:
            return
        with np.errstate(all="ignore"):
            layers = {name: self._measure(part) for name, part in self.parts.items()}
            parameters = {name: _change(p, old) for name, (p, old) in self.before.items()}
        if layers:
            self.diagnosis.records.append(Record(self.number, layers, parameters))

    def _hook(self, module: Module, hook: Callable[..., None]) -> None:
        self.undo.append(module.register_forward_hook(hook))

    def _end_of_pass(self, _module: Module, _inputs: Any, out: Any) -> None:
        """Stop looking: later passes do not count."""
        self._taken(_module, out if isinstance(out, list | tuple) else (out,), None)
        self.open = False

    def _taken(self, _module: Module, inputs: Any, _out: Any) -> None:
        """Note that no ReLU stands behind what another layer takes as it is."""
        for x in inputs if self.open else ():
            name, output = self.outputs.get(id(x), ("", None))
            if output is not None and output() is x:
                self.parts[name].pop("below", None)

    def _layer(self, name: str, module: Module, _inputs: Any, out: Any) -> None:
        """Measure the output of a layer, and ask for its gradient."""
        tensor = _first_array(out)
        if not self.open or tensor is None:
            return
        self.runs[name] += 1
        if self.runs[name] > 1:
            name = f"{name} ({self.runs[name]})"
        values = unwrapped(tensor)
        matrices = [x for _, x in module.members() if isinstance(x, Parameter) and x.ndim > 1]
        if matrices:
            self.units_last = matrices[0].ndim == 2
        axis = -1 if self.units_last or values.ndim < 2 else 1
        part = self.parts[name] = {"kind": type(module).__name__, "weighted": bool(matrices)}
        part["activations"] = distribution(values)
        if limits := getattr(module, "saturates_at", None):
            part["saturated"] = saturated(values, *limits)
        if isinstance(module, ReLU):
            part["dead"] = _for_all(values == 0, axis)
        elif getattr(tensor, "requires_grad", False):
            part["below"] = _for_all(values <= 0, axis)
            self.outputs[id(tensor)] = name, weakref.ref(tensor)
        if getattr(tensor, "requires_grad", False):
            self.undo.append(tensor.register_hook(partial(_gradient, part, axis)))

    @staticmethod
    def _measure(part: dict[str, Any]) -> LayerMeasure:
        dead, below, still = part.get("dead"), part.get("below"), part.get("still")
        if dead is None and below is not None and still is not None:
            dead = below & still
        return LayerMeasure(
            part["kind"],
            part["weighted"],
            part["activations"],
            part.get("gradients"),
            part.get("saturated"),
            dead,
        )


def _gradient(part: dict[str, Any], axis: int, g: Array) -> None:
    """Measure the gradient of a layer's output; the hook of that tensor, so it knows only g."""
    values = unwrapped(g)
    part["gradients"] = distribution(values)
    if "below" in part:
        part["still"] = _for_all(values == 0, axis)


def _change(p: Parameter, old: Any) -> ParameterMeasure:
    new = unwrapped(p)
    gradient = None if p.grad is None else norm(p.grad)
    return ParameterMeasure(p.ndim > 1, norm(old), norm(new - old), gradient)


def _for_all(flags: Any, axis: int) -> Any:
    """Return for each unit whether it holds for all samples and places."""
    if not flags.ndim:
        return np.asarray(flags).reshape(1)
    unit = axis % flags.ndim
    return np.asarray(flags.all(axis=tuple(i for i in range(flags.ndim) if i != unit)))


def _first_array(out: Any) -> Any:
    """Return the first real array of an output, which may be a nested tuple; else None."""
    if isinstance(out, list | tuple):
        return next((x for part in out if (x := _first_array(part)) is not None), None)
    return out if getattr(getattr(out, "dtype", None), "kind", "") == "f" else None
