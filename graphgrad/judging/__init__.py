"""Judging a training: what is usual, and what a history tells, for words and pictures alike."""
