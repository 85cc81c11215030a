"""The exceptions of graphgrad, each also a built-in exception.

A message names the op and, if useful, shapes, dtypes and a remedy; the base class adds the line of
user code that was running.
"""

import numpy as np

from graphgrad.engine.source import here


class GraphgradError(Exception):
    """The base class of graphgrad's errors.

    Attributes
    ----------
    line
        The user's line that was running, as ``file.py:18``; None if there was none.
    """

    def __init__(self, *args: object) -> None:
        """Take the message, and find the user's line that is running."""
        super().__init__(*args)
        self.line = here()

    @property
    def message(self) -> str:
        """The message without the line, for use inside another message."""
        return super().__str__()

    def __str__(self) -> str:
        """Return the message with the line."""
        return self.message if self.line is None else f"{self.message} (at {self.line})"


class ShapeError(GraphgradError, ValueError):
    """Shapes or counts that do not match."""


class ArgumentError(GraphgradError, ValueError):
    """An invalid value of an argument: a negative rate, an unknown mode, a duplicate name."""


class DtypeError(GraphgradError, TypeError):
    """A dtype or type of object that cannot be recorded or differentiated."""


class NameMissingError(GraphgradError, AttributeError):
    """A missing name; the message has the nearest one, or NumPy's way."""


class IndexingError(GraphgradError, IndexError):
    """An index out of range, or of the wrong type."""


class LinalgError(GraphgradError, np.linalg.LinAlgError):
    """A matrix without the requested decomposition or solution."""


class GraphError(GraphgradError, RuntimeError):
    """A graph that cannot be differentiated: missing, freed, or changed."""


class UnsupportedError(GraphgradError, TypeError):
    """A NumPy function or argument that graphgrad does not support."""


class PictureError(GraphgradError, RuntimeError):
    """A picture that cannot be drawn or written."""


class FileFormatError(GraphgradError, ValueError):
    """A file that is damaged, or has another format than expected."""


class DownloadError(GraphgradError, OSError):
    """A published file that cannot be downloaded, or has another checksum."""


class StorageError(GraphgradError, OSError):
    """A folder or file that cannot be written."""


class SearchError(GraphgradError, RuntimeError):
    """A hyper-parameter search that failed or found no result."""


class NonFiniteError(GraphgradError, FloatingPointError):
    """A NaN caught by ``detect_anomaly()``, or a NaN or infinity in a training run."""


def translate(error: Exception) -> type[GraphgradError] | None:
    """Return our class for an exception that NumPy raised, if there is one."""
    if isinstance(error, np.linalg.LinAlgError):
        return LinalgError
    if isinstance(error, ValueError):
        return ShapeError
    if isinstance(error, OverflowError):  # an integer too large for C
        return ArgumentError
    if isinstance(error, IndexError):
        return IndexingError
    return DtypeError if isinstance(error, TypeError) else None
