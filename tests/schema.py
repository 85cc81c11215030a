"""As much of JSON Schema as docs/graph.schema.json uses; any other word in it is a fault too."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "docs/graph.schema.json").read_text("utf-8")
)
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def faults(x: Any, schema: dict[str, Any] = SCHEMA, path: str = "$") -> Iterator[str]:
    """Say what of a piece of JSON does not fit."""
    for word in schema:
        yield from CHECKS[word](x, schema, path)


def _reference(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    yield from faults(x, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], path)


def _type(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if isinstance(x, bool):
        fits = "boolean" in names
    else:
        fits = any(isinstance(x, TYPES[name]) for name in names)
    if not fits:
        yield f"{path}: {x!r:.50} is no {names}"


def _any(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if all(list(faults(x, choice, path)) for choice in schema["anyOf"]):
        yield f"{path}: {x!r:.50} is none of the choices"


def _constant(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if x not in schema.get("enum", [schema.get("const")]):
        yield f"{path}: {x!r:.50} is another value"


def _minimum(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if isinstance(x, int | float) and x < schema["minimum"]:
        yield f"{path}: {x} is too small"


def _required(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}: no {n}" for n in schema["required"] if isinstance(x, dict) and n not in x)


def _properties(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, y in x.items() if isinstance(x, dict) else ():
        if name in schema["properties"]:
            yield from faults(y, schema["properties"][name], f"{path}.{name}")
        elif not schema.get("additionalProperties", True):
            yield f"{path}: unknown {name}"


def _items(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    for i, y in enumerate(x if isinstance(x, list) else ()):
        yield from faults(y, schema["items"], f"{path}[{i}]")


def _length(x: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if isinstance(x, list) and not least <= len(x) <= most:
        yield f"{path}: {len(x)} items"


def _nothing(_x: Any, _schema: dict[str, Any], _path: str) -> Iterator[str]:
    return iter(())


CHECKS: dict[str, Callable[[Any, dict[str, Any], str], Iterator[str]]] = {
    **dict.fromkeys(("$schema", "title", "description", "$defs", "additionalProperties"), _nothing),
    "$ref": _reference,
    "type": _type,
    "anyOf": _any,
    "enum": _constant,
    "const": _constant,
    "minimum": _minimum,
    "required": _required,
    "properties": _properties,
    "items": _items,
    "minItems": _length,
    "maxItems": _length,
}
