"""Comparisons with PyTorch: `make parity` runs them, `make test` never does."""
