"""Functions of a network: an output and its gradient, no state."""

from graphgrad.names import install_getattr as _install_getattr
from graphgrad.nn.functional.activations import (
    elu as elu,
    hardtanh as hardtanh,
    identity as identity,
    leaky_relu as leaky_relu,
    log_softmax as log_softmax,
    logsigmoid as logsigmoid,
    maxout as maxout,
    prelu as prelu,
    relu as relu,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    softmax as softmax,
    softplus as softplus,
    step as step,
    tanh as tanh,
)
from graphgrad.nn.functional.attention import (
    attention_weights as attention_weights,
    causal_mask as causal_mask,
    scaled_dot_product_attention as scaled_dot_product_attention,
    sinusoidal_positions as sinusoidal_positions,
)
from graphgrad.nn.functional.convolution import (
    conv1d as conv1d,
    conv2d as conv2d,
    conv_transpose1d as conv_transpose1d,
    conv_transpose2d as conv_transpose2d,
)
from graphgrad.nn.functional.dropouts import (
    dropout as dropout,
    dropout2d as dropout2d,
    vanilla_dropout as vanilla_dropout,
)
from graphgrad.nn.functional.embeddings import embedding as embedding
from graphgrad.nn.functional.linear_units import gelu as gelu, silu as silu
from graphgrad.nn.functional.local import locally_connected2d as locally_connected2d
from graphgrad.nn.functional.losses.classification import (
    cross_entropy as cross_entropy,
    nll_loss as nll_loss,
)
from graphgrad.nn.functional.losses.distributions import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    kl_div as kl_div,
)
from graphgrad.nn.functional.losses.margins import (
    attribute_hinge_loss as attribute_hinge_loss,
    hinge_loss as hinge_loss,
    multi_margin_loss as multi_margin_loss,
)
from graphgrad.nn.functional.losses.regression import (
    half_squared_error as half_squared_error,
    huber_loss as huber_loss,
    l1_loss as l1_loss,
    mse_loss as mse_loss,
)
from graphgrad.nn.functional.matrix_products import affine as affine, linear as linear
from graphgrad.nn.functional.normalization import (
    batch_norm as batch_norm,
    group_norm as group_norm,
    layer_norm as layer_norm,
)
from graphgrad.nn.functional.pooling import (
    adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_max_pool2d as adaptive_max_pool2d,
    avg_pool1d as avg_pool1d,
    avg_pool2d as avg_pool2d,
    global_avg_pool2d as global_avg_pool2d,
    global_max_pool2d as global_max_pool2d,
    lp_pool2d as lp_pool2d,
    max_pool1d as max_pool1d,
    max_pool2d as max_pool2d,
)
from graphgrad.nn.functional.recurrence import (
    gru_layer as gru_layer,
    lstm_layer as lstm_layer,
    rnn_layer as rnn_layer,
)
from graphgrad.nn.functional.response_norm import local_response_norm as local_response_norm
from graphgrad.nn.functional.windows import col2im as col2im, im2col as im2col

_install_getattr(__name__)
