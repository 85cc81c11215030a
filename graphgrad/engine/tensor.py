"""Tensor: an array that operations record into a graph."""

import os
import threading
from collections.abc import Callable
from typing import Any, Never, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from graphgrad.arguments import flag, function as is_function, is_flag, text, wrong
from graphgrad.engine.anomaly import explain_nan
from graphgrad.engine.graph import KEPT_ELEMENTS, Node, Recorded, tick
from graphgrad.engine.in_place import InPlace, mark_changed, set_array, writable
from graphgrad.engine.memory import export, note_use, share_memory
from graphgrad.engine.numpy_protocols import NumpyProtocols
from graphgrad.engine.operands import as_array, as_plain
from graphgrad.engine.record import constant, make_leaf, record
from graphgrad.engine.recording import latest, switches
from graphgrad.engine.sweep import Sweep, release
from graphgrad.errors import DtypeError, GraphError, ShapeError
from graphgrad.names import TENSOR_HINTS, MissingAttribute
from graphgrad.typing import Array

_grad_lock = threading.RLock()  # two threads may add gradients to the same leaf
if hasattr(os, "register_at_fork"):  # so that a child's lock is free
    os.register_at_fork(
        before=_grad_lock.acquire,
        after_in_parent=_grad_lock.release,
        after_in_child=_grad_lock.release,
    )
_new = object.__new__
T = TypeVar("T", bound="Tensor")


class Tensor(NumpyProtocols, InPlace):
    """An array of real numbers that remembers how it was computed.

    Parameters
    ----------
    data
        Real numbers of any shape: anything that ``np.asarray`` converts.
    dtype
        float16, float32 or float64 for gradients; None keeps NumPy's choice.
    requires_grad
        Whether ``backward()`` computes ``.grad``. Such a tensor copies ``data``; any other shares
        its memory.
    name
        Shown in pictures and errors.

    Raises
    ------
    DtypeError
        For complex numbers and objects, and for integers with ``requires_grad=True``.
    ShapeError
        For ragged lists.
    """

    __slots__ = ("__weakref__",)
    _record = staticmethod(record)

    def __init__(
        self,
        data: ArrayLike | Recorded,
        *more: Never,
        dtype: DTypeLike | None = None,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        if more:
            raise DtypeError(f"{type(self).__name__}: takes one array; {_keyword_hint(more[0])}")
        if isinstance(data, Tensor):
            if data.requires_grad and switches().enabled:
                message = (
                    "Tensor(tensor) would leave the graph in silence; use .detach() or .copy()"
                )
                raise GraphError(message)
            data = data._array
        array = as_array(data)
        if dtype is not None:
            try:
                wanted = np.dtype(dtype)
            except (TypeError, ValueError) as error:
                raise wrong("Tensor", "dtype", dtype, "a dtype") from error
            array = array.astype(as_array(np.empty(0, wanted)).dtype, copy=False)
        self._array = array if array.shape or array is data else array[()]
        self._node = None
        if flag("Tensor", "requires_grad", requires_grad):
            self.requires_grad = True
        if name is not None:
            self.name = name

    # ------------------------------------------------------------------ what it holds

    @property
    def data(self) -> Array:
        """The plain array, on the same memory.

        ``backward()`` raises after a write through this array (``t.data -= v``, ``t.data[0] = 1``)
        to values that its graph saved. It misses a write through an array taken before the op
        (``a = t.data; y = t * t; a[0] = 1``); ``gg.detect_anomaly()`` finds that by checksums.
        """
        export(self)
        return writable(self)

    @data.setter
    def data(self, value: Any) -> None:
        before = self._array
        if value is not before:
            value = as_plain("data", value, "the value")
            if value.shape != self.shape:
                message = (
                    f"data: shape {value.shape} assigned to a tensor of shape {self.shape}; "
                    "make a new Tensor for another shape"
                )
                raise ShapeError(message)
            set_array(self, value.astype(self.dtype, copy=False))
        mark_changed(self, written=share_memory(self._array, before))

    @property
    def requires_grad(self) -> bool:
        """Whether ops on this tensor are recorded while recording is on."""
        return self._node is not None and self._node.needs

    @requires_grad.setter
    def requires_grad(self, needs: bool) -> None:
        node = self._node
        if node is not None and node.plan is not None:
            if needs == node.needs:
                return
            message = f"{node.describe()}: only a leaf can change requires_grad; use .detach()"
            raise GraphError(message)
        if not needs:
            if node is not None:
                node.needs = False
            return
        if self.dtype.kind != "f" or self.dtype.itemsize > 8:
            message = (
                f"Tensor: dtype {self.dtype} cannot require a gradient; float16, float32 and "
                "float64 can: use .astype(float)"
            )
            raise DtypeError(message)
        if node is None or not node.needs:
            # a NumPy scalar computes faster than a 0-d array
            self._array = self._array.copy() if self._array.shape else self._array[()]
            if node is None:
                make_leaf(self, needs=True)
            else:  # earlier graphs, its gradient and its hooks use this node
                node.needs, node.value = True, self._array

    @property
    def grad(self) -> Any:
        """The gradient that ``backward()`` computed, a plain array, or None.

        Typed Any, so that type checkers do not require a check for None.
        """
        node = self._node
        if node is None or node.grad is None:
            return None
        if isinstance(node.grad, np.generic):
            node.grad = np.copy(node.grad)
        return node.grad

    @grad.setter
    def grad(self, value: ArrayLike | None) -> None:
        if value is None:
            if self._node is not None:
                self._node.grad = None
            return
        node = self._recorded_node("grad")
        array = as_plain("grad", value, "the value").astype(self.dtype)
        if array.shape != self.shape:
            message = (
                f"grad: shape {array.shape} assigned to a tensor of shape {self.shape}; they "
                "must be equal"
            )
            raise ShapeError(message)
        node.grad = array

    @property
    def name(self) -> str | None:
        """The name shown in pictures and errors."""
        return None if self._node is None else self._node.name

    @name.setter
    def name(self, name: str | None) -> None:
        name = None if name is None else text("Tensor", "name", name)
        (self._node or make_leaf(self, needs=False)).name = name

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user, not by a recorded op."""
        return self._node is None or self._node.plan is None

    def numpy(self) -> Array:
        """Return the plain array, outside the graph, on the same memory; see ``data``."""
        return self.data

    def detach(self) -> "Tensor":
        """Return a tensor on the same memory, outside the graph.

        ``backward()`` detects writes to it, as to the tensor itself.
        """
        array = writable(self)
        if self._node is not None:
            note_use(array)
        return constant(array)  # type: ignore[no-any-return]

    # ------------------------------------------------------------------ differentiation

    def backward(self, grad: ArrayLike | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf that it was computed from.

        Parameters
        ----------
        grad
            The upstream gradient, of this tensor's shape; optional for a scalar.
        retain_graph
            Keep the saved arrays, so that the graph can be differentiated again.

        Raises
        ------
        GraphError
            Without a graph, for a freed graph, after an in-place change of a saved value.
        ShapeError
            If ``grad`` is missing for a non-scalar, or has another shape.
        """
        if retain_graph.__class__ is not bool:
            flag("backward", "retain_graph", retain_graph)
        node = self._node
        if node is None or not node.needs:
            message = (
                f"backward: this tensor {self.shape} has no graph; make an input with "
                "requires_grad=True, and compute outside no_grad()"
            )
            raise GraphError(message)
        sweep = Sweep({node: self._seed(grad)}).run()
        with _grad_lock:
            for leaf, g in sweep.results.items():
                if leaf.grad is None:
                    leaf.grad = g if leaf.plan is None else g.copy()
                else:
                    with np.errstate(all="ignore"):
                        leaf.grad = leaf.grad + g
        node.small_gradients = sweep.small_gradients
        if not retain_graph:
            release(sweep.swept, "backward()")

    def _seed(self, grad: Any) -> Array:
        data = self._array
        if grad is None:
            if data.size != 1:
                message = (
                    f"backward: the tensor has shape {data.shape}, not one element; call "
                    ".sum().backward(), or pass grad= of that shape"
                )
                raise ShapeError(message)
            return data.dtype.type(1) if isinstance(data, np.generic) else np.ones_like(data)
        # A leaf keeps it as .grad; hooks and observers may keep it, pictures keep a small one.
        hooks = self._node is not None and self._node.hooks
        kept = data.size <= KEPT_ELEMENTS or self.is_leaf or hooks or latest().observers
        seed = as_plain("backward", grad, "grad").astype(data.dtype, copy=bool(kept))
        if seed.shape != data.shape:
            message = (
                f"backward: grad has shape {seed.shape}, the tensor {data.shape}; "
                "they must be equal"
            )
            raise ShapeError(message)
        return seed

    def retain_grad(self) -> None:
        """Make ``backward()`` set ``.grad`` of this tensor too, though it is not a leaf."""
        self._recorded_node("retain_grad").retain = True

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``hook(gradient)`` in every sweep; its result replaces the gradient.

        Returns a function that removes the hook. The gradient is read-only: return a new one
        (``lambda g: g * 10``), or None to leave it. A hook should not refer to this tensor's graph,
        which would then stay alive until the garbage collector runs.
        """
        is_function("register_hook", "hook", hook)
        node = self._recorded_node("register_hook")
        if node.hooks is None:
            node.hooks = {}
        key = tick()
        node.hooks[key] = hook
        hooks = node.hooks
        return lambda: hooks.pop(key, None)

    def explain_nan(self) -> str:
        """Return a sentence on the op that first computed a NaN or infinity in this graph."""
        return explain_nan(self._node or make_leaf(self, needs=False))

    def _recorded_node(self, who: str) -> Node:
        if self._node is None or not self._node.needs:
            message = f"{who}: this tensor has no gradient; set requires_grad"
            raise GraphError(message)
        return self._node

    # ------------------------------------------------------------------ Python's protocols

    def __repr__(self) -> str:
        """Show the numbers as NumPy does, with dtype, op or requires_grad, and name."""
        kind = type(self).__name__
        numbers = np.array2string(np.asarray(self._array), separator=", ", prefix=f"{kind}(")
        node = self._node
        facts = "" if self.dtype in (float, int, bool) else f", dtype={self.dtype}"
        if node is not None:
            if node.plan is not None:
                facts += f", op={node.plan.op.name}"
            elif node.needs:
                facts += ", requires_grad=True"
            facts += f", name={node.name!r}" if node.name else ""
        return f"{kind}({numbers}{facts})"

    def __format__(self, spec: str) -> str:
        """Format the only element, as in ``f"{loss:.3f}"``."""
        return format(self.item(), spec) if spec else repr(self)

    def __dir__(self) -> list[str]:
        """List the attributes, for Tab completion."""
        return sorted(set(super().__dir__()).difference(TENSOR_HINTS))

    __hash__ = object.__hash__

    def __copy__(self) -> Self:
        """Return a shallow copy, with the same array, node and attributes."""
        new = _blank(type(self))
        _restore(new, *_contents(self))
        return new

    # deepcopy uses these three, too
    def __reduce__(self) -> Any:
        """Rebuild from class and state, without ``__init__``."""
        return _blank, (type(self),), self.__getstate__()

    def __getstate__(self) -> Any:
        """Return the state of a leaf, and the attributes that a subclass added."""
        if not self.is_leaf and self.requires_grad:
            message = "copy, pickle: a computed tensor cannot be copied without its graph; use "
            raise GraphError(f"{message}.detach()")
        attributes, slots = _contents(self)
        added = {name: value for name, value in slots.items() if name not in Recorded.__slots__}
        leaf = (np.asarray(self._array), self.requires_grad, self.name, self.grad)
        return attributes, added, leaf

    def __setstate__(self, state: Any) -> None:
        """Restore the state that ``__getstate__`` returned."""
        attributes, added, (data, requires_grad, name, grad) = state
        self._array, self._node = data if data.shape else data[()], None
        if requires_grad:
            make_leaf(self, needs=True).grad = grad
        if name is not None:
            self.name = name
        _restore(self, attributes, added)


def _keyword_hint(value: Any) -> str:
    """Return how to write a second positional argument by name."""
    if is_flag(value):
        return f"write requires_grad={value}"
    if isinstance(value, str):
        return f"write dtype={value!r}, or name={value!r}"
    if isinstance(value, type | np.dtype):
        return "write dtype=…"
    if value is None:
        return "write dtype=, requires_grad= or name="
    return "give several numbers as one list"


def _blank(kind: type[T]) -> T:
    return _new(kind)


def _contents(tensor: Tensor) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the ``__dict__``, if there is one, and the slots."""
    contents: Any = object.__getstate__(tensor)
    return contents  # type: ignore[no-any-return]


def _restore(tensor: Tensor, attributes: dict[str, Any] | None, slots: dict[str, Any]) -> None:
    for name, value in slots.items():
        setattr(tensor, name, value)
    if attributes:
        vars(tensor).update(attributes)


Recorded._class = Tensor
for _name in TENSOR_HINTS:
    setattr(Tensor, _name, MissingAttribute(_name))
