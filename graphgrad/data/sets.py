"""The data sets themselves, each as ``(train, test)`` with the switches of Saito's book."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphgrad.arguments import CALLED, NonNegativeInt, guarded
from graphgrad.data.dataset import Dataset, one_hot, split
from graphgrad.data.downloads import Published, cache_folder, fetched
from graphgrad.data.formats import cifar10_file, cifar10_files, read_idx
from graphgrad.errors import FileFormatError, UnsupportedError

Pair = tuple[Dataset, Dataset]

_MNIST_FILES = (  # training images and labels, test images and labels
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MNIST = [
    Published(
        name,
        f"sha256:{checksum}",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    )
    for name, checksum in zip(
        _MNIST_FILES,
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        strict=True,
    )
]
_FASHION = [
    Published(
        name,
        f"md5:{checksum}",
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
    )
    for name, checksum in zip(
        _MNIST_FILES,
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        strict=True,
    )
]
_CIFAR10 = Published(
    "cifar-10-binary.tar.gz",
    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ("https://www.cs.toronto.edu/~kriz/",),
)
_CIFAR10_TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
_CIFAR10_TEST = ["test_batch.bin"]


@guarded
def load_digits(
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    *,
    share: float = 0.2,
    seed: NonNegativeInt = 0,
) -> Pair:
    """Return scikit-learn's 1,797 real handwritten digits, 8×8; nothing is downloaded.

    The test set is a stratified share of them, chosen by the seed.

    Parameters
    ----------
    normalize
        Whether pixels are float32 from 0 to 1, or the whole numbers 0 to 16.
    flatten
        Whether an image is (64,), or (1, 8, 8).
    one_hot_label
        Whether labels are (N, 10) of 0 and 1, or class numbers (N,).
    share
        Of the digits in the test set.
    seed
        Of the division.

    Raises
    ------
    UnsupportedError
        Without scikit-learn (extra: train).
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        message = f"{CALLED} needs scikit-learn: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    rng = np.random.default_rng(seed)
    pixels, labels = datasets.load_digits(return_X_y=True)
    digits = Dataset(pixels.astype(np.uint8).reshape(-1, 1, 8, 8), labels)
    train, test = split(digits, share, rng=rng)
    return _switched((train, test), 16, normalize, flatten, one_hot_label)


@guarded
def load_mnist(
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    *,
    folder: str | Path | None = None,
    download: bool = True,
) -> Pair:
    """Return MNIST's 60,000 + 10,000 handwritten digits, 28×28.

    Parameters
    ----------
    normalize
        Whether pixels are float32 from 0 to 1, or bytes.
    flatten
        Whether an image is (784,), or (1, 28, 28).
    one_hot_label
        Whether labels are (N, 10) of 0 and 1, or class numbers (N,).
    folder
        With the four files, as published (``.gz``) or unpacked; None is the user's cache.
    download
        Whether files that are not there are fetched.

    Raises
    ------
    DownloadError
        If a file is not there and cannot be had, or is not the published one.
    FileFormatError
        If a file is damaged.
    """
    return _idx_pair(_MNIST, folder, download, (normalize, flatten, one_hot_label))


@guarded
def load_fashion_mnist(
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    *,
    folder: str | Path | None = None,
    download: bool = True,
) -> Pair:
    """Return Fashion-MNIST's 60,000 + 10,000 pieces of clothing; arguments of `load_mnist`."""
    # its files bear the names of MNIST's
    place = cache_folder() / "fashion" if folder is None else folder
    return _idx_pair(_FASHION, place, download, (normalize, flatten, one_hot_label))


@guarded
def load_cifar10(
    normalize: bool = True,
    flatten: bool = False,
    one_hot_label: bool = False,
    *,
    folder: str | Path | None = None,
    download: bool = True,
) -> Pair:
    """Return CIFAR-10's 50,000 + 10,000 colour images, (3, 32, 32); arguments of `load_mnist`.

    ``folder`` holds the archive ``cifar-10-binary.tar.gz``, or the ``.bin`` files out of it.
    """
    source = Path(folder or "").expanduser()
    if folder is None or cifar10_file(source, _CIFAR10_TEST[0]) is None:
        source = fetched(_CIFAR10, folder, download)
    return read_cifar10(source, normalize, flatten, one_hot_label)


@guarded
def read_cifar10(
    source: str | Path,
    normalize: bool = True,
    flatten: bool = False,
    one_hot_label: bool = False,
) -> Pair:
    """Return CIFAR-10 from its archive or from a folder of its ``.bin`` files."""
    *parts, test = cifar10_files(source, [*_CIFAR10_TRAIN, *_CIFAR10_TEST])
    train = Dataset(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return _switched((train, Dataset(*test)), 255, normalize, flatten, one_hot_label)


@guarded
def read_mnist(paths: Sequence[str | Path], *switches: bool) -> Pair:
    """Return a pair from four IDX files: training images and labels, test images and labels.

    Parameters
    ----------
    paths
        The four files.
    switches
        normalize, flatten and one_hot_label, as for `load_mnist`.

    Raises
    ------
    FileFormatError
        If a file is damaged, or images and labels do not belong together.
    """
    arrays = [read_idx(path) for path in paths]
    pairs = []
    for images, labels, path in zip(arrays[::2], arrays[1::2], paths[1::2], strict=True):
        fit = images.ndim == 3 and labels.shape == images.shape[:1]
        if not fit or images.dtype != np.uint8 or labels.dtype != np.uint8 or labels.max() > 9:
            message = f"{path}: labels {labels.shape} {labels.dtype} up to {labels.max()} do not "
            raise FileFormatError(f"{message}belong to images {images.shape} {images.dtype}")
        pairs.append(Dataset(images[:, None], labels.astype(np.int64)))
    return _switched((pairs[0], pairs[1]), 255, *switches)


def _idx_pair(
    files: Sequence[Published],
    folder: str | Path | None,
    download: bool,
    switches: tuple[bool, bool, bool],
) -> Pair:
    paths = []
    for file in files:
        unpacked = Path(folder or "").expanduser() / file.name.removesuffix(".gz")
        there = folder is not None and unpacked.is_file()
        paths.append(unpacked if there else fetched(file, folder, download))
    return read_mnist(paths, *switches)


def _switched(
    pair: Pair,
    brightest: int,
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
) -> Pair:
    """Apply the switches: normalize, flatten, one_hot."""
    done = []
    for images, labels in pair:
        scaled = np.float32(images) / np.float32(brightest) if normalize else images
        shaped = scaled.reshape(len(images), -1) if flatten else scaled
        done.append(Dataset(shaped, one_hot(labels, 10) if one_hot_label else labels))
    return done[0], done[1]
