"""Times of writes to memory, by which a sweep checks the arrays that a graph saved.

A write by a Tensor is noted at once, for every Tensor that shares the memory. An array that is
exported (``t.data``) may be written by user code: if a graph may have saved its memory, a checksum
is taken at the export, and compared when the graph needs the saved array.
"""

import sys
import weakref
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.graph import Freed, Node, Recorded, memory_owners, tick
from graphgrad.engine.recording import tracers
from graphgrad.errors import GraphError
from graphgrad.typing import Array

_ROW_LENGTH = 1024  # words in a row of the table that a checksum makes of a large array
_MAX_WORK = 10_000  # limit of np.shares_memory
_MAX_REGIONS = 64  # regions of one array; with more, all of it counts as written


class Region(NamedTuple):
    """The addresses of an array's elements, without a reference to the array."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    typestr: str

    @property
    def __array_interface__(self) -> dict[str, Any]:
        data = (self.address, False)
        interface = {"shape": self.shape, "strides": self.strides, "typestr": self.typestr}
        return {"version": 3, "data": data, **interface}

    def overlaps(self, array: Array) -> bool:
        """Whether an array shares an element with the region, whose memory must be alive."""
        try:
            return np.shares_memory(np.asarray(self), array, max_work=_MAX_WORK)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True


class Owner:
    """The writes to one piece of memory: that of an array which is no view."""

    __slots__ = ("exports", "reference", "regions", "written")

    def __init__(self, array: Array, forget: Callable[[Any], Any]) -> None:
        self.reference = weakref.ref(array, forget)
        self.written = 0  # when all of it was last written
        self.regions: dict[Region | None, int] = {}  # by region: when it was last written
        # by region (None: all of it): when it was last exported, and its checksum then
        self.exports: dict[Region | None, tuple[int, int]] = {}

    def write(self, region: Region | None, now: int) -> None:
        """Note that a region was written."""
        if region is not None and (region in self.regions or len(self.regions) < _MAX_REGIONS):
            self.regions[region] = now
            self.exports.pop(region, None)
        else:
            self.written = max(now, self.written, *self.regions.values())
            self.regions.clear()
            if region is None:
                self.exports.clear()

    def export(self, array: Array, now: int) -> None:
        """Note an export, and a write if the checksum changed since the last export."""
        region = self.region_of(array)
        if region not in self.exports and len(self.exports) >= _MAX_REGIONS:
            array, region = self.reference(), None
        found, then = checksum(array), self.exports.get(region)
        if then is not None and then[1] != found:
            self.write(region, then[0])
        self.exports[region] = now, found

    def region_of(self, array: Array) -> Region | None:
        """Return the region of an array; None for all of the memory."""
        if array.base is None:
            return None
        interface = array.__array_interface__
        return Region(interface["data"][0], array.shape, array.strides, interface["typestr"])

    def written_since(self, array: Array, time: int) -> bool:
        """Whether any element of an array was written since, as far as known."""
        if self.written > time:
            return True
        for region, at in list(self.regions.items()):
            if at > time and region is not None and region.overlaps(array):
                return True
        for region, (at, found) in list(self.exports.items()):
            if at > time and (region is None or region.overlaps(array)):
                exported = self.reference() if region is None else np.asarray(region)
                if checksum(exported) != found:
                    return True
        return False


class _Clock:
    """The time of the latest write or export; nodes that are newer need no check."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0


clock = _Clock()
_owners: dict[int, Owner] = {}


def _untraced(array: Array) -> Array:
    """Return the array that a traced one stands for."""
    return tracers[-1].untraced(array) if tracers else array


def _base_array(array: Array) -> Array:
    while isinstance(base := array.base, np.ndarray):
        array = base
    return array


def _owner(array: Array) -> Owner:
    end = _base_array(array)
    key = id(end)
    found = _owners.get(key)
    if found is None or found.reference() is not end:

        def forget(gone: Any, owners: dict[int, Owner] = _owners) -> None:
            last = owners.get(key)
            if last is not None and last.reference is gone:  # not of a later array with the same id
                del owners[key]

        _owners[key] = found = Owner(end, forget)
    return found


def note_write(array: Array) -> int:
    """Note that an array was written now; return the time."""
    clock.latest = now = tick()
    known = _owners.get(id(array))
    if known is not None and known.reference() is array and not (known.regions or known.exports):
        known.written = now  # fast path: a parameter after a step
    elif isinstance(array, np.ndarray):
        array = _untraced(array)
        owner = _owner(array)
        owner.write(owner.region_of(array), now)
    return now


class _Probe:
    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array = np.zeros(1)


_probe = _Probe()
_references: Callable[[Any], int] = getattr(sys, "getrefcount", lambda _: sys.maxsize)
_SINGLE_REFERENCE = _references(_probe.array)  # of an array with a single reference


def note_use(array: Array) -> None:
    """Note that a graph may save the memory of an array whose Tensor has no node."""
    if isinstance(array, np.ndarray):
        _owner(_untraced(array))


def export(tensor: Recorded) -> None:
    """Note that a tensor's array is handed to code that may write to it.

    Returns at once if no graph can have saved it: if neither the tensor nor any view of its memory
    was an operand, or if by its reference count the array is held by nothing else.
    """
    node = tensor._node
    if not isinstance(tensor._array, np.ndarray):
        return
    if tracers:
        _owner(_untraced(tensor._array)).export(_untraced(tensor._array), _now())
        return
    if node is None and id(_base_array(tensor._array)) not in _owners:
        return
    own = _SINGLE_REFERENCE + (node is not None and node.value is tensor._array)
    if _references(tensor._array) > own or (
        tensor._array.base is not None and _references(tensor._array.base) > _SINGLE_REFERENCE
    ):
        array = tensor._array
        if array.flags.writeable:
            _owner(array).export(array, _now())


def _now() -> int:
    clock.latest = now = tick()
    return now


def noted_writes(array: Array) -> tuple[Any, ...]:
    """Return the noted writes to an array's memory, for :func:`restore_writes`."""
    if not isinstance(array, np.ndarray):
        return ()
    owner = _owner(_untraced(array))
    return owner.written, dict(owner.regions), dict(owner.exports)


def restore_writes(array: Array, known: tuple[Any, ...]) -> None:
    """Restore the noted writes, after later ones were undone."""
    if known:
        owner = _owner(_untraced(array))
        owner.written, owner.regions, owner.exports = known


def share_memory(a: Array, b: Array) -> bool:
    """Whether two arrays may share memory."""
    return a is b or (
        isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b)
    )


def written_since(array: Array, time: int) -> bool:
    """Whether any element of an array, or tuple of arrays, was written since, as far as known."""
    if clock.latest <= time:
        return False
    if isinstance(array, tuple):  # the outputs of an op, or its saved values
        return any(written_since(part, time) for part in array)
    if not isinstance(array, np.ndarray):
        return False
    array = _untraced(array)
    owner = _owners.get(id(_base_array(array)))
    return owner is not None and owner.written_since(array, time)


def overwritten(kept: Any, array: Array, time: int) -> bool:
    """Whether a value of the graph that was saved as an array was replaced or written since."""
    if isinstance(kept, Node) and any(owner.changed > time for owner in memory_owners(kept)):
        return True
    return written_since(array, time)


_IMMUTABLE = frozenset((int, float, slice, type(None), type(Ellipsis), bool, np.intp, np.bool_))


def frozen(argument: Any) -> Array:
    """Return an immutable index, mask or labels: arrays and lists are copied.

    The copies are in C order: NumPy walks an index in memory order, and the result must not depend
    on that where the last write wins.
    """
    if argument.__class__ in _IMMUTABLE:
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
    """Return a checksum of an array's bytes in C order."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    size = flat.size - flat.size % (8 * _ROW_LENGTH)
    if size <= 8 * _ROW_LENGTH:
        return zlib.crc32(flat.data)
    table = flat[:size].view(np.uint64).reshape(-1, _ROW_LENGTH)  # sums are faster than zlib
    found = zlib.crc32(flat[size:].data)
    for axis in (0, 1):
        found = zlib.crc32(table.sum(axis=axis).data, found)
    return found


def check_values(node: Node) -> None:
    """Check that the values which the rules of a node need were neither freed nor overwritten.

    Raises
    ------
    GraphError
        Names the call that freed them, or the value that was overwritten.
    """
    if node.values.__class__ is Freed:
        message = (
            f"{node.describe()}: this graph was freed by {node.values.by}; call that with "
            "retain_graph=True to differentiate it again, or build the graph anew"
        )
        raise GraphError(message)
    _check_unwritten(node)


def _check_unwritten(node: Node) -> None:
    """Raise GraphError if a value that the rules of a node need was overwritten."""
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
        else:  # a parameter or a saved value
            kept = [(f"'{name}'", None, value)]
        for what, of, array in kept:
            if overwritten(of, array, node.serial):
                label = f" '{of.name}'" if isinstance(of, Node) and of.name else ""
                message = (
                    f"{node.describe()} needs the value of {what}{label}, which was overwritten "
                    "in place after the graph used it; change it after backward(), or use a .copy()"
                )
                raise GraphError(message)
