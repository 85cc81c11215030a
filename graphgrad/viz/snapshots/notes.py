"""Notes: what a trace writes down about nodes. They hold neither arrays nor modules."""

import weakref
from types import CodeType
from typing import Any

from graphgrad.engine.graph import Node
from graphgrad.engine.source import source_line
from graphgrad.viz.snapshots.contributions import Contributions
from graphgrad.viz.snapshots.digest import Numbers


class Root:
    """An outermost module that was called, and the kinds of the modules in it."""

    __slots__ = ("kinds", "reference")

    def __init__(self, module: Any) -> None:
        """Remember which module it is, without keeping it alive."""
        self.reference = weakref.ref(module)
        self.kinds = {"": type(module).__name__}  # by path; lists that are no modules have none


class LeafNote:
    """What is known about a leaf: where it belongs and what it is called there."""

    __slots__ = ("maker", "name", "numbers", "path", "root", "slope")

    def __init__(self) -> None:
        self.maker: Maker | None = None  # the sweep that starts with it
        self.slope: Slope | None = None
        self.root: Root | None = None
        self.path: str | None = None  # of the module that it belongs to
        self.name: str | None = None  # in the outermost module: "hidden.weight"
        self.numbers: Numbers | None = None


class CallNote:
    """One call of a module, which may be called several times."""

    __slots__ = ("outer", "path", "root")

    def __init__(self, root: Root, path: str, outer: "CallNote | Group | None") -> None:
        """Write down which module it was, and in which call this one lay."""
        self.root = root
        self.path = path
        self.outer = outer


class Group:
    """What a sweep that was recorded computed together: all of it, or for one call or op."""

    __slots__ = ("code", "instruction", "kind", "of", "outer")

    def __init__(
        self,
        kind: str,
        outer: "CallNote | Group | None",
        *,
        at: tuple[CodeType | None, int] = (None, 0),
        of: CallNote | None = None,
    ) -> None:
        """Write down what it is and in what it lay; the user's line, or whose gradient it is."""
        self.kind = kind
        self.outer = outer
        self.code, self.instruction = at
        self.of = of

    @property
    def line(self) -> str:
        """The user's source line that it belongs to."""
        return source_line(self.code, self.instruction)


class Rule:
    """The op whose gradient rule was recorded."""

    __slots__ = ("call", "code", "instruction", "serial", "symbol")

    def __init__(
        self,
        serial: int,
        symbol: str,
        call: CallNote | None,
        at: tuple[CodeType | None, int],
    ) -> None:
        """Write down its serial number, and the op of the forward pass that it goes back to."""
        self.serial = serial
        self.symbol = symbol
        self.call = call
        self.code, self.instruction = at


class Maker:
    """What it is that makes an op: a module, the rule of another op."""

    __slots__ = ("call", "order", "rule", "sweep")

    def __init__(
        self,
        call: CallNote | Group | None,
        rule: Rule | None = None,
        order: int = 0,
        sweep: "Maker | None" = None,
    ) -> None:
        """Write it down; the order is 0 on the way forward, 1 in a sweep over that, and so on."""
        self.call = call
        self.rule = rule
        self.order = order
        self.sweep = sweep  # that of the sweep as a whole


class Slope:
    """The value whose gradient an op computed."""

    __slots__ = ("leaf", "name", "serial", "wanted")

    def __init__(self, node: Node, leaf: LeafNote | None, *, wanted: bool) -> None:
        """Write down which value it was, and if its gradient was asked for."""
        self.serial = node.serial
        self.name = node.name
        self.leaf = leaf
        self.wanted = wanted


class Note:
    """What a trace wrote down about an op."""

    __slots__ = ("leaves", "maker", "numbers", "sent_back", "slope")

    def __init__(
        self,
        leaves: "weakref.WeakKeyDictionary[Node, LeafNote]",
        maker: Maker,
        numbers: Numbers | None,
    ) -> None:
        self.leaves = leaves
        self.maker = maker
        self.numbers = numbers
        self.slope: Slope | None = None
        self.sent_back: SentBack | None = None


class SentBack:
    """The gradients and contributions of one ``backward()``, in numbers."""

    __slots__ = ("contributions", "flows", "gradients")

    def __init__(self, flows: dict[int, Any], seen: Contributions) -> None:
        """Keep what was seen of the sweep with these flows."""
        self.flows = flows  # tells whether this is still the last backward() from there
        self.gradients = seen.gradients
        self.contributions = seen.contributions


def note_of(node: Node) -> Note | None:
    """Return what a trace wrote down about an op, if one was on."""
    return getattr(node, "note", None)


def joined(path: str, name: str) -> str:
    """Join two parts of the way to a module."""
    return f"{path}.{name}" if path and name else path or name


def nabla(order: int, name: str = "") -> str:
    """Write the sign of a derivative: ∂, ∂²; and of what: ∂x, ∂ 0.weight."""
    sign = "∂" if order == 1 else "∂" + str(order).translate(_RAISED)
    return f"{sign}{name}" if not name or name[0].isalpha() else f"{sign} {name}"


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
