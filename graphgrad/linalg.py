"""``gg.linalg``: what ``np.linalg`` has, for Tensors. All but the norms work on stacks of matrices.

The same ops as ``np.linalg.<name>(tensor)``, with types that take a Tensor.
"""

from numpy.linalg import matrix_rank as matrix_rank

from graphgrad.ops.decompositions import cholesky as cholesky
from graphgrad.ops.decompositions import eigh as eigh
from graphgrad.ops.decompositions import eigvalsh as eigvalsh
from graphgrad.ops.decompositions import qr as qr
from graphgrad.ops.decompositions import svd as svd
from graphgrad.ops.decompositions import svdvals as svdvals
from graphgrad.ops.determinants import det as det
from graphgrad.ops.determinants import slogdet as slogdet
from graphgrad.ops.diagonals import matrix_diagonal as diagonal
from graphgrad.ops.diagonals import matrix_trace as trace
from graphgrad.ops.linalg import inv as inv
from graphgrad.ops.linalg import matrix_power as matrix_power
from graphgrad.ops.linalg import multi_dot as multi_dot
from graphgrad.ops.linalg import pinv as pinv
from graphgrad.ops.linalg import solve as solve
from graphgrad.ops.linalg import vector_cross as cross
from graphgrad.ops.linalg import vector_outer as outer
from graphgrad.ops.norms import cond as cond
from graphgrad.ops.norms import matrix_norm as matrix_norm
from graphgrad.ops.norms import norm as norm
from graphgrad.ops.norms import vector_norm as vector_norm
from graphgrad.ops.products import matmul as matmul
from graphgrad.ops.products import tensordot as tensordot
from graphgrad.ops.products import vecdot as vecdot
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
