"""The data sets: digits as they are, the others from small files in their true formats.

Downloads go through a server on this machine: nothing here reaches the network.
"""

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphgrad import data
from graphgrad.data import downloads, sets
from graphgrad.data.downloads import Published, fetched
from graphgrad.errors import DownloadError, FileFormatError
from tests.data.test_formats import archive, cifar10, idx, records


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_digits_are_the_real_ones_and_every_one_is_in_one_part() -> None:
    from sklearn.datasets import load_digits

    train, test = data.load_digits(normalize=False)
    assert train.images.shape == (1437, 64)
    assert test.images.shape == (360, 64)
    pixels, labels = load_digits(return_X_y=True)
    ours = [[*row, label] for part in (train, test) for row, label in zip(*part, strict=True)]
    theirs = [[*row, label] for row, label in zip(pixels, labels, strict=True)]
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))
    assert np.ptp(np.bincount(test.labels)) <= 2  # stratified: 174 to 183 of each digit


def test_the_switches_are_the_books() -> None:
    (x_train, t_train), (x_test, t_test) = data.load_digits()
    assert x_train.dtype == x_test.dtype == np.float32
    assert (x_train.min(), x_train.max()) == (0, 1)
    assert t_train.shape == (1437,)
    (images, _), _ = data.load_digits(normalize=False, flatten=False)
    assert images.dtype == np.uint8
    assert images.shape == (1437, 1, 8, 8)
    np.testing.assert_array_equal(images.reshape(-1, 64) / np.float32(16), x_train)
    _, (_, rows) = data.load_digits(one_hot_label=True)
    np.testing.assert_array_equal(rows, np.eye(10)[t_test])


def test_the_seed_chooses_the_test_digits() -> None:
    first, again, other = (data.load_digits(seed=seed)[1].images for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert data.load_digits(share=0.5)[1].size == 899


def mnist_arrays(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        array
        for n in (6, 4)
        for array in (rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8))
    ]


def publish(files: Mapping[str, bytes], known: list[Published], mirrors: Any) -> list[Published]:
    """Make records of small files that stand in for the published ones."""
    return [
        Published(one.name, f"sha256:{hashlib.sha256(files[one.name]).hexdigest()}", mirrors)
        for one in known
    ]


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small files that are now the published ones, and their bytes."""
    arrays = mnist_arrays(0)
    files = {
        one.name: gzip.compress(idx(array)) for one, array in zip(sets._MNIST, arrays, strict=True)
    }
    monkeypatch.setattr(sets, "_MNIST", publish(files, sets._MNIST, ["http://127.0.0.1:9/"]))
    monkeypatch.setattr(sets, "_FASHION", sets._MNIST)
    return files


def put(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("load", [data.load_mnist, data.load_fashion_mnist])
@pytest.mark.parametrize("unpacked", [False, True])
def test_mnist_from_a_folder(load: Any, unpacked: bool, mnist: Any, tmp_path: Path) -> None:
    bare = {name.removesuffix(".gz"): gzip.decompress(mnist[name]) for name in mnist}
    put(bare if unpacked else mnist, tmp_path)
    arrays = mnist_arrays(0)
    train, test = load(folder=tmp_path, download=False, normalize=False, flatten=False)
    for part, images, labels in ((train, *arrays[:2]), (test, *arrays[2:])):
        np.testing.assert_array_equal(part.images, images[:, None])
        np.testing.assert_array_equal(part.labels, labels)
        assert part.labels.dtype == np.int64
    train, test = load(folder=str(tmp_path), one_hot_label=True)
    assert train.images.shape == (6, 784)
    np.testing.assert_array_equal(train.images, np.float32(arrays[0].reshape(6, -1)) / 255)
    np.testing.assert_array_equal(test.labels, np.eye(10)[arrays[3]])


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((6, 28, 28), np.uint8), np.zeros(5, np.uint8)),
        (np.zeros((6, 28, 28), np.uint8), np.full(6, 10, np.uint8)),
        (np.zeros((6, 784), np.uint8), np.zeros(6, np.uint8)),
        (np.zeros((6, 28, 28), np.float32), np.zeros(6, np.uint8)),
        (np.zeros((6, 28, 28), np.uint8), np.zeros(6, np.float32)),
    ],
)
def test_labels_of_other_images_are_refused(images: Any, labels: Any, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abcd"]
    for path, array in zip(paths, [*mnist_arrays(0)[:2], images, labels], strict=True):
        path.write_bytes(idx(array))
    with pytest.raises(FileFormatError, match="do not belong to images") as caught:
        sets.read_mnist(paths)
    assert str(paths[3]) in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_from_a_folder(packed: bool, tmp_path: Path, monkeypatch: Any) -> None:
    names = [*sets._CIFAR10_TRAIN, *sets._CIFAR10_TEST]
    parts = [records(2, seed) for seed in range(6)]
    files = {name: cifar10(*part) for name, part in zip(names, parts, strict=True)}
    if packed:
        whole = {sets._CIFAR10.name: archive(files)}
        put(whole, tmp_path)
        monkeypatch.setattr(sets, "_CIFAR10", publish(whole, [sets._CIFAR10], [])[0])
    else:
        put(files, tmp_path)
    train, test = data.load_cifar10(folder=tmp_path, normalize=False, download=False)
    np.testing.assert_array_equal(train.images, np.concatenate([part[0] for part in parts[:5]]))
    np.testing.assert_array_equal(train.labels, np.concatenate([part[1] for part in parts[:5]]))
    np.testing.assert_array_equal(test.images, parts[5][0])
    train, test = data.load_cifar10(folder=tmp_path, flatten=True, one_hot_label=True)
    assert train.images.shape == (10, 3072)
    assert train.images.dtype == np.float32
    assert test.images.max() <= 1
    np.testing.assert_array_equal(test.labels, np.eye(10)[parts[5][1]])


class Server:
    """A mirror on this machine: what it has, and what it was asked for."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                name = self.path.rpartition("/")[2]
                if name not in files:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(files[name])))
                self.end_headers()
                half = files[name][: len(files[name]) // 2]
                self.wfile.write(half if self.path.startswith("/cut") else files[name])

            def log_message(self, *args: object, **options: object) -> None:
                """Be quiet."""

        self.asked = asked
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


CONTENT = b"what was published" * 1000
GOOD = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server() -> Iterator[Server]:
    files = {"file.gz": CONTENT, "other.gz": CONTENT[:-1] + b"!"}
    server = Server(files)
    yield server
    server.close()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path, capfd: Any) -> None:
    file = Published("file.gz", GOOD, [server.address])
    folder = tmp_path / "deep" / "below"
    path = fetched(file, folder, download=True)
    assert path == folder / "file.gz"
    assert path.read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["file.gz"]
    assert "100%" in capfd.readouterr().err  # the progress bar
    assert fetched(file, folder, download=True) == path
    assert fetched(file, str(folder), download=False) == path
    assert server.asked == ["/file.gz"]


@pytest.mark.parametrize("first", ["nobody", "missing", "wrong", "cut"])
def test_where_a_mirror_fails_the_next_is_asked(first: str, server: Server, tmp_path: Path) -> None:
    broken = {
        "nobody": "http://127.0.0.1:9/",
        "missing": f"{server.address}missing/none-",
        "wrong": f"{server.address}wrong/?name=/other.gz#",
        "cut": f"{server.address}cut/",
    }[first]
    path = fetched(Published("file.gz", GOOD, [broken, server.address]), tmp_path, download=True)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == "/file.gz"
    assert len(server.asked) == (1 if first == "nobody" else 2)
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]


def test_another_file_than_the_published_one_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="ValueError"):
        fetched(Published("other.gz", GOOD, [server.address]), tmp_path, download=True)
    assert server.asked == ["/other.gz"]
    assert not list(tmp_path.iterdir())  # neither the file nor a part of it


def test_what_is_there_already_is_refused_and_kept(server: Server, tmp_path: Path) -> None:
    """Another file than the published one, or a file where the folder should be."""
    path = tmp_path / "file.gz"
    path.write_bytes(b"of the user's own")
    file = Published("file.gz", GOOD, [server.address])
    for folder, download, says in (
        (tmp_path, True, "is not the published file"),
        (tmp_path, False, "is not the published file"),
        (path, True, "name another folder"),
        (path / "below", True, "name another folder"),
    ):
        with pytest.raises(DownloadError, match=says) as caught:
            fetched(file, folder, download)
        assert str(path) in str(caught.value)
    assert path.read_bytes() == b"of the user's own"
    assert not server.asked


@pytest.mark.parametrize("download", [True, False])
def test_offline_it_says_what_to_put_where(download: bool, tmp_path: Path, mnist: Any) -> None:
    with pytest.raises(DownloadError) as caught:
        data.load_mnist(folder=tmp_path, download=download)
    message = str(caught.value)
    assert f"{next(iter(mnist))} is not in {tmp_path}" in message
    assert f"get it from http://127.0.0.1:9/{next(iter(mnist))} and put it there" in message
    assert ("download=False" in message) != download
    assert not list(tmp_path.iterdir())


def test_the_cache_is_the_users_and_fashion_is_kept_apart(
    mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of MNIST and Fashion-MNIST bear the same names."""
    assert downloads.cache_folder().name == "graphgrad"
    for module in (downloads, sets):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    server = Server(mnist)
    try:
        here = publish(mnist, sets._MNIST, [server.address])
        monkeypatch.setattr(sets, "_MNIST", here)
        monkeypatch.setattr(sets, "_FASHION", here)
        data.load_mnist()
        data.load_fashion_mnist()
        assert len(server.asked) == 8
        data.load_mnist()
        data.load_fashion_mnist()
        assert len(server.asked) == 8
    finally:
        server.close()
    assert {path.name for path in tmp_path.iterdir()} == {*mnist, "fashion"}
    assert {path.name for path in (tmp_path / "fashion").iterdir()} == {*mnist}


def test_every_published_file_has_a_checksum_and_a_mirror() -> None:
    for file in (*sets._MNIST, *sets._FASHION, sets._CIFAR10):
        kind, _, digits = file.checksum.partition(":")
        assert len(digits) == {"sha256": 64, "md5": 32}[kind]
        assert file.mirrors
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in file.mirrors)
