"""Names for types that annotations use."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Array"]

#: An array of NumPy or of a library that follows it, a Tensor, often a number: what these have in
#: common has no type in Python that a checker could use (law 7 of docs/design.md).
Array: TypeAlias = Any
