"""Pictures of graphs: snapshot, then layout, then a writer for each form; `plots` of arrays."""

from graphgrad.errors import DtypeError
from graphgrad.node import here
from graphgrad.tensor import Tensor
from graphgrad.viz import plots as plots
from graphgrad.viz.picture import Graph as Graph
from graphgrad.viz.snapshot import (
    ModuleNote as ModuleNote,
    Numbers as Numbers,
    Snapshot as Snapshot,
    Step as Step,
    Value as Value,
    take,
)


def graph(tensor: Tensor) -> Graph:
    """Return the graph of everything that a tensor was computed from, to be drawn.

    The gradients are those that ``backward()`` sent through this graph, if it kept them all;
    else those of a sweep of the picture's own, which starts with ones, touches no ``.grad``
    and runs no hooks. A gradient that does not exist is shown as "–": so are those of arrays
    of more than a few elements, and of constants, once ``backward()`` has freed the graph.
    Draw before ``backward()``, or call it with ``retain_graph=True``, to see them.

    Raises
    ------
    DtypeError
        For anything but a Tensor.
    """
    if not isinstance(tensor, Tensor):
        message = (
            f"graph: takes a Tensor that was computed from others, not {type(tensor).__name__} "
            f"(at {here()})"
        )
        raise DtypeError(message)
    return Graph(take(tensor))
