"""Every op, grouped by kind. Each is declared once, in its module."""

from graphgrad.ops.index import getitem as getitem
from graphgrad.ops.index import scatter as scatter
from graphgrad.ops.index import setitem as setitem
from graphgrad.ops.products import matmul as matmul
from graphgrad.ops.shape import broadcast_to as broadcast_to
from graphgrad.ops.shape import expand_dims as expand_dims
from graphgrad.ops.shape import ravel as ravel
from graphgrad.ops.shape import reshape as reshape
from graphgrad.ops.shape import swapaxes as swapaxes
from graphgrad.ops.shape import transpose as transpose
