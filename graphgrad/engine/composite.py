"""NumPy functions that are compositions of ops, and need no rules."""

from collections.abc import Callable
from typing import Any, Generic

from graphgrad.engine.binder import Binder
from graphgrad.engine.domains import Domain
from graphgrad.engine.failures import raise_named
from graphgrad.engine.graph import Recorded
from graphgrad.engine.integers import NAMES, as_whole_numbers
from graphgrad.engine.op import TABLE, R, Singleton
from graphgrad.engine.operands import check


class Composite(Singleton, Generic[R]):
    """A NumPy function written as a composition of ops; its pictures show the parts."""

    def __init__(
        self,
        function: Callable[..., Any],
        body: Callable[..., Any],
        domain: Domain | None,
        name: str,
    ) -> None:
        """Keep NumPy's function for plain arrays and our body for Tensors."""
        self.function = function
        self.body = body
        self.domain = domain
        self.name = self.symbol = self.__name__ = name
        self.__doc__ = body.__doc__
        self.binder = Binder(name, body, function)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Apply the body to Tensors, NumPy's own function to plain arrays."""
        check((*args, *kwargs.values()), self.name)
        if not (_any_recorded(args) or _any_recorded(kwargs.values())):
            try:
                return self.function(*args, **kwargs)  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001 - raised again
                raise_named(self, error)
        if self.binder.star:
            known = dict(self.binder.own)
            self.binder.refuse({n: v for n, v in kwargs.items() if n not in known})
            kwargs = {n: v for n, v in kwargs.items() if n in known}
        else:
            args, kwargs = self.binder.bind(args, kwargs), {}
            args = tuple(
                [
                    as_whole_numbers(self.name, name, x) if name in NAMES else x
                    for (name, _), x in zip(self.binder.own, args, strict=True)
                ]
            )
        kwargs = {
            n: as_whole_numbers(self.name, n, x) if n in NAMES else x for n, x in kwargs.items()
        }
        try:
            return self.body(*args, **kwargs)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - raised again
            raise_named(self, error)

    def __repr__(self) -> str:
        """Show the signature."""
        return f"<composite {self.name}({', '.join(self.binder.order)})>"


def composed(
    function: Callable[..., Any], *, domain: Domain | None = None
) -> Callable[[Callable[..., R]], Composite[R]]:
    """Declare a NumPy function as a composition of other ops; decorates its body."""

    def declare(body: Callable[..., R]) -> Composite[R]:
        new: Composite[R] = Composite(function, body, domain, body.__name__)
        new.__module__ = body.__module__
        TABLE[function] = new
        return new

    return declare


def _any_recorded(arguments: Any) -> bool:
    return any(
        isinstance(x, Recorded) or (isinstance(x, list | tuple) and _any_recorded(x))
        for x in arguments
    )
