"""Functions of a network: an output and its gradient, no state."""

from graphgrad.nn.functional.losses import cross_entropy as cross_entropy
from graphgrad.nn.functional.projections import affine as affine, linear as linear
