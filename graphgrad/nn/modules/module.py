"""Module: a plain object with parameters, and what walks through a tree of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Never, ParamSpec, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from graphgrad.engine.graph import array_of, tick
from graphgrad.engine.in_place import mark_changed, writable
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.recording import latest, notify_called
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.typing import Array


class Parameter(Tensor):
    """A tensor that a module learns: a leaf that requires a gradient unless told otherwise."""

    __slots__ = ()

    def __init__(
        self,
        data: ArrayLike | Tensor,
        *more: Never,
        dtype: DTypeLike | None = None,
        requires_grad: bool = True,
        name: str | None = None,
    ) -> None:
        """Copy the data; see :class:`Tensor` for the arguments."""
        super().__init__(data, *more, dtype=dtype, requires_grad=requires_grad, name=name)


class Buffer(Tensor):
    """A tensor that a module keeps and saves but does not learn, such as a running mean."""

    __slots__ = ()


class Loaded(NamedTuple):
    """Names that ``load_state_dict(strict=False)`` could not pair."""

    missing: list[str]  # of the module, not in the state
    unexpected: list[str]  # of the state, not in the module


Hook = Callable[["Module", tuple[Any, ...], Any], Any]
P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class _Computes(Protocol[P, R_co]):
    """For type checkers: what ``__call__`` reads, so that it has the types of ``forward``."""

    @property
    def _forward_hooks(self) -> dict[int, Hook] | None: ...

    def forward(self, *inputs: P.args, **options: P.kwargs) -> R_co: ...


class Module:
    """A part of a network.

    Assign parameters and modules to attributes, and write ``forward``::

        class TwoLayers(nn.Module):
            def __init__(self, rng=None):
                self.hidden = nn.Linear(64, 100, rng=rng)
                self.scores = nn.Linear(100, 10, rng=rng)

            def forward(self, x):
                return self.scores(self.hidden(x).relu())

    It is a plain object. Whatever stands in its attributes when a method below is called
    belongs to it: each :class:`Parameter`, :class:`Buffer` and module, also those in lists,
    tuples and dicts. The name of a parameter is the way to it: ``hidden.weight``,
    ``layers.0.bias``.
    """

    training: bool = True  # what dropout and batch normalisation ask
    _forward_hooks: dict[int, Hook] | None = None

    # to type checkers mostly a Tensor; a module may return something else all the same
    def forward(self, *inputs: Any, **options: Any) -> Tensor | Any:  # noqa: ARG002
        """Compute the output; every module writes its own."""
        raise UnsupportedError(f"{type(self).__name__} has no forward(); write one")

    def __call__(self: _Computes[P, R_co], *inputs: P.args, **options: P.kwargs) -> R_co:
        """Compute the output, and show it to the hooks."""
        if latest().observers:
            with notify_called(self):
                out = self.forward(*inputs, **options)
        else:
            out = self.forward(*inputs, **options)
        if self._forward_hooks:
            for hook in list(self._forward_hooks.values()):
                replaced = hook(self, inputs, out)  # type: ignore[arg-type] # it is a Module
                out = out if replaced is None else replaced
        return out

    def register_forward_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(module, inputs, output)`` after each forward; what it returns replaces it.

        Returns a function that removes the hook.
        """
        hooks = self._forward_hooks = self._forward_hooks or {}
        key = tick()
        hooks[key] = hook
        return lambda: void(hooks.pop(key, None))

    # ----------------------------------------------------------------- what belongs to it

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield each own parameter, buffer and module by its name; containers rename theirs."""
        return _members(vars(self).items())

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the modules right below this one."""
        return ((name, x) for name, x in self.members() if isinstance(x, Module))

    def children(self) -> Iterator["Module"]:
        """Yield the modules right below this one."""
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """Yield this module, named "", and all below it, each once, parents first."""
        seen: set[int] = set()
        pending: list[tuple[str, Module]] = [("", self)]
        while pending:
            name, module = pending.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            below = [(_join(name, key), child) for key, child in module.named_children()]
            pending += reversed(below)

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all below it, each once, parents first."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield each parameter here and below; one that is shared comes once."""
        return self._named(Parameter)

    def parameters(self) -> Iterator[Parameter]:
        """Yield each parameter here and below, once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield each buffer here and below, once."""
        return self._named(Buffer)

    def buffers(self) -> Iterator[Buffer]:
        """Yield each buffer here and below, once."""
        return (b for _, b in self.named_buffers())

    def _named(self, kind: type[Any]) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, x in module.members():
                if isinstance(x, kind) and id(x) not in seen:
                    seen.add(id(x))
                    yield _join(path, name), x

    # --------------------------------------------------------------------- saved and loaded

    def _state(self) -> dict[str, Parameter | Buffer]:
        """Name every parameter and buffer, a shared one by each of its names."""
        state: dict[str, Parameter | Buffer] = {}

        def collect(module: Module, path: str, above: tuple[Module, ...]) -> None:
            for name, x in module.members():
                if isinstance(x, Parameter | Buffer):
                    state[_join(path, name)] = x
                elif isinstance(x, Module) and x not in above:  # a child may know its parent
                    collect(x, _join(path, name), (*above, x))

        collect(self, "", (self,))
        return state

    def state_dict(self, copy: bool = True) -> dict[str, Any]:
        """Return a copy of each parameter and buffer, plain arrays by name.

        ``copy=False`` gives the arrays themselves, for what is written or compared at once.
        """
        return {name: x.data.copy() if copy else x.data for name, x in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Overwrite parameters and buffers; all names and shapes are checked before any changes.

        Parameters
        ----------
        state
            Arrays by name, as from ``state_dict()``; cast to the dtype of what they replace.
        strict
            Whether each side must have the names of the other. False loads what both have.

        Raises
        ------
        ShapeError
            Listing every name that is missing, unexpected or of another shape.
        DtypeError
            If a value is no array of real numbers.
        """
        own = self._state()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        problems = []
        if strict and missing:
            problems.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected: {', '.join(unexpected)}")
        arrays = {}
        held = {id(array_of(x)) for x in own.values()}
        for name, x in own.items():
            if name not in state:
                continue
            value = state[name]
            arrays[name] = array = as_array(unwrapped(value))
            if array.shape != x.shape:
                problems.append(f"{name} is {x.shape} here, {array.shape} in the state")
            elif x.dtype.kind != "f" and not _holds(x.dtype, array):
                problems.append(f"{name} is {x.dtype} here, and cannot be {array!r:.40}")
            elif id(array) in held and array is not array_of(x):
                arrays[name] = array.copy()  # it may be overwritten before it is read
        if problems:
            who = type(self).__name__
            message = f"load_state_dict: the state is of another model than this {who}: "
            raise ShapeError(f"{message}{'; '.join(problems)}")
        for name, array in arrays.items():
            x = own[name]
            writable(x)[...] = array
            mark_changed(x)  # tells a graph that needs the old values
        return Loaded(missing, unexpected)

    # ---------------------------------------------------------------------------- switches

    def train(self, mode: bool = True) -> Self:
        """Behave as in training: dropout drops, batch normalisation uses its batch."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use: nothing is dropped, running statistics are used."""
        return self.train(mode=False)

    def freeze(self) -> Self:
        """Stop learning: no parameter here or below requires a gradient or keeps one.

        Running statistics still follow the data in training; ``eval()`` stops them.
        """
        for p in self.parameters():
            p.requires_grad = False
            p.grad = None
        return self

    def unfreeze(self) -> Self:
        """Learn again."""
        for p in self.parameters():
            p.requires_grad = True
        return self

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next ``backward()`` does not add to them."""
        for p in self.parameters():
            p.grad = None

    def astype(self, dtype: DTypeLike) -> Self:
        """Cast parameters and floating buffers, in place; gradients are forgotten.

        Raises
        ------
        DtypeError
            Unless the dtype is float16, float32 or float64.
        """
        wanted = np.dtype(dtype)
        if wanted.kind != "f" or wanted.itemsize > 8:
            message = f"astype: {wanted}; a module is float16, float32 or float64"
            raise DtypeError(message)
        for x in (*self.parameters(), *self.buffers()):
            if x.dtype.kind == "f":
                data = x.data.astype(wanted)
                Tensor.__init__(x, data, requires_grad=x.requires_grad, name=x.name)
        return self

    def apply(self, function: Callable[["Module"], object]) -> Self:
        """Call a function with each module below and then this one, children first."""
        seen: dict[int, Module] = {}
        pending: list[Module] = [self]
        while pending:
            module = pending.pop()
            if id(module) not in seen:
                seen[id(module)] = module
                pending += module.children()
        for module in reversed(seen.values()):
            function(module)
        return self

    # ----------------------------------------------------------------------- how it is shown

    def extra_repr(self) -> str:
        """Return the arguments as one would type them; for the repr."""
        return ""

    def multiply_adds(self, inputs: tuple[Any, ...], output: Array) -> int:  # noqa: ARG002
        """Count multiplications of this module alone, from shapes; for ``nn.summary``."""
        return 0

    def __repr__(self) -> str:
        """Show the tree, a module to a line."""
        head = f"{type(self).__name__}({self.extra_repr()}"
        lines = []
        for name, child in self.named_children():
            text = repr(child).replace("\n", "\n  ")
            lines.append(f"  ({name}): {text}")
        return "\n".join([head, *lines, ")"]) if lines else f"{head})"


def _holds(dtype: Any, array: Array) -> bool:
    """Whether integers or bools of a dtype can be what the numbers of an array are."""
    with np.errstate(all="ignore"):
        return bool(np.array_equal(array.astype(dtype), array))


def void(_: object) -> None:
    """Return None."""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_PLAIN_TYPES = frozenset((int, float, bool, str, type(None)))


def _members(items: Any) -> Iterator[tuple[str, Any]]:
    """Find parameters, buffers and modules, also in lists, tuples and dicts."""
    for name, x in items:
        kind = x.__class__
        if kind in _PLAIN_TYPES:
            continue
        if isinstance(x, Parameter | Buffer | Module):
            yield str(name), x
        elif isinstance(x, list | tuple):
            yield from ((f"{name}.{key}", y) for key, y in _members(enumerate(x)))
        elif isinstance(x, dict):
            yield from ((f"{name}.{key}", y) for key, y in _members(x.items()))
