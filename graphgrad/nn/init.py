"""Initial values of parameters: functions that return plain arrays, and one for a whole model.

Each takes a shape, and by name ``rng``, ``dtype`` and options of its own. ``rng=None`` is the
package's default generator, seeded by ``gg.manual_seed``; those that draw nothing take it too, so
that each can stand for another. A shape is (out, in), or (out, in, height, width) for a
convolution, as ``weight`` is stored: n_in is the product of all lengths but the first, n_out the
first times those after the second. The matrix of ``x @ W`` is the transpose:
``kaiming_normal((out, in)).T``. (A transposed convolution stores (in, out, …), and is taken for the
convolution that it transposes.)
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, NonNegativeFloat, guarded, wrong
from graphgrad.engine.operands import as_array
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.names import answer_for_names as _answer_for_names
from graphgrad.nn.modules.module import Module, Parameter
from graphgrad.pieces import FEW_ARRAYS, spans
from graphgrad.randomness import default_generator
from graphgrad.typing import Array

Shape = tuple[int, ...]
Generator = np.random.Generator


def _drawn_into(out: Array, draw: Callable[[int], Any]) -> Array:
    """Fill an array with draws, piece by piece; the numbers are those of one draw of all.

    NumPy draws in float64: drawn at once, the weight of VGG-16's first affine layer, 392 MiB,
    would need 784 MiB besides.
    """
    flat = out.reshape(-1)
    for piece in spans(flat.size, FEW_ARRAYS // 8):
        flat[piece] = draw(piece.stop - piece.start)
    return out


@guarded
def uniform_parameter(
    shape: Shape, bound: NonNegativeFloat, *, rng: Generator, dtype: DTypeLike
) -> Parameter:
    """Make a parameter, even in ±bound, without a second copy of it: the layers' own default."""
    p = Parameter(np.broadcast_to(np.zeros((), dtype), shape))  # which it copies
    _drawn_into(p.data, lambda count: rng.uniform(-bound, bound, count))
    return p


# --------------------------------------------------------------------------- whatever the fan


@guarded
def zeros(shape: Shape, *, rng: Generator | None = None, dtype: DTypeLike = np.float32) -> Array:  # noqa: ARG001
    """Return zeros: right for biases; units whose weights are all equal stay equal for ever."""
    return np.zeros(shape, dtype)


@guarded
def constant(
    shape: Shape,
    *,
    rng: Generator | None = None,  # noqa: ARG001
    dtype: DTypeLike = np.float32,
    value: float,
) -> Array:
    """Return the same value everywhere."""
    return np.full(shape, value, dtype)


@guarded
def normal(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    mean: float = 0.0,
    std: NonNegativeFloat = 1.0,
) -> Array:
    """Draw from N(mean, std²)."""
    return _normal(shape, std, rng, dtype, mean)


def _normal(
    shape: Shape, std: float, rng: Generator | None, dtype: DTypeLike, mean: float = 0.0
) -> Array:
    generator = default_generator(rng)
    return _drawn_into(
        np.empty(shape, dtype), lambda count: mean + std * generator.standard_normal(count)
    )


@guarded
def uniform(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    low: float = 0.0,
    high: float = 1.0,
) -> Array:
    """Draw evenly from low … high.

    Raises
    ------
    ArgumentError
        If low is above high.
    """
    if low > high:
        raise ArgumentError(f"{CALLED}: low={low} is above high={high}")
    generator = default_generator(rng)
    return _drawn_into(np.empty(shape, dtype), lambda count: generator.uniform(low, high, count))


def _even(shape: Shape, std: float, rng: Generator | None, dtype: DTypeLike) -> Array:
    """Draw evenly about 0, with a standard deviation."""
    bound = math.sqrt(3) * abs(std)
    return uniform(shape, rng=rng, dtype=dtype, low=-bound, high=bound)


# ------------------------------------------------------------------------------- by the fan


@guarded
def fans(shape: Shape) -> tuple[int, int]:
    """Return (n_in, n_out) of a weight: how many inputs a unit sees, and how many units see one.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or a length is 0.
    """
    return _fans(shape)


def _fans(shape: Shape) -> tuple[int, int]:
    if len(shape) < 2 or math.prod(shape) == 0:
        message = f"{CALLED}: shape {shape} has no inputs or no outputs; give (out, in, …)"
        raise ShapeError(message)
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


def _units(shape: Shape, fan: str) -> float:
    """Return the n of the variance 1 / n."""
    n_in, n_out = _fans(shape)
    return {"in": n_in, "out": n_out, "average": (n_in + n_out) / 2}[fan]


def _xavier(shape: Shape, fan: str, gain: float) -> float:
    """Return the standard deviation gain / √n."""
    return gain / math.sqrt(_units(shape, fan))


def _kaiming(shape: Shape, fan: str, negative_slope: float) -> float:
    """Return the standard deviation √(2 / ((1 + a²) n))."""
    return math.sqrt(2 / _units(shape, fan)) / math.hypot(1, negative_slope)


@guarded
def xavier_normal(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    fan: Literal["average", "in", "out"] = "average",
    gain: float = 1.0,
) -> Array:
    """Draw from N(0, gain² · 2 / (n_in + n_out)), or with ``fan="in"`` from N(0, gain² / n_in).

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, equation 16: a compromise between the variances of outputs and of gradients, for units
    that are linear near 0. Caffe, and Saito's book after it, mean the second form by the name.

    Parameters
    ----------
    shape, rng, dtype
        See the module.
    fan
        n: of the inputs, the outputs, or their average.
    gain
        By how much the activation shrinks what it gets; 5/3 is usual for tanh.

    Raises
    ------
    ShapeError
        If the shape has no fan.
    """
    return _normal(shape, _xavier(shape, fan, gain), rng, dtype)


@guarded
def xavier_uniform(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    fan: Literal["average", "in", "out"] = "average",
    gain: float = 1.0,
) -> Array:
    """Draw evenly from ±gain · √(3 / n), with the variance and arguments of `xavier_normal`."""
    return _even(shape, _xavier(shape, fan, gain), rng, dtype)


@guarded
def kaiming_normal(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    fan: Literal["in", "out"] = "in",
    negative_slope: float = 0.0,
) -> Array:
    """Draw from N(0, 2 / n_in), which keeps the variance through ReLU layers.

    He et al., "Delving Deep into Rectifiers", 2015, equations 10 and 15.

    Parameters
    ----------
    shape, rng, dtype
        See the module.
    fan
        "in" keeps the variance of outputs, "out" that of gradients.
    negative_slope
        a of a leaky ReLU: the variance is 2 / ((1 + a²) n).

    Raises
    ------
    ShapeError
        If the shape has no fan.
    """
    return _normal(shape, _kaiming(shape, fan, negative_slope), rng, dtype)


@guarded
def kaiming_uniform(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    fan: Literal["in", "out"] = "in",
    negative_slope: float = 0.0,
) -> Array:
    """Draw evenly from ±√(6 / n_in), with the variance and arguments of `kaiming_normal`."""
    return _even(shape, _kaiming(shape, fan, negative_slope), rng, dtype)


he_normal, he_uniform = kaiming_normal, kaiming_uniform  # the name in Saito's book


@guarded
def lecun_normal(
    shape: Shape, *, rng: Generator | None = None, dtype: DTypeLike = np.float32
) -> Array:
    """Draw from N(0, 1 / n_in), the 1/√n of the CS231n notes; ``xavier_normal(fan="in")`` too.

    LeCun et al., "Efficient BackProp", 1998, equation 16.
    """
    return _normal(shape, _xavier(shape, "in", 1.0), rng, dtype)


@guarded
def lecun_uniform(
    shape: Shape, *, rng: Generator | None = None, dtype: DTypeLike = np.float32
) -> Array:
    """Draw evenly from ±√(3 / n_in), with the variance of `lecun_normal`."""
    return _even(shape, _xavier(shape, "in", 1.0), rng, dtype)


# ------------------------------------------------------------------------ by their structure


@guarded
def sparse(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    nonzero: int = 10,
    std: NonNegativeFloat = 0.01,
) -> Array:
    """Connect each unit with a few of its inputs only, by weights from N(0, std²); the rest are 0.

    Martens, "Deep learning via Hessian-free optimization", 2010, section 5.

    Parameters
    ----------
    shape, rng, dtype
        See the module.
    nonzero
        How many weights each unit gets, drawn anew for each.
    std
        Standard deviation of those.

    Raises
    ------
    ArgumentError
        If a unit has fewer inputs than that.
    ShapeError
        If the shape has no fan.
    """
    n_in, _ = _fans(shape)
    if not 0 < nonzero <= n_in:
        message = f"{CALLED}: nonzero={nonzero}; shape {shape} has {n_in} inputs"
        raise ArgumentError(message)
    generator = default_generator(rng)
    order = np.argsort(generator.random((shape[0], n_in)), axis=1)[:, :nonzero]
    out = np.zeros((shape[0], n_in))
    np.put_along_axis(out, order, std * generator.standard_normal(order.shape), axis=1)
    return out.reshape(shape).astype(dtype)


@guarded
def orthogonal(
    shape: Shape,
    *,
    rng: Generator | None = None,
    dtype: DTypeLike = np.float32,
    gain: float = 1.0,
) -> Array:
    """Draw an (out, n_in) matrix whose rows, or columns if those are fewer, are orthonormal.

    Evenly among all such matrices: Q of the decomposition Q R of a normal one, each column with
    the sign of R's diagonal. Saxe et al., "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2014.

    Parameters
    ----------
    shape, rng, dtype
        See the module.
    gain
        The length of each row (column).

    Raises
    ------
    ShapeError
        If the shape has no fan.
    """
    n_in, _ = _fans(shape)
    size = (max(shape[0], n_in), min(shape[0], n_in))
    q, r = np.linalg.qr(default_generator(rng).standard_normal(size))
    q = q * (gain * np.copysign(1, np.diagonal(r)))
    return (q.T if shape[0] < n_in else q).reshape(shape).astype(dtype)


# ----------------------------------------------------------------------------- a whole model


def _check_classes(kinds: Any) -> None:
    for kind in kinds if isinstance(kinds, tuple) else (kinds,):
        if not isinstance(kind, type):
            raise wrong(CALLED, "kinds", kind, "a class of modules, or a tuple of such")


@guarded
def initialize(
    model: Module,
    function: Callable[..., Any],
    *,
    bias: float | None = 0.0,
    kinds: type[Module] | tuple[type[Module], ...] = Module,
    rng: Generator | None = None,
    **options: Any,
) -> None:
    """Draw all weights of a model anew, each by the fan of its own shape.

    So::

        nn.init.initialize(model, nn.init.kaiming_normal, rng=rng)
        nn.init.initialize(model, nn.init.normal, std=0.01, rng=rng)

    Weights are the parameters of two or more axes that are not called bias; the biases beside them
    become 0. What has a single axis stays, such as the scale of a normalisation, and so does what
    is frozen. Nothing changes unless all arrays could be drawn.

    Parameters
    ----------
    model
        Any module.
    function
        One of this module, or any other: called as ``function(shape, rng=rng, dtype=dtype,
        **options)``.
    bias
        What the biases become; None leaves them.
    kinds
        A class of modules, or several, to which it is limited; the rows of an ``Embedding``, say,
        are added to nothing, and have no fan.
    rng
        None is the package's default generator.
    options
        For the function.

    Raises
    ------
    ShapeError
        If there is no weight, or the function returns another shape.
    """
    _check_classes(kinds)
    generator = default_generator(rng)
    drawn: dict[int, tuple[Parameter, Any]] = {}  # by id: a shared one is drawn once
    for path, module in model.named_modules():
        if not isinstance(module, kinds):
            continue
        own = [(n, p) for n, p in module.members() if isinstance(p, Parameter) and p.requires_grad]
        weights = [(n, p) for n, p in own if p.ndim > 1 and "bias" not in n]
        for name, p in weights:
            if id(p) in drawn:
                continue
            array = as_array(
                function(p.shape, rng=generator, dtype=p.dtype, **options), "initialize"
            )
            if array.shape != p.shape:
                full = f"{path}.{name}".strip(".")
                message = f"initialize: {full} is {p.shape}, the function returned {array.shape}"
                raise ShapeError(message)
            drawn[id(p)] = p, array
        if weights and bias is not None:
            drawn |= {id(p): (p, bias) for name, p in own if "bias" in name}
    if not drawn:
        raise ShapeError(f"initialize: {type(model).__name__} has no weights")
    for p, array in drawn.values():
        p.data[...] = array
        p.data = p.data  # tells a graph that needs the old values


_answer_for_names(__name__)
