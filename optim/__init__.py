"""Optimizers on graphgrad: so far stochastic gradient descent."""

if __name__ != "graphgrad.optim":
    raise ImportError(
        f"this folder is the package graphgrad.optim, imported as {__name__!r}: a second copy of "
        "it would have classes of its own; write `from graphgrad import optim`"
    )

from graphgrad.optim.sgd import SGD as SGD
