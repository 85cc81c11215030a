"""What a model is made of, as a table: shapes, parameters, memory, multiplications."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.arguments import CALLED, RealDType, guarded, sizes
from graphgrad.errors import ArgumentError
from graphgrad.nn.evaluation import evaluating
from graphgrad.nn.modules.module import Module, Parameter
from graphgrad.typing import Array

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One module, in the order of the forward pass."""

    name: str  # the way to it: "0", "features.3"
    kind: str  # its class
    depth: int
    output: Any  # shape of the output; a tuple of shapes where there are several
    parameters: int  # its own, where they are met first
    activations: int  # elements of the output; 0 where modules below made it
    bytes: int  # of these
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The rows, and their sums. Print it."""

    model: str
    inputs: tuple[Shape, ...]
    rows: tuple[Row, ...]
    parameters: int
    trainable: int

    @property
    def activations(self) -> int:
        """Elements of all outputs."""
        return sum(row.activations for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Memory of all outputs; a backward pass needs about that much again."""
        return sum(row.bytes for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiplications of one forward pass."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output", "parameters", "activations", "memory", "multiply-adds")
        cells: list[tuple[str, ...]] = [head]
        for row in self.rows:
            label = f"{'  ' * row.depth}{row.name.rpartition('.')[2] or self.model}"
            label = f"{label}: {row.kind}" if row.name else label
            own = f"{row.parameters:,}" if row.parameters else ""
            made = (f"{row.activations:,}", size(row.bytes)) if row.activations else ("", "")
            work = f"{row.multiply_adds:,}" if row.multiply_adds else ""
            cells.append((label, _text(row.output), own, *made, work))
        sums = (
            f"{self.parameters:,}",
            f"{self.activations:,}",
            size(self.activation_bytes),
            f"{self.multiply_adds:,}",
        )
        cells.append(("total", "", *sums))
        widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
        lines = [
            "  ".join(
                text.ljust(width) if i < 2 else text.rjust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        rule = "─" * max(map(len, lines))
        shapes = " and ".join(map(str, self.inputs))
        lines[1:1] = [rule]
        lines[-1:-1] = [rule]
        if self.trainable != self.parameters:
            lines.append(f"{self.trainable:,} of the parameters are trainable")
        return "\n".join([f"{self.model}, input {shapes}", *lines])

    __repr__ = __str__


@guarded
def summary(
    model: Module, input_shape: Shape | list[Shape], dtype: RealDType | None = None
) -> Summary:
    """Run a model once on zeros, and list what each module made.

    Parameters
    ----------
    model
        Any module; it runs in evaluation mode, and is left as it was.
    input_shape
        Shape of **one** sample, without the batch axis, which is 1: ``(3, 224, 224)``. A list
        of shapes where ``forward`` takes several inputs.
    dtype
        Of the zeros; None is that of the model's first parameter. ``int`` for an embedding.

    Raises
    ------
    DtypeError
        If the model is no module.
    GraphgradError
        Whatever the model itself raises for inputs of that shape.
    """
    given = input_shape if isinstance(input_shape, list) else [input_shape]
    if not given:
        raise ArgumentError(f"{CALLED}: input_shape = [] names no input")
    shapes = [sizes(CALLED, "input_shape", shape, 0) for shape in given]
    if dtype is None:
        dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    samples = [np.zeros((1, *shape), dtype) for shape in shapes]

    rows: list[Row] = []
    names = {id(module): name for name, module in model.named_modules()}
    seen: set[int] = set()
    unhook = [
        module.register_forward_hook(_watcher(rows, names, seen)) for module in model.modules()
    ]
    try:
        with evaluating(model):
            model(*samples)
    finally:
        for remove in unhook:
            remove()
    order = {name: i for i, name in enumerate(names.values())}
    rows.sort(key=lambda row: order[row.name])
    parameters = list(model.parameters())
    return Summary(
        type(model).__name__,
        tuple(shapes),
        tuple(rows),
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
    )


def _watcher(
    rows: list[Row], names: dict[int, str], seen: set[int]
) -> Callable[[Module, tuple[Any, ...], Any], None]:
    """Return a forward hook that adds a row; parameters count where they are met first."""

    def watch(module: Module, inputs: tuple[Any, ...], out: Array) -> None:
        name = names[id(module)]
        own = [p for _, p in module.members() if isinstance(p, Parameter) and id(p) not in seen]
        seen.update(map(id, own))
        # what a module with modules below returns was made, and counted, by one of them
        made = _arrays(out) if next(module.children(), None) is None else []
        rows.append(
            Row(
                name,
                type(module).__name__,
                name.count(".") + 1 if name else 0,
                _shapes(out),
                sum(p.size for p in own),
                sum(x.size for x in made),
                sum(x.size * x.dtype.itemsize for x in made),
                module.multiply_adds(tuple(map(_shapes, inputs)), _shapes(out)),
            )
        )

    return watch


def _arrays(out: Array) -> list[Any]:
    """List the arrays of an output, which may be a nested tuple with None in it."""
    if isinstance(out, list | tuple):
        return [x for part in out for x in _arrays(part)]
    return [out] if hasattr(out, "dtype") else []


def _shapes(out: Array) -> Any:
    """Return the shape; of several outputs a tuple of them."""
    if isinstance(out, list | tuple):
        return tuple(map(_shapes, out))
    return getattr(out, "shape", None)


def _text(shape: Any) -> str:
    """Write (1, 64, 8, 8) as 1 × 64 × 8 × 8, several shapes after one another."""
    if shape is None:
        return ""
    if any(not isinstance(n, int) for n in shape):
        return ", ".join(text for text in map(_text, shape) if text)
    return " × ".join(map(str, shape)) or "()"


@guarded
def size(count: int) -> str:
    """Format a number of bytes: 3.1 MiB."""
    power = min(max(count.bit_length() - 1, 0) // 10, 3)
    unit = ("B", "KiB", "MiB", "GiB")[power]
    return f"{count / 1024**power:.{1 if power else 0}f} {unit}"
