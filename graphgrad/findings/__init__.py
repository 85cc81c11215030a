"""Findings: unusual things in a training run, as sentences and for pictures; pure functions."""
