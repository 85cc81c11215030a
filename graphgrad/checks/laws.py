"""Properties of every call of every op: a function per law, which raises if the law is violated.

No law contains special cases for an op. The value is NumPy's; the gradient agrees with differences,
to second order; it is linear in the upstream gradient, the same on arrays and on Tensors, has the
shape and dtype of its input and its own memory; and no array is written into.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.checks.gradcheck import gradcheck
from graphgrad.engine.composite import Composite
from graphgrad.engine.domains import Call
from graphgrad.engine.op import Op
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.plain import is_numpys
from graphgrad.engine.record import constant
from graphgrad.engine.recording import no_grad
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.transforms import gradients, vjp
from graphgrad.engine.trees import flatten
from graphgrad.errors import DtypeError, UnsupportedError
from graphgrad.typing import Array

AnyOp = Op[Any] | Composite[Any]
COMPLEX_STEP = 1e-200  # the complex step, whose square underflows to 0


class Case:
    """One call of an op, as a function of the arrays that it is differentiable in.

    These are the floating arrays among the op's inputs; Python numbers are constants, as everywhere
    in graphgrad.
    """

    def __init__(self, op: AnyOp, call: Call) -> None:
        """Find the arrays among the arguments."""
        self.op, self.call = op, call
        self.leaves, self.rebuild = flatten(tuple(call))
        self.places = [i for i, x in enumerate(self.leaves) if _is_floating(x)]
        if isinstance(op, Op):
            inputs, _ = op.bind(*call)
            able = {id(x) for i, x in enumerate(inputs) if op.differentiable >> i & 1}
            self.places = [i for i in self.places if id(self.leaves[i]) in able]
        self.points = [np.array(self.leaves[i]) for i in self.places]

    def __repr__(self) -> str:
        """Show the call."""
        positional = [_shown(x) for x in self.call.args]
        named = [f"{k}={_shown(v)}" for k, v in self.call.kwargs.items()]
        return f"{self.op.name}({', '.join(positional + named)})"

    def arguments(self, variables: Sequence[Any]) -> Any:
        """Return the positional and keyword arguments with other arrays."""
        leaves = list(self.leaves)
        for place, variable in zip(self.places, variables, strict=True):
            leaves[place] = variable
        return self.rebuild(leaves)

    def plain(self, points: Sequence[Any]) -> list[Any]:
        """Compute on plain arrays, by NumPy's own function if there is one."""
        args, kwargs = self.arguments(points)
        function = self.op.function if is_numpys(self.op.function) else self.op
        return flatten(function(*args, **kwargs))[0]

    def everything(self, *variables: Any) -> list[Any]:
        """Apply the op and list all outputs."""
        args, kwargs = self.arguments(variables)
        return flatten(self.op(*args, **kwargs))[0]

    def run(self, *variables: Any) -> list[Any]:
        """Apply the op and list the outputs that are floating Tensors."""
        outs = self.everything(*variables)
        return [y for y in outs if isinstance(y, Tensor) and y.dtype.kind == "f"]

    def upstream(self, seed: int = 0) -> list[Any]:
        """Draw an upstream gradient for each floating output."""
        rng = np.random.default_rng(seed)
        with no_grad():
            outs = self.run(*map(constant, self.points))
        return [np.asarray(rng.uniform(-1, 1, y.shape)) for y in outs]

    def pull(self, upstream: Sequence[Any], points: Sequence[Any] | None = None) -> list[Any]:
        """Return the gradients by vjp, on the arrays themselves, not on copies."""
        given = self.points if points is None else points
        _, pullback = vjp(self.run, *map(constant, given))  # vjp copies plain arrays
        return [np.asarray(g) for g in pullback(list(upstream))]


def _is_floating(x: Array) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") == "f"


def _shown(x: Array) -> str:
    if isinstance(x, list | tuple):
        left, right = "[]" if isinstance(x, list) else "()"
        return left + ", ".join(map(_shown, x)) + right
    return f"{x.dtype}{list(x.shape)}" if _is_floating(x) else repr(x)


def require(condition: object, message: str) -> None:
    """Raise an AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def _same(a: Array, b: Array, what: str, tolerance: float = 1e-12) -> None:
    """Require equality up to rounding, with NaNs and infinities at the same indices."""
    scale = np.max(np.abs(b), initial=1.0, where=np.isfinite(b))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * float(scale), err_msg=what)


# --------------------------------------------------------------------------------- the laws


def value_is_numpys(case: Case) -> None:
    """On arrays, Tensors and recorded Tensors the value is NumPy's."""
    expected = case.plain(case.points)
    with no_grad():
        unrecorded = case.everything(*map(constant, case.points))
    by_kind = {
        "arrays": case.everything(*case.points),
        "Tensors": unrecorded,
        "recorded Tensors": case.everything(*[Tensor(p, requires_grad=True) for p in case.points]),
    }
    for kind, outs in by_kind.items():
        require(len(outs) == len(expected), f"{len(outs)} outputs, NumPy has {len(expected)}")
        for y, e in zip(outs, expected, strict=True):
            number, plain = np.asarray(e), np.asarray(unwrapped(y))
            found, wanted = (plain.shape, plain.dtype), (number.shape, number.dtype)
            require(found == wanted, f"on {kind} {found}, NumPy has {wanted}")
            _same(plain, number, f"value on {kind}")
    if case.points:
        moved = case.plain([p + 1e-3 for p in case.points])
        for y, before, after in zip(by_kind["recorded Tensors"], expected, moved, strict=True):
            if not isinstance(y, Tensor) and np.asarray(y).dtype.kind == "f":
                constant_output = np.array_equal(before, after, equal_nan=True)
                require(constant_output, f"{type(y).__name__} instead of a Tensor")


def gradient_agrees_with_differences(case: Case) -> None:
    """First and second order agree with differences."""
    if case.points:
        report = gradcheck(case.run, *map(np.asarray, case.points), order=2)
        require(report, f"\n{report}")


NOT_ANALYTIC = {np.sign, np.conjugate}  # accept complex numbers, but have no complex derivative


def gradient_is_exact(case: Case) -> None:
    """Gradients of analytic ufuncs are Im f(x + ih) / h to the last digits (complex step)."""
    f = case.op.function
    if not isinstance(f, np.ufunc) or f.signature or f in NOT_ANALYTIC or case.call.kwargs:
        return
    if not any(kinds.endswith("->D") and "d" not in kinds for kinds in f.types):
        return
    (u,) = case.upstream()
    found = case.pull([u])
    for k, (point, g) in enumerate(zip(case.points, found, strict=True)):
        moved = [p + COMPLEX_STEP * 1j if i == k else p for i, p in enumerate(case.points)]
        args, _ = case.arguments(moved)
        with np.errstate(all="ignore"):
            slope = u * (f(*args).imag / COMPLEX_STEP)
        extra = slope.ndim - point.ndim
        stretched = [i for i, n in enumerate(point.shape, extra) if n == 1]
        slope = np.sum(slope, axis=(*range(extra), *stretched)).reshape(point.shape)
        _same(g, slope, f"complex step, input {k}")


def arrays_and_tensors_agree(case: Case) -> None:
    """Sweeps on plain arrays and on Tensors (create_graph=True) give the same numbers."""
    on_arrays, on_tensors = (_gradients(case, create_graph=graph) for graph in (False, True))
    for g, t in zip(on_arrays, on_tensors, strict=True):
        require(isinstance(t, Tensor), f"create_graph gave a {type(t).__name__}")
        require(t.dtype == g.dtype, f"dtype {t.dtype} with create_graph, {g.dtype} without")
        _same(unwrapped(t), g, "with and without create_graph")


def _gradients(case: Case, *, create_graph: bool) -> Sequence[Any]:
    variables = [Tensor(p, requires_grad=True) for p in case.points]
    outs = zip(case.run(*variables), case.upstream(), strict=True)
    recorded = [(y, u) for y, u in outs if y.requires_grad]
    if not recorded:
        return ()
    ys, us = zip(*recorded, strict=True)
    return gradients(ys, variables, us, create_graph=create_graph)  # type: ignore[no-any-return]


def backward_changes_nothing_else(case: Case) -> None:
    """``backward()`` writes into no array, and gradients share memory with nothing."""
    variables = [Tensor(p, requires_grad=True) for p in case.points]
    outs = case.run(*variables)
    upstream = case.upstream()
    others = [x for x in case.leaves if isinstance(x, np.ndarray)]
    arrays = [*(t.data for t in variables), *map(unwrapped, outs), *upstream, *others]
    before = [np.array(a) for a in arrays]
    expected = case.pull(upstream)
    for y, u in zip(outs, upstream, strict=True):
        if y.requires_grad:
            y.backward(u, retain_graph=True)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="an array was written into")
    grads = [t.grad for t in variables if t.grad is not None]
    for i, g in enumerate(grads):
        for other in (*grads[:i], *arrays):
            require(not np.shares_memory(g, other), "a gradient shares memory with another array")
        g[...] += 1  # the user may write into gradients
    for t, g in zip(variables, expected, strict=True):
        if t.grad is not None:
            _same(t.grad, g + 1, "backward() and vjp")


def gradient_has_its_inputs_dtype(case: Case) -> None:
    """In float16, float32 and mixtures, each gradient has its input's shape and dtype."""
    exact = case.pull(case.upstream())
    for number, coarse in enumerate(("float32", "float32", "float16")):
        mixed = number == 1
        points = [p if mixed and i else p.astype(coarse) for i, p in enumerate(case.points)]
        with np.errstate(all="ignore"):
            try:
                expected = case.plain(points)
            except TypeError:  # NumPy's linalg has no float16
                _require_refusal(case, points)
                continue
            for outs in (case.everything(*points), case.everything(*map(constant, points))):
                for y, e in zip(outs, expected, strict=True):
                    kinds = (
                        np.asarray(unwrapped(y)).dtype,
                        np.asarray(e).dtype,
                    )
                    require(kinds[0] == kinds[1], f"value of dtype {kinds[0]}, NumPy's {kinds[1]}")
            upstream = [
                u.astype(y.dtype)
                for u, y in zip(case.upstream(), case.run(*map(constant, points)), strict=True)
            ]
            found = case.pull(upstream, points)
        for g, p, e in zip(found, points, exact, strict=True):
            require(g.shape == p.shape, f"gradient of shape {g.shape} for {p.shape}")
            require(g.dtype == p.dtype, f"gradient of dtype {g.dtype} for {p.dtype}")
            tolerance = 0.1 if coarse == "float16" else 1e-3
            with np.errstate(over="ignore"):  # values beyond float16's range become infinite
                _same(g, e.astype(p.dtype), f"{coarse} against float64", tolerance)


def _require_refusal(case: Case, points: Sequence[Any]) -> None:
    try:
        case.run(*map(constant, points))
    except (DtypeError, UnsupportedError):
        return
    raise AssertionError("NumPy refuses float16 here, graphgrad does not")


def gradient_is_linear(case: Case) -> None:
    """Gradients are linear in the upstream gradient; zero gives exactly zero."""
    one, two = case.upstream(1), case.upstream(2)
    total = case.pull([a + b for a, b in zip(one, two, strict=True)])
    scaled = case.pull([-2.5 * a for a in one])
    nothing = case.pull([0 * a for a in one])
    for a, b, s, k, z in zip(case.pull(one), case.pull(two), total, scaled, nothing, strict=True):
        _same(s, a + b, "additivity")
        _same(k, -2.5 * a, "scaling")
        np.testing.assert_array_equal(z, 0, err_msg="an upstream gradient of 0")


def memory_layout_does_not_matter(case: Case) -> None:
    """Transposed, strided, reversed and read-only arrays give the same gradient."""
    upstream = case.upstream()
    expected = case.pull(upstream)
    for layout in (_transposed, _strided, _reversed):
        points = [layout(p) for p in case.points]
        found = case.pull([layout(u) for u in upstream], points)
        for g, e, p, point in zip(found, expected, points, case.points, strict=True):
            _same(g, e, f"{layout.__name__.strip('_')} memory")
            np.testing.assert_array_equal(p, point, err_msg="an array was written into")


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _transposed(array: Array) -> Array:
    return _frozen(np.array(array, order="F"))


def _strided(array: Array) -> Array:
    room = np.full([2 * n for n in array.shape], np.nan, array.dtype)
    view = room[(slice(None, None, 2),) * array.ndim + (...,)]
    view[...] = array
    return _frozen(view)


def _reversed(array: Array) -> Array:
    backwards = (slice(None, None, -1),) * array.ndim + (...,)
    return _frozen(array[backwards].copy()[backwards])


def inputs_are_independent(case: Case) -> None:
    """Gradients of one input alone are the same as together with the others."""
    if len(case.points) < 2:
        return
    upstream = case.upstream()
    for k, e in enumerate(case.pull(upstream)):
        others = list(map(constant, case.points))

        def alone(x: Array, k: int = k, others: list[Any] = others) -> list[Any]:
            return case.run(*others[:k], x, *others[k + 1 :])

        _, pullback = vjp(alone, case.points[k])
        _same(pullback(upstream)[0], e, f"input {k} alone")


Law = Callable[[Case], None]
LAWS: tuple[Law, ...] = (
    value_is_numpys,
    gradient_is_exact,
    gradient_agrees_with_differences,
    arrays_and_tensors_agree,
    backward_changes_nothing_else,
    gradient_has_its_inputs_dtype,
    gradient_is_linear,
    memory_layout_does_not_matter,
    inputs_are_independent,
)
