"""Functions of a network: an output and its gradient, no state."""

from graphgrad.nn.functional.convolution import (
    conv1d as conv1d,
    conv2d as conv2d,
    conv_transpose1d as conv_transpose1d,
    conv_transpose2d as conv_transpose2d,
)
from graphgrad.nn.functional.losses import cross_entropy as cross_entropy
from graphgrad.nn.functional.normalization import (
    batch_norm as batch_norm,
    group_norm as group_norm,
    layer_norm as layer_norm,
)
from graphgrad.nn.functional.projections import affine as affine, linear as linear
from graphgrad.nn.functional.response import local_response_norm as local_response_norm
