"""The operators and methods of ndarray, for Tensor: each calls its op."""

import operator
from collections.abc import Iterator
from typing import Any, Never, Self

import numpy as np

from graphgrad.engine.graph import Recorded
from graphgrad.engine.op import TABLE
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.plain import call_plain
from graphgrad.engine.record import record
from graphgrad.engine.recording import latest, show_answer
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.typing import Array

Axis = int | tuple[int, ...] | None


class ArrayMethods(Recorded):
    """The operators and methods of a Tensor, with ndarray's names."""

    __slots__ = ()

    # ---------------------------------------------------------------- attributes, elements

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as of an array."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._array.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype; a gradient has the same."""
        return self._array.dtype

    def item(self) -> Any:
        """Return the only element as a Python number.

        Raises
        ------
        ShapeError
            If there is not one element.
        """
        try:
            return self._array.item()
        except ValueError as error:
            message = f"item: {self.shape} has {self.size} elements, not one; choose one by t[i], "
            raise ShapeError(f"{message}or take t.tolist()") from error

    def tolist(self) -> Any:
        """Return the elements as nested Python lists."""
        return self._array.tolist()

    def __getitem__(self, index: Any) -> Self:
        """Read elements, by any kind of NumPy index."""
        return record(TABLE[operator.getitem], (self,), (unwrapped(index),))

    def __bool__(self) -> bool:
        """Truth of the only element, for Python's control flow."""
        answer = bool(self._array)
        return show_answer("bool", answer) if latest().observers else answer

    def __len__(self) -> int:
        """Length of the first axis."""
        if not self.shape:
            raise DtypeError("len: a 0-d tensor has no axis; its one number is t.item()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        """Iterate over the first axis."""
        if not self.shape:
            raise DtypeError("iteration: a 0-d tensor has no axis; its one number is t.item()")
        return (self[i] for i in range(len(self)))

    def __contains__(self, x: Array) -> bool:
        """Whether an element equals x."""
        return bool((self == x).any())

    # ---------------------------------------------------------------------- arithmetic

    def __add__(self, other: Array) -> Self:
        return record(TABLE[np.add], (self, other))

    def __radd__(self, other: Array) -> Self:
        return record(TABLE[np.add], (other, self))

    def __sub__(self, other: Array) -> Self:
        return record(TABLE[np.subtract], (self, other))

    def __rsub__(self, other: Array) -> Self:
        return record(TABLE[np.subtract], (other, self))

    def __mul__(self, other: Array) -> Self:
        return record(TABLE[np.multiply], (self, other))

    def __rmul__(self, other: Array) -> Self:
        return record(TABLE[np.multiply], (other, self))

    def __truediv__(self, other: Array) -> Self:
        return record(TABLE[np.divide], (self, other))

    def __rtruediv__(self, other: Array) -> Self:
        return record(TABLE[np.divide], (other, self))

    def __floordiv__(self, other: Array) -> Self:
        return record(TABLE[np.floor_divide], (self, other))

    def __rfloordiv__(self, other: Array) -> Self:
        return record(TABLE[np.floor_divide], (other, self))

    def __mod__(self, other: Array) -> Self:
        return record(TABLE[np.remainder], (self, other))

    def __rmod__(self, other: Array) -> Self:
        return record(TABLE[np.remainder], (other, self))

    def __divmod__(self, other: Array) -> tuple[Self, Self]:
        return self // other, self % other

    def __rdivmod__(self, other: Array) -> tuple[Self, Self]:
        return other // self, other % self

    def __pow__(self, other: Array) -> Self:
        return record(TABLE[np.power], (self, other))

    def __rpow__(self, other: Array) -> Self:
        return record(TABLE[np.power], (other, self))

    def __matmul__(self, other: Array) -> Self:
        return record(TABLE[np.matmul], (self, other))

    def __rmatmul__(self, other: Array) -> Self:
        return record(TABLE[np.matmul], (other, self))

    def __neg__(self) -> Self:
        return record(TABLE[np.negative], (self,))

    def __pos__(self) -> Self:
        return record(TABLE[np.positive], (self,))

    def __abs__(self) -> Self:
        return record(TABLE[np.absolute], (self,))

    def __round__(self, decimals: int = 0) -> Self:
        return TABLE[np.round](self, decimals)

    # ------------------------------------------------- comparisons: plain bool arrays

    def __lt__(self, other: Array) -> Array:
        answer = np.less(self._array, unwrapped(other))
        return show_answer("less", answer) if latest().observers else answer

    def __le__(self, other: Array) -> Array:
        answer = np.less_equal(self._array, unwrapped(other))
        return show_answer("less_equal", answer) if latest().observers else answer

    def __gt__(self, other: Array) -> Array:
        answer = np.greater(self._array, unwrapped(other))
        return show_answer("greater", answer) if latest().observers else answer

    def __ge__(self, other: Array) -> Array:
        answer = np.greater_equal(self._array, unwrapped(other))
        return show_answer("greater_equal", answer) if latest().observers else answer

    def __eq__(self, other: object) -> Array:
        answer = np.equal(self._array, unwrapped(other))
        return show_answer("equal", answer) if latest().observers else answer

    def __ne__(self, other: object) -> Array:
        answer = np.not_equal(self._array, unwrapped(other))
        return show_answer("not_equal", answer) if latest().observers else answer

    __hash__ = object.__hash__

    # ---------------------------------------------------------------------- reductions

    def sum(self, axis: Axis = None, *more: Never, keepdims: bool = False, **others: Never) -> Self:
        """Sum over the axes; see np.sum."""
        return TABLE[np.sum](self, axis, *more, keepdims=keepdims, **others)

    def mean(
        self, axis: Axis = None, *more: Never, keepdims: bool = False, **others: Never
    ) -> Self:
        """Mean over the axes; see np.mean."""
        return TABLE[np.mean](self, axis, *more, keepdims=keepdims, **others)

    def prod(
        self, axis: Axis = None, *more: Never, keepdims: bool = False, **others: Never
    ) -> Self:
        """Product over the axes; see np.prod."""
        return TABLE[np.prod](self, axis, *more, keepdims=keepdims, **others)

    def var(
        self,
        axis: Axis = None,
        *more: Never,
        ddof: float = 0,
        keepdims: bool = False,
        **others: Never,
    ) -> Self:
        """Variance over the axes; see np.var."""
        return TABLE[np.var](self, axis, *more, ddof=ddof, keepdims=keepdims, **others)

    def std(
        self,
        axis: Axis = None,
        *more: Never,
        ddof: float = 0,
        keepdims: bool = False,
        **others: Never,
    ) -> Self:
        """Deviation from the mean (standard deviation) over the axes; see np.std."""
        return TABLE[np.std](self, axis, *more, ddof=ddof, keepdims=keepdims, **others)

    def max(self, axis: Axis = None, *more: Never, keepdims: bool = False, **others: Never) -> Self:
        """Maximum over the axes; ties share the gradient evenly. See np.max."""
        return TABLE[np.max](self, axis, *more, keepdims=keepdims, **others)

    def min(self, axis: Axis = None, *more: Never, keepdims: bool = False, **others: Never) -> Self:
        """Minimum over the axes; ties share the gradient evenly. See np.min."""
        return TABLE[np.min](self, axis, *more, keepdims=keepdims, **others)

    def cumsum(self, axis: int | None = None, *more: Never, **others: Never) -> Self:
        """Cumulative sum; see np.cumsum."""
        return TABLE[np.cumsum](self, axis, *more, **others)

    def cumprod(self, axis: int | None = None, *more: Never, **others: Never) -> Self:
        """Cumulative product; see np.cumprod."""
        return TABLE[np.cumprod](self, axis, *more, **others)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """Sum of a diagonal; see np.trace."""
        return TABLE[np.trace](self, offset, axis1, axis2)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Array:
        """Positions of the maxima, a plain array."""
        return call_plain(np.argmax, self, axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Array:
        """Positions of the minima, a plain array."""
        return call_plain(np.argmin, self, axis, keepdims=keepdims)

    def argsort(self, axis: int | None = -1) -> Array:
        """Positions in sorted order, a plain array."""
        return call_plain(np.argsort, self, axis)

    def all(self, axis: Axis = None, *, keepdims: bool = False) -> Array:
        """Whether all elements are true, as a plain bool or array."""
        return call_plain(np.all, self, axis, keepdims=keepdims)

    def any(self, axis: Axis = None, *, keepdims: bool = False) -> Array:
        """Whether any element is true, as a plain bool or array."""
        return call_plain(np.any, self, axis, keepdims=keepdims)

    def nonzero(self) -> Any:
        """Where the elements are not zero, plain arrays."""
        return np.nonzero(self._array)

    # --------------------------------------------------------------------------- shape

    @property
    def T(self) -> Self:  # noqa: N802 - ndarray's name
        """The tensor with its axes reversed."""
        return TABLE[np.transpose](self)

    @property
    def mT(self) -> Self:  # noqa: N802 - ndarray's name
        """The tensor with its last two axes swapped."""
        return TABLE[np.swapaxes](self, -1, -2)

    def reshape(self, *shape: Any, order: str = "C") -> Self:
        """Give another shape; one length may be -1. See np.reshape."""
        return TABLE[np.reshape](self, shape[0] if len(shape) == 1 else shape, order)

    def ravel(self, order: str = "C") -> Self:
        """Flatten to one axis; see np.ravel."""
        return TABLE[np.ravel](self, order)

    def flatten(self, order: str = "C") -> Self:
        """Flatten to one axis, as a copy."""
        return TABLE[np.copy](TABLE[np.ravel](self, order))

    def transpose(self, *axes: Any) -> Self:
        """Permute the axes; see np.transpose."""
        if len(axes) == 1 and np.ndim(axes[0]):
            axes = axes[0]
        return TABLE[np.transpose](self, axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        """Swap two axes; see np.swapaxes."""
        return TABLE[np.swapaxes](self, axis1, axis2)

    def squeeze(self, axis: Axis = None, **others: Never) -> Self:
        """Drop axes of length 1; see np.squeeze."""
        return TABLE[np.squeeze](self, axis, **others)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """Take a diagonal; see np.diagonal."""
        return TABLE[np.diagonal](self, offset, axis1, axis2)

    def repeat(self, repeats: Any, axis: int | None = None, **others: Never) -> Self:
        """Repeat elements; see np.repeat."""
        return TABLE[np.repeat](self, repeats, axis, **others)

    def take(
        self, indices: Array, axis: int | None = None, *, mode: str = "raise", **others: Never
    ) -> Self:
        """Take elements by index along an axis; see np.take."""
        return TABLE[np.take](self, indices, axis, mode=mode, **others)

    def sort(self, axis: int | None = -1, *, kind: str | None = None, **others: Never) -> Self:
        """Return a sorted copy: write ``t = t.sort()``.

        ndarray's method, in contrast, sorts in place and returns None. See np.sort.
        """
        return TABLE[np.sort](self, axis, kind=kind, **others)

    def copy(self) -> Self:
        """Return a copy that stays in the graph."""
        return TABLE[np.copy](self)

    def astype(self, dtype: Any) -> Self:
        """Convert to another dtype; the gradient is converted back."""
        return TABLE["astype"](self, dtype)

    def dot(self, other: Array) -> Self:
        """Dot product; see np.dot."""
        return TABLE[np.dot](self, other)

    # ------------------------------------------------------------ elementwise functions

    def abs(self) -> Self:
        """Absolute value; the gradient at 0 is 0."""
        return record(TABLE[np.absolute], (self,))

    def clip(self, min: Any = None, max: Any = None) -> Self:  # noqa: A002 - NumPy's names
        """Limit to an interval; the gradient at a bound is 0. See np.clip."""
        return TABLE[np.clip](self, min, max)

    def round(self, decimals: int = 0) -> Self:
        """Round; the gradient is 0. See np.round."""
        return TABLE[np.round](self, decimals)

    def exp(self) -> Self:
        """e^x."""
        return record(TABLE[np.exp], (self,))

    def log(self) -> Self:
        """Natural logarithm."""
        return record(TABLE[np.log], (self,))

    def sqrt(self) -> Self:
        """Square root."""
        return record(TABLE[np.sqrt], (self,))

    def square(self) -> Self:
        """x²."""
        return record(TABLE[np.square], (self,))

    def sin(self) -> Self:
        """Sine."""
        return record(TABLE[np.sin], (self,))

    def cos(self) -> Self:
        """Cosine."""
        return record(TABLE[np.cos], (self,))

    def tan(self) -> Self:
        """Tangent."""
        return record(TABLE[np.tan], (self,))

    def tanh(self) -> Self:
        """Hyperbolic tangent."""
        return record(TABLE[np.tanh], (self,))

    def sigmoid(self) -> Self:
        """1 / (1 + e^-x)."""
        return record(TABLE["sigmoid"], (self,))

    def relu(self) -> Self:
        """max(x, 0), with gradient 0 at 0."""
        return record(TABLE["relu"], (self,))
