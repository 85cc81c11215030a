"""Notes of a trace on nodes. They hold neither arrays nor modules."""

import weakref
from types import CodeType
from typing import Any

from graphgrad.engine.graph import Node
from graphgrad.engine.source import source_line
from graphgrad.viz.snapshots.contributions import Contributions
from graphgrad.viz.snapshots.numbers import Numbers


class Root:
    """An outermost module that was called, and the classes of the modules in it."""

    __slots__ = ("kinds", "reference")

    def __init__(self, module: Any) -> None:
        """Refer to the module without keeping it alive."""
        self.reference = weakref.ref(module)
        self.kinds = {"": type(module).__name__}  # by path


class LeafNote:
    """A leaf: its module, and its name there."""

    __slots__ = ("gradient_of", "name", "numbers", "origin", "path", "root")

    def __init__(self) -> None:
        self.origin: Origin | None = None  # the sweep whose seed it is
        self.gradient_of: GradientTarget | None = None
        self.root: Root | None = None
        self.path: str | None = None  # of its module
        self.name: str | None = None  # in the outermost module, such as "hidden.weight"
        self.numbers: Numbers | None = None


class CallNote:
    """One call of a module."""

    __slots__ = ("outer", "path", "root")

    def __init__(self, root: Root, path: str, outer: "CallNote | SweepGroup | None") -> None:
        self.root = root
        self.path = path
        self.outer = outer


class SweepGroup:
    """What a recorded sweep computed: all of it, or for one call of a module, or one op."""

    __slots__ = ("code", "instruction", "kind", "of", "outer")

    def __init__(
        self,
        kind: str,
        outer: "CallNote | SweepGroup | None",
        *,
        at: tuple[CodeType | None, int] = (None, 0),
        of: CallNote | None = None,
    ) -> None:
        """``at`` is the user's line; ``of`` the call through which gradients were sent back."""
        self.kind = kind
        self.outer = outer
        self.code, self.instruction = at
        self.of = of

    @property
    def line(self) -> str:
        """The user's source line."""
        return source_line(self.code, self.instruction)


class RuleNote:
    """The op whose gradient rule was recorded."""

    __slots__ = ("call", "code", "instruction", "serial", "symbol")

    def __init__(
        self,
        serial: int,
        symbol: str,
        call: CallNote | None,
        at: tuple[CodeType | None, int],
    ) -> None:
        """Symbol, call and line are those of the op of the forward pass."""
        self.serial = serial
        self.symbol = symbol
        self.call = call
        self.code, self.instruction = at


class Origin:
    """Where an op comes from: the call of a module, or the rule of another op in a sweep."""

    __slots__ = ("call", "order", "rule", "sweep")

    def __init__(
        self,
        call: CallNote | SweepGroup | None,
        rule: RuleNote | None = None,
        order: int = 0,
        sweep: "Origin | None" = None,
    ) -> None:
        """``order`` is 0 in the forward pass, 1 in a sweep over that, and so on."""
        self.call = call
        self.rule = rule
        self.order = order
        self.sweep = sweep  # the origin of the sweep as a whole


class GradientTarget:
    """The value whose gradient an op computed."""

    __slots__ = ("leaf", "name", "serial", "wanted")

    def __init__(self, node: Node, leaf: LeafNote | None, *, wanted: bool) -> None:
        """``wanted`` says whether the sweep was asked for this gradient."""
        self.serial = node.serial
        self.name = node.name
        self.leaf = leaf
        self.wanted = wanted


class OpNote:
    """The note of a trace on the node of an op."""

    __slots__ = ("backward", "gradient_of", "leaves", "numbers", "origin")

    def __init__(
        self,
        leaves: "weakref.WeakKeyDictionary[Node, LeafNote]",
        origin: Origin,
        numbers: Numbers | None,
    ) -> None:
        self.leaves = leaves
        self.origin = origin
        self.numbers = numbers
        self.gradient_of: GradientTarget | None = None
        self.backward: BackwardNumbers | None = None


class BackwardNumbers:
    """The gradients and contributions of one ``backward()``, as numbers."""

    __slots__ = ("contributions", "gradients", "small_gradients")

    def __init__(self, small_gradients: dict[int, Any], seen: Contributions) -> None:
        self.small_gradients = small_gradients  # identifies the latest backward() from a node
        self.gradients = seen.gradients
        self.contributions = seen.contributions


def note_of(node: Node) -> OpNote | None:
    """Return the note of a trace on a node, if it has one."""
    return getattr(node, "note", None)


def join_paths(path: str, name: str) -> str:
    """Join two dotted paths."""
    return f"{path}.{name}" if path and name else path or name


def derivative_name(order: int, name: str = "") -> str:
    """Write the name of a gradient of some order: ∂, ∂², ∂x, ∂ 0.weight."""
    sign = "∂" if order == 1 else "∂" + str(order).translate(_SUPERSCRIPTS)
    return f"{sign}{name}" if not name or name[0].isalpha() else f"{sign} {name}"


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
