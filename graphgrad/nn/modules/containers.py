"""Modules that hold other modules in order."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from graphgrad.arguments import guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, IndexingError
from graphgrad.nn.modules.module import Module
from graphgrad.typing import Array


class _Ordered(Module):
    """Modules by name, in order; the names are numbers unless others are given."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        self._modules: dict[str, Module] = {}
        named = modules[0] if len(modules) == 1 else None
        pairs = named.items() if isinstance(named, Mapping) else enumerate(modules)
        for name, module in pairs:
            self._modules[str(name)] = self._checked(module)

    def _checked(self, module: Any) -> Module:
        if not isinstance(module, Module):
            remedy = "; make it first: ReLU()" if isinstance(module, type) else ""
            message = f"{type(self).__name__}: {module!r} is no Module{remedy}"
            raise DtypeError(message)
        return module

    def _name(self, index: int | str) -> str:
        if isinstance(index, str):
            if index in self._modules:
                return index
        else:
            names = list(self._modules)
            if -len(names) <= index < len(names):
                return names[index]
        message = f"{type(self).__name__}: there is no module {index!r} among {len(self)}"
        raise IndexingError(message)

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield the modules by their names."""
        yield from self._modules.items()

    def append(self, module: Module) -> Self:
        """Add a module at the end, named by its number."""
        self._modules[str(len(self._modules))] = self._checked(module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in [self._checked(module) for module in modules]:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | str | slice) -> Any:
        """Return a module by number or name; a slice is a container of its own."""
        if isinstance(index, slice):
            return type(self)(*list(self)[index])
        return self._modules[self._name(index)]

    def __setitem__(self, index: int | str, module: Module) -> None:
        """Replace a module."""
        self._modules[self._name(index)] = self._checked(module)


class Sequential(_Ordered):
    """Modules one after the other: ``Sequential(f, g)(x)`` is ``g(f(x))``.

    Parameters
    ----------
    modules
        The modules, named "0", "1", …; or one dict of them by name.

    Raises
    ------
    DtypeError
        If one of them is no module, such as the class ``ReLU`` instead of ``ReLU()``.
    """

    def forward(self, x: Array) -> Tensor:
        """Feed each module with the output of the one before it."""
        for module in self._modules.values():
            x = module(x)
        return x  # type: ignore[no-any-return]


class ModuleList(_Ordered):
    """A list of modules, for a ``forward`` that goes its own way through them.

    A plain list in an attribute does as well; this one is a module itself.

    Parameters
    ----------
    modules
        Any iterable of modules.
    """

    @guarded
    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(*modules)

    def __getitem__(self, index: int | str | slice) -> Any:
        """Return a module by number; a slice is a list of its own."""
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return super().__getitem__(index)
