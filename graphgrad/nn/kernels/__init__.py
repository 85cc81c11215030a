"""Blocks of arrays that fit the cache, and the ops that work on them: no checks, no state."""
