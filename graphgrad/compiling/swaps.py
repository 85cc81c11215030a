"""Traced arrays in the place of true ones while a function is traced, and what it changed there."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.compiling.effects import SET_GRADS
from graphgrad.compiling.program import Constant, Effect, Source, Var
from graphgrad.compiling.reach import SEALED, Place, Reach
from graphgrad.compiling.sources import ArrayOf, At, GradOf, Known, Leaf
from graphgrad.compiling.traced import Traced
from graphgrad.compiling.tracing import Trace
from graphgrad.engine.graph import Recorded, array_of, node_of
from graphgrad.engine.in_place import mark_changed, set_array
from graphgrad.typing import Array


@dataclass(eq=False)
class _Tensor:
    """A tensor from outside: its true array and gradient, and those that stand in for them."""

    tensor: Any
    source: Source
    array: Any
    traced: Any
    grad: Any = None
    traced_grad: Any = None
    object: Any = None  # the tensor itself as an input


class Swaps:
    """The tensors and places whose arrays are traced."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.leaves: list[Any] = []
        self._tensors: dict[int, _Tensor] = {}
        self._places: list[tuple[Place, Any, Any]] = []
        self._objects: dict[int, Traced] = {}  # sealed ones, which calls from outside get

    def arguments(self, leaves: Sequence[Any], names: Sequence[str]) -> None:
        """Trace the arguments."""
        for k, (leaf, name) in enumerate(zip(leaves, names, strict=True)):
            source = Source(name, Leaf(k))
            if isinstance(leaf, Recorded):
                self._tensor(leaf, source)
                self.leaves.append(leaf)
            elif isinstance(leaf, np.random.Generator):
                self.leaves.append(self.trace.generator(leaf, source))
            elif isinstance(leaf, np.ndarray | np.generic) and leaf.dtype != object:
                self.leaves.append(self._traced(leaf, source))
            else:
                self.leaves.append(leaf)

    def places(self, reach: Reach) -> None:
        """Trace what the function closes over."""
        for place in reach.tensors:
            self._tensor(place.read(), Source(place.name, At(place)))
        for place in reach.arrays:
            array = place.read()
            self._put(place, array, self._traced(array, Source(place.name, At(place))))
        for place in reach.generators:
            rng = place.read()
            source = Source(place.name, At(place))
            self._put(place, rng, self.trace.generator(rng, source))

    def _put(self, place: Place, value: Any, traced: Any) -> None:
        try:
            place.write(traced)
        except (AttributeError, TypeError):
            self.trace.fail(f"{place.name} cannot be replaced while the function is traced")
        else:
            self._places.append((place, value, traced))

    def _traced(self, array: Array, source: Source) -> Traced:
        return self.trace.input(array, source, source.name)

    def _tensor(self, tensor: Any, source: Source) -> None:
        if id(tensor) in self._tensors:
            return
        swap = self._tensors[id(tensor)] = _Tensor(tensor, source, array_of(tensor), None)
        node = node_of(tensor)
        if node is not None and node.hooks:
            self.trace.fail(f"{source.name} has gradient hooks")
        self._swap_in(swap)

    def _swap_in(self, swap: _Tensor) -> None:
        tensor, source = swap.tensor, swap.source
        node = node_of(tensor)
        swap.array = array_of(tensor)
        swap.traced = self.trace.input(
            swap.array, Source(source.name, ArrayOf(source.read)), tensor.name or source.name
        )
        swap.grad = swap.traced_grad = None
        if node is not None:
            self.trace.of_node[node] = swap.traced.var
            if node.grad is not None:
                name = f"{tensor.name or source.name}_grad"
                swap.grad = node.grad
                swap.traced_grad = self.trace.input(
                    node.grad, Source(name, GradOf(source.read)), name
                )
                node.grad = swap.traced_grad
        set_array(tensor, swap.traced)

    def tensors(self) -> Iterator[tuple[Any, Source]]:
        """Yield the tensors from outside."""
        for swap in self._tensors.values():
            yield swap.tensor, swap.source

    def effects(self) -> list[Effect]:
        """List what the function changed outside, and has not been written down yet."""
        found = []
        for swap in self._tensors.values():
            tensor, now = swap.tensor, array_of(swap.tensor)
            node = node_of(tensor)
            if now is not swap.traced:
                found.append(Effect("array", swap.source, _var_of(now)))
            elif id(tensor) in self.trace.overwritten_tensors:
                found.append(Effect("changed", swap.source, None))
            grad = None if node is None else node.grad
            if grad is not swap.traced_grad:
                found.append(Effect("grad", swap.source, _var_of(grad)))
        return found

    @contextlib.contextmanager
    def suspended(self) -> Iterator[list[Var]]:
        """Let code see true arrays and gradients, with what the program computed so far.

        Yields a list, in which the variables stand afterwards that the code may have written to.
        """
        tensors, grads = [], []
        for swap in self._tensors.values():
            node = node_of(swap.tensor)
            grad = None if node is None else node.grad
            if grad is not swap.traced_grad:
                tensors.append(self._object(swap))
                grads.append(grad)
                swap.traced_grad, swap.grad = grad, _true(grad)
            if array_of(swap.tensor) is not swap.traced:
                self.trace.fail(f"{swap.source.name} got another array before an outside call")
        if tensors:
            self.trace.call(SET_GRADS, (tuple(tensors), tuple(grads)), pure=False)
        for swap in self._tensors.values():
            self._swap_out(swap)
        before, self.trace.overwritten_tensors = self.trace.overwritten_tensors, set()
        written: list[Var] = []
        try:
            yield written
        finally:
            for swap in self._tensors.values():
                changed = id(swap.tensor) in self.trace.overwritten_tensors
                self._swap_in_again(swap, written, changed=changed)
            self.trace.overwritten_tensors |= before

    def objects(self, tree: Any) -> Any:
        """Replace tensors and other objects from outside by inputs, in tuples and lists."""
        if isinstance(tree, Recorded):
            swap = self._tensors.get(id(tree))
            if swap is not None:
                return self._object(swap)
            self.trace.fail("a call from outside got a tensor that was made inside")
        if type(tree) is list:
            return list(map(self.objects, tree))
        if type(tree) is tuple:
            return tuple(map(self.objects, tree))
        if hasattr(type(tree), SEALED):
            if id(tree) not in self._objects:
                name = type(tree).__name__.lower()
                self._objects[id(tree)] = self.trace.input(tree, Source(name, Known(tree)), name)
            return self._objects[id(tree)]
        return tree

    def _object(self, swap: _Tensor) -> Any:
        """Return the tensor itself as an input."""
        if swap.object is None:
            name = f"{swap.tensor.name or swap.source.name}_tensor"
            source = swap.source._replace(name=name)
            swap.object = self.trace.input(swap.tensor, source, name)
        return swap.object

    def _swap_in_again(self, swap: _Tensor, written: list[Var], *, changed: bool) -> None:
        array, node = array_of(swap.tensor), node_of(swap.tensor)
        if array is not swap.array:
            self.trace.fail(f"a call from outside gave {swap.source.name} another array")
            return
        if changed:
            written.append(swap.traced.var)
        set_array(swap.tensor, swap.traced)
        if node is None:
            return
        if node.grad is swap.grad:
            node.grad = swap.traced_grad
        elif node.grad is not None:
            self.trace.fail(f"a call from outside gave {swap.source.name} another gradient")
        else:
            swap.grad = swap.traced_grad = None

    def undo(self) -> None:
        """Put the true arrays back, with what the function changed."""
        for swap in self._tensors.values():
            self._swap_out(swap)
            if id(swap.tensor) in self.trace.overwritten_tensors:
                mark_changed(swap.tensor)
        for place, value, traced in reversed(self._places):
            now = place.read()
            if now is traced:
                place.write(value)
            else:
                self.trace.fail(f"the function gives {place.name} another value")
                place.write(_true(now))

    def _swap_out(self, swap: _Tensor) -> None:
        now, node = array_of(swap.tensor), node_of(swap.tensor)
        set_array(swap.tensor, swap.array if now is swap.traced else _true(now))
        if node is not None:
            node.grad = swap.grad if node.grad is swap.traced_grad else _true(node.grad)

    @staticmethod
    def make_true(tensor: Any) -> None:
        """Give a tensor the true array in place of a traced one."""
        if isinstance(array_of(tensor), Traced):
            set_array(tensor, array_of(tensor).value)


def _true(x: Any) -> Any:
    return x.value if isinstance(x, Traced) else x


def _var_of(x: Any) -> Any:
    if isinstance(x, Traced):
        return x.var
    return x if x is None else Constant(np.asarray(x))
