"""Every op of the package, found by walking its modules and its table."""

import importlib
import pkgutil

from graphgrad import ops
from graphgrad.checks.laws import AnyOp
from graphgrad.engine.composite import Composite
from graphgrad.engine.op import TABLE, Op
from graphgrad.nn import functional, kernels


def every_op() -> dict[str, AnyOp]:
    """Name each op, the aliases and what only rules call included, once."""
    found: dict[int, tuple[str, AnyOp]] = {}
    for package in (ops, functional, kernels):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, Op | Composite):
                    found.setdefault(id(value), (name.strip("_").lower(), value))
    for function, op in TABLE.items():
        found.setdefault(id(op), (getattr(function, "__name__", str(function)), op))
    return {f"{name} ({op.name})" if name != op.name else name: op for name, op in found.values()}


EVERY_OP = every_op()
