"""L-BFGS: Newton's direction from the last few steps and what they did to the gradient."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from graphgrad.arguments import Check, choice, non_negative, whole
from graphgrad.engine.recording import outside_traces
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import GraphError
from graphgrad.optim.closures import Closure, ClosureOptimizer, flat, number, place
from graphgrad.optim.optimizer import CHECKS, Groups, Params
from graphgrad.typing import Array


def _search(who: str, what: str, value: Any) -> None:
    if value is not None:
        choice(who, what, value, ("strong_wolfe",))


_at_least_one = functools.partial(whole, least=1)
NUMBERS = {"n_iter": int, "func_evals": int, "t": float, "scale": float}
VECTORS = {"direction", "gradient"}
HISTORIES = {"changes", "steps"}
LEAST_CURVATURE = 1e-10  # y·s of at most this says nothing about the Hessian


# --------------------------------------------------------------------------- line search

SUFFICIENT, CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the Wolfe conditions


class Point(NamedTuple):
    """What is known at the distance t along the direction."""

    t: float
    loss: float
    slope: float
    gradient: Any


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Return where the cubic through two values and slopes is least, between bounds.

    Nocedal and Wright, Numerical Optimization (2006), equation 3.59. Where there is no such
    place, the middle.
    """
    if a.t > b.t:
        a, b = b, a
    low, high = bounds or (a.t, b.t)
    if a.t == b.t or not math.isfinite(a.loss + b.loss + a.slope + b.slope):
        return (low + high) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    rise = b.slope - a.slope + 2 * d2
    if rise == 0:
        return (low + high) / 2
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / rise)
    return min(max(t, low), high)


class Search:
    """A search for a point with much less loss and a much smaller slope: the Wolfe conditions.

    Nocedal and Wright, algorithms 3.5 (bracket) and 3.6 (zoom), with the safeguards of PyTorch:
    within 10 % of an end of the bracket twice, and the place is moved 10 % inward. ``width`` is
    the largest element of the direction.
    """

    def __init__(
        self,
        at: Callable[[float], Point],
        start: Point,
        width: float,
        tolerance: float,
        most: int,
    ) -> None:
        self.at, self.start, self.width, self.tolerance = at, start, width, tolerance
        self.most = most
        self.tried = 0

    def run(self, t: float) -> Point:
        """Return the point, searching from the distance t: first go on until it is bracketed."""
        before, p = self.start, self.try_at(t)
        while self.tried <= self.most and not self.has_risen(before, p):
            if self.flat_enough(p):
                return p
            if p.slope >= 0:
                break
            beyond = p.t + 0.01 * (p.t - before.t), p.t * 10
            before, p = p, self.try_at(cubic_minimum(before, p, beyond))
        if self.tried > self.most:
            before = self.start
        return self.zoom(*lower_first(before, p))

    def try_at(self, t: float) -> Point:
        """Compute and count."""
        self.tried += 1
        return self.at(t)

    def has_risen(self, before: Point, p: Point) -> bool:
        """Whether the least loss lies behind the point; the first two may rise a little."""
        return self.too_high(p) or (self.tried > 2 and p.loss >= before.loss)

    def too_high(self, p: Point) -> bool:
        """Whether the first Wolfe condition fails; NaN is too high."""
        return not p.loss <= self.start.loss + SUFFICIENT * p.t * self.start.slope

    def flat_enough(self, p: Point) -> bool:
        """Whether the second one holds."""
        return abs(p.slope) <= -CURVATURE * self.start.slope

    def zoom(self, low: Point, high: Point) -> Point:
        """Shrink the bracket between the lower end and the other."""
        was_near = False
        while self.tried <= self.most and abs(high.t - low.t) * self.width >= self.tolerance:
            t, was_near = self.inside(low, high, was_near=was_near)
            p = self.try_at(t)
            if self.too_high(p) or p.loss >= low.loss:
                low, high = lower_first(low, p)
                continue
            if self.flat_enough(p):
                return p
            if p.slope * (high.t - low.t) >= 0:
                high = low
            low = p
        return low

    def inside(self, low: Point, high: Point, *, was_near: bool) -> tuple[float, bool]:
        """Choose a place in the bracket; also say whether it is near an end."""
        t = cubic_minimum(low, high)
        left, right = sorted((low.t, high.t))
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (was_near or t >= right or t <= left):
            return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
        return t, near


def lower_first(a: Point, b: Point) -> tuple[Point, Point]:
    """Put the point with the lower loss first."""
    return (a, b) if a.loss <= b.loss or math.isnan(b.loss) else (b, a)


# ----------------------------------------------------------------------------- the optimizer


class LBFGS(ClosureOptimizer):
    r"""L-BFGS: w ← w − t H g, where H, near the inverse Hessian, comes from the last steps.

    With s = w_new − w, y = g_new − g of the last ``history_size`` steps, H g is computed by the
    two loops over them, from H₀ = (s·y / y·y) I; a pair with y·s ≤ 1e-10 is left out. Nocedal
    and Wright, Numerical Optimization (2006), algorithms 7.4 and 7.5. The first direction is
    −g, t = lr · min(1, 1 / ‖g‖₁); then t = lr, or what the line search finds from there.
    The gradient should be that of all data: noise between two batches looks like curvature.

    Parameters
    ----------
    params
        Tensors to learn, in one group: see :class:`Optimizer`.
    lr
        The length t of a step, of which 1 is Newton's.
    max_iter, max_eval
        Steps, and computations of the loss, in one call of `step`; 5/4 max_iter if None.
    tolerance_grad, tolerance_change
        It stops where no element of the gradient, or no change of w or the loss, is larger.
    history_size
        How many steps are remembered: two vectors each.
    line_search_fn
        None, or ``"strong_wolfe"``.

    Raises
    ------
    GraphError
        If there are several groups, or a parameter is no leaf that requires a gradient.
    ArgumentError
        If an option is out of range.
    """

    checks: ClassVar[Mapping[str, Check]] = {
        **CHECKS,
        "max_iter": _at_least_one,
        "max_eval": _at_least_one,
        "tolerance_grad": non_negative,
        "tolerance_change": non_negative,
        "history_size": _at_least_one,
        "line_search_fn": _search,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None and isinstance(max_iter, int):
            max_eval = max(1, max_iter * 5 // 4)
        self._memory: dict[str, Any] = {}
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )

    @outside_traces
    def step(self, closure: Closure | None = None) -> Any:
        """Do up to ``max_iter`` steps; return the loss before the first one.

        Parameters
        ----------
        closure
            Clears the gradients, computes the loss, calls its ``backward()`` and returns it.

        Raises
        ------
        GraphError
            If it leaves no gradient; nothing was changed.
        ShapeError
            If what it returns is not one number.
        ArgumentError
            If an option is out of range by now.
        """
        options, params = self._options, self._learning()
        first = self._loss(closure)
        gradient = self._gradient(params)
        loss = number(first)
        memory = dict(self._memory)
        evals = 1
        for i in range(1, options["max_iter"] + 1):
            if np.max(np.abs(gradient)) <= options["tolerance_grad"]:
                break
            direction = self._remember(memory, gradient, options["history_size"])
            slope = float(gradient @ direction)
            memory["n_iter"] = memory.get("n_iter", 0) + 1
            memory["direction"], memory["gradient"] = direction, gradient
            t = options["lr"]
            if memory["n_iter"] == 1:
                t *= min(1.0, 1 / float(np.sum(np.abs(gradient))))
            memory["t"] = t
            if slope > -options["tolerance_change"]:
                break
            most = options["max_eval"] - evals
            last = i == options["max_iter"]
            start = Point(0.0, loss, slope, gradient)
            point, tried = self._advance(params, closure, direction, start, t, most=most, last=last)
            memory["t"], loss, gradient = point.t, point.loss, point.gradient
            evals += tried
            if last or evals >= options["max_eval"]:
                break
            if np.max(np.abs(point.t * direction)) <= options["tolerance_change"]:
                break
            if abs(loss - start.loss) < options["tolerance_change"]:
                break
        memory["func_evals"] = memory.get("func_evals", 0) + evals
        self._memory = memory
        return first

    def _advance(
        self,
        params: list[Tensor],
        closure: Closure | None,
        direction: Any,
        start: Point,
        t: float,
        *,
        most: int,
        last: bool,
    ) -> tuple[Point, int]:
        """Move the parameters along the direction; say where to, and how often that was tried.

        If the closure fails, they are where they were.
        """
        options = self._options
        x = flat([p.data for p in params])

        def at(t: float) -> Point:
            place(params, x + t * direction)
            loss = number(self._loss(closure))
            gradient = self._gradient(params)
            return Point(t, loss, float(gradient @ direction), gradient)

        try:
            if options["line_search_fn"] is None:
                if not last:  # the last gradient would not be used: the next call asks again
                    return at(t), 1
                place(params, x + t * direction)
                return start._replace(t=t), 0
            width = float(np.max(np.abs(direction)))
            search = Search(at, start, width, options["tolerance_change"], most)
            point = search.run(t)
            place(params, x + point.t * direction)
        except BaseException:
            place(params, x)
            raise
        return point, search.tried

    def _remember(self, memory: dict[str, Any], gradient: Any, size: int) -> Any:
        """Take the last step into the history, and return the next direction, −H g."""
        if not memory.get("n_iter"):
            memory.update(steps=[], changes=[], scale=1.0)
            return -gradient
        s, y = memory["t"] * memory["direction"], gradient - memory["gradient"]
        curvature = float(y @ s)
        if curvature > LEAST_CURVATURE:
            memory["steps"] = [*memory["steps"], s][-size:]
            memory["changes"] = [*memory["changes"], y][-size:]
            memory["scale"] = curvature / float(y @ y)
        history = zip(memory["steps"], memory["changes"], strict=True)
        pairs = [(s, y, 1 / float(y @ s)) for s, y in history]
        q, shares = -gradient, []
        for s, y, weight in reversed(pairs):
            share = float(s @ q) * weight
            shares.append(share)
            q = q - share * y
        q = memory["scale"] * q
        for (s, y, weight), share in zip(pairs, reversed(shares), strict=True):
            q = q + (share - float(y @ q) * weight) * s
        return q

    def _gradient(self, params: list[Tensor]) -> Array:
        """Return the gradient as a vector, zero where there is none."""
        gs = [p.grad for p in params]
        if all(g is None for g in gs):
            message = f"{self._name}: no parameter has a gradient; call backward() in the closure"
            raise GraphError(message)
        pairs = zip(params, gs, strict=True)
        return flat([np.zeros(p.shape, p.dtype) if g is None else g for p, g in pairs])

    # ------------------------------------------------------------------ saving and loading

    def _saved_state(self, *, copy: bool) -> Any:
        saved = dict(self._memory)
        if copy and "steps" in saved:
            for name in VECTORS:
                saved[name] = saved[name].copy()
            for name in HISTORIES:
                saved[name] = [v.copy() for v in saved[name]]
        return saved

    def _state_differences(self, groups: Groups, saved: Any) -> list[str]:  # noqa: ARG002
        if not isinstance(saved, Mapping):
            return ["the state is no dict"]
        started = NUMBERS.keys() | VECTORS | HISTORIES
        if saved.keys() not in (set(), {"func_evals"}, started):
            return [f"the state has {sorted(saved)}, not {sorted(started)}"]
        if saved.keys() != started:
            return []
        size = sum(p.size for p in self.params)
        found = [
            f"{name} {np.shape(saved[name])} is not ({size},)"
            for name in sorted(VECTORS)
            if np.shape(saved[name]) != (size,)
        ]
        shapes = {name: [np.shape(v) for v in saved[name]] for name in sorted(HISTORIES)}
        for name, given in shapes.items():
            if any(shape != (size,) for shape in given):
                found.append(f"{name} are of {given}, not of ({size},) each")
        if len({len(given) for given in shapes.values()}) > 1:
            found.append("steps and changes differ in number")
        return found

    def _load_state(self, saved: Any, *, copy: bool) -> None:
        if not saved.keys() >= VECTORS:
            self._memory = dict(saved)
            return
        dtype = flat([p.data for p in self.params]).dtype

        def vector(v: Array) -> Array:
            return np.array(v, dtype, copy=copy or None)

        self._memory = {
            **{name: kind(saved[name]) for name, kind in NUMBERS.items()},
            **{name: vector(saved[name]) for name in VECTORS},
            **{name: [vector(v) for v in saved[name]] for name in HISTORIES},
        }
