"""One place decides what an operand may be; every way into the package asks it.

Arrays whose operators mean something else, that hold more than numbers or no real ones, and
those of other libraries are refused wherever an array may be given.
"""

import array
import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import data, nn, optim
from graphgrad.errors import DtypeError, GraphgradError
from graphgrad.nn import functional as F  # noqa: N812 - as users call it

BASE = np.array([[1.0, 2.0], [3.0, 4.0]])


class Foreign:
    """An array of a library that has no NumPy protocols, as PyTorch's and JAX's."""

    shape, ndim, size = (2, 2), 2, 4

    def __init__(self) -> None:
        self.dtype = np.dtype(float)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return BASE

    def to_numpy(self) -> Any:
        return BASE

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return BASE[index]


class Series(Foreign):
    """One with half of the protocols, as pandas' and xarray's."""

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("it was computed with")


def sparse() -> Any:
    return pytest.importorskip("scipy.sparse").csr_array(BASE)


ODD: dict[str, tuple[Callable[[], Any], str]] = {  # what is refused, and a part of the remedy
    "matrix": (lambda: BASE.view(np.matrix), r"np\.asarray\(x\), and @ for products"),
    "masked": (lambda: np.ma.array(BASE, mask=BASE > 2), r"x\.filled\(value\)"),
    "sparse": (sparse, r"x\.toarray\(\)"),
    "foreign": (Foreign, r"x\.to_numpy\(\)"),
    "series": (Series, r"x\.to_numpy\(\)"),
    "complex": (lambda: BASE + 1j, "real and imaginary parts"),
    "complex64 number": (lambda: np.complex64(1j), "real and imaginary parts"),
    "dates": (lambda: BASE.astype("M8[s]"), "count in a unit"),
    "spans of time": (lambda: BASE.astype("m8[s]"), "count in a unit"),
    "span of time": (lambda: np.timedelta64(1, "s"), "count in a unit"),
    "strings": (lambda: BASE.astype(str), "convert it to numbers"),
    "objects": (lambda: BASE.astype(object), "check for None"),
    "records": (lambda: np.zeros((2, 2), [("a", float), ("b", int)]), "fields one by one"),
    "bytes of an unknown dtype": (lambda: np.zeros((2, 2), "V2"), "convert it to numbers"),
}
WRAPPED: dict[str, Callable[[Any], Any]] = {
    "in a list": lambda v: [v, v],
    "in a tuple in a list": lambda v: [(v,)],
}


def leaf() -> Any:
    return gg.Tensor(BASE, requires_grad=True)


def hooked(v: Any) -> None:
    x = leaf()
    x.register_hook(lambda _: v)
    (x * 1).sum().backward()


def written(v: Any, x: Any) -> None:
    x[0] = v


def added(v: Any, x: Any) -> None:
    x += v


def assigned(name: str) -> Callable[[Any], None]:
    return lambda v: setattr(leaf(), name, v)


def unrecorded(change: Callable[[Any, Any], None]) -> Callable[[Any], None]:
    def inside(v: Any) -> None:
        with gg.no_grad():
            change(v, leaf())

    return inside


def loaded(v: Any) -> None:
    layer = nn.Affine(2, 2, rng=np.random.default_rng(0))
    layer.load_state_dict({**layer.state_dict(), "weight": v})


def resumed(v: Any) -> None:
    w = nn.Parameter(BASE)
    optimizer = optim.Adam([w])
    w.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    first = state["state"][0]
    name = next(n for n in first if n != "step")
    first[name] = v
    optimizer.load_state_dict(state)


def averaged(v: Any) -> None:
    average = optim.RunningAverage([nn.Parameter(BASE)])
    average.update()
    average.load_state_dict({**average.state_dict(), "averages": [v]})


def called(v: Any) -> None:
    nn.functional_call(nn.Affine(2, 2, rng=np.random.default_rng(0)), {"weight": v}, BASE)


# Every way in: an operand, a parameter, a value to assign; recorded and plain.
PLACES: dict[str, Callable[[Any], Any]] = {
    "Tensor": gg.Tensor,
    "Parameter": nn.Parameter,
    "x * v": lambda v: leaf() * v,
    "v * x": lambda v: v * leaf(),
    "x @ v": lambda v: leaf() @ v,
    "dot": lambda v: np.dot(leaf(), v),
    "concatenate": lambda v: np.concatenate([leaf(), v]),
    "where": lambda v: np.where(BASE > 1, leaf(), v),
    "where's condition": lambda v: np.where(v, leaf(), 0.0),
    "einsum": lambda v: np.einsum("ij,jk", leaf(), v),
    "interp": lambda v: np.interp(leaf(), v, v),
    "plain exp": gg.exp,
    "plain concatenate": lambda v: gg.concatenate([v, v]),
    "plain einsum": lambda v: gg.einsum("ij->i", v),
    "plain unique": gg.unique,
    "plain clip": lambda v: gg.clip(BASE, v, 3.0),
    "index": lambda v: leaf()[v],
    "index in a tuple": lambda v: leaf()[v, 0],
    "take": lambda v: np.take(leaf(), v),
    "plain take": lambda v: gg.take(BASE, v),
    "weights": lambda v: np.average(leaf(), weights=v),
    "levels": lambda v: np.quantile(leaf(), v),
    "t[v] = 1": lambda v: leaf().copy().__setitem__(v, 1.0),
    "t[0] = v": lambda v: written(v, leaf() * 1),
    "t[0] = v, unrecorded": unrecorded(written),
    "t[v] = 1, unrecorded": unrecorded(lambda v, x: x.__setitem__(v, 1.0)),
    "t += v": lambda v: added(v, leaf() * 1),
    "t += v, unrecorded": unrecorded(added),
    "backward": lambda v: leaf().copy().backward(v),
    "hook": hooked,
    "grad": assigned("grad"),
    "data": assigned("data"),
    "gg.grad": gg.grad(np.sum),
    "vjp's point": lambda v: gg.vjp(np.sin, v),
    "jvp's direction": lambda v: gg.jvp(np.sin, (BASE,), (v,)),
    "gradcheck": lambda v: gg.gradcheck(np.sin, v),
    "forward": lambda v: gg.op(lambda _: v, lambda g: g, name="odd")(leaf()),
    "forward, unrecorded": lambda v: gg.op(lambda _: v, lambda g: g, name="odd")(gg.Tensor(BASE)),
    "layer": nn.Affine(2, 2, rng=np.random.default_rng(0)),
    "convolution": lambda v: F.conv1d(v, BASE[None]),
    "softplus": lambda v: F.softplus(v, beta=2.0),
    "dropout": lambda v: F.dropout(v, 0.5, rng=np.random.default_rng(0)),
    "embedding": lambda v: F.embedding(v, leaf()),
    "attention's mask": lambda v: F.scaled_dot_product_attention(leaf(), leaf(), leaf(), v),
    "scores": lambda v: F.cross_entropy(v, [0, 1]),
    "labels": lambda v: F.cross_entropy(leaf(), v),
    "class weights": lambda v: F.cross_entropy(leaf(), [0, 1], weight=v),
    "target": lambda v: F.mse_loss(leaf(), v),
    "binary target": lambda v: F.binary_cross_entropy_with_logits(leaf(), v),
    "accuracy": lambda v: nn.accuracy(v, [0, 1]),
    "images": lambda v: data.Batches((v, np.arange(2)), 1, rng=np.random.default_rng(0)),
    "labels of images": lambda v: data.Batches((BASE, v), 1, rng=np.random.default_rng(0)),
    "one_hot": data.one_hot,
    "pre-processing": lambda v: data.Center().fit(v),
    "load_state_dict": loaded,
    "functional_call": called,
    "state of an optimizer": resumed,
    "state of an average": averaged,
}


# Where something else is found first: that a number has no axes, what an array's own operator says.
OTHER_WORDS = {"v * x", "gradcheck"}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", PLACES)
def test_odd_arrays_are_refused_everywhere(place: str, odd: str) -> None:
    make, remedy = ODD[odd]
    with pytest.raises(GraphgradError) as caught:
        PLACES[place](make())
    if np.ndim(make()) and place not in OTHER_WORDS:
        assert "test_operands.py:" in str(caught.value)
        assert isinstance(caught.value, DtypeError)
        assert re.search(remedy, str(caught.value))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("place", ["Tensor", "x * v", "plain exp", "index", "take", "t += v"])
def test_odd_arrays_in_lists_are_refused(place: str, wrapped: str, odd: str) -> None:
    with pytest.raises(GraphgradError):
        PLACES[place](WRAPPED[wrapped](ODD[odd][0]()))


def test_saving_odd_arrays_is_refused(tmp_path: Path) -> None:
    for make, remedy in ODD.values():
        with pytest.raises(DtypeError, match=remedy):
            nn.save({"weight": make()}, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


COMPLEX = np.array([[0.5 + 1j, 1.0], [2.0, 3.0]])
CALLS: list[Callable[[Any], tuple[Any, ...]]] = [
    lambda c: (c,),
    lambda c: (c, c),
    lambda c: (BASE, c),
    lambda c: (c, BASE),
    lambda c: (c, [0, 1]),
    lambda c: (BASE, [0, 1], c[0]),
    lambda c: ([c, c],),
    lambda c: (c, 2),
    lambda c: (2, c),
    lambda c: (BASE, BASE, c),
    lambda c: (BASE, BASE, BASE, c),
    lambda c: (BASE > 2, BASE, c),
    lambda c: (BASE[0], c[0]),
    lambda c: (BASE[None], c[None]),
    lambda c: (c[None, None], 2),
    lambda c: (c, BASE[0], BASE[0]),
    lambda c: ("ij->i", c),
]
AS_NUMPY = {"argmax", "argmin", "argsort", "matrix_rank"}  # complex numbers have an order there


@pytest.mark.parametrize("space", [gg, gg.linalg, F], ids=lambda space: space.__name__)
def test_no_function_loses_an_imaginary_part(space: Any) -> None:
    """Public functions refuse plain complex arrays, or do with them what NumPy does."""
    for name, function in vars(space).items():
        if name[:1] == "_" or not callable(function) or isinstance(function, type):
            continue
        for call in CALLS:
            args = call(COMPLEX)
            try:
                found = function(*args)
            except Warning as error:
                raise AssertionError(f"{name}: {error}") from error
            except Exception:  # noqa: BLE001 - refused, or not the arguments that it takes
                continue
            if name in AS_NUMPY:
                np.testing.assert_array_equal(
                    found, getattr(np, name, np.linalg.matrix_rank)(*args)
                )
            else:
                assert callable(found) or found is args[0], name


class Number(enum.IntEnum):
    TWO = 2


TAKEN: dict[str, Callable[[], Any]] = {
    "big-endian": lambda: BASE.astype(">f8"),
    "little-endian": lambda: BASE.astype("<f8"),
    "list of arrays": lambda: [BASE[0], BASE[1]],
    "tuple of lists of NumPy's numbers": lambda: ([np.float32(1), 2], [3.0, np.int8(4)]),
    "array.array": lambda: array.array("d", [1.0, 2.0]),
    "memoryview": lambda: memoryview(array.array("d", [1.0, 2.0])),
    "range": lambda: range(1, 3),
    "array of records read as numbers": lambda: BASE.view(np.recarray),
    "read only": lambda: np.broadcast_to(np.float64(2), (2, 2)),
    "float16 number": lambda: np.float16(2),
    "bool": lambda: True,
    "bools": lambda: BASE > 2,
    "uint8": lambda: BASE.astype(np.uint8),
    "an enumeration's number": lambda: Number.TWO,
    "long double": lambda: BASE.astype(np.longdouble),
    "constant Tensor": lambda: gg.Tensor(BASE),
    "list of constant Tensors": lambda: [gg.Tensor(BASE[0]), gg.Tensor(BASE[1])],
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_converted_exactly(name: str) -> None:
    v = TAKEN[name]()
    exact = np.asarray(BASE if "Tensor" in name else v)
    y = leaf() * v
    np.testing.assert_array_equal(y.numpy(), BASE * exact)
    np.testing.assert_array_equal(gg.Tensor(v).numpy(), exact)
    y.sum().backward()
    slope = gg.grad(lambda x: np.sum(x * v))(BASE)
    assert slope.dtype == np.float64
    np.testing.assert_array_equal(slope, np.broadcast_to(exact, (2, 2)).astype(float))


def test_a_leaf_of_the_other_byte_order_learns() -> None:
    x = gg.Tensor(BASE.astype(">f4"), requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.dtype == x.dtype
    np.testing.assert_array_equal(x.grad, 2 * BASE)


def test_a_mapped_file_is_read_as_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BASE)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(gg.grad(lambda x: np.sum(x * mapped))(BASE), BASE)
    np.testing.assert_array_equal(gg.grad(lambda x: np.sum(x * x))(mapped), 2 * BASE)


def test_a_long_double_computes_and_cannot_be_a_leaf_that_learns() -> None:
    with pytest.raises(DtypeError, match=r"\.astype\(float\)"):
        gg.Tensor(
            np.ones(2, np.longdouble) if np.finfo(np.longdouble).bits > 64 else [1],
            requires_grad=True,
        )


@pytest.mark.parametrize(
    "place",
    [
        lambda t: setattr(leaf(), "data", t),
        lambda t: setattr(leaf(), "grad", t),
        lambda t: leaf().copy().backward(t),
        lambda t: gg.Tensor([t[0], t[1]]),
        lambda t: written([t[0, 0], 1.0], gg.Tensor(BASE)),
        lambda t: np.take(BASE, t),
        lambda t: gg.take(BASE, t),
        lambda t: np.histogram(t, 3),
        lambda t: np.histogram_bin_edges(t, 3),
        lambda t: np.ix_(t[0], t[1]),
        lambda t: np.ma.array(BASE, mask=BASE > 2) * t,
        np.ma.exp,
        lambda t: np.ma.masked_less(t, 2.0),
    ],
)
def test_a_recorded_tensor_is_refused_where_it_would_lose_its_graph(place: Any) -> None:
    with pytest.raises(GraphgradError):
        place(leaf())


def test_plain_tensors_are_taken_there() -> None:
    x, t = leaf(), gg.Tensor(BASE)
    x.data, x.grad = t, t
    assert type(x.data) is type(x.grad) is np.ndarray
    (x * 1).backward(t)
    np.testing.assert_array_equal(x.grad, 2 * BASE)
    assert np.histogram(t, 3)[1].tolist() == [1, 2, 3, 4]
    assert np.histogram(x, [0.0, 2.5, 5.0])[0].tolist() == [2, 2]


@pytest.mark.parametrize(("number", "dtype"), [(2.5, float), (np.float32(2.5), np.float32)])
@pytest.mark.parametrize("needs", [True, False])
def test_a_forward_may_return_a_number(number: Any, dtype: Any, needs: bool) -> None:
    total = gg.op(lambda x: type(number)(np.sum(x)), lambda g, x, out: g * x / out, name="own")
    x = gg.Tensor([0.5, 2.0], requires_grad=needs)
    y = total(x)
    assert (y.numpy(), y.dtype) == (2.5, dtype)
    if needs:
        y.backward()
        np.testing.assert_allclose(x.grad, [0.2, 0.8])


def test_a_forward_that_returns_whole_numbers_or_bools_is_a_constant() -> None:
    for answer in (3, True, np.int8(3), np.arange(2)):
        y = gg.op(lambda _, a=answer: a, lambda g: g, inputs=1, name="own")(leaf())
        assert not y.requires_grad
        assert y.dtype == np.asarray(answer).dtype


@pytest.mark.parametrize("needs", [True, False])
@pytest.mark.parametrize("answer", [[1.0], None, "1", 1j, (1.0, 2.0), leaf(), {}], ids=str)
def test_a_forward_that_returns_no_array_is_refused(answer: Any, needs: bool) -> None:
    own = gg.op(lambda _: answer, lambda g: g, name="own")
    with pytest.raises(DtypeError, match=r"own: .*forward returned.*test_operands.py:"):
        own(gg.Tensor(BASE, requires_grad=needs))


@pytest.mark.parametrize("needs", [True, False])
@pytest.mark.parametrize("answer", [BASE, (BASE,), (BASE, [1.0]), (BASE, BASE + 1j)], ids=str)
def test_several_outputs_are_a_tuple_of_arrays(answer: Any, needs: bool) -> None:
    own = gg.op(lambda _: answer, joint=lambda g: (g[0],), inputs=1, outputs=2, name="own")
    with pytest.raises(DtypeError, match=r"own: .*forward returned"):
        own(gg.Tensor(BASE, requires_grad=needs))


QUESTIONS: dict[str, Callable[..., Any]] = {
    "isnan": np.isnan,
    "less": lambda x, **k: np.less(x, 2.0, **k),
    "all": np.all,
    "argmax": lambda x, **k: np.argmax(x, axis=0, **k),
    "isposinf": np.isposinf,
    "equal.outer": lambda x, **k: np.equal.outer(x, x, **k),
    "exp": np.exp,
    "sum": np.sum,
    "add.reduce": np.add.reduce,
    "dot": lambda x, **k: np.dot(x, x, **k),
    "concatenate": lambda x, **k: np.concatenate([x, x], **k),
    "fft": np.fft.fft,
}


@pytest.mark.parametrize("needs", [True, False])
@pytest.mark.parametrize("name", QUESTIONS)
def test_nothing_writes_into_a_tensor_by_out(name: str, needs: bool) -> None:
    for x in (BASE, leaf()):
        target = gg.Tensor(BASE, requires_grad=needs)
        with pytest.raises(GraphgradError, match=r"instead|t\[\.\.\.\] =|no gradient rule"):
            QUESTIONS[name](x, out=target)
        np.testing.assert_array_equal(target.numpy(), BASE)


def test_out_by_position() -> None:
    y = leaf()
    calls: list[Callable[[], Any]] = [
        lambda: np.isnan(y, y),
        lambda: np.less(y, 2.0, y),
        lambda: np.isposinf(BASE, y),
        lambda: np.all(BASE, None, y),
        lambda: np.argmax(BASE, 0, y),
        lambda: np.exp(BASE, y),
        lambda: np.sum(BASE, None, None, y),
        lambda: np.dot(BASE, BASE, y),
    ]
    for call in calls:
        with pytest.raises(GraphgradError):
            call()
    np.testing.assert_array_equal(y.numpy(), BASE)


def test_where_recorded() -> None:
    for call in (
        lambda: np.isnan(BASE, where=leaf(), out=np.zeros((2, 2), bool)),
        lambda: np.all(BASE, where=leaf()),
        lambda: np.sum(BASE, where=leaf()),
        lambda: np.exp(leaf(), where=leaf()),
    ):
        with pytest.raises(GraphgradError):
            call()
    plain = gg.Tensor(BASE > 1)
    assert np.all(leaf() > 1, where=plain)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique_values_have_the_gradient_of_the_first(axis: int | None) -> None:
    x = gg.Tensor([[2.0, 1.0, 2.0], [2.0, 1.0, 2.0]], requires_grad=True)
    values, index, inverse, counts = gg.unique(x, True, True, True, axis)
    for found, plain in zip(
        (values.numpy(), index, inverse, counts),
        np.unique(x.numpy(), True, True, True, axis),
        strict=True,
    ):
        np.testing.assert_array_equal(found, plain)
        assert type(found) is np.ndarray
    values.sum().backward()
    expected = {None: [[1, 1, 0], [0, 0, 0]], 0: [[1, 1, 1], [0, 0, 0]], 1: [[1, 1, 0], [1, 1, 0]]}
    np.testing.assert_array_equal(x.grad, expected[axis])


@pytest.mark.parametrize(
    "f", [np.unique, np.unique_values, np.unique_counts, np.unique_inverse, np.unique_all]
)
@pytest.mark.parametrize(
    "numbers", [[3.0, 1.0, 3.0, 2.0, 1.0], [[np.nan, 1.0], [1.0, np.nan]], [0.0, -0.0], [], 4.0]
)
def test_unique_is_numpys(f: Any, numbers: Any) -> None:
    x = gg.Tensor(np.array(numbers, float), requires_grad=True)
    found, plain = f(x), f(x.numpy())
    pairs = zip(found, plain, strict=True) if isinstance(plain, tuple) else [(found, plain)]
    for number, (a, b) in enumerate(pairs):
        assert isinstance(a, gg.Tensor) == (number == 0)
        np.testing.assert_array_equal(a.numpy() if number == 0 else a, b)
    values = found[0] if isinstance(plain, tuple) else found
    values.sum().backward()
    assert x.grad.sum() == values.size
