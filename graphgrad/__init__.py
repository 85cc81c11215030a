"""graphgrad: NumPy, differentiated, and visible."""

__version__ = "0.1.0"
