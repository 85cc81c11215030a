"""Neural networks on graphgrad: so far functions of a network and initial values."""

if __name__ != "graphgrad.nn":
    raise ImportError(
        f"this folder is the package graphgrad.nn, imported as {__name__!r}: a second copy of it "
        "would have classes of its own; write `from graphgrad import nn`"
    )

from graphgrad.nn import functional as functional, init as init
