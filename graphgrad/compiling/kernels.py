"""The functions that programs call, by name: what an op computes, without its gradient."""

import importlib
import re
import sys
from typing import Any

from graphgrad.engine.op import Op


def name_of(op: Op[Any]) -> str:
    """Return the name of an op here."""
    return re.sub(r"\W", "_", op.name)


def __getattr__(name: str) -> Any:
    for home in ("graphgrad.ops", "graphgrad.linalg", "graphgrad.nn.functional"):
        importlib.import_module(home)  # which brings the ops
    for module in sorted(sys.modules):
        if module.startswith("graphgrad."):
            for value in list(vars(sys.modules[module]).values()):
                if isinstance(value, Op) and name_of(value) == name and _ours(value):
                    return value.forward
    raise AttributeError(f"graphgrad has no op '{name}'")


def _ours(op: Op[Any]) -> bool:
    return op.__module__.startswith("graphgrad.")
