"""Checking gradients: against numerical differentiation, and by the laws of every op."""
