"""Pictures of graphs: a snapshot, a view of it, a writer for each format; `plots` of arrays."""

from graphgrad.names import install_getattr as _install_getattr
from graphgrad.reprs import public as _public
from graphgrad.viz import plots as plots
from graphgrad.viz.page.training import training_page as training_page
from graphgrad.viz.picture import Graph as Graph, graph as graph
from graphgrad.viz.snapshots.snapshot import (
    ModuleCall as ModuleCall,
    ModuleNote as ModuleNote,
    Numbers as Numbers,
    OpStep as OpStep,
    Snapshot as Snapshot,
    Value as Value,
)
from graphgrad.viz.snapshots.traces import tracing as tracing
from graphgrad.viz.views.view import View as View

_install_getattr(__name__)


def __dir__() -> list[str]:
    """List the public names, for Tab completion."""
    return _public(__name__, "plots")
