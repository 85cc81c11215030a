"""``gg.linalg``: what ``np.linalg`` has, for Tensors. All but the norms work on stacks of matrices.

The same ops as ``np.linalg.<name>(tensor)``, with types that take a Tensor.
"""

from numpy.linalg import matrix_rank as matrix_rank

from graphgrad.names import install_getattr as _install_getattr
from graphgrad.ops.decompositions import (
    cholesky as cholesky,
    eigh as eigh,
    eigvalsh as eigvalsh,
    qr as qr,
    svd as svd,
    svdvals as svdvals,
)
from graphgrad.ops.determinants import det as det, slogdet as slogdet
from graphgrad.ops.diagonals import matrix_diagonal as diagonal, matrix_trace as trace
from graphgrad.ops.linalg import (
    inv as inv,
    matrix_power as matrix_power,
    multi_dot as multi_dot,
    pinv as pinv,
    solve as solve,
    vector_cross as cross,
    vector_outer as outer,
)
from graphgrad.ops.norms import (
    cond as cond,
    matrix_norm as matrix_norm,
    norm as norm,
    vector_norm as vector_norm,
)
from graphgrad.ops.products import matmul as matmul, tensordot as tensordot, vecdot as vecdot
from graphgrad.ops.shape import matrix_transpose as matrix_transpose

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

_install_getattr(__name__)
