"""Checking the gradients of a function, or of a module, against numerical differentiation.

differences.py computes slopes, with bounds of their errors; meeting.py finds the pieces of f that
meet at a point; verdicts.py compares one number with their slopes; taylor.py checks along a random
direction; report.py prints the result.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphgrad.arguments import function, guarded, non_negative, whole
from graphgrad.checks.comparing import Check
from graphgrad.checks.differences import Kind, float64
from graphgrad.checks.inputs import is_floating, listed, names_of
from graphgrad.checks.modules import Twin, is_module
from graphgrad.checks.report import Report
from graphgrad.checks.verdicts import Tolerance
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten
from graphgrad.errors import DtypeError
from graphgrad.randomness import default_generator
from graphgrad.typing import Array

HIGHEST = 8  # order: each takes many times as long as the one below
OF_EACH = 20  # elements of a parameter that are checked by default


@guarded
def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    loss: Callable[..., Any] | None = None,
    order: int = 1,
    rtol: float = 1e-5,
    atol: float | None = None,
    h: Array = None,
    kind: Kind = "central",
    elements: int | None = None,
    fast: bool = False,
    rng: np.random.Generator | None = None,
) -> Report:
    """Compare the gradients of a function or module with numerical differentiation, in float64.

    Each numeric gradient has a bound of its error. A gradient is right if it agrees to ``rtol`` or
    ``atol``, wrong if it differs by several times that bound, and in between the report says that
    it cannot tell. If a step crosses a kink (another branch of relu, max, sort, or Python's
    ``if``), the step shrinks; at a kink itself the gradient is right if it is between the slopes on
    either side. Where several kinks meet, the chain rule may give another number though each rule
    is right, as for ``relu(x) - relu(-x)``: then each is judged alone, and there is no verdict
    unless one is wrong::

        >>> import graphgrad as gg, numpy as np
        >>> gg.gradcheck(lambda x: gg.relu(x) * x, np.array([-1e-6, 1.0]))
        gradcheck: passed
        order  input  shape  worst at  analytic    numeric     error    bound    verdict
        1      x      (2,)   [1]       -1.5395734  -1.5395734  ...

    Outputs of any shape are multiplied by random upstream gradients and summed, and the gradients
    must be linear in those. Order 2 also compares the derivatives of the first-order gradients with
    their differences, with respect to inputs and upstream gradients; and so on.

    In a test write ``gg.gradcheck(f, x).assert_right()``, which fails with the table.

    Parameters
    ----------
    f
        Function of Tensors that returns a Tensor of any shape, or a container of several; or a
        module. Of a module a float64 copy is checked, in all parameters that require a gradient
        and in floating inputs, with the same random numbers in each call.
    inputs
        Arrays, Tensors or numbers, also in nested lists, tuples and dicts. Floating ones are
        differentiated, after promotion to float64; everything else is held constant.
    loss
        For a module: a function of its output, ``lambda scores: …``.
    order
        The highest order of derivative to compare, 1 to 8; each costs a multiple of the last.
    rtol, atol
        An element is right if |a − n| ≤ max(rtol · |a|, rtol · |n|, atol). An atol of None is
        1e-7, or less where the numeric gradient is surer than that.
    h, kind
        Step and kind of difference, as for :func:`numerical_gradient`; default: the step with the
        smallest error.
    elements
        The number of elements of each input to check, drawn at random; default: all for a
        function, 20 of each parameter and input for a module.
    fast
        Check no single elements, only the slope along one random direction: a few calls of f,
        whatever the size.
    rng
        Draws elements, directions and weights; default: a generator with a fixed seed.

    Returns
    -------
    A report, which is true if every gradient is right; print it for a table.

    Raises
    ------
    DtypeError
        If no input is floating, or f returns anything but floating Tensors.
    GraphError
        If f gives different values for the same inputs.
    """
    whole("gradcheck", "order", order, 1, HIGHEST)
    non_negative("gradcheck", "rtol", rtol)
    if atol is not None:
        non_negative("gradcheck", "atol", atol)
    if elements is not None:
        whole("gradcheck", "elements", elements, 1)
    twin = Twin(f, inputs, loss) if is_module(f) else None
    if twin is not None:
        f, inputs, elements = twin, tuple(twin.inputs), elements or OF_EACH
    elif loss is not None:
        function("gradcheck", "loss", loss)
        raise DtypeError("gradcheck: loss= is for modules; compute it in f")
    leaves, rebuild = flatten([listed(x) for x in inputs])
    places = [i for i, x in enumerate(leaves) if is_floating(x)]
    if not places:
        kinds = ", ".join(str(getattr(x, "dtype", type(x).__name__)) for x in leaves) or "none"
        message = (
            f"gradcheck: no input is floating (given: {kinds}); pass 3.0 or x.astype(float) "
            "where a gradient is wanted"
        )
        raise DtypeError(message)
    names = twin.names if twin is not None else names_of(f, inputs)

    def of_variables(*variables: Any) -> list[Any]:
        full = list(leaves)
        for place, variable in zip(places, variables, strict=True):
            full[place] = variable
        return _outputs(f(*rebuild(full)))

    check = Check(
        Tolerance(rtol, atol),
        h,
        kind,
        elements,
        fast,
        np.random.default_rng(0) if rng is None else rng,
    )
    points = [float64(leaves[i], "gradcheck") for i in places]
    with _frozen_generator():
        checked = of_variables if twin is not None else _rewinding(of_variables)
        check.run(checked, points, [names[i] for i in places], order)
    notes = [*check.notes, *(twin.notes if twin is not None else [])]
    return Report(tuple(check.comparisons), tuple(notes), check.taylor)


@contextlib.contextmanager
def _frozen_generator() -> Iterator[None]:
    """Restore the default generator after f has drawn from it."""
    generator = default_generator().bit_generator
    before = generator.state
    try:
        yield
    finally:
        generator.state = before


def _rewinding(f: Callable[..., Any]) -> Callable[..., Any]:
    """Rewind the default generator before each call of f."""
    generator = default_generator().bit_generator
    state = generator.state

    def rewound(*variables: Any) -> Any:
        generator.state = state
        return f(*variables)

    return rewound


def _outputs(result: Any) -> list[Any]:
    """Return the Tensors in the result of f; raise DtypeError for anything else."""
    outs, _ = flatten(result)
    if not outs:
        raise DtypeError("gradcheck: f returned nothing that could be differentiated")
    for y in outs:
        if not isinstance(y, Tensor):
            message = (
                f"gradcheck: f returned {type(y).__name__} instead of a Tensor; compute it from "
                "the inputs by NumPy's or gg's functions, without .numpy() or .item()"
            )
            raise DtypeError(message)
        if y.dtype.kind != "f":
            message = (
                f"gradcheck: f returned a Tensor of dtype {y.dtype}, which has no gradient; "
                "return floating outputs only"
            )
            raise DtypeError(message)
    return outs
