"""Recorded sweeps: grouping the ops that they add to the graph by whose gradient they compute."""

from typing import Any, Protocol

from graphgrad.engine.graph import Node, Recorded, node_of, tick
from graphgrad.engine.record import make_leaf
from graphgrad.engine.recording import Observer
from graphgrad.engine.source import call_site
from graphgrad.engine.sweep import Sweep
from graphgrad.engine.variables import IDENTITY
from graphgrad.viz.snapshots.notes import (
    CallNote,
    GradientTarget,
    LeafNote,
    Origin,
    RuleNote,
    SweepGroup,
    derivative_name,
    note_of,
)


class TraceLike(Protocol):
    """The open trace."""

    origin: Origin

    def leaf_note(self, node: Node, *, new: bool = False) -> LeafNote | None:
        """Return the note on a leaf; make one if ``new``."""


class RuleTracker(Observer):
    """Tracks which op's rule is running while a sweep records itself.

    The ops that the sweep adds to the graph are grouped by the op whose rule computes them; these
    groups by the calls of modules that the ops belong to; and all of them in one group.

    Parameters
    ----------
    trace
        The trace whose notes have the origin of each op.
    sweep
        The sweep, before its first step.
    """

    def __init__(self, trace: TraceLike, sweep: Sweep) -> None:
        """Make the group of the sweep, and put its seeds into it."""
        self.trace = trace
        self.targets = sweep.targets or ()
        self.start = tick()
        nodes = sweep.useful or ()  # on paths to the targets, which a recorded sweep always has
        orders = (note.origin.order for node in nodes if (note := note_of(node)) is not None)
        order = 1 + max(orders, default=0)
        self.before = trace.origin
        outer = trace.origin.call
        group = SweepGroup(f"{derivative_name(order)} backward", outer, at=call_site(1))
        self.origin = trace.origin = Origin(group, order=order)
        self.groups: dict[CallNote, SweepGroup] = {}
        self.enclosing: set[CallNote | SweepGroup] = set()
        while outer is not None:
            self.enclosing.add(outer)
            outer = outer.outer
        for node, g in sweep.grads.items():
            self._seed(node, g)

    def _seed(self, node: Node, g: Any) -> None:
        """Put a seed into the group of the sweep, if it is new."""
        if isinstance(g, Recorded) and node_of(g) is None:
            note = self.trace.leaf_note(make_leaf(g, needs=False), new=True)
            if note is not None:
                note.origin, note.gradient_of = self.origin, GradientTarget(node, None, wanted=True)

    def ended(self, *, finished: bool) -> None:  # noqa: ARG002
        """Restore the origin of what is recorded after the sweep."""
        self.trace.origin = self.before

    def complete(self, node: Node, g: Any) -> None:
        """Note on the op that computed a gradient whose gradient it is."""
        own = node_of(g) if isinstance(g, Recorded) else None
        known = None if own is None or own.serial < self.start else note_of(own)
        if known is not None:
            wanted = node in self.targets
            if known.gradient_of is None or (wanted and not known.gradient_of.wanted):
                while node.plan is not None and node.plan.op is IDENTITY and node.name is None:
                    (node,) = node.parents
                known.gradient_of = GradientTarget(node, self.trace.leaf_note(node), wanted=wanted)

    def before_rules(self, node: Node) -> None:
        """Set the origin of what is recorded next to the rule of the node."""
        note = note_of(node)
        made = None if note is None else note.origin
        call = None if made is None else made.call
        symbol, at = node.plan.op.symbol, (node.code, node.instruction)
        kind = f"∂ of {symbol}"
        if made is not None and made.order:
            call = call.of if isinstance(call, SweepGroup) else call
            if made.rule is not None:  # down to the op of the forward pass
                call, symbol = made.rule.call, made.rule.symbol
                at = made.rule.code, made.rule.instruction
                kind += f" in {derivative_name(made.order)} of {symbol}"
        call = None if isinstance(call, SweepGroup) else call
        group = SweepGroup(kind, self._group_of(call), at=at)
        rule = RuleNote(node.serial, symbol, call, at)
        self.trace.origin = Origin(group, rule, self.origin.order, self.origin)

    def after_rules(self, node: Node) -> None:  # noqa: ARG002
        """Set the origin of what hooks record to the sweep."""
        self.trace.origin = self.origin

    def summed(self, node: Node, total: Any) -> None:  # noqa: ARG002
        """Set the origin of a sum to the sweep."""
        own = node_of(total) if isinstance(total, Recorded) else None
        known = None if own is None else note_of(own)
        group = self.trace.origin.call
        if known is not None and group is not None:
            known.origin = Origin(group.outer, None, self.origin.order, self.origin)

    def _group_of(self, call: CallNote | None) -> SweepGroup | CallNote | None:
        """Return the group for the gradients through a call of a module."""
        new = []
        while isinstance(call, CallNote) and call not in self.groups and call not in self.enclosing:
            new.append(call)
            call = call.outer  # type: ignore[assignment]
        outer = self.origin.call if call is None else self.groups.get(call, self.origin.call)
        for inner in reversed(new):
            kind = f"∂ of {inner.root.kinds[inner.path]}"
            outer = self.groups[inner] = SweepGroup(kind, outer, of=inner)
        return outer
