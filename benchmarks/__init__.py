"""How fast graphgrad is, as ratios to others timed in the same run: `python -m benchmarks`."""
