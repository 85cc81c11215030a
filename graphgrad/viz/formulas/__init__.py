"""Formulas of ops and local gradients: gradient rules run on symbols and written as mathematics."""
