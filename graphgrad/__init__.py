"""graphgrad: NumPy, differentiated, and visible.

Write ordinary NumPy on a :class:`Tensor`; the engine records it as a graph; ``backward()``
sends gradients through it by the chain rule; ``gg.graph(t)`` draws it.

The import lets glibc keep up to 64 MiB of freed memory for the next arrays, which makes large ones
several times faster; ``GRAPHGRAD_TUNE_PROCESS=0`` in the environment prevents it.
"""

from typing import TYPE_CHECKING

from graphgrad import errors as errors, linalg as linalg
from graphgrad.engine.anomaly import detect_anomaly as detect_anomaly
from graphgrad.engine.op import op as op
from graphgrad.engine.recompute import recompute as recompute
from graphgrad.engine.recording import (
    enable_grad as enable_grad,
    is_grad_enabled as is_grad_enabled,
    no_grad as no_grad,
)
from graphgrad.engine.tensor import Tensor as Tensor
from graphgrad.engine.transforms import (
    grad as grad,
    gradients as gradients,
    hessian as hessian,
    hvp as hvp,
    jacobian as jacobian,
    jvp as jvp,
    value_and_grad as value_and_grad,
    vjp as vjp,
)
from graphgrad.names import install_getattr as _install_getattr
from graphgrad.ops.choice import (
    nan_to_num as nan_to_num,
    select as select,
    where as where,
)
from graphgrad.ops.diagonals import (
    diag as diag,
    diagflat as diagflat,
    diagonal as diagonal,
    trace as trace,
    tril as tril,
    triu as triu,
)
from graphgrad.ops.einstein import (
    einsum as einsum,
)
from graphgrad.ops.elementwise import (
    add as add,
    astype as astype,
    cbrt as cbrt,
    conj as conj,
    conjugate as conjugate,
    copy as copy,
    deg2rad as deg2rad,
    degrees as degrees,
    divide as divide,
    float_power as float_power,
    fmod as fmod,
    hypot as hypot,
    ldexp as ldexp,
    mod as mod,
    multiply as multiply,
    negative as negative,
    positive as positive,
    pow as pow,
    power as power,
    rad2deg as rad2deg,
    radians as radians,
    real as real,
    reciprocal as reciprocal,
    remainder as remainder,
    sqrt as sqrt,
    square as square,
    subtract as subtract,
    true_divide as true_divide,
)
from graphgrad.ops.gaussian import (
    erf as erf,
    erfc as erfc,
)
from graphgrad.ops.index import (
    take as take,
    take_along_axis as take_along_axis,
)
from graphgrad.ops.join import (
    append as append,
    array_split as array_split,
    block as block,
    column_stack as column_stack,
    concat as concat,
    concatenate as concatenate,
    delete as delete,
    dsplit as dsplit,
    dstack as dstack,
    hsplit as hsplit,
    hstack as hstack,
    insert as insert,
    repeat as repeat,
    split as split,
    stack as stack,
    tile as tile,
    unstack as unstack,
    vsplit as vsplit,
    vstack as vstack,
)
from graphgrad.ops.likelihood import (
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    softmax as softmax,
)
from graphgrad.ops.lookup import (
    bincount as bincount,
    choose as choose,
    compress as compress,
    extract as extract,
    histogram as histogram,
    interp as interp,
    unique as unique,
    unique_all as unique_all,
    unique_counts as unique_counts,
    unique_inverse as unique_inverse,
    unique_values as unique_values,
)
from graphgrad.ops.nan import (
    nanmax as nanmax,
    nanmean as nanmean,
    nanmin as nanmin,
    nanprod as nanprod,
    nanstd as nanstd,
    nansum as nansum,
    nanvar as nanvar,
)
from graphgrad.ops.order import (
    median as median,
    percentile as percentile,
    quantile as quantile,
    sort as sort,
)
from graphgrad.ops.piecewise import (
    abs as abs,
    absolute as absolute,
    around as around,
    ceil as ceil,
    clip as clip,
    copysign as copysign,
    divmod as divmod,
    fabs as fabs,
    fix as fix,
    floor as floor,
    floor_divide as floor_divide,
    fmax as fmax,
    fmin as fmin,
    frexp as frexp,
    heaviside as heaviside,
    maximum as maximum,
    minimum as minimum,
    modf as modf,
    nextafter as nextafter,
    relu as relu,
    rint as rint,
    round as round,
    sign as sign,
    spacing as spacing,
    trunc as trunc,
)
from graphgrad.ops.plain import argmax as argmax, argmin as argmin, argsort as argsort
from graphgrad.ops.products import (
    cross as cross,
    dot as dot,
    inner as inner,
    kron as kron,
    matmul as matmul,
    matvec as matvec,
    outer as outer,
    tensordot as tensordot,
    vdot as vdot,
    vecdot as vecdot,
    vecmat as vecmat,
)
from graphgrad.ops.reduce import (
    amax as amax,
    amin as amin,
    average as average,
    max as max,
    mean as mean,
    min as min,
    prod as prod,
    ptp as ptp,
    std as std,
    sum as sum,
    var as var,
)
from graphgrad.ops.scan import (
    cumprod as cumprod,
    cumsum as cumsum,
    cumulative_prod as cumulative_prod,
    cumulative_sum as cumulative_sum,
    diff as diff,
    ediff1d as ediff1d,
    gradient as gradient,
    nancumprod as nancumprod,
    nancumsum as nancumsum,
    trapezoid as trapezoid,
)
from graphgrad.ops.shape import (
    atleast_1d as atleast_1d,
    atleast_2d as atleast_2d,
    atleast_3d as atleast_3d,
    broadcast_arrays as broadcast_arrays,
    broadcast_to as broadcast_to,
    expand_dims as expand_dims,
    flip as flip,
    fliplr as fliplr,
    flipud as flipud,
    full_like as full_like,
    matrix_transpose as matrix_transpose,
    meshgrid as meshgrid,
    moveaxis as moveaxis,
    permute_dims as permute_dims,
    ravel as ravel,
    reshape as reshape,
    roll as roll,
    rollaxis as rollaxis,
    rot90 as rot90,
    squeeze as squeeze,
    swapaxes as swapaxes,
    transpose as transpose,
)
from graphgrad.ops.transcendental import (
    acos as acos,
    acosh as acosh,
    arccos as arccos,
    arccosh as arccosh,
    arcsin as arcsin,
    arcsinh as arcsinh,
    arctan as arctan,
    arctan2 as arctan2,
    arctanh as arctanh,
    asin as asin,
    asinh as asinh,
    atan as atan,
    atan2 as atan2,
    atanh as atanh,
    cos as cos,
    cosh as cosh,
    exp as exp,
    exp2 as exp2,
    expm1 as expm1,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    logaddexp as logaddexp,
    logaddexp2 as logaddexp2,
    logsigmoid as logsigmoid,
    sigmoid as sigmoid,
    sin as sin,
    sinc as sinc,
    sinh as sinh,
    softplus as softplus,
    tan as tan,
    tanh as tanh,
)
from graphgrad.ops.window import (
    pad as pad,
    sliding_window_view as sliding_window_view,
)
from graphgrad.process import keep_freed_memory as _keep_freed_memory
from graphgrad.randomness import manual_seed as manual_seed
from graphgrad.reprs import public as _public
from graphgrad.version import __version__ as __version__

_keep_freed_memory()

if TYPE_CHECKING:
    from graphgrad import data as data, nn as nn, optim as optim, testing as testing, viz as viz
    from graphgrad.checks.differences import numerical_gradient as numerical_gradient
    from graphgrad.checks.explaining import explain_grad as explain_grad
    from graphgrad.checks.gradcheck import gradcheck as gradcheck
    from graphgrad.compiling.compiled import compile as compile
    from graphgrad.viz import graph as graph

_ON_FIRST_USE = {
    "compile": "graphgrad.compiling.compiled",
    "data": "graphgrad.data",
    "explain_grad": "graphgrad.checks.explaining",
    "gradcheck": "graphgrad.checks.gradcheck",
    "graph": "graphgrad.viz",
    "nn": "graphgrad.nn",
    "numerical_gradient": "graphgrad.checks.differences",
    "optim": "graphgrad.optim",
    "testing": "graphgrad.testing",
    "viz": "graphgrad.viz",
}
_install_getattr(__name__, _ON_FIRST_USE)


def __dir__() -> list[str]:
    """List the public names, loaded or not, for Tab completion and help()."""
    import importlib.util

    late = set(_ON_FIRST_USE)
    if importlib.util.find_spec("hypothesis") is None:
        late.remove("testing")  # it cannot be loaded, and help(gg) loads every name
    return _public(__name__, "__version__", "errors", "linalg", *late)
