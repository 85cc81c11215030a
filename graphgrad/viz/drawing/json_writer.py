r"""From a snapshot to JSON in ASCII, as docs/graph.schema.json describes it.

Safe inside a page: ``<`` is written as ``\u003c``, so no name can end a script element.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from graphgrad.viz.snapshots.snapshot import ModuleCall, Numbers, Snapshot, Value

VERSION = 1  # of the schema


def to_json(snapshot: Snapshot) -> str:
    """Write a snapshot as JSON, one value per line, without fields at their defaults."""
    lists = {
        "values": map(value_fields, snapshot.values),
        "modules": ({"path": m.path, "kind": m.kind} for m in snapshot.modules),
        "steps": ({"direction": s.direction, "id": s.id} for s in snapshot.steps),
    }
    if snapshot.calls:
        lists["calls"] = map(_call, snapshot.calls)
    parts = [f'"version": {VERSION}', f'"title": {_text(snapshot.title)}']
    if len(snapshot.ends) > 1:
        parts.append(f'"results": {_text(snapshot.ends)}')
    if snapshot.note is not None:
        parts.append(f'"note": {_text(snapshot.note)}')
    for name, items in lists.items():
        lines = ",\n".join(map(_text, items))
        parts.append(f'"{name}": [\n{lines}\n]' if lines else f'"{name}": []')
    return "{\n" + ",\n".join(parts) + "\n}\n"


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _text(x: Any) -> str:
    return _ENCODER.encode(x).replace("<", "\\u003c")


def _call(call: ModuleCall) -> dict[str, Any]:
    known = {"path": call.path, "outer": call.outer}
    return known if call.kind is None else known | {"kind": call.kind}


def value_fields(value: Value) -> dict[str, Any]:
    """Return the fields of a value that differ from their defaults, ready for JSON."""
    return {name: json_ready(x) for name, x in _set_fields(value)}


_DEFAULTS = {f.name: f.default for f in fields(Value)}
_ALWAYS = tuple(name for name, default in _DEFAULTS.items() if default is MISSING)


def _set_fields(value: Value) -> Iterator[tuple[str, Any]]:
    for name, default in _DEFAULTS.items():
        x = getattr(value, name)
        if name in _ALWAYS or name == "shape" or x != default:
            yield name, x


def json_ready(x: Any) -> Any:
    """Convert to what JSON can hold; NaN and infinities become strings."""
    if isinstance(x, float):
        if math.isfinite(x):
            return x
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    if isinstance(x, tuple):
        return list(map(json_ready, x))
    if isinstance(x, Numbers):
        numbers = {"elements": json_ready(x.elements)} if x.elements is not None else {}
        return numbers | {
            "mean": json_ready(x.mean),
            "std": json_ready(x.std),
            "norm": json_ready(x.norm),
        }
    return x
