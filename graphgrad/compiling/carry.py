"""The source of functions that a saved program calls, so that it needs no graphgrad."""

import ast
import builtins
import functools
import inspect
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.compiling.literals import array_text, dtype_text, number_text, scalar_text
from graphgrad.ops import choice

_NUMPYS_OWN = {choice.keep: choice._masked}  # of functions that also take Tensors


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
        cached = hasattr(function, "cache_info")
        function = inspect.unwrap(_NUMPYS_OWN.get(function, function))
        if not isinstance(function, types.FunctionType) or not name.isidentifier():
            raise CannotCarry(name)
        if self._is_known(name, function):
            return
        if function.__closure__:
            raise CannotCarry(f"{name}, which closes over variables")
        tree = _definition(function)
        tree.name = name
        _bare(tree)
        for used in sorted({n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}):
            if used in function.__globals__ and used not in _locals(tree):
                self._value(used, function.__globals__[used])
        if cached:  # what it returns may have a state, such as a generator
            self.imports.add("import functools")
        self.texts[name] = ("@functools.cache\n" if cached else "") + ast.unparse(tree)

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
        elif home.startswith("graphgrad") and callable(x) and not isinstance(x, type):
            self._function(name, x)
        elif isinstance(x, types.FunctionType | types.BuiltinFunctionType | type) and (
            home.partition(".")[0] in sys.stdlib_module_names and home != "builtins"
        ):
            self.imports.add(f"from {home} import {x.__name__}")
        elif not hasattr(builtins, name) and not self._is_known(name, x):
            self.texts[name] = f"{name} = {literal(x)}"


def _locals(tree: ast.FunctionDef) -> set[str]:
    """Return what a function, or one inside it, assigns to."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
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
            code = compile(ast.Expression(node), "", "eval").co_consts[0]
            if code.co_code == function.__code__.co_code and (
                code.co_names == function.__code__.co_names
            ):
                made = ast.parse("def f(): pass").body[0]
                assert isinstance(made, ast.FunctionDef)
                made.args, made.body = node.args, [ast.Return(node.body)]
                return ast.fix_missing_locations(made)
    raise CannotCarry("a lambda")


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
        def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:  # noqa: N802 - named by ast
            return None if node.value is None else ast.Assign([node.target], node.value)

    ast.fix_missing_locations(Plain().visit(tree))


def literal(x: Any) -> str:
    """Write a constant as Python."""
    if isinstance(x, np.ndarray) and x.dtype != object:
        return array_text(x)
    if isinstance(x, np.generic):
        return scalar_text(x)
    if isinstance(x, np.dtype):
        return f"np.dtype({dtype_text(x)})"
    if isinstance(x, np.ufunc) or (isinstance(x, type) and issubclass(x, np.generic)):
        return f"np.{x.__name__}"
    if isinstance(x, type) and x.__module__ == "builtins":
        return x.__name__
    if type(x) in (int, float):
        return number_text(x)
    if x is None or type(x) in (str, bytes, bool):
        return repr(x)
    if type(x) is dict:
        return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in x.items())}}}"
    if type(x) in (list, tuple, set, frozenset) and x:
        inner = ", ".join(map(literal, x))
        return {
            list: f"[{inner}]", tuple: f"({inner},)", set: f"{{{inner}}}",
            frozenset: f"frozenset({{{inner}}})",
        }[type(x)]  # fmt: skip
    raise CannotCarry(f"a {type(x).__name__}")
