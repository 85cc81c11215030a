"""Pictures of graphs: snapshot, view, then a writer for each form; `plots` of arrays."""

from collections.abc import Callable
from typing import Any

from graphgrad.errors import DtypeError
from graphgrad.names import tell_of_absent as _tell_of_absent
from graphgrad.node import here
from graphgrad.tensor import Tensor
from graphgrad.viz import plots as plots
from graphgrad.viz.page.training import training_page as training_page
from graphgrad.viz.picture import Graph as Graph
from graphgrad.viz.snapshots.calls import traced
from graphgrad.viz.snapshots.snapshot import (
    Call as Call,
    ModuleNote as ModuleNote,
    Numbers as Numbers,
    Snapshot as Snapshot,
    Step as Step,
    Value as Value,
    take,
)
from graphgrad.viz.snapshots.traces import tracing as tracing
from graphgrad.viz.views.view import View as View


def graph(of: Tensor | Callable[..., Any], *args: Any) -> Graph:
    """Return the graph of everything that a tensor was computed from, to be drawn.

    Or that of a function's result: ``gg.graph(f, x, y)`` runs it under ``gg.viz.tracing()``.
    Plain floating arrays among the arguments become leaves with the names of f's parameters.
    It may return several Tensors, in tuples, lists and dicts: ``gg.graph(nn.LSTM(3, 4), x)``;
    the gradients are then those of the sum of all.

    The gradients are those that ``backward()`` sent through this graph, if it kept them all;
    else those of a sweep of the picture's own, which starts with ones, touches no ``.grad``
    and runs no hooks. A gradient that does not exist is shown as "–": so are those of arrays
    of more than a few elements, and of constants, once ``backward()`` has freed the graph.
    Draw before ``backward()``, or call it with ``retain_graph=True``, to see them.

    Raises
    ------
    DtypeError
        For anything but a Tensor or a function, and for a function that returns no Tensor.
    """
    if isinstance(of, Tensor) and not args:
        return Graph(take(of))
    if not callable(of):
        message = (
            "graph: takes a Tensor that was computed from others, or a function and its "
            f"arguments, not {', '.join(type(x).__name__ for x in (of, *args))} (at {here()})"
        )
        raise DtypeError(message)
    return Graph(traced(of, args))


_tell_of_absent(__name__)
