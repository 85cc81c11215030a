"""Checks of arguments: each says which function was called, what is wrong, and what is allowed.

A value of the wrong kind (a text for a number, True for a number, 1 for True) is a DtypeError,
a value that this argument cannot have (a negative rate, NaN, an unknown mode) an ArgumentError.

A public function is `guarded`: its annotations say what each argument may be, and `CALLED` in an
error raised inside it becomes its name, so helpers need not know for which function they check.
"""

import functools
import inspect
import math
import operator
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.errors import ArgumentError, DtypeError, GraphgradError

CALLED = "<called>"  # in an error: the name of the guarded function, class or method
DEEPEST = 100_000  # layers of one module: each is an object of its own
WIDEST = 2**31 - 1  # of one size: more elements along an axis than any memory holds is a mistake


def shown(value: Any) -> str:
    """Write a value for an error, in a few words."""
    if getattr(value, "shape", ()):
        return f"<{type(value).__name__} {value.shape}>"
    try:
        text = " ".join(repr(value).split())  # of arrays in a list: in one line
    except Exception:  # noqa: BLE001 - of somebody else's class
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}…"


def wrong(who: str, what: str, value: Any, wanted: str) -> DtypeError:
    """Return the error for a value of the wrong kind."""
    return DtypeError(f"{who}: {what} = {shown(value)} must be {wanted}")


def is_flag(value: Any) -> bool:
    """Whether it is True or False, Python's or NumPy's."""
    return value.__class__ is bool or isinstance(value, bool | np.bool_)


def is_number(value: Any) -> bool:
    """Whether it is a real number, one of an array of no axes included; True is none."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        return getattr(dtype, "kind", "") in "fiu" and not value.shape
    return hasattr(type(value), "__float__") and not isinstance(value, bool)


def whole(who: str, what: str, value: Any, least: int | None = None, most: int = 2**63 - 1) -> int:
    """Require a whole number from ``least`` to ``most``; True is none."""
    try:
        number = operator.index(value)
    except TypeError:
        raise wrong(who, what, value, "a whole number") from None
    if is_flag(value):
        raise wrong(who, what, value, "a whole number")
    if least is not None and number < least:
        raise ArgumentError(f"{who}: {what} = {number} must be at least {least}")
    if number > most or number < -(2**63):
        raise ArgumentError(f"{who}: {what} = {number} must be at most {most}")
    return number


def size(who: str, what: str, value: Any, least: int = 1) -> int:
    """Require a number of things that an array can have along one axis."""
    return whole(who, what, value, least, WIDEST)


def counts(who: str, **numbers: Any) -> list[int]:
    """Require several such numbers, each by its name."""
    return [size(who, what, value) for what, value in numbers.items()]


def _real(who: str, what: str, value: Any) -> float:
    if value.__class__ is float:
        return value
    if not is_number(value):
        raise wrong(who, what, value, "a number")
    try:
        return value if value.__class__ is float else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number(who: str, what: str, value: Any, *, infinite: bool = False) -> float:
    """Require a real number, finite unless ``infinite``; a text or True is refused."""
    found = _real(who, what, value)
    if not -math.inf < found < math.inf and not (infinite and abs(found) == math.inf):
        raise ArgumentError(f"{who}: {what} = {found} must be a finite number")
    return found


def positive(who: str, what: str, value: Any) -> float:
    """Require a finite number above 0."""
    found = _real(who, what, value)
    if not 0 < found < math.inf:
        raise ArgumentError(f"{who}: {what} = {found} must be finite and positive")
    return found


def non_negative(who: str, what: str, value: Any) -> float:
    """Require a finite number of at least 0."""
    found = _real(who, what, value)
    if not 0 <= found < math.inf:
        raise ArgumentError(f"{who}: {what} = {found} must be finite and not negative")
    return found


def share(who: str, what: str, value: Any, most: float = 1.0) -> float:
    """Require a number from 0 to ``most``."""
    found = _real(who, what, value)
    if not 0 <= found <= most:
        raise ArgumentError(f"{who}: {what} = {found} must be from 0 to {most:g}")
    return found


def flag(who: str, what: str, value: Any) -> bool:
    """Require True or False: a number in the place of one is an argument in the wrong place."""
    if not is_flag(value):
        raise wrong(who, what, value, "True or False")
    return bool(value)


def choice(who: str, what: str, value: Any, allowed: Sequence[str]) -> str:
    """Require one of a few words."""
    if not isinstance(value, str) or value not in allowed:
        names = ", ".join(map(repr, allowed[:-1]))
        names = f"{names} and {allowed[-1]!r}" if names else repr(allowed[-1])
        kind = ArgumentError if isinstance(value, str) else DtypeError
        raise kind(f"{who}: {what}={shown(value)}; there are {names}")
    return value


def text(who: str, what: str, value: Any) -> str:
    """Require a text."""
    if not isinstance(value, str):
        raise wrong(who, what, value, "a text")
    return value


def path(who: str, what: str, value: Any) -> Path:
    """Require the name of a file or folder: a number would be an open file."""
    if not isinstance(value, str | os.PathLike):
        raise wrong(who, what, value, "a path")
    try:
        found = Path(value)
    except TypeError:  # a path of bytes
        raise wrong(who, what, value, "a path of text") from None
    if "\0" in str(found):
        raise ArgumentError(f"{who}: {what} = {shown(value)} holds a NUL byte")
    return found


def function(who: str, what: str, value: Any) -> Callable[..., Any]:
    """Require what can be called."""
    if not callable(value):
        raise wrong(who, what, value, "a function")
    return value  # type: ignore[no-any-return]


def several(who: str, what: str, value: Any, of: str) -> list[Any]:
    """Require what can be gone through, and list it; a text is no list of its letters."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong(who, what, value, f"a list of {of}")
    try:
        return list(value)
    except TypeError:  # an array without axes
        raise wrong(who, what, value, f"a list of {of}") from None


def sizes(who: str, what: str, value: Any, least: int = 1) -> tuple[int, ...]:
    """Require the sizes of an array: whole numbers, which together fit into an address."""
    if isinstance(value, set | frozenset | dict):  # which have no order
        raise wrong(who, what, value, "a tuple of sizes")
    found = tuple(whole(who, what, n, least) for n in several(who, what, value, "sizes"))
    if math.prod(found) > 2**60:
        raise ArgumentError(f"{who}: {what} = {found} is more than any memory holds")
    return found


# ----------------------------------------------------------------- checks by the annotations

Check = Callable[[str, str, Any], Any]
F = TypeVar("F", bound=Callable[..., Any])


def floating(who: str, what: str, value: Any) -> None:
    """Require a dtype of floating numbers."""
    if _kind_of_dtype(value) != "f":
        raise wrong(who, what, value, "a dtype of floating numbers")


def real(who: str, what: str, value: Any) -> None:
    """Require a dtype of real numbers or bools."""
    if _kind_of_dtype(value) not in tuple("fiub"):
        raise wrong(who, what, value, "a dtype of real numbers")


def _kind_of_dtype(value: Any) -> str:
    try:
        return "" if value is None else np.dtype(value).kind
    except (TypeError, ValueError):
        return ""


class Limit(NamedTuple):
    """A check that stands in an annotation, and shows itself there in a few words."""

    words: str
    check: Check

    def __call__(self, who: str, what: str, value: Any) -> None:
        """Check a value."""
        self.check(who, what, value)

    def __repr__(self) -> str:
        return self.words


RealDType = Annotated[DTypeLike, real]  # where DTypeLike alone means floating numbers
PositiveFloat = Annotated[float, Limit("> 0", positive)]
NonNegativeFloat = Annotated[float, Limit("≥ 0", non_negative)]
Fraction = Annotated[float, Limit("0 … 1", share)]
PositiveInt = Annotated[int, Limit("≥ 1", functools.partial(whole, least=1))]
NonNegativeInt = Annotated[int, Limit("≥ 0", functools.partial(whole, least=0))]
Size = Annotated[int, Limit("≥ 1", size)]  # of an array along one axis


def _each(check: Check, of: str = "numbers") -> Check:
    def all_of(who: str, what: str, value: Any) -> None:
        if isinstance(value, set | frozenset | dict):  # which have no order
            raise wrong(who, what, value, f"a list of {of}")
        for element in several(who, what, value, of):
            check(who, f"an element of {what}", element)

    return all_of


def _one_or_each(check: Check) -> Check:
    each = _each(check)
    return lambda *asked: (each if isinstance(asked[2], list | tuple) else check)(*asked)


_SUCH_AS = {  # how to make what people give something else for
    "Batches": ", such as data.Batches(train, 100, rng=rng)",
    "Optimizer": ", such as optim.SGD(model.parameters(), lr=0.1)",
}


def _instance(of: Any, wanted: str) -> Check:
    def is_one(who: str, what: str, value: Any) -> None:
        if not isinstance(value, of):
            raise wrong(who, what, value, wanted)

    return is_one


def _kind(*of: type) -> Check:
    names = [kind.__name__ for kind in of]
    articles = ["an" if name[0] in "AEIO" else "a" for name in names]
    parts = [f"{a} {n}{_SUCH_AS.get(n, '')}" for a, n in zip(articles, names, strict=True)]
    return _instance(of, " or ".join(parts))


def _pair(who: str, what: str, value: Any) -> None:
    ends = several(who, what, value, "two numbers")
    if isinstance(value, set | dict) or len(ends) != 2:
        raise wrong(who, what, value, "a pair of numbers")
    for end in ends:
        number(who, f"an element of {what}", end)


def _listed(who: str, what: str, value: Any) -> None:
    if not isinstance(value, Iterable) or getattr(value, "shape", None) == ():
        raise wrong(who, what, value, "a list")


_BY_ANNOTATION: dict[Any, Check] = {
    int: whole,
    float: number,
    bool: flag,
    str: text,
    str | Path: path,
    str | os.PathLike[str]: path,
    DTypeLike: floating,
    tuple[int, ...]: lambda who, what, value: sizes(who, what, value, least=0),
    Sequence[int]: _each(whole),
    int | tuple[int, ...]: _one_or_each(whole),
    int | Sequence[int]: _one_or_each(whole),
    tuple[float, float]: _pair,
    Sequence[float]: _each(number),
    Sequence[tuple[float, float]]: _each(_pair),
    Sequence[tuple[int, ...]]: _each(lambda who, what, value: sizes(who, what, value, least=0)),
    # a text, since numpy.random loads late
    "Sequence[np.random.Generator]": lambda *asked: _each(_kind(np.random.Generator))(*asked),  # noqa: PLW0108
}


_BY_ORIGIN: dict[Any, Check] = {
    Callable: function,
    Iterable: _listed,
    Sequence: _listed,
    Mapping: _instance(Mapping, "a dict"),
}
NO_KIND = (object, Any, inspect.Parameter.empty)


def _own_class(annotation: Any) -> type | None:
    """Return the class of ours that an annotation names, with or without parameters."""
    found = get_origin(annotation) or annotation
    own = isinstance(found, type) and found.__module__.startswith("graphgrad.")
    return found if own and not getattr(found, "_is_protocol", False) else None


def check_of(annotation: Any) -> Check | None:
    """Return the check of an annotation; None where it does not tell enough."""
    if annotation in _BY_ANNOTATION:
        return _BY_ANNOTATION[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is not None:
        return _check_of_form(annotation, origin, parts)
    plain = isinstance(annotation, type) and annotation not in NO_KIND
    return _kind(annotation) if plain and not getattr(annotation, "_is_protocol", False) else None


def _check_of_form(annotation: Any, origin: Any, parts: tuple[Any, ...]) -> Check | None:
    """Return the check of an annotation that is made of others."""
    if origin is Annotated:
        return annotation.__metadata__[0]  # type: ignore[no-any-return]
    if origin in (types.UnionType, Union):
        return _check_of_union(parts)
    if origin is Literal:
        return lambda who, what, value: choice(who, what, value, parts)
    if origin is Sequence and get_origin(parts[0]) is Callable:
        return _each(function, "functions")
    own = _own_class(annotation)
    return _BY_ORIGIN.get(origin) or (_kind(own) if own else None)


def _check_of_union(parts: Sequence[Any]) -> Check | None:
    others = [a for a in parts if a is not type(None)]
    if len(others) == len(parts):
        kinds = [k for k in map(_own_class, parts) if k is not None]
        return _kind(*kinds) if len(kinds) == len(parts) else None
    inner = check_of(functools.reduce(operator.or_, others))
    return inner and (lambda who, what, value: value is None or inner(who, what, value))


def _too_many(who: str, extra: int, by_name: Sequence[str]) -> DtypeError:
    what = "one argument" if extra == 1 else f"{extra} arguments"
    remedy = f"; give {', '.join(f'{name}=' for name in by_name)} by name" if by_name else ""
    return DtypeError(f"{who}: {what} too many{remedy}")


def guarded(called: F) -> F:
    """Check a function's arguments by its annotations, and put its name into errors.

    Only arguments that are given cost anything. The function checks how they fit together.
    """

    @functools.lru_cache(maxsize=1)
    def read() -> tuple[list[Any], dict[str, Any], int | None, list[str]]:
        """Read the signature, at the first call: most functions are never called."""
        parameters = inspect.signature(called).parameters.values()
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        checks = {p.name: (p.name, check_of(p.annotation), p.default) for p in named}
        places = [checks[p.name] for p in named if p.kind is not p.KEYWORD_ONLY]
        stars = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        by_name = [p.name for p in named if p.kind is p.KEYWORD_ONLY]
        return places, checks, None if stars else len(places), by_name

    @functools.wraps(called)
    def careful(*args: Any, **kwargs: Any) -> Any:
        places, checks, most, by_name = read()
        try:
            if most is not None and len(args) > most:
                raise _too_many(CALLED, len(args) - most, by_name)
            for (name, check, default), value in zip(places, args, strict=False):
                if check is not None and value is not default:
                    check(CALLED, name, value)
            for name, value in kwargs.items():
                _, check, default = checks.get(name, (None, None, None))
                if check is not None and value is not default:
                    check(CALLED, name, value)
            return called(*args, **kwargs)
        except GraphgradError as error:
            who = called.__name__
            if places[0][0] == "self":  # the class, unless a method is called by its name
                kind = type(args[0]).__name__
                who = kind if who.startswith("__") or who == "forward" else f"{kind}.{who}"
            error.args = tuple(str(part).replace(CALLED, who) for part in error.args)
            raise

    return careful  # type: ignore[return-value]
