"""Formulas of ops and local gradients: a rule is run on symbols and told as mathematics."""
