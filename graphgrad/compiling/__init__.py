"""gg.compile: a function and its derivative as a flat program of NumPy calls."""
