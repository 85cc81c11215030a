"""Samples with their labels, and how to divide them."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from graphgrad.arguments import CALLED, RealDType, guarded, several
from graphgrad.engine.integers import as_intp
from graphgrad.engine.operands import as_array, as_plain, unwrapped
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.randomness import default_generator
from graphgrad.reprs import counted, described
from graphgrad.typing import Array


class _Pair(NamedTuple):
    images: Any  # (N, …)
    labels: Any  # (N, …)


class Dataset(_Pair):
    """Samples and their labels: ``images, labels = dataset``."""

    __slots__ = ()

    def __new__(cls, images: Array, labels: Array) -> Self:
        """Make arrays of both; that they belong together is asked where they are used."""
        return super().__new__(
            cls, as_array(images, "Dataset, 'images'"), as_array(labels, "Dataset, 'labels'")
        )

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.images)

    def take(self, index: Any) -> "Dataset":
        """Return the samples of an index: a slice, numbers, a mask."""
        return Dataset(self.images[index], self.labels[index])

    def __repr__(self) -> str:
        """Show shapes and types, and how many classes there are; the arrays would fill pages."""
        labels = unwrapped(self.labels)
        kind = getattr(getattr(labels, "dtype", None), "kind", "")
        facts = [f"images {described(self.images)}", f"labels {described(labels)}"]
        if kind and kind in "iu" and labels.ndim == 1:
            facts.append(counted(len(np.unique(labels)), "class", "classes"))
        return f"<Dataset: {', '.join(facts)}>"


def checked(dataset: tuple[Any, Any]) -> Dataset:
    """Return a dataset, or say why this is none."""
    pair = several(CALLED, "dataset", dataset, "two arrays, (images, labels)")
    if len(pair) != 2:
        message = f"{CALLED}: give (images, labels), not {len(pair)} things"
        raise ShapeError(message)
    images, labels = (
        as_plain(CALLED, x, name) for x, name in zip(pair, ("images", "labels"), strict=True)
    )
    if not images.ndim or not labels.ndim or len(images) != len(labels) or not len(images):
        message = (
            f"{CALLED}: images {images.shape}, labels {labels.shape}; give one label per image, "
            "and at least one"
        )
        raise ShapeError(message)
    return Dataset(images, labels)


@guarded
def one_hot(labels: Array, classes: int | None = None, dtype: RealDType = np.float32) -> Array:
    """Return a row per label with 1 at the class and 0 elsewhere, (N,) → (N, classes).

    Parameters
    ----------
    labels
        Class numbers from 0, integers.
    classes
        How many there are; None is one more than the largest label.
    dtype
        Of the result.

    Raises
    ------
    ShapeError
        If a label is below 0, or not below ``classes``.
    DtypeError
        If labels are not integers.
    """
    labels = as_plain(CALLED, labels, "labels")
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"{CALLED}: labels are {labels.dtype}; use .astype(int)")
    labels = as_intp(f"{CALLED}: labels", labels)
    classes = int(labels.max(initial=-1)) + 1 if classes is None else classes
    if labels.min(initial=0) < 0 or labels.max(initial=-1) >= classes:
        message = f"{CALLED}: labels from {labels.min()} to {labels.max()}, {classes} classes"
        raise ShapeError(message)
    return (labels[..., None] == np.arange(classes)).astype(dtype)


@guarded
def split(
    dataset: Dataset,
    share: float = 0.2,
    *,
    rng: np.random.Generator | None = None,
    stratify: bool = True,
) -> tuple[Dataset, Dataset]:
    """Hold back a share of the samples: returns the rest, and what was held back.

    Needs scikit-learn (extra: train).

    Parameters
    ----------
    dataset
        Images and labels.
    share
        Of the samples to hold back, between 0 and 1.
    rng
        None is the package's default generator.
    stratify
        Whether each class keeps its share; labels are class numbers then.

    Raises
    ------
    ShapeError
        If a part would be empty, or a class too small to be in both.
    """
    dataset = checked(dataset)
    selection = _scikit_learn()
    try:
        rest, held = selection.train_test_split(
            np.arange(dataset.size),
            test_size=share,
            stratify=dataset.labels if stratify else None,
            random_state=_seed(rng),
        )
    except ValueError as error:
        message = f"{CALLED}: share={share} of {dataset.size} samples: {error}"
        raise ShapeError(message) from error
    return dataset.take(rest), dataset.take(held)


@guarded
def k_folds(
    dataset: Dataset, k: int = 5, *, rng: np.random.Generator | None = None
) -> Iterator[tuple[Dataset, Dataset]]:
    """Divide into k parts of equal class shares; yield each time the rest, and one part.

    Needs scikit-learn (extra: train).

    Parameters
    ----------
    dataset
        Images and class numbers.
    k
        The number of parts, above 1.
    rng
        None is the package's default generator.

    Raises
    ------
    ShapeError
        If k is below 2, or above the number of samples of each class.
    """
    dataset = checked(dataset)
    selection = _scikit_learn()
    try:
        folds = selection.StratifiedKFold(k, shuffle=True, random_state=_seed(rng))
        parts = list(folds.split(dataset.labels, dataset.labels))
    except ValueError as error:
        message = f"{CALLED}: k={k}, {dataset.size} samples: {error}"
        raise ShapeError(message) from error
    return ((dataset.take(rest), dataset.take(held)) for rest, held in parts)


def _seed(rng: np.random.Generator | None) -> int:
    return int(default_generator(rng).integers(2**32))


def _scikit_learn() -> Any:
    try:
        from sklearn import model_selection
    except ImportError as error:
        message = f"{CALLED} needs scikit-learn: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    return model_selection
