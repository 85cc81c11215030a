"""Finding the tensor whose graph a user wants to see, among what a script left behind."""

import difflib
from collections.abc import Mapping
from operator import attrgetter

from graphgrad.cli.scripts import Ran, ScriptError
from graphgrad.engine.graph import Node, node_of
from graphgrad.engine.tensor import Tensor
from graphgrad.viz.drawing.texts import readable

LISTED = 12  # tensors that a message names
_LONG = 40  # characters of a name


class ChoiceError(Exception):
    """A name that is none, or none where one is needed; the text says which could be meant."""


def choose(ran: Ran, name: str | None) -> tuple[str, Tensor]:
    """Return a tensor and what to call it: the one of that name, else the script's result.

    The result is the only tensor that was computed and that no other one of the script's
    variables was computed from. Of several it is the only one that ``backward()`` was called on;
    where there is none, because all happens in functions, the last one of these.

    Raises
    ------
    ChoiceError
        If there are several, or none of that name.
    ScriptError
        If there is none at all.
    """
    tensors = _tensors(ran)
    if name is not None:
        return name, _named(ran, tensors, name)
    found = _results(tensors)
    if len(found) > 1:
        learnt = {
            key: x for key, x in found.items() if (node := node_of(x)) and node.flow is not None
        }
        found = learnt if len(learnt) == 1 else found
    if len(found) == 1:
        ((key, tensor),) = found.items()
        return key, tensor
    if found:
        many = f"{ran.path}: which one? From none of these was another one computed:"
        raise ChoiceError(f"{many}\n{_listing(found)}\n{_advice(ran, next(iter(found)))}")
    if ran.last is not None:
        return "the last loss", ran.last
    raise ScriptError(_nothing(ran, tensors))


def name_values(ran: Ran) -> None:
    """Call what has no name by the script's variable for it; parameters have names already."""
    for key, x in _tensors(ran).items():
        node = node_of(x)
        if type(x) is Tensor and node is not None and node.name is None:
            node.name = key


def _tensors(ran: Ran) -> dict[str, Tensor]:
    return {
        key: x
        for key, x in ran.names.items()
        if isinstance(x, Tensor) and not (key.startswith("__") and key.endswith("__"))
    }


def _named(ran: Ran, tensors: dict[str, Tensor], name: str) -> Tensor:
    value = ran.names.get(name)
    if isinstance(value, Tensor):
        return value
    if name not in ran.names:
        # a name of the tensor's own
        same = {node: x for x in tensors.values() if (node := node_of(x)) and node.name == name}
        if same:
            return same[max(same, key=attrgetter("serial"))]
    shown = readable(name, _LONG)
    if name in ran.names:
        what = f"'{shown}' is not a tensor but of type {type(value).__name__}"
    else:
        what = f"there is no tensor '{shown}'"
    if not tensors:
        raise ScriptError(f"{ran.path}: {what}; {_NONE}")
    own = {x.name: x for x in tensors.values() if x.name}
    known = {**own, **tensors}
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        listed, lead = {key: known[key] for key in close}, "; did you mean"
    else:
        listed, lead = _results(tensors) or tensors, "; there are"
    raise ChoiceError(f"{ran.path}: {what}{lead}\n{_listing(listed)}")


def _results(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the computed tensors that no other one was computed from, each once."""
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


_NONE = (
    "no variable at its top level is a tensor. What functions make is gone once they return: "
    "let them return it, and give it a name there"
)


def _nothing(ran: Ran, tensors: Mapping[str, Tensor]) -> str:
    if not tensors:
        return f"{ran.path}: {_NONE}"
    return (
        f"{ran.path}: no tensor at its top level was computed from one that was made with "
        "requires_grad=True, so there is no graph to draw"
    )


def _listing(tensors: Mapping[str, Tensor]) -> str:
    """List tensors with what they are, one in a line."""
    rows = [_facts(key, x) for key, x in list(tensors.items())[:LISTED]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["    " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if len(tensors) > LISTED:
        lines.append(f"    and {len(tensors) - LISTED} more")
    return "\n".join(lines)


def _facts(key: str, x: Tensor) -> tuple[str, str, str, str]:
    node = node_of(x)
    own = "" if x.name in (None, key) else f"named '{readable(x.name or '', _LONG)}'"
    line = "" if node is None else node.line
    return readable(key, _LONG), f"{x.shape} {x.dtype}", line, own


def _advice(ran: Ran, key: str) -> str:
    return f"Say its name: graphgrad view {ran.path}:{readable(key, _LONG)}"
