"""Steps: a view in the order in which the graph was computed, and then differentiated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from graphgrad.viz.drawing.texts import gradient_lines
from graphgrad.viz.snapshots.digest import Numbers, ones, total
from graphgrad.viz.views.view import Node, View


@dataclass(frozen=True, slots=True)
class Arrival:
    """A gradient that comes to a value."""

    value: int
    use: str | None  # the id of the drawn contribution; None where the value has no other use
    lines: tuple[str, ...] | None  # the sum so far; None where what is drawn is reached


@dataclass(frozen=True, slots=True)
class SceneStep:
    """What changes at once."""

    direction: Literal["forward", "seed", "backward"]
    node: str  # the id of the node in hand; of a seed, of the value
    time: int  # in the order of the whole graph, so that scenes agree; see `steps`
    shows: tuple[int, ...] = ()  # forward: the values that appear
    arrivals: tuple[Arrival, ...] = ()  # seed, backward


def steps(view: View) -> list[SceneStep]:
    """List the steps of a view: its ops and closed modules forward, then backward.

    Values that no step shows (leaves, constants, what enters an inside) are there from the
    start. A seed is the gradient that the backward pass starts with, or one that comes from out
    of sight: to a value that leaves the inside of a module, or a neighbourhood.

    The time of a step is the place of its op among those of the whole graph; the seed of the
    result has one of its own between forward and backward. A closed module has its steps with
    the last of its ops; where others are visited between its repeats, it sends back with the
    last before them, for it may be that those wait for it.
    """
    times = view.building.times
    found: list[SceneStep] = []
    if view.direction != "backward":
        for node in view.nodes:
            ops = [times.forward[i] for i in node.members if i in times.forward]
            if ops and node.id[0] != "v":
                found.append(SceneStep("forward", node.id, max(ops), shows=node.outputs))
        found.sort(key=lambda step: step.time)
    if view.direction != "forward":
        found += _Backward(view).steps()
    return found


class _Backward:
    """The way back, with the sums of the gradients that have come so far."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.times = view.building.times.backward
        self.nodes: dict[int, Node] = {}  # by op that is visited
        self.sent: dict[str, set[int]] = {}  # by node: the values that it sends to
        self.due: Counter[int] = Counter()  # by value: how often something is still to come
        self.sums: dict[int, Numbers | None] = {}  # by value: of what has come
        for node in view.nodes:
            if node.id[0] != "v":
                ops = [i for i in node.members if i in self.times]
                self.nodes.update(dict.fromkeys(ops, node))
                sent = {i for op in ops for i in view.value(op).inputs if view.value(i).needs}
                self.sent[node.id] = sent
                self.due.update(use.source for use in node.inputs if use.source in sent)
        # what comes from out of sight: by op, the values that it goes to
        self.outside: dict[int, list[int]] = {}
        self.seeds: dict[int, list[int]] = {}  # by op: the values for which it is the last
        for value, users in view.elsewhere.items():
            senders = [i for i in users if i in self.times]
            if not senders or not view.value(value).needs:
                continue
            for i in senders:
                self.outside.setdefault(i, []).append(value)
            if value in view.leads_on or not self.due[value]:
                last = max(senders, key=self.times.__getitem__)
                self.seeds.setdefault(last, []).append(value)
        shown = {i for node in view.nodes for i in node.outputs}
        self.ends = [i for i in view.snapshot.ends if i in shown and view.value(i).needs]
        for values in (*self.seeds.values(), self.ends):
            self.due.update(values)

    def steps(self) -> Iterator[SceneStep]:
        """Yield the steps."""
        view = self.view
        for i in self.ends:
            end = view.value(i)
            # nothing else comes to a single result; of several each starts with ones
            self.add(i, end.gradient if self.due[i] == 1 else ones(end.shape or ()))
            seed = (self.arrival(i, None),)
            yield SceneStep("seed", f"v{i}", view.building.times.seed, arrivals=seed)
        last = self.last_ops()
        for i in self.order():
            if i in self.outside:
                for value in self.outside[i]:
                    self.add(value, self.sent_from_outside(i, value))
                if i in self.seeds:
                    arrivals = tuple(self.arrival(value, None) for value in self.seeds[i])
                    name = f"v{arrivals[0].value}"
                    yield SceneStep("seed", name, self.times[i], arrivals=arrivals)
            elif i in last:
                name, arrivals = self.nodes[i].id, tuple(self.sends(self.nodes[i]))
                yield SceneStep("backward", name, self.times[i], arrivals=arrivals)

    def order(self) -> list[int]:
        """List the ops that matter here as the sweep visits them."""
        return sorted((*self.nodes, *self.outside), key=self.times.__getitem__)

    def last_ops(self) -> set[int]:
        """Name the ops with which their nodes are done: the last before another node's."""
        ends: dict[str, int] = {}
        name = ""
        for i in self.order():
            if i in self.nodes:
                before, name = name, self.nodes[i].id
                if name != before and name in ends:
                    name = ""  # another stretch of the same
                else:
                    ends[name] = i
        return set(ends.values())

    def sends(self, node: Node) -> Iterator[Arrival]:
        """Send the gradients of a node to its inputs."""
        for place, use in enumerate(node.inputs):
            if use.source in self.sent[node.id]:
                self.add(use.source, use.share)
                name = f"{'v' if use.again else 'k'}{use.source}_{node.id[1:]}_{place}"
                yield self.arrival(use.source, name if use.fork else None)

    def sent_from_outside(self, op: int, value: int) -> Numbers | None:
        """Return what an op out of sight sends to a value."""
        user = self.view.value(op)
        shares = zip(user.inputs, user.contributions, strict=False)
        return total([share for i, share in shares if i == value])

    def add(self, value: int, share: Numbers | None) -> None:
        """Add to what has come to a value; what is not known makes the sum unknown."""
        self.sums[value] = total([self.sums[value], share]) if value in self.sums else share

    def arrival(self, value: int, use: str | None) -> Arrival:
        """Tell what a value has now."""
        self.due[value] -= 1
        if not self.due[value]:
            return Arrival(value, use, None)
        so_far = self.sums[value]
        if so_far is None:
            return Arrival(value, use, ("∂ …",))
        shown = replace(self.view.value(value), gradient=so_far)
        return Arrival(value, use, tuple(gradient_lines(shown)))
