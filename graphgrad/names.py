"""Hints for missing names: the nearest name, or NumPy's way to do what PyTorch's name does."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from graphgrad.errors import NameMissingError

_SPACES = {  # the public namespaces, as users call them
    "graphgrad": "gg",
    "graphgrad.linalg": "gg.linalg",
    "graphgrad.nn": "nn",
    "graphgrad.nn.functional": "nn.functional",
    "graphgrad.nn.init": "nn.init",
    "graphgrad.nn.models": "nn.models",
    "graphgrad.optim": "optim",
    "graphgrad.data": "data",
    "graphgrad.viz": "viz",
}
_LEAVE_OUT = "leave it out: arrays are NumPy's, in main memory"

# By namespace: names of PyTorch and NumPy that it lacks, and what to use instead.
MODULE_HINTS = {
    "gg": {
        "arange": "use gg.Tensor(np.arange(…))",
        "array": "use gg.Tensor",
        "asarray": "use gg.Tensor",
        "autograd": "use gg.gradients, or t.backward()",
        "bmm": "use gg.matmul, or @",
        "cat": "use gg.concatenate",
        "checkpoint": "use gg.recompute; nn.Checkpoints saves a training run",
        "chunk": "use gg.split",
        "cuda": _LEAVE_OUT,
        "device": _LEAVE_OUT,
        "eye": "use gg.Tensor(np.eye(…))",
        "flatten": "use gg.ravel, or t.reshape(len(t), -1)",
        "float16": "use np.float16",
        "float32": "use np.float32",
        "float64": "use np.float64",
        "from_numpy": "use gg.Tensor",
        "functional": "use nn.functional, or gg.grad",
        "gather": "use gg.take_along_axis",
        "load": "use nn.load",
        "masked_select": "use t[mask]",
        "mm": "use gg.matmul, or @",
        "ones": "use gg.Tensor(np.ones(…))",
        "permute": "use gg.transpose",
        "rand": "use gg.Tensor(rng.random(…))",
        "randn": "use gg.Tensor(rng.standard_normal(…))",
        "save": "use nn.save",
        "topk": "use gg.sort",
        "unsqueeze": "use gg.expand_dims",
        "zeros": "use gg.Tensor(np.zeros(…))",
    },
    "data": {"DataLoader": "use data.Batches", "TensorDataset": "use data.Dataset"},
    "optim": {"lr_scheduler": "the schedules are here: optim.StepLR, optim.CosineAnnealingLR"},
}

TENSOR_HINTS = {  # attributes that tensors lack
    "add_": "use t += v",
    "bmm": "use @",
    "chunk": "use gg.split(t, n)",
    "clamp": "use t.clip(low, high)",
    "clone": "use t.copy()",
    "contiguous": "leave it out",
    "cpu": _LEAVE_OUT,
    "cuda": _LEAVE_OUT,
    "device": _LEAVE_OUT,
    "dim": "use t.ndim",
    "double": "use t.astype(np.float64)",
    "expand": "use gg.broadcast_to(t, shape)",
    "fill_": "use t[...] = v",
    "float": "use t.astype(np.float32)",
    "gather": "use gg.take_along_axis(t, indices, axis)",
    "grad_fn": "gg.graph(t) draws how it was computed",
    "half": "use t.astype(np.float16)",
    "index_select": "use t.take(indices, axis)",
    "int": "use t.astype(int)",
    "long": "use t.astype(int)",
    "masked_fill": "use gg.where(mask, v, t)",
    "matmul": "use @",
    "mm": "use @",
    "mul_": "use t *= v",
    "norm": "use gg.linalg.norm(t)",
    "numel": "use t.size",
    "permute": "use t.transpose(0, 2, 1)",
    "pow": "use t ** p",
    "requires_grad_": "use t.requires_grad = True",
    "softmax": "use nn.functional.softmax(t, axis)",
    "sub_": "use t -= v",
    "t": "use t.T",
    "to": "use t.astype(dtype); arrays are NumPy's, in main memory",
    "type": "use t.astype(dtype)",
    "unbind": "a tensor can be unpacked: a, b = t",
    "unsqueeze": "use t[:, None], or gg.expand_dims(t, axis)",
    "view": "use t.reshape(2, -1)",
    "zero_": "use t[...] = 0",
}

KEYWORD_HINTS = {
    "dim": "axis",
    "dims": "axis",
    "keepdim": "keepdims",
}  # names of parameters in PyTorch and NumPy


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the most similar name, ignoring case; None if none is similar."""
    import difflib  # slow, and needed for mistyped names only

    lower = {n.lower(): n for n in names}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.7)
    return lower[found[0]] if found else None


def install_getattr(module: str, late: Mapping[str, str] | None = None) -> None:
    """Give a public module a ``__getattr__`` that loads names lazily, and explains missing ones.

    ``late`` has the module of each lazy name; a submodule is its own. Type checkers do not see the
    ``__getattr__``, so they still report missing names.
    """
    space = vars(sys.modules[module])
    modules = late or {}

    def get(name: str) -> Any:
        if name.startswith("_"):  # asked for by Python and NumPy, with hasattr
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name not in modules:
            raise _missing(module, name)
        loaded = importlib.import_module(modules[name])
        found = loaded if loaded.__name__ == f"{module}.{name}" else getattr(loaded, name)
        space[name] = found
        return found

    space["__getattr__"] = get


def _missing(module: str, name: str) -> AttributeError:
    """Return the error for a name that a public module lacks."""
    import pkgutil  # slow, and needed for mistyped names only

    here = sys.modules[module]
    submodules = pkgutil.iter_modules(vars(here).get("__path__", ()))
    if any(name == found.name for found in submodules):  # an import statement loads it next
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    space = _SPACES[module]
    remedy = MODULE_HINTS.get(space, {}).get(name)
    if remedy is None:
        others = [s for m, s in _SPACES.items() if name in dir(importlib.import_module(m))]
        near = nearest(name, [n for n in dir(here) if not n.startswith("_")])
        if others:
            remedy = f"it is {others[0]}.{name}"
        elif near is not None:
            remedy = f"did you mean {space}.{near}?"
        else:
            remedy = f"dir({space}) lists its names"
    return NameMissingError(f"{space} has no {name!r}; {remedy}")


class MissingAttribute:
    """A descriptor for a name that tensors lack: reading it raises an error with a hint.

    A ``__getattr__`` would slow down every other attribute several times.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = f"Not available; {TENSOR_HINTS[name]}."

    def __get__(self, tensor: Any, owner: Any = None) -> Any:
        """Raise NameMissingError with the hint."""
        message = f"Tensor has no {self.name!r}; {TENSOR_HINTS[self.name]}"
        raise NameMissingError(message)
