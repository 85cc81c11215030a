"""One traced run of a function: from its arguments to a program."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.compiling.program import Constant, Effect, Program, Source, Var
from graphgrad.compiling.reach import Place, Reach, TooMuch
from graphgrad.compiling.tracing import Trace, Traced, has_traced
from graphgrad.engine.graph import Freed, Node, Recorded, graph_nodes, tick
from graphgrad.engine.in_place import mark_changed, set_array
from graphgrad.engine.recording import observing, switches, tracers
from graphgrad.engine.trees import flatten
from graphgrad.engine.variables import pull
from graphgrad.typing import Array

_lock = threading.RLock()  # arrays stand in as traced ones in places that all threads see


class Captured:
    """What a traced run found: its result, and a program or the reason why there is none."""

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Sequence[Any],
        rebuild: Callable[..., Any],
        names: Sequence[str],
    ) -> None:
        """Run f, which gets its arguments by ``rebuild(leaves)``: a pair of args and kwargs."""
        self.names = names
        self.program: Program | None = None
        self.failure: str | None = None
        self.reach: Reach | None = None
        self.pullback: list[tuple[Var, int]] | None = None
        self.trace = Trace()
        with _lock:
            try:
                self.reach = Reach(f, leaves)
            except TooMuch:
                self.failure = "the function reaches too many objects"
                args, kwargs = rebuild(leaves)
                self.result = f(*args, **kwargs)
                return
            self._run(f, leaves, rebuild)

    def _run(self, f: Any, leaves: Sequence[Any], rebuild: Any) -> None:
        trace, swaps = self.trace, _Swaps(self.trace)
        trace.floor = tick()
        assert self.reach is not None
        try:
            swaps.arguments(leaves, self.names)
            swaps.places(self.reach)
            args, kwargs = rebuild(swaps.leaves)
            tracers.append(trace)
            try:
                with observing(trace):
                    result = f(*args, **kwargs)
                    parts, make = flatten(result)
                    self._also_pull(parts, swaps)
            finally:
                tracers.remove(trace)
            results = [self._result(part) for part in parts]
            effects = swaps.effects()
        finally:
            swaps.undo()
        self.result = make([_real(part) for part in parts])
        self.rebuild_result = make
        changed = self.reach.changed()
        if changed is not None:
            trace.fail(f"the function changes {changed}, which a program cannot repeat")
        self.failure = trace.failure
        if self.failure is None:
            inputs = [(traced.var, source) for traced, source in trace.inputs]
            self.program = Program(inputs, trace.calls, results, effects)

    def _result(self, part: Any) -> Any:
        """Return how a leaf of the result is written: a Var, a Constant or a Python value."""
        if isinstance(part, Traced):
            return part.var
        if isinstance(part, Recorded):
            kind = type(part)
            if kind is not Recorded._class:
                self.trace.fail(f"the result holds a {kind.__name__}")
            inner = part._array
            return _OfTensor(inner.var if isinstance(inner, Traced) else Constant(inner))
        return Constant(part) if isinstance(part, np.ndarray) else part

    def _also_pull(self, parts: list[Any], swaps: "_Swaps") -> None:
        """If results have a graph, trace the gradients of the tensors that it came from too."""
        ys = [p for p in parts if isinstance(p, Recorded) and p._node is not None and p._node.needs]
        if not ys or not switches().enabled:
            return
        xs = [t for t in swaps.tensors if t._node is not None and t._node.needs]
        gs = []
        for k, y in enumerate(ys):
            seed = np.ones(y.shape, y.dtype)
            gs.append(
                self.trace.input(seed, Source(f"upstream_{k}", _never), f"g{k}" if k else "g")
            )
        self.trace.section = "backward"
        found, _ = pull(ys, gs, xs, graph=False)
        self.pullback = []
        self.upstream = [g.var for g in gs]
        self.differentiated = xs
        self.gradients = [
            g.var if isinstance(g, Traced) else Constant(np.asarray(g)) for g in found
        ]
        self.outs = [k for k, p in enumerate(parts) if any(p is y for y in ys)]


class _OfTensor:
    """A result that is returned as a Tensor."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _never(_: Any) -> Any:
    raise AssertionError


class _Swaps:
    """Traced arrays in the place of true ones, while a function is traced."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.leaves: list[Any] = []
        self.tensors: list[Any] = []
        self._tensors: list[tuple[Any, Any, Traced, Source, Any, Any]] = []
        self._places: list[tuple[Place, Any]] = []
        self._seen: dict[int, Traced] = {}

    def arguments(self, leaves: Sequence[Any], names: Sequence[str]) -> None:
        """Trace the arguments."""
        for k, (leaf, name) in enumerate(zip(leaves, names, strict=True)):
            if isinstance(leaf, Recorded):
                self._tensor(leaf, Source(name, _reader(k)))
                self.leaves.append(leaf)
            elif isinstance(leaf, np.ndarray | np.generic) and leaf.dtype != object:
                self.leaves.append(self._array(leaf, Source(name, _reader(k))))
            else:
                self.leaves.append(leaf)

    def places(self, reach: Reach) -> None:
        """Trace what the function closes over."""
        for place in reach.tensors:
            self._tensor(place.read(), Source(place.name, _place_reader(place)))
        for place in reach.arrays:
            array = place.read()
            self._places.append((place, array))
            try:
                place.write(self._array(array, Source(place.name, _place_reader(place))))
            except (AttributeError, TypeError):
                self._places.pop()
                self.trace.fail(f"{place.name} cannot be replaced while tracing")
        for place in reach.generators:
            rng = place.read()
            self._places.append((place, rng))
            place.write(self.trace.generator(rng, Source(place.name, _place_reader(place))))

    def _array(self, array: Array, source: Source) -> Traced:
        found = self._seen.get(id(array))
        if found is None:
            found = self._seen[id(array)] = self.trace.input(array, source, source.name)
        return found

    def _tensor(self, tensor: Any, source: Source) -> None:
        if any(t is tensor for t in self.tensors):
            return
        self.tensors.append(tensor)
        inner = Source(source.name, _array_of(source))
        traced = self.trace.input(tensor._array, inner, tensor.name or source.name)
        node = tensor._node
        grad = None if node is None else node.grad
        traced_grad = None
        if grad is not None:
            name = f"{source.name}_grad"
            traced_grad = self.trace.input(grad, Source(name, _grad_of(source)), name)
            node.grad = traced_grad
        if node is not None:
            self.trace.of_node[node] = traced.var
        self._tensors.append((tensor, tensor._array, traced, source, grad, traced_grad))
        set_array(tensor, traced)

    def effects(self) -> list[Effect]:
        """List what the function changed outside."""
        found = []
        for tensor, _, traced, source, grad, traced_grad in self._tensors:
            now = tensor._array
            if now is not traced:
                found.append(Effect("array", source, _var_of(now)))
            elif id(tensor) in self.trace.overwritten_tensors:
                found.append(Effect("changed", source, None))
            now = None if tensor._node is None else tensor._node.grad
            if now is not traced_grad and not (now is None and grad is None):
                found.append(Effect("grad", source, _var_of(now)))
        return found

    def undo(self) -> None:
        """Put the true arrays back, with what the function changed."""
        for tensor, array, traced, _, grad, traced_grad in self._tensors:
            now = tensor._array
            set_array(tensor, array if now is traced else _true_array(now))
            node = tensor._node
            if node is not None:
                now = node.grad
                node.grad = grad if now is traced_grad else _true_array(now)
            if id(tensor) in self.trace.overwritten_tensors:
                mark_changed(tensor)
        for place, value in reversed(self._places):
            place.write(value)


def _reader(k: int) -> Callable[[Any], Any]:
    return lambda leaves: leaves[k]


def _place_reader(place: Place) -> Callable[[Any], Any]:
    return lambda _: place.read()


def _array_of(source: Source) -> Callable[[Any], Any]:
    return lambda leaves: source.read(leaves)._array


def _grad_of(source: Source) -> Callable[[Any], Any]:
    return lambda leaves: source.read(leaves)._node.grad


def _true_array(x: Any) -> Any:
    return x.value if isinstance(x, Traced) else x


def _var_of(x: Any) -> Any:
    if isinstance(x, Traced):
        return x.var
    return x if x is None else Constant(np.asarray(x))


def _real(x: Any) -> Any:
    """Return a result with true arrays, and its graph too."""
    if isinstance(x, Traced):
        return x.value
    if isinstance(x, Recorded):
        if isinstance(x._array, Traced):
            x._array = x._array.value
        if x._node is not None:
            for node in graph_nodes(x._node):
                _make_real(node)
    return x


def _make_real(node: Node) -> None:
    node.value = _true_tree(node.value)
    node.grad = _true_tree(node.grad)
    if node.values is not None and node.values.__class__ is not Freed:
        node.values = _true_tree(node.values)
    if node.small_gradients:
        node.small_gradients = {k: _true_tree(g) for k, g in node.small_gradients.items()}


def _true_tree(tree: Any) -> Any:
    if not has_traced(tree):
        return tree
    if isinstance(tree, Traced):
        return tree.value
    if isinstance(tree, tuple | list):
        parts = [_true_tree(part) for part in tree]
        return type(tree)._make(parts) if hasattr(tree, "_make") else type(tree)(parts)
    if isinstance(tree, slice):
        return slice(*map(_true_tree, (tree.start, tree.stop, tree.step)))
    return {key: _true_tree(value) for key, value in tree.items()}
