"""The source of functions that a saved program calls, so that it needs no graphgrad."""

import ast
import builtins
import copy
import functools
import inspect
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.compiling.literals import array_text, dtype_text, number_text, scalar_text
from graphgrad.errors import GraphgradError
from graphgrad.ops import choice

_NUMPYS_OWN = {choice.keep: choice.masked_plain}  # of functions that also take Tensors


class CannotCarry(Exception):  # noqa: N818 - a reason, not a mistake
    """A function needs more of graphgrad than functions and constants."""


class Carried:
    """Sources of functions with all that they call, each once."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.texts: dict[str, str] = {}  # by name, in an order that runs
        self._values: dict[str, Any] = {}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Take the source of a function, which gets the name.

        Raises
        ------
        CannotCarry
            If it needs what is not a function, a constant or a module of Python; nothing is added.
        """
        before = set(self.imports), dict(self.texts), dict(self._values)
        try:
            self._function(name, function)
        except CannotCarry:
            self.imports, self.texts, self._values = before
            raise

    def _function(self, name: str, function: Any) -> None:
        if isinstance(function, type):
            self._class(name, function)
            return
        cached = hasattr(function, "cache_info")
        function = inspect.unwrap(_NUMPYS_OWN.get(function) or function)
        if not isinstance(function, types.FunctionType) or not name.isidentifier():
            raise CannotCarry(name)
        if self._is_known(name, function):
            return
        if function.__closure__:
            raise CannotCarry(f"{name}, which closes over variables")
        tree = _definition(function)
        tree.name = name
        _bare(tree)
        self._names(tree, function.__globals__)
        if cached:  # what it returns may have a state, such as a generator
            self.imports.add("import functools")
        self.texts[name] = ("@functools.cache\n" if cached else "") + ast.unparse(tree)

    def _partial(self, name: str, x: functools.partial[Any]) -> None:
        if self._is_known(name, x):
            return
        self._value(x.func.__name__, x.func)
        self.imports.add("import functools")
        words = [x.func.__name__, *map(literal, x.args)]
        words += [f"{k}={literal(v)}" for k, v in x.keywords.items()]
        self.texts[name] = f"{name} = functools.partial({', '.join(words)})"

    def _names(self, tree: ast.AST, known: dict[str, Any]) -> None:
        own = _locals(tree)
        for used in sorted({n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}):
            if used in known and used not in own:
                self._value(used, known[used])

    def _class(self, name: str, kind: type) -> None:
        """Take the source of a named tuple with its methods."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        if not (isinstance(tree, ast.ClassDef) and issubclass(kind, tuple)):
            raise CannotCarry(f"the class {name}")
        if self._is_known(name, kind):
            return
        for node in tree.body:
            if isinstance(node, ast.AnnAssign):
                plain = isinstance(node.annotation, ast.Name) and hasattr(
                    builtins, node.annotation.id
                )
                node.annotation = node.annotation if plain else ast.Name("object", ast.Load())
            if isinstance(node, ast.FunctionDef):
                decorators = node.decorator_list
                _bare(node)
                node.decorator_list = decorators
        self._names(tree, vars(sys.modules[kind.__module__]))
        self.texts[name] = ast.unparse(ast.fix_missing_locations(tree))

    def _is_known(self, name: str, x: Any) -> bool:
        if name in self._values:
            if self._values[name] is not x:
                raise CannotCarry(f"two things with the name {name}")
            return True
        self._values[name] = x
        return False

    def _value(self, name: str, x: Any) -> None:
        home = getattr(x, "__module__", None) or ""
        if isinstance(x, types.ModuleType):
            if x.__name__.startswith("graphgrad"):
                raise CannotCarry(f"the module {x.__name__}")
            self.imports.add(f"import {x.__name__}" + ("" if x.__name__ == name else f" as {name}"))
        elif isinstance(x, type) and issubclass(x, GraphgradError):
            base = next(c for c in x.__mro__ if c.__module__ == "builtins")
            self.texts.setdefault(name, f"{name} = {base.__name__}")
        elif isinstance(x, functools.partial):
            self._partial(name, x)
        elif callable(x) and home.startswith("numpy") and not isinstance(x, np.ufunc | type):
            self.imports.add(f"from {home} import {x.__name__}")
        elif home.startswith("graphgrad") and callable(x):
            self._function(name, x)
        elif (
            callable(x)
            and hasattr(x, "__name__")
            and home != "builtins"
            and (home.partition(".")[0] in sys.stdlib_module_names)
        ):
            self.imports.add(f"from {home} import {x.__name__}")
        elif not hasattr(builtins, name) and not self._is_known(name, x):
            self.texts[name] = f"{name} = {literal(x)}"


def _locals(tree: ast.AST) -> set[str]:
    """Return what a function, or one inside it, assigns to."""
    names = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return names | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def _definition(function: types.FunctionType) -> ast.FunctionDef:
    """Return the syntax of a function; of a lambda as that of a function."""
    lines = inspect.getsource(function)
    if function.__name__ != "<lambda>":
        tree = ast.parse(textwrap.dedent(lines)).body[0]
        if isinstance(tree, ast.FunctionDef):
            return tree
        raise CannotCarry(function.__name__)
    for node in ast.walk(_module(function.__code__.co_filename)):
        if isinstance(node, ast.Lambda) and node.lineno == function.__code__.co_firstlineno:
            body = node.body
            place = (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
            if place in set(function.__code__.co_positions()):
                tree = _empty()
                tree.args, tree.body = (
                    copy.deepcopy(node.args),
                    [copy.deepcopy(ast.Return(node.body))],
                )
                return ast.fix_missing_locations(tree)
    raise CannotCarry("a lambda")


def _empty() -> ast.FunctionDef:
    tree = ast.parse("def f(): pass").body[0]
    return tree if isinstance(tree, ast.FunctionDef) else _empty()


@functools.lru_cache(maxsize=32)
def _module(filename: str) -> ast.Module:
    with open(filename, encoding="utf-8") as file:  # noqa: PTH123 - a name that Python gives
        return ast.parse(file.read())


def _bare(tree: ast.FunctionDef) -> None:
    """Remove decorators, and annotations, whose names would have to be imported."""
    tree.decorator_list = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None

    class Plain(ast.NodeTransformer):
        def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
            return None if node.value is None else ast.Assign([node.target], node.value)

    ast.fix_missing_locations(Plain().visit(tree))


def literal(x: Any) -> str:
    """Write a constant as Python."""
    text: str | None = _numpys(x) or _containers(x)
    if text is None and type(x) in (int, float):
        text = number_text(x)
    if text is None and (x is None or type(x) in (str, bytes, bool)):
        text = repr(x)
    if text is None and x is not None and is_builtin(x):
        text = str(x.__name__)
    if text is None:
        raise CannotCarry(f"a {type(x).__name__}")
    return text


def is_builtin(x: Any) -> bool:
    """Whether x is a type that Python knows by its name."""
    known: Any = getattr(builtins, x.__name__, None) if isinstance(x, type) else None
    return known is not None and known is x


def _numpys(x: Any) -> str | None:
    if isinstance(x, np.ndarray) and x.dtype != object:
        return array_text(x)
    if isinstance(x, np.generic):
        return scalar_text(x)
    if isinstance(x, np.dtype):
        return f"np.dtype({dtype_text(x)})"
    if isinstance(x, np.ufunc) or (isinstance(x, type) and issubclass(x, np.generic)):
        return f"np.{x.__name__}"
    return None


def _containers(x: Any) -> str | None:
    if type(x) is dict:
        return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in x.items())}}}"
    written: dict[Any, str] = {
        list: "[{}]",
        tuple: "({},)",
        set: "{{{}}}",
        frozenset: "frozenset({{{}}})",
    }
    if type(x) in written and x:
        return written[type(x)].format(", ".join(map(literal, x)))
    return None
