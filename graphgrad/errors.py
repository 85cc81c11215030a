"""The exceptions of graphgrad: one small family, each also the built-in kind that fits.

A message names the op and, where they help, shapes, dtypes and a remedy; the line of the
user's code that was running comes by itself.
"""

import numpy as np

from graphgrad.engine.source import here


class GraphgradError(Exception):
    """Anything that graphgrad refuses or finds wrong.

    Attributes
    ----------
    line
        The user's line that was running, as ``file.py:18``; None where there was none.
    """

    def __init__(self, *args: object) -> None:
        """Take the message, and see which line of the user's is running."""
        super().__init__(*args)
        self.line = here()

    @property
    def message(self) -> str:
        """The message without the line, to be part of another one."""
        return super().__str__()

    def __str__(self) -> str:
        """End the message with the line."""
        return self.message if self.line is None else f"{self.message} (at {self.line})"


class ShapeError(GraphgradError, ValueError):
    """Shapes, or numbers of things, that do not fit together."""


class ArgumentError(GraphgradError, ValueError):
    """A value that an argument cannot have: a negative rate, an unknown mode, a name twice."""


class DtypeError(GraphgradError, TypeError):
    """A dtype or kind of object that cannot be recorded or differentiated."""


class NameMissingError(GraphgradError, AttributeError):
    """A name that is not there; the message says the nearest, or the NumPy way."""


class IndexingError(GraphgradError, IndexError):
    """An index outside the array, or of the wrong kind."""


class LinalgError(GraphgradError, np.linalg.LinAlgError):
    """A matrix that the requested decomposition or solution does not exist for."""


class GraphError(GraphgradError, RuntimeError):
    """A graph that cannot be differentiated: none there, freed, or changed since."""


class UnsupportedError(GraphgradError, TypeError):
    """A NumPy function or argument that has no rule here."""


class PictureError(GraphgradError, RuntimeError):
    """A picture that cannot be drawn or written."""


class FileFormatError(GraphgradError, ValueError):
    """A file that is damaged, or not of the kind that was asked for."""


class DownloadError(GraphgradError, OSError):
    """A published file that is not there and cannot be had, or is another one."""


class StorageError(GraphgradError, OSError):
    """A folder or file that cannot be written."""


class SearchError(GraphgradError, RuntimeError):
    """A search that found nothing, or that cannot run where it was asked to."""


class NonFiniteError(GraphgradError, FloatingPointError):
    """A NaN caught by ``detect_anomaly()``, or a NaN or infinity in a training run."""


def translate(error: Exception) -> type[GraphgradError] | None:
    """Return the family member that stands for an exception NumPy raised, if any."""
    if isinstance(error, np.linalg.LinAlgError):
        return LinalgError
    if isinstance(error, ValueError):
        return ShapeError
    if isinstance(error, OverflowError):  # a whole number that no integer of C holds
        return ArgumentError
    if isinstance(error, IndexError):
        return IndexingError
    return DtypeError if isinstance(error, TypeError) else None
