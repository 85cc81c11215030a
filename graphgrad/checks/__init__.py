"""Gradient checks: numerical differentiation, and properties that every op has."""
