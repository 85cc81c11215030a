"""Real data: datasets, batches, augmentation, pre-processing."""

from graphgrad.data.augmentation import (
    Brightness as Brightness,
    Crop as Crop,
    Flip as Flip,
    Rotate as Rotate,
    Scale as Scale,
    Shift as Shift,
)
from graphgrad.data.batches import Batches as Batches
from graphgrad.data.dataset import (
    Dataset as Dataset,
    k_folds as k_folds,
    one_hot as one_hot,
    split as split,
)
from graphgrad.data.preprocessing import (
    PCA as PCA,
    Center as Center,
    Standardize as Standardize,
    Whiten as Whiten,
)
from graphgrad.data.sets import (
    load_cifar10 as load_cifar10,
    load_digits as load_digits,
    load_fashion_mnist as load_fashion_mnist,
    load_mnist as load_mnist,
)
from graphgrad.names import install_getattr as _install_getattr
from graphgrad.reprs import public as _public

_install_getattr(__name__)


def __dir__() -> list[str]:
    """Name what is public, so that Tab offers that alone."""
    return _public(__name__)
