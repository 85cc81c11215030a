"""What a function can reach: arrays and tensors that it closes over, and plain values.

A program reads arrays anew at each call, wherever the function finds them: in cells of closures, in
globals, in attributes and containers. Plain values (numbers, strings, flags, functions) are part of
the program, so each call compares them.
"""

import dis
import functools
import types
from collections.abc import Callable, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from graphgrad.engine.graph import Recorded, node_of
from graphgrad.engine.source import is_internal
from graphgrad.engine.transforms import DerivativeFunction
from graphgrad.engine.trees import as_tuple

_MOST = 5_000  # places
_ATOMS = (int, float, str, bytes, bool, complex, type(None), np.dtype, np.generic, type(Ellipsis))
_CALLED = {"step", "update", "zero_grad", "params"}  # what f may use of sealed objects
_NO_USERS = {"abc", "builtins", "enum", "graphgrad", "numpy", "typing"}  # modules of classes
SEALED = "compiled_as_object"  # attribute of classes whose methods are called from outside


class TooMuch(Exception):  # noqa: N818 - a reason, not a mistake
    """A function reaches more than can be compared at each call."""


class Place:
    """Where a value stands: can be read, and written while a function is traced."""

    __slots__ = ("key", "name", "of")

    def __init__(self, of: Any, key: Any, name: str) -> None:
        self.of, self.key, self.name = of, key, name

    def read(self) -> Any:
        """Return what stands there now; `MISSING` if nothing does."""
        try:
            return self.of.cell_contents if self.key is None else self.of[self.key]
        except (KeyError, IndexError, ValueError):
            return MISSING

    def write(self, value: Any) -> None:
        """Put a value there."""
        if self.key is None:
            self.of.cell_contents = value
        else:
            self.of[self.key] = value


MISSING = object()


class InTuple(Place):
    """A place in a tuple, which is made anew to write to it."""

    __slots__ = ()

    def read(self) -> Any:
        """Return what stands there now."""
        whole = self.of.read()
        return whole[self.key] if isinstance(whole, tuple) and len(whole) > self.key else MISSING

    def write(self, value: Any) -> None:
        """Put a tuple there that has a value in this place."""
        parts = list(self.of.read())
        kind = type(self.of.read())
        parts[self.key] = value
        self.of.write(as_tuple(kind, parts))


class Reach:
    """The places that a function reaches, and what stood there."""

    def __init__(self, f: Callable[..., Any], arguments: Sequence[Any] = ()) -> None:
        """Walk from f, and from arguments that are objects."""
        self.arrays: list[Place] = []
        self.tensors: list[Place] = []
        self.states: list[tuple[Place, Any]] = []  # how the tensors are recorded
        self.generators: list[Place] = []
        self.plain: list[tuple[Place, Any]] = []  # places of plain values, and the values
        self.sizes: list[tuple[Any, int, str]] = []  # containers, their lengths and names
        self._seen: set[int] = set()
        self._alive: list[Any] = []
        self._attributes: frozenset[str] = frozenset()  # that the user's functions mention
        self._sealed: list[tuple[Any, str]] = []
        self._function(f, outermost=True)
        for x in arguments:
            if not isinstance(x, (Recorded, np.ndarray, np.random.Generator, *_ATOMS)):
                self._object(x, type(x).__name__.lower())
        # where f reads one of these, it may read the others through it
        known = [{*vars(x), *dir(type(x))} - _CALLED for x, _ in self._sealed]
        read = any(self._attributes & names for names in known)
        for x, name in self._sealed:
            if read:
                self._contents(x, name)
            else:
                self._tensors_in(vars(x), name)

        self.states = [(place, recording_state(place.read())) for place in self.tensors]

    def unchanged(self) -> bool:
        """Whether all plain values and containers are what they were."""
        for place, value in self.plain:
            now = place.read()
            if now is not value and differs(now, value):
                return False
        if any(recording_state(place.read()) != state for place, state in self.states):
            return False
        return all(len(container) == size for container, size, _ in self.sizes)

    def changed(self) -> str | None:
        """Name the first plain value that is another one by now."""
        for place, value in self.plain:
            now = place.read()
            if now is not value and differs(now, value):
                return place.name
        for place, state in self.states:
            if recording_state(place.read()) != state:
                return f"what {place.name} records"
        return next((f"the length of {name}" for c, n, name in self.sizes if len(c) != n), None)

    # ---------------------------------------------------------------------- walking

    def _enter(self, x: Any) -> bool:
        if id(x) in self._seen:
            return False
        if len(self._seen) > _MOST:
            raise TooMuch
        self._seen.add(id(x))
        self._alive.append(x)
        return True

    def _function(self, f: Any, *, outermost: bool = False) -> None:
        """Walk through what is called: a function, a method, a transform, an object."""
        if isinstance(f, DerivativeFunction):
            return self._function(f.function, outermost=outermost)
        if isinstance(f, functools.partial):
            self._value(_Attribute(f, "func"))
            self._value(_Attribute(f, "args"))
            return self._value(_Attribute(f, "keywords"))
        if isinstance(f, types.MethodType):
            self._function(f.__func__, outermost=outermost)
            return self._object(f.__self__, "self")
        if isinstance(f, types.FunctionType):
            return self._python(f, outermost=outermost)
        if not isinstance(f, type | types.BuiltinFunctionType | np.ufunc):
            self._object(f, type(f).__name__)
        return None

    def _python(self, f: types.FunctionType, *, outermost: bool = False) -> None:
        if not self._enter(f) or (is_internal(f.__code__.co_filename) and not outermost):
            return
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._value(Place(cell, None, name))
        attributes = _names(f.__code__, "LOAD_ATTR")
        self._attributes |= attributes
        for name in sorted(_names(f.__code__)):
            if name in f.__globals__:
                self._value(Place(f.__globals__, name, name), attributes)
        self._value(_Attribute(f, "__defaults__"))
        for name in f.__kwdefaults__ or ():
            self._value(Place(f.__kwdefaults__, name, name))
        if (wrapped := f.__dict__.get("__wrapped__")) is not None:
            self._function(wrapped)

    def _value(self, place: Place, names: frozenset[str] = frozenset()) -> None:
        x = place.read()
        if x is MISSING:
            return
        if isinstance(x, Recorded):
            self.tensors.append(place)
        elif isinstance(x, np.ndarray) and x.dtype != object:
            self.arrays.append(place)
        elif isinstance(x, np.random.Generator):
            self.generators.append(place)
        elif isinstance(x, _ATOMS):
            self.plain.append((place, x))
        elif isinstance(x, types.ModuleType):
            self._module(x, names)
        elif isinstance(x, tuple):
            self.plain.append((place, x) if not x else (_Length(place), len(x)))
            for k in range(len(x)):
                self._value(InTuple(place, k, f"{place.name}[{k}]"))
        else:
            self.plain.append((place, x))
            self._object(x, place.name)

    def _tensors_in(self, x: Any, name: str) -> None:
        """Find tensors in nested lists and dicts."""
        pairs = x.items() if isinstance(x, dict) else enumerate(x)
        for key, value in list(pairs):
            if isinstance(value, Recorded):
                self.tensors.append(Place(x, key, f"{name}_{key}"))
            elif type(value) in (list, dict):
                self._tensors_in(value, f"{name}_{key}")

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        """Walk through what a function may read from a module of the user's."""
        if is_internal(getattr(module, "__file__", None) or "<frozen >") or "-packages" in (
            module.__file__ or ""
        ):
            return
        for name in sorted(names & vars(module).keys()):
            self._value(Place(vars(module), name, f"{module.__name__}.{name}"), names)

    def _object(self, x: Any, name: str) -> None:
        if isinstance(x, type):
            self._class_values(x)
        if isinstance(x, type | types.BuiltinFunctionType | np.ufunc | types.ModuleType):
            return
        if isinstance(x, types.FunctionType | types.MethodType | functools.partial):
            self._function(x)
            return
        if isinstance(x, DerivativeFunction):
            self._function(x)
            return
        if not self._enter(x):
            return
        if hasattr(type(x), SEALED) and type(x).__module__.startswith("graphgrad."):
            self._sealed.append((x, name))
        else:
            self._contents(x, name)

    def _contents(self, x: Any, name: str) -> None:
        """Walk through what an object holds."""
        if isinstance(x, MutableMapping) and hasattr(x, "keys"):
            self.sizes.append((x, len(x), name))
            for key in list(x):
                self._value(Place(x, key, f"{name}[{key!r}]"))
        elif isinstance(x, MutableSequence):
            self.sizes.append((x, len(x), name))
            for k in range(len(x)):
                self._value(Place(x, k, f"{name}[{k}]"))
        own = getattr(x, "__dict__", None)
        if own is not None:
            self.sizes.append((own, len(own), f"the attributes of {name}"))
            for key in list(own):
                self._value(Place(own, key, f"{name}.{key}"))
        self._class_values(type(x))
        for kind in type(x).__mro__:
            for method in list(vars(kind).values()):
                found = getattr(method, "__func__", getattr(method, "fget", method))
                if isinstance(found, types.FunctionType):
                    self._python(found)

    def _class_values(self, kind: type) -> None:
        """Compare plain values that stand in classes of the user's."""
        for each in kind.__mro__:
            if each.__module__.partition(".")[0] in _NO_USERS:
                continue
            for name, value in vars(each).items():
                if isinstance(value, _ATOMS) and not name.startswith("__"):
                    self.plain.append((_Attribute(each, name), value))


class _Attribute(Place):
    """An attribute of an object."""

    __slots__ = ()

    def __init__(self, of: Any, key: str) -> None:
        super().__init__(of, key, key)

    def read(self) -> Any:
        """Return its value."""
        return getattr(self.of, self.key, MISSING)

    def write(self, value: Any) -> None:
        """Set it."""
        setattr(self.of, self.key, value)


class _Length(Place):
    """The length of the tuple in a place."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(place, None, f"the length of {place.name}")

    def read(self) -> Any:
        """Return the length."""
        whole = self.of.read()
        return len(whole) if isinstance(whole, tuple) else MISSING


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType, kind: str = "LOAD_GLOBAL") -> frozenset[str]:
    """Return the globals, or with another kind the attributes, that a function mentions."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    kinds = {kind, "LOAD_NAME"} if kind == "LOAD_GLOBAL" else {kind, "LOAD_METHOD"}
    own = {str(i.argval) for i in dis.get_instructions(code) if i.opname in kinds}
    return frozenset(own).union(*(_names(c, kind) for c in inner))


def recording_state(tensor: Any) -> Any:
    """Return whether a tensor needs a gradient, is a leaf, and has hooks, with its type."""
    node = node_of(tensor) if isinstance(tensor, Recorded) else None
    if node is None or not node.needs:
        return (type(tensor), False, False, False)
    return (type(tensor), True, node.plan is None, bool(node.hooks))


def differs(now: Any, before: Any) -> bool:
    """Whether a plain value is another one than before."""
    return type(now) is not type(before) or not _equal(now, before)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float | np.floating) and a == b == 0:
        return bool(np.signbit(a) == np.signbit(b))
    return (isinstance(a, _ATOMS) and bool(a == b)) or (a != a and b != b)  # noqa: PLR0124
