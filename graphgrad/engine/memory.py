"""Which memory was written when: what a sweep asks about the arrays that a graph saved.

A write that a Tensor makes is noted at once, whichever Tensor shares the memory. An array that is
handed out (``t.data``) may be written by anybody: where a graph may have saved its memory, a
checksum is taken as it goes out, and compared when the graph needs the saved array.
"""

import sys
import weakref
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.graph import Freed, Node, Recorded, memory_owners, tick
from graphgrad.errors import GraphError
from graphgrad.typing import Array

_ROW = 1024  # words, in which a checksum sees a large array as a table
_HARD = 10_000  # steps that may be spent on whether two arrays overlap
_REGIONS = 64  # of one array: with more, the array counts as written wherever it is


class Region(NamedTuple):
    """Where the elements of an array lie, without keeping the array."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    typestr: str

    @property
    def __array_interface__(self) -> dict[str, Any]:
        data = (self.address, False)
        facts = {"shape": self.shape, "strides": self.strides, "typestr": self.typestr}
        return {"version": 3, "data": data, **facts}

    def meets(self, array: Array) -> bool:
        """Whether an array shares an element; the region's memory must be alive."""
        try:
            return np.shares_memory(np.asarray(self), array, max_work=_HARD)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True


class Owner:
    """What is known of one piece of memory: a chain of views ends at it."""

    __slots__ = ("alive", "loans", "regions", "written")

    def __init__(self, array: Array, forget: Callable[[Any], Any]) -> None:
        self.alive = weakref.ref(array, forget)
        self.written = 0  # when all of it was last written
        self.regions: dict[Region | None, int] = {}  # when a part of it was last written
        # by region (None: all of it), when it was last lent, and its checksum then
        self.loans: dict[Region | None, tuple[int, int]] = {}

    def write(self, region: Region | None, now: int) -> None:
        """Note that a region was written."""
        if region is not None and (region in self.regions or len(self.regions) < _REGIONS):
            self.regions[region] = now
            self.loans.pop(region, None)
        else:
            self.written = max(now, self.written, *self.regions.values())
            self.regions.clear()
            if region is None:
                self.loans.clear()

    def lend(self, array: Array, now: int) -> None:
        """Note that an array is handed out; if its checksum changed since it last was, a write."""
        region = self.region_of(array)
        if region not in self.loans and len(self.loans) >= _REGIONS:
            array, region = self.alive(), None
        found, then = checksum(array), self.loans.get(region)
        if then is not None and then[1] != found:
            self.write(region, then[0])
        self.loans[region] = now, found

    def region_of(self, array: Array) -> Region | None:
        """Return where an array lies; None for all of the memory."""
        if array.base is None:
            return None
        facts = array.__array_interface__
        return Region(facts["data"][0], array.shape, array.strides, facts["typestr"])

    def written_since(self, array: Array, time: int) -> bool:
        """Whether any element of an array was written, as far as is known."""
        if self.written > time:
            return True
        for region, at in list(self.regions.items()):
            if at > time and region is not None and region.meets(array):
                return True
        for region, (at, found) in list(self.loans.items()):
            if at > time and (region is None or region.meets(array)):
                lent = self.alive() if region is None else np.asarray(region)
                if checksum(lent) != found:
                    return True
        return False


class _Clock:
    """When any memory was last written or lent: what is older than a node cannot concern it."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0


clock = _Clock()
_owners: dict[int, Owner] = {}


def _end_of_views(array: Array) -> Array:
    while isinstance(base := array.base, np.ndarray):
        array = base
    return array


def _owner(array: Array) -> Owner:
    end = _end_of_views(array)
    key = id(end)
    found = _owners.get(key)
    if found is None or found.alive() is not end:

        def forget(gone: Any, owners: dict[int, Owner] = _owners) -> None:
            last = owners.get(key)
            if last is not None and last.alive is gone:  # no later array in its place
                del owners[key]

        _owners[key] = found = Owner(end, forget)
    return found


def note_write(array: Array) -> int:
    """Note that an array was written just now; return the time."""
    clock.latest = now = tick()
    known = _owners.get(id(array))
    if known is not None and known.alive() is array and not (known.regions or known.loans):
        known.written = now  # a parameter after a step: in short
    elif isinstance(array, np.ndarray):
        owner = _owner(array)
        owner.write(owner.region_of(array), now)
    return now


class _Slot:
    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array = np.zeros(1)


_slot = _Slot()
_references: Callable[[Any], int] = getattr(sys, "getrefcount", lambda _: sys.maxsize)
_ALONE = _references(_slot.array)  # of an array that stands in one place


def note_use(array: Array) -> None:
    """Note that a graph may save the memory of an array whose Tensor has no node."""
    if isinstance(array, np.ndarray):
        _owner(array)


def lend(tensor: Recorded) -> None:
    """Note that a tensor's array goes out to somebody who may write to it.

    Nothing is paid where no graph can have saved it: where neither the tensor nor any view of
    its memory was an operand, or where nobody else holds the array, as references are counted.
    """
    node = tensor._node
    if not isinstance(tensor._array, np.ndarray):
        return
    if node is None and id(_end_of_views(tensor._array)) not in _owners:
        return
    own = _ALONE + (node is not None and node.value is tensor._array)
    if _references(tensor._array) > own or (
        tensor._array.base is not None and _references(tensor._array.base) > _ALONE
    ):
        array = tensor._array
        if array.flags.writeable:
            clock.latest = now = tick()
            _owner(array).lend(array, now)


def known_of(array: Array) -> tuple[Any, ...]:
    """Return what is known of an array's memory, for :func:`know_again`."""
    if not isinstance(array, np.ndarray):
        return ()
    owner = _owner(array)
    return owner.written, dict(owner.regions), dict(owner.loans)


def know_again(array: Array, known: tuple[Any, ...]) -> None:
    """Forget the writes since, which were taken back."""
    if known:
        owner = _owner(array)
        owner.written, owner.regions, owner.loans = known


def share_memory(a: Array, b: Array) -> bool:
    """Whether two arrays may share memory."""
    return a is b or (
        isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b)
    )


def written_since(array: Array, time: int) -> bool:
    """Whether any element of an array, or of a tuple of them, was written, as far as is known."""
    if clock.latest <= time:
        return False
    if isinstance(array, tuple):  # the outputs of an op, or what its forward handed over
        return any(written_since(part, time) for part in array)
    if not isinstance(array, np.ndarray):
        return False
    owner = _owners.get(id(_end_of_views(array)))
    return owner is not None and owner.written_since(array, time)


def overwritten(kept: Any, array: Array, time: int) -> bool:
    """Whether a value of the graph, saved as an array, was replaced or written since."""
    if isinstance(kept, Node) and any(owner.changed > time for owner in memory_owners(kept)):
        return True
    return written_since(array, time)


_UNCHANGING = frozenset((int, float, slice, type(None), type(Ellipsis), bool, np.intp, np.bool_))


def frozen(argument: Any) -> Array:
    """Return an index, a mask, labels that nobody can change later: arrays and lists are copied.

    The copies lie in C order, for NumPy walks an index in the order of its memory and
    "the last writer wins" must not depend on that.
    """
    if argument.__class__ in _UNCHANGING:
        return argument
    if argument.__class__ is tuple:
        return tuple(map(frozen, argument))
    if argument.__class__ is list:
        return list(map(frozen, argument))
    array = argument
    while hasattr(array, "flags"):
        if array.flags.writeable:
            argument = argument.copy()
            argument.flags.writeable = False
            break
        array = array.base
    return argument


def checksum(array: Array) -> int:
    """Return a checksum of an array's bytes, and of their order."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    size = flat.size - flat.size % (8 * _ROW)
    if size <= 8 * _ROW:
        return zlib.crc32(flat.data)
    table = flat[:size].view(np.uint64).reshape(-1, _ROW)  # sums are faster than zlib
    found = zlib.crc32(flat[size:].data)
    for axis in (0, 1):
        found = zlib.crc32(table.sum(axis=axis).data, found)
    return found


def check_values(node: Node) -> None:
    """Raise where what the rules of a node need was freed or overwritten.

    Raises
    ------
    GraphError
        Says by which call, or which of the values it was.
    """
    if node.values.__class__ is Freed:
        message = (
            f"{node.describe()}: this graph was freed by {node.values.by}; call that with "
            "retain_graph=True to differentiate it again, or build the graph anew"
        )
        raise GraphError(message)
    _check_unwritten(node)


def _check_unwritten(node: Node) -> None:
    """Raise where a value that the rules of a node need is no longer what it was."""
    plan = node.plan
    for value, source, name in zip(node.values, plan.sources, plan.kept_names, strict=True):
        kept: list[tuple[str, Any, Any]]
        if source == "out":
            kept = [("its output", node, value)]
        elif source == "inputs":
            pairs = zip(node.parents, value, strict=True)
            kept = [(f"its input {i}", parent, array) for i, (parent, array) in enumerate(pairs)]
        elif isinstance(source, int):
            kept = [(f"its input {source}", node.parents[source], value)]
        else:  # an argument, or what the forward handed over
            kept = [(f"'{name}'", None, value)]
        for what, of, array in kept:
            if overwritten(of, array, node.serial):
                label = f" '{of.name}'" if isinstance(of, Node) and of.name else ""
                message = (
                    f"{node.describe()} needs the value of {what}{label}, which was overwritten "
                    "in place after the graph used it; change it after backward(), or use a .copy()"
                )
                raise GraphError(message)
