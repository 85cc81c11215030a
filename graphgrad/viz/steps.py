"""Steps: a view in the order in which the graph was computed, and then differentiated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from graphgrad.viz.digest import Numbers, total
from graphgrad.viz.texts import gradient_lines
from graphgrad.viz.view import Node, View


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
    order = view.snapshot.steps
    forward = [step.id for step in order if step.direction == "forward"]
    backward = [step.id for step in order if step.direction == "backward"]
    owners = {i: node for node in view.nodes if node.id[0] != "v" for i in node.members}
    found: list[SceneStep] = []
    if view.direction != "backward":
        last = {owners[i].id: time for time, i in enumerate(forward) if i in owners}
        shown = [(last[node.id], node) for node in view.nodes if node.id in last]
        for time, node in sorted(shown, key=lambda one: one[0]):
            found.append(SceneStep("forward", node.id, time, shows=node.outputs))
    if view.direction != "forward":
        found += _Backward(view, backward, owners).steps(len(forward))
    return found


class _Backward:
    """The way back, with the sums of the gradients that have come so far."""

    def __init__(self, view: View, order: list[int], owners: dict[int, Node]) -> None:
        self.view = view
        self.order = order
        self.owners = owners
        places = {i: place for place, i in enumerate(order)}
        self.sent: dict[str, set[int]] = {}  # by node: the values that it sends to
        self.due: Counter[int] = Counter()  # by value: how often something is still to come
        self.sums: dict[int, Numbers | None] = {}  # by value: of what has come
        for node in view.nodes if order else ():
            ops = (view.value(i) for i in node.members if i in places)
            sent = {i for op in ops for i in op.inputs if view.value(i).needs}
            self.sent[node.id] = sent
            self.due.update(use.source for use in node.inputs if use.source in sent)
        # what comes from out of sight: by op, the values that it goes to
        self.outside: dict[int, list[int]] = {}
        self.seeds: dict[int, list[int]] = {}  # by op: the values for which it is the last
        for value, users in view.elsewhere.items():
            senders = sorted((i for i in users if i in places), key=places.__getitem__)
            if not senders or not view.value(value).needs:
                continue
            for i in senders:
                self.outside.setdefault(i, []).append(value)
            if value in view.leads_on or not self.due[value]:
                self.seeds.setdefault(senders[-1], []).append(value)
        for values in self.seeds.values():
            self.due.update(values)

    def steps(self, start: int) -> Iterator[SceneStep]:
        """Yield the steps; start is the time of the first."""
        view = self.view
        result = view.snapshot.result
        if result.needs and any(result.id in node.outputs for node in view.nodes):
            yield SceneStep("seed", f"v{result.id}", start, (), (Arrival(result.id, None, None),))
        ends = self.ends()
        for time, i in enumerate(self.order, start + 1):
            arrivals: list[Arrival] = []
            if i not in self.owners:
                for value in self.outside.get(i, ()):
                    self.add(value, self.sent_from_outside(i, value))
                arrivals = [self.arrival(value, None) for value in sorted(self.seeds.get(i, ()))]
                if arrivals:
                    yield SceneStep("seed", f"v{arrivals[0].value}", time, (), tuple(arrivals))
            elif i in ends:
                node = self.owners[i]
                for place, use in enumerate(node.inputs):
                    if use.source in self.sent[node.id]:
                        self.add(use.source, use.share)
                        kind = "v" if use.again else "k"
                        name = f"{kind}{use.source}_{node.id[1:]}_{place}" if use.fork else None
                        arrivals.append(self.arrival(use.source, name))
                yield SceneStep("backward", node.id, time, (), tuple(arrivals))

    def ends(self) -> set[int]:
        """Name the ops with which their nodes are done: the last before another node's."""
        ends: dict[str, int] = {}
        name = ""
        for i in self.order:
            if i in self.owners:
                before, name = name, self.owners[i].id
                if name != before and name in ends:
                    name = ""  # another stretch of the same
                else:
                    ends[name] = i
        return set(ends.values())

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
