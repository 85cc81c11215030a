"""Elementwise ops: NumPy's floating-point ufuncs and a few that NumPy lacks.

At a kink the gradient is the subgradient of smallest norm; at a one-sided singularity it
is the limit. Rules never branch on values in Python: `np.where` does.
"""

import operator
from typing import Any

import numpy as np

from graphgrad.registry import Op, TABLE, composed, elementwise, op
from graphgrad.tensor import Tensor

LN2 = float(np.log(2.0))
LN10 = float(np.log(10.0))
REAL = elementwise((-3.0, 3.0))
PAIR = elementwise((-3.0, 3.0), (-3.0, 3.0))
POSITIVE = elementwise((0.2, 4.0))
STEPS = elementwise((-3.4, 3.4), avoid=(-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3))

Elementary = Op[Tensor]

# ---------------------------------------------------------------------------- arithmetic

add: Elementary = op(
    np.add,
    lambda g: g,
    lambda g: g,
    forward=operator.add,
    symbol="+",
    domain=PAIR,
    doc="x + y. Gradients: g and g.",
)
subtract: Elementary = op(
    np.subtract,
    lambda g: g,
    lambda g: -g,
    forward=operator.sub,
    symbol="−",
    domain=PAIR,
    doc="x − y. Gradients: g and −g.",
)
multiply: Elementary = op(
    np.multiply,
    lambda g, y: g * y,
    lambda g, x: g * x,
    forward=operator.mul,
    symbol="×",
    domain=PAIR,
    doc="x · y. Gradients: g · y and g · x.",
)
divide: Elementary = op(
    np.divide,
    lambda g, y: g / y,
    lambda g, y, out: -g * out / y,
    forward=operator.truediv,
    symbol="÷",
    domain=elementwise((-3.0, 3.0), (0.3, 3.0)),
    doc="x / y. Gradients: g / y and −g · x / y².",
)
negative: Elementary = op(
    np.negative,
    lambda g: -g,
    forward=operator.neg,
    symbol="−",
    domain=REAL,
    doc="−x. Gradient: −g.",
)
