"""What users can type: every public name, listed in a file, so that none is lost by accident.

Behind a function or class come its defaults, which change as little by accident.

``python -m tests.public_names`` writes the list anew.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphgrad import Tensor, errors, nn
from tests.every_call import SPACES

FILE = Path(__file__).with_name("public_names.txt")


def exported(holder: Any) -> Iterator[str]:
    """Name what a namespace shows; of one that does not choose, what is ours and public."""
    for name in dir(holder):
        value = getattr(holder, name)
        home = str(getattr(value, "__module__", ""))
        own = callable(value) and home.startswith((holder.__name__, "graphgrad.ops"))
        if not name.startswith("_") and ("__dir__" in vars(holder) or own):
            yield name


def defaults(value: Any) -> Iterator[str]:
    """Write the defaults of a function or class; ops have NumPy's own, which differ by version."""
    if inspect.isfunction(value) or inspect.isclass(value):
        for parameter in inspect.signature(value).parameters.values():
            default = parameter.default
            parts = default if isinstance(default, tuple) else (default,)
            if all(isinstance(part, bool | int | float | str) for part in parts):
                yield f" {parameter.name}={default!r}"


def lines() -> list[str]:
    """List the names of the public namespaces and of the classes that users derive from."""
    spaces = {**SPACES, "errors": errors}
    found = {
        f"{space}.{name}{''.join(defaults(getattr(holder, name)))}"
        for space, holder in spaces.items()
        for name in exported(holder)
    }
    for kind, one in (("gg.Tensor", Tensor(0.0)), ("nn.Module", nn.Module())):
        found |= {f"{kind}.{name}" for name in dir(one) if not name.startswith("_")}
    return sorted(found)


if __name__ == "__main__":
    FILE.write_text("".join(f"{line}\n" for line in lines()), "utf-8")
