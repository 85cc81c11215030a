"""Choosing the tensor to draw, among the variables of a script."""

import difflib
from collections.abc import Mapping
from operator import attrgetter

from graphgrad.cli.scripts import ScriptError, ScriptResult
from graphgrad.engine.graph import Node, node_of
from graphgrad.engine.tensor import Tensor
from graphgrad.viz.drawing.texts import readable

MAX_LISTED = 12  # tensors that a message names
_NAME_LENGTH = 40  # characters of a name


class ChoiceError(Exception):
    """The name is missing or wrong; the message lists possible ones."""


def choose(result: ScriptResult, name: str | None) -> tuple[str, Tensor]:
    """Return a tensor and its name: the one of that name, else the script's result.

    The result is the only computed tensor that no other variable of the script was computed from.
    If there are several: the only one of them that ``backward()`` was called on. If there is none,
    because everything happens in functions: the last one that it was called on.

    Raises
    ------
    ChoiceError
        If there are several results, or no tensor of that name.
    ScriptError
        If there is no tensor at all.
    """
    tensors = _tensors(result)
    if name is not None:
        return name, _named(result, tensors, name)
    found = _results(tensors)
    if len(found) > 1:
        swept = {
            key: x
            for key, x in found.items()
            if (node := node_of(x)) and node.small_gradients is not None
        }
        found = swept if len(swept) == 1 else found
    if len(found) == 1:
        ((key, tensor),) = found.items()
        return key, tensor
    if found:
        many = f"{result.path}: several tensors could be the result:"
        raise ChoiceError(f"{many}\n{_listing(found)}\n{_advice(result, next(iter(found)))}")
    if result.last is not None:
        return "the last loss", result.last
    raise ScriptError(_no_result(result, tensors))


def name_values(result: ScriptResult) -> None:
    """Name tensors without a name after the script's variables, except parameters."""
    for key, x in _tensors(result).items():
        node = node_of(x)
        if type(x) is Tensor and node is not None and node.name is None:
            node.name = key


def _tensors(result: ScriptResult) -> dict[str, Tensor]:
    return {
        key: x
        for key, x in result.names.items()
        if isinstance(x, Tensor) and not (key.startswith("__") and key.endswith("__"))
    }


def _named(result: ScriptResult, tensors: dict[str, Tensor], name: str) -> Tensor:
    value = result.names.get(name)
    if isinstance(value, Tensor):
        return value
    if name not in result.names:
        # the name of a tensor itself
        same = {node: x for x in tensors.values() if (node := node_of(x)) and node.name == name}
        if same:
            return same[max(same, key=attrgetter("serial"))]
    shown = readable(name, _NAME_LENGTH)
    if name in result.names:
        what = f"'{shown}' is not a tensor but of type {type(value).__name__}"
    else:
        what = f"there is no tensor '{shown}'"
    if not tensors:
        raise ScriptError(f"{result.path}: {what}; {_NO_TENSOR}")
    own = {x.name: x for x in tensors.values() if x.name}
    known = {**own, **tensors}
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        listed, lead = {key: known[key] for key in close}, "; did you mean"
    else:
        listed, lead = _results(tensors) or tensors, "; there are"
    raise ChoiceError(f"{result.path}: {what}{lead}\n{_listing(listed)}")


def _results(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the computed tensors that no other one was computed from, without duplicates."""
    computed = {k: node for k, x in tensors.items() if (node := node_of(x)) and not node.is_leaf}
    used: set[Node] = set()
    pending = list(computed.values())
    while pending:
        for parent in pending.pop().parents:
            if isinstance(parent, Node) and parent not in used:
                used.add(parent)
                pending.append(parent)
    found: dict[Node, str] = {}
    for key, node in computed.items():
        if node not in used:
            found.setdefault(node, key)
    return {key: tensors[key] for key in found.values()}


_NO_TENSOR = (
    "no variable at its top level is a tensor. Those that functions make are gone when these "
    "return: return them, and assign them to a variable"
)


def _no_result(result: ScriptResult, tensors: Mapping[str, Tensor]) -> str:
    if not tensors:
        return f"{result.path}: {_NO_TENSOR}"
    return (
        f"{result.path}: no tensor at its top level was computed from one that was made with "
        "requires_grad=True, so there is no graph to draw"
    )


def _listing(tensors: Mapping[str, Tensor]) -> str:
    """List tensors, one per line, with shape, dtype, source line and name."""
    rows = [_row(key, x) for key, x in list(tensors.items())[:MAX_LISTED]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["    " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if len(tensors) > MAX_LISTED:
        lines.append(f"    and {len(tensors) - MAX_LISTED} more")
    return "\n".join(lines)


def _row(key: str, x: Tensor) -> tuple[str, str, str, str]:
    node = node_of(x)
    own = "" if x.name in (None, key) else f"named '{readable(x.name or '', _NAME_LENGTH)}'"
    line = "" if node is None else node.line
    return readable(key, _NAME_LENGTH), f"{x.shape} {x.dtype}", line, own


def _advice(result: ScriptResult, key: str) -> str:
    return f"Give its name: graphgrad view {result.path}:{readable(key, _NAME_LENGTH)}"
