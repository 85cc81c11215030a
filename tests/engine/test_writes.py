"""Writes to memory that a graph saved: for every op, each way to get at it, each way to write.

The gradient is right, or an error names the op; or docs/conventions.md says that the way is not
noticed, and then `detect_anomaly()` finds it.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import Case
from graphgrad.engine import memory
from graphgrad.errors import GraphError
from graphgrad.testing import typical_calls
from tests.builders import leaf
from tests.every_op import EVERY_OP
from tests.test_conventions import checkout, rows


def in_no_grad(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return gg.no_grad()(f)


SHARES: dict[str, Callable[[Any], Any]] = {  # other Tensors on the memory of one
    "itself": lambda t: t,
    "detach()": lambda t: t.detach(),
    "a view of detach()": lambda t: t.detach().reshape(-1)[::-1],
    "detach() of a view": lambda t: t.reshape(-1).detach(),
    "a view in no_grad()": in_no_grad(lambda t: t[...]),
    "another Tensor": lambda t: gg.Tensor(t.data),
}
TAKES: dict[str, Callable[[Any], Any]] = {  # plain arrays
    "data": lambda t: t.data,
    "numpy()": lambda t: t.numpy(),
    "a view of data": lambda t: t.data.reshape(-1)[:1],
    "asarray of detach()": lambda t: np.asarray(t.detach()),
    "data of a view of detach()": lambda t: t.detach()[..., None].data,
    "asarray in no_grad()": in_no_grad(np.asarray),
    "data of a view in no_grad()": in_no_grad(lambda t: t[...].data),
}


def assign_data(t: Any) -> None:
    t.data = t.data * 0 + 7.25


def augment_data(t: Any) -> None:
    t.data += 7.25


def assign(t: Any) -> None:
    t[...] = 7.25


def augment(t: Any) -> None:
    t += 7.25


def copy_into(a: Any) -> None:
    np.copyto(a, 7.25)


def add_into(a: Any) -> None:
    np.add(a, 7.25, out=a)


def fill(a: Any) -> None:
    a.fill(7.25)


def shift_bytes(a: Any) -> None:
    a += 7.25


class Way(NamedTuple):
    of: str  # "input", "output", "operand" (a plain array) or "shared" (a plain Tensor of an array)
    take: Callable[[Any], Any]
    write: Callable[[Any], None]
    before: bool = False  # whether the memory is got at before the op uses it


WAYS: dict[str, Way] = {
    "input: assign_data of itself": Way("input", SHARES["itself"], assign_data),
    "output: assign_data of itself": Way("output", SHARES["itself"], assign_data),
}
for n, place in enumerate(("input", "output", "shared")):
    for i, (name, take) in enumerate(SHARES.items()):
        change: Callable[[Any], None] = (assign, augment, augment_data)[(i + n) % 3]
        WAYS[f"{place}: {change.__name__} of {name}"] = Way(place, take, in_no_grad(change))
    for i, (name, take) in enumerate(TAKES.items()):
        change = (assign, copy_into, add_into, fill)[(i + n) % 4]
        WAYS[f"{place}: {change.__name__} of {name}"] = Way(place, take, change)
for name, take in SHARES.items():
    WAYS[f"input: assign of {name}, taken before"] = Way(
        "input", take, in_no_grad(assign), before=True
    )

# By the cases of docs/conventions.md
UNNOTICED: dict[str, Way] = {
    "`a = t.data` before the op, `a[...] = v` after it": Way(
        "input", lambda t: t.data, assign, before=True
    ),
    "`a * t` with a plain array, `a[...] = v` after it": Way("operand", lambda a: a, assign),
    "`gg.Tensor(a) * t`, `a[...] = v` after it": Way(
        "shared", lambda t: t.data.base, assign, before=True
    ),
}


@checkout
def test_the_page_tells_what_is_not_noticed() -> None:
    assert {row[0] for row in rows() if row[1].startswith("not noticed")} == set(UNNOTICED)


class Program:
    """An op on recorded tensors that no graph has seen, so that everything can be got at."""

    def __init__(self, case: Case, way: Way) -> None:
        self.leaves = [leaf(p) for p in case.points]
        self.inputs: list[Any] = [x + np.zeros_like(x.data) for x in self.leaves]
        if way.of == "operand":
            self.inputs[1:] = [p.copy() for p in case.points[1:]]
        elif way.of == "shared":
            self.inputs[1:] = [gg.Tensor(np.array([p])[0]) for p in case.points[1:]]
        first = 1 if way.of in ("operand", "shared") else 0
        targets = [x for x in self.inputs[first:] if not isinstance(x, gg.Tensor) or x.shape]
        taken = [way.take(x) for x in targets] if way.before else []
        self.outputs = [y for y in case.run(*self.inputs) if y.requires_grad]
        if way.of == "output":
            targets = [y for y in self.outputs if y.shape]
        self.taken = taken if way.before else [way.take(x) for x in targets]

    def gradients(self) -> list[Any]:
        for y in self.outputs:
            y.backward(np.cos(np.arange(y.size)).reshape(y.shape), retain_graph=True)
        return [x.grad for x in self.leaves]


def largest_cases() -> Iterator[tuple[str, Case]]:
    for name, op in EVERY_OP.items():
        found = [Case(op, call) for call in typical_calls(op)]
        sizes = [
            sum(p.size for p in case.points) * all(p.size for p in case.points) for case in found
        ]
        if any(sizes):
            yield name, found[int(np.argmax(sizes))]


def others(case: Case) -> list[int]:
    """Number the arrays of a call that cannot be differentiated."""
    arrays = [i for i, x in enumerate(case.leaves) if isinstance(x, np.ndarray)]
    return [i for i in arrays if i not in case.places]


UNTOUCHED = Way("input", lambda t: t, assign)
CASES = dict(largest_cases())
EXPECTED = {name: Program(case, UNTOUCHED).gradients() for name, case in CASES.items()}


def outcome(name: str, way: Way) -> str:
    program = Program(CASES[name], way)
    written = [m for m in program.taken if isinstance(m, gg.Tensor) or m.flags.writeable]
    for taken in written:
        with contextlib.suppress(ValueError):  # an output that is broadcast cannot be written to
            way.write(taken)
    try:
        found = program.gradients()
    except GraphError as error:
        words = r"\(built at \w+\.py:\d+\).*(overwritten|was written to|rule failed: )"
        return "noticed" if re.search(words, str(error)) else str(error)
    pairs = [(e, g) for e, g in zip(EXPECTED[name], found, strict=True) if g is not None]
    same = all(np.array_equal(e, g, equal_nan=True) for e, g in pairs)
    return "harmless" if same else "silently wrong"


def outcomes(way: Way) -> dict[str, str]:
    return {name: outcome(name, way) for name in CASES}


@pytest.mark.parametrize("name", WAYS)
def test_a_write_is_noticed_where_it_matters(name: str) -> None:
    found = outcomes(WAYS[name])
    assert set(found.values()) == {"noticed", "harmless"}, found


@pytest.mark.parametrize("name", UNNOTICED)
def test_what_is_not_noticed_is_found_by_detect_anomaly(name: str) -> None:
    assert "silently wrong" in outcomes(UNNOTICED[name]).values()
    with gg.detect_anomaly():
        found = outcomes(UNNOTICED[name])
    assert set(found.values()) == {"noticed", "harmless"}, found


ARGUMENTS = {  # calls with arrays beside those that can be differentiated
    f"{name}: {case}": case
    for name, op in EVERY_OP.items()
    for case in [Case(op, call) for call in typical_calls(op)]
    if case.points and any(isinstance(case.leaves[i], np.ndarray) for i in others(case))
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_masks_labels_and_indices_may_change_before_the_backward_pass(name: str) -> None:
    case = ARGUMENTS[name]
    expected = Program(case, UNTOUCHED).gradients()
    given = {i: case.leaves[i].copy() for i in others(case)}
    case = Case(case.op, case.call)
    for i, array in given.items():
        case.leaves[i] = array
    program = Program(case, UNTOUCHED)
    for array in given.values():
        array[...] = ~array if array.dtype == bool else 0
    for e, g in zip(expected, program.gradients(), strict=True):
        np.testing.assert_array_equal(e, g)


def test_reading_and_writing_beside_is_no_write() -> None:
    x = leaf([1.0, 2.0])
    buffer = np.arange(6.0).reshape(2, 3)
    row, corner, columns = gg.Tensor(buffer[0]), gg.Tensor(buffer[1, 1:]), map(gg.Tensor, buffer.T)
    first, _, last = columns
    y = x * x * row[:2] * first
    assert x.data.tolist() == x.numpy().tolist() == x.detach().tolist()
    corner[...] = 7.0
    last[...] = 7.0
    y.sum().backward()
    assert x.grad.tolist() == [0, 12]


def test_a_new_array_in_place_of_the_old_one_is_no_write_for_others() -> None:
    w = leaf([1.0, 2.0])
    still = w.detach()
    x = leaf([3.0, 4.0])
    y = (still * x).sum()
    w.data = np.zeros(2)
    y.backward()
    assert x.grad.tolist() == [1, 2]


def test_a_write_before_the_graph_is_none_of_its_own() -> None:
    x = leaf([1.0, 2.0])
    early = (x * x).sum()
    x.data[0] = 5.0
    late = (x * x).sum()
    x.data[1] = x.data[1]
    late.backward()
    assert x.grad.tolist() == [10, 4]
    with pytest.raises(GraphError, match=r"multiply .* overwritten in place"):
        early.backward()


def test_a_write_that_was_taken_back_is_harmless() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.data[0] += 1.0
    x.numpy()[0] = 1.0
    with pytest.raises(GraphError):
        y.backward()  # what was lent twice was seen to change
    y = (x * x).sum()
    lent = x.data
    lent[0] += 1.0
    lent[0] -= 1.0
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_of_many_regions_the_whole_is_remembered() -> None:
    x = leaf(np.ones(300))
    y, still = (x * x).sum(), x.detach()
    lent = [still[i : i + 1].data for i in range(200)]
    lent[150][0] = 3.0
    for i in range(200):
        still[i + 100 : i + 101].data[0] += 0.0
    with pytest.raises(GraphError, match="overwritten"):
        y.backward()
    z = (x * x).sum()
    for i in range(200):
        still[i : i + 1] = 2.0
    with pytest.raises(GraphError, match="overwritten"):
        z.backward()


def test_what_is_known_of_memory_goes_with_it() -> None:
    before = len(memory._owners)
    x: Any = None
    y: Any = None
    for _ in range(20):
        x = leaf(np.ones(50))
        y = x * x
        x.data[0] = 2.0
        x.detach()[1:][0] = 3.0
        y.detach().data[0] = 4.0
    del x, y
    assert len(memory._owners) == before


def test_a_running_statistic_is_noticed_as_a_plain_array_too() -> None:
    x = leaf(np.arange(6.0).reshape(3, 2))
    mean, var = np.zeros(2), np.ones(2)
    y = x * gg.Tensor(mean)
    gg.nn.functional.batch_norm(x, mean, var, training=True)
    with pytest.raises(GraphError, match="overwritten"):
        y.sum().backward()


def scale_in_place(g: Any) -> None:
    g *= 10


def assign_in_place(g: Any) -> None:
    g[0] = 10


@pytest.mark.parametrize("hook", [scale_in_place, assign_in_place])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_that_writes_into_its_argument_is_told_to_return(
    hook: Callable[[Any], None], create_graph: bool
) -> None:
    x = leaf([1.0, 2.0])
    for h in (x + 0.0, x * x):
        h.register_hook(hook)
        with pytest.raises(GraphError, match=r"hook changed its argument .* return the new"):
            gg.gradients((h * h).sum(), x, create_graph=create_graph)


def test_other_errors_of_a_hook_are_its_own() -> None:
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: np.linalg.cholesky(g.reshape(-1)))
    with pytest.raises(np.linalg.LinAlgError):
        (x * x).sum().backward()


def test_what_a_hook_keeps_is_no_part_of_grad() -> None:
    x = leaf([1.0, 2.0])
    seen: list[Any] = []
    x.register_hook(seen.append)
    (x * x).sum().backward()
    x.grad[...] = 0.0
    assert seen[0].tolist() == [2, 4]


def test_an_array_that_no_graph_holds_is_handed_out_without_a_checksum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums: list[Any] = []
    monkeypatch.setattr(memory, "checksum", sums.append)
    x = leaf(np.ones(20))
    small = leaf(np.ones(2))
    for t in (x, small):
        (t * t).sum().backward()  # freed
        t.data -= 0.1 * t.grad
        t.numpy()
        t.data.sum()
    plain = gg.Tensor(x.grad)
    assert plain.data is x.grad
    assert not sums
    y = x * x
    x.data.sum()
    assert len(sums) == 1
    assert y.shape == (20,)


def test_a_pullback_is_that_of_the_point_it_was_made_at() -> None:
    x, pair = np.array([1.0, 2.0]), [np.array([3.0, 4.0])]
    _, pullback = gg.vjp(lambda x, pair: x * x * pair[0], x, pair)
    x[...], pair[0][...] = 7.0, 7.0
    gs = pullback(np.ones(2))
    assert gs[0].tolist() == [6, 16]
    assert gs[1][0].tolist() == [1, 4]


def test_what_a_recomputed_call_writes_again_and_takes_back_is_no_write() -> None:
    moving = gg.Tensor([1.0, 2.0])

    def moves(x: Any) -> Any:
        moving[...] = [3.0, 4.0]
        return np.exp(x)

    x = leaf([0.0, 0.0])
    y = gg.recompute(moves, x)
    z = x * moving
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    z.sum().backward()
    assert x.grad.tolist() == [4, 5]


def test_an_upstream_gradient_may_change_later() -> None:
    x = leaf([1.0, 2.0])
    y, seed = x * x, np.ones(2)
    y.backward(seed, retain_graph=True)
    (again,) = gg.gradients([y], [x], [seed], create_graph=True)
    seed[...] = 7.0
    assert x.grad.tolist() == again.tolist() == [2, 4]
    assert gg.gradients(again.sum(), x).tolist() == [2, 2]
    tensor = gg.Tensor([1.0, 1.0])
    (again,) = gg.gradients([x * x], [x], [tensor], create_graph=True)
    tensor[0] = 7.0
    with pytest.raises(GraphError, match="overwritten"):
        again.sum().backward()


def test_new_data_for_one_tensor_is_no_write_to_the_array_it_takes() -> None:
    """`w.data = c` gives w other memory; another graph that saved c is as it was."""
    c = np.array([2.0, 3.0])
    w, x = gg.Tensor([1.0, 1.0]), leaf([5.0, 7.0])
    y = (x * gg.Tensor(c)).sum()
    w.data = c
    y.backward()
    assert np.asarray(x.grad).tolist() == [2.0, 3.0]
