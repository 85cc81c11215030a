"""Sweeps that are recorded: what they add to the graph, told apart by whose gradient it is."""

from typing import Any, Protocol

from graphgrad.engine.graph import Node, Recorded, node_of, tick
from graphgrad.engine.record import make_leaf
from graphgrad.engine.recording import Observer
from graphgrad.engine.source import call_site
from graphgrad.engine.sweep import Sweep
from graphgrad.engine.variables import IDENTITY
from graphgrad.viz.snapshots.notes import (
    CallNote,
    Group,
    LeafNote,
    Maker,
    Rule,
    Slope,
    nabla,
    note_of,
)


class Watching(Protocol):
    """The trace that is on."""

    maker: Maker

    def leaf_note(self, node: Node, *, new: bool = False) -> LeafNote | None:
        """Return what is known about a leaf; make a note if there is none."""


class WhoseRule(Observer):
    """Says, while a sweep records itself, which op's rule is at work.

    What the sweep adds to the graph lies in a group for each op whose rule it is. These lie in
    groups for the calls of modules that the ops were made in; and all of them in one of the
    sweep's own.

    Parameters
    ----------
    trace
        The trace whose notes name the maker of each op.
    sweep
        The sweep, which is about to start.
    """

    def __init__(self, trace: Watching, sweep: Sweep) -> None:
        """Make the group of the sweep, and let its seeds lie in it."""
        self.trace = trace
        self.targets = sweep.targets or ()
        self.start = tick()
        nodes = sweep.useful or ()  # on the way to the targets, which a recorded sweep always has
        orders = (note.maker.order for node in nodes if (note := note_of(node)) is not None)
        order = 1 + max(orders, default=0)
        self.before = trace.maker
        outer = trace.maker.call
        group = Group(f"{nabla(order)} backward", outer, at=call_site(1))
        self.maker = trace.maker = Maker(group, order=order)
        self.mirrors: dict[CallNote, Group] = {}
        self.around: set[CallNote | Group] = set()
        while outer is not None:
            self.around.add(outer)
            outer = outer.outer
        for node, g in sweep.grads.items():
            self._seed(node, g)

    def _seed(self, node: Node, g: Any) -> None:
        """Let what the sweep starts with lie in its group, if nothing else knows it."""
        if isinstance(g, Recorded) and node_of(g) is None:
            note = self.trace.leaf_note(make_leaf(g, needs=False), new=True)
            if note is not None:
                note.maker, note.slope = self.maker, Slope(node, None, wanted=True)

    def ended(self, *, finished: bool) -> None:  # noqa: ARG002
        """Let what is recorded from here on be what it was before."""
        self.trace.maker = self.before

    def complete(self, node: Node, g: Any) -> None:
        """Say of the op that computed a gradient whose it is."""
        own = node_of(g) if isinstance(g, Recorded) else None
        known = None if own is None or own.serial < self.start else note_of(own)
        if known is not None:
            wanted = node in self.targets
            if known.slope is None or (wanted and not known.slope.wanted):
                while node.plan is not None and node.plan.op is IDENTITY and node.name is None:
                    (node,) = node.parents
                known.slope = Slope(node, self.trace.leaf_note(node), wanted=wanted)

    def before_rules(self, node: Node) -> None:
        """Let what is recorded now be the work of the node's rule."""
        note = note_of(node)
        made = None if note is None else note.maker
        call = None if made is None else made.call
        symbol, at = node.plan.op.symbol, (node.code, node.instruction)
        kind = f"∂ of {symbol}"
        if made is not None and made.order:
            call = call.of if isinstance(call, Group) else call
            if made.rule is not None:  # go back to the op of the forward pass
                call, symbol = made.rule.call, made.rule.symbol
                at = made.rule.code, made.rule.instruction
                kind += f" in {nabla(made.order)} of {symbol}"
        call = None if isinstance(call, Group) else call
        group = Group(kind, self._mirror(call), at=at)
        rule = Rule(node.serial, symbol, call, at)
        self.trace.maker = Maker(group, rule, self.maker.order, self.maker)

    def after_rules(self, node: Node) -> None:  # noqa: ARG002
        """Let what hooks record belong to no rule."""
        self.trace.maker = self.maker

    def summed(self, node: Node, total: Any) -> None:  # noqa: ARG002
        """Let a sum belong to no rule."""
        own = node_of(total) if isinstance(total, Recorded) else None
        known = None if own is None else note_of(own)
        group = self.trace.maker.call
        if known is not None and group is not None:
            known.maker = Maker(group.outer, None, self.maker.order, self.maker)

    def _mirror(self, call: CallNote | None) -> Group | CallNote | None:
        """Return the group of what is sent back through a call of a module."""
        new = []
        while isinstance(call, CallNote) and call not in self.mirrors and call not in self.around:
            new.append(call)
            call = call.outer  # type: ignore[assignment]
        outer = self.maker.call if call is None else self.mirrors.get(call, self.maker.call)
        for inner in reversed(new):
            kind = f"∂ of {inner.root.kinds[inner.path]}"
            outer = self.mirrors[inner] = Group(kind, outer, of=inner)
        return outer
