"""Steps: the order in which a view's values are computed, and then differentiated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from graphgrad.viz.drawing.texts import gradient_lines
from graphgrad.viz.snapshots.numbers import Numbers, ones, total
from graphgrad.viz.views.view import Node, View


@dataclass(frozen=True, slots=True)
class Arrival:
    """A gradient that arrives at a value."""

    value: int
    use: str | None  # the id of the drawn contribution; None if the value has one use
    lines: tuple[str, ...] | None  # the partial sum; None once it is the gradient in the picture


@dataclass(frozen=True, slots=True)
class SceneStep:
    """What one step changes."""

    direction: Literal["forward", "seed", "backward"]
    node: str  # the id of the active node; of a seed: of the value
    time: int  # in the order of the whole graph, so that scenes agree; see `steps`
    shows: tuple[int, ...] = ()  # forward: the values that appear
    arrivals: tuple[Arrival, ...] = ()  # seed, backward


def steps(view: View) -> list[SceneStep]:
    """List the steps of a view: its ops and closed modules forward, then backward.

    Values that no step shows (leaves, constants, inputs of an inside) are visible from the start.
    A seed is the gradient that the backward pass starts with, or one that hidden ops send: to an
    output of the inside of a module, or of a neighbourhood.

    The time of a step is the index of its op in the order of the whole graph; the seed of the
    result comes between forward and backward. A closed module takes its steps with the last of
    its ops; if other nodes come between its repeats, with the last op before them, since they
    may depend on it.
    """
    times = view.builder.times
    found: list[SceneStep] = []
    if view.direction != "backward":
        for node in view.nodes:
            ops = [times.forward[i] for i in node.members if i in times.forward]
            if ops and node.id[0] != "v":
                found.append(SceneStep("forward", node.id, max(ops), shows=node.outputs))
        found.sort(key=lambda step: step.time)
    if view.direction != "forward":
        found += _BackwardSteps(view).steps()
    return found


class _BackwardSteps:
    """The backward steps, with the partial sums of gradients."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.times = view.builder.times.backward
        self.nodes: dict[int, Node] = {}  # by op
        self.sent: dict[str, set[int]] = {}  # by node: the values that it sends gradients to
        self.outstanding: Counter[int] = Counter()  # by value: the contributions still to come
        self.sums: dict[int, Numbers | None] = {}  # by value: the partial sums
        for node in view.nodes:
            if node.id[0] != "v":
                ops = [i for i in node.members if i in self.times]
                self.nodes.update(dict.fromkeys(ops, node))
                sent = {i for op in ops for i in view.value(op).inputs if view.value(i).needs}
                self.sent[node.id] = sent
                self.outstanding.update(use.source for use in node.inputs if use.source in sent)
        # by hidden op: the values that it sends gradients to
        self.hidden: dict[int, list[int]] = {}
        self.seeds: dict[int, list[int]] = {}  # by hidden op: the values for which it is the last
        for value, users in view.hidden_users.items():
            senders = [i for i in users if i in self.times]
            if not senders or not view.value(value).needs:
                continue
            for i in senders:
                self.hidden.setdefault(i, []).append(value)
            if value in view.used_outside or not self.outstanding[value]:
                last = max(senders, key=self.times.__getitem__)
                self.seeds.setdefault(last, []).append(value)
        shown = {i for node in view.nodes for i in node.outputs}
        self.ends = [i for i in view.snapshot.ends if i in shown and view.value(i).needs]
        for values in (*self.seeds.values(), self.ends):
            self.outstanding.update(values)

    def steps(self) -> Iterator[SceneStep]:
        """Yield the steps in order."""
        view = self.view
        for i in self.ends:
            end = view.value(i)
            # a single result gets nothing else; each of several starts with ones
            self.add(i, end.gradient if self.outstanding[i] == 1 else ones(end.shape or ()))
            seed = (self.arrival(i, None),)
            yield SceneStep("seed", f"v{i}", view.builder.times.seed, arrivals=seed)
        last = self.last_ops()
        for i in self.order():
            if i in self.hidden:
                for value in self.hidden[i]:
                    self.add(value, self.sent_by_hidden(i, value))
                if i in self.seeds:
                    arrivals = tuple(self.arrival(value, None) for value in self.seeds[i])
                    name = f"v{arrivals[0].value}"
                    yield SceneStep("seed", name, self.times[i], arrivals=arrivals)
            elif i in last:
                name, arrivals = self.nodes[i].id, tuple(self.arrivals(self.nodes[i]))
                yield SceneStep("backward", name, self.times[i], arrivals=arrivals)

    def order(self) -> list[int]:
        """List the ops of the view and the hidden ones, in the order of the sweep."""
        return sorted((*self.nodes, *self.hidden), key=self.times.__getitem__)

    def last_ops(self) -> set[int]:
        """Return the ops after which nodes are done: the last of each before another node's op."""
        ends: dict[str, int] = {}
        name = ""
        for i in self.order():
            if i in self.nodes:
                before, name = name, self.nodes[i].id
                if name != before and name in ends:
                    name = ""  # a later stretch of the same node
                else:
                    ends[name] = i
        return set(ends.values())

    def arrivals(self, node: Node) -> Iterator[Arrival]:
        """Yield the gradients that a node sends to its inputs."""
        for place, use in enumerate(node.inputs):
            if use.source in self.sent[node.id]:
                self.add(use.source, use.contribution)
                name = f"{'v' if use.redrawn else 'k'}{use.source}_{node.id[1:]}_{place}"
                yield self.arrival(use.source, name if use.fork else None)

    def sent_by_hidden(self, op: int, value: int) -> Numbers | None:
        """Return the gradient that a hidden op sends to a value."""
        user = self.view.value(op)
        contributions = zip(user.inputs, user.contributions, strict=False)
        return total([contribution for i, contribution in contributions if i == value])

    def add(self, value: int, contribution: Numbers | None) -> None:
        """Add a contribution to the sum of a value; an unknown one makes the sum unknown."""
        self.sums[value] = (
            total([self.sums[value], contribution]) if value in self.sums else contribution
        )

    def arrival(self, value: int, use: str | None) -> Arrival:
        """Return the partial sum at a value, as an arrival."""
        self.outstanding[value] -= 1
        if not self.outstanding[value]:
            return Arrival(value, use, None)
        so_far = self.sums[value]
        if so_far is None:
            return Arrival(value, use, ("∂ …",))
        shown = replace(self.view.value(value), gradient=so_far)
        return Arrival(value, use, tuple(gradient_lines(shown)))
