"""Small and unsigned integers compute as those of 64 bits do, and what fits nowhere is refused."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.checks.laws import AnyOp, Case
from graphgrad.engine.domains import Call
from graphgrad.engine.integers import EXACT, NAMES, as_whole_numbers
from graphgrad.engine.op import Op
from graphgrad.engine.plain import is_numpys
from graphgrad.engine.trees import flatten
from graphgrad.errors import ArgumentError, IndexingError
from graphgrad.nn import functional as F  # noqa: N812 - its usual name
from graphgrad.testing import typical_calls
from tests import every_module
from tests.builders import leaf
from tests.every_op import EVERY_OP
from tests.sampling import every

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
NARROW = [np.int8, np.uint8, np.uint64]  # the shortest, and what fits no signed number


def fits(x: Any, dtype: Any) -> bool:
    limits = np.iinfo(dtype)
    return not np.size(x) or bool(np.min(x) >= limits.min and np.max(x) <= limits.max)


def is_integer(x: Any) -> bool:
    return np.result_type(x).kind in "iu" if isinstance(x, int | np.ndarray | np.generic) else False


def narrowed(tree: Any, dtype: Any, array: Callable[..., Any] | None = None) -> Any:
    """Give what is an integer, and fits, another dtype, inside of lists, tuples and dicts too."""
    leaves, rebuild = flatten(tree)
    return rebuild(
        [
            x
            if not is_integer(x) or isinstance(x, bool) or not fits(x, dtype)
            else x.astype(dtype)
            if isinstance(x, np.ndarray)
            else array(x, dtype)
            if array
            else dtype(x)
            for x in leaves
        ]
    )


def everything(function: Callable[..., Any], inputs: Sequence[Any], learned: Any = ()) -> list[Any]:
    given = [leaf(x) if getattr(x, "dtype", None) == np.float64 else x for x in inputs]
    with np.errstate(all="ignore"):  # of the logarithm of −100, say
        outs = flatten(function(*given))[0]
        recorded = [y for y in outs if isinstance(y, gg.Tensor) and y.requires_grad]
        rng = np.random.default_rng(0)
        if recorded:
            total: Any = sum((y * rng.uniform(-1, 1, y.shape)).sum() for y in recorded)
            total.backward()
    values = [np.asarray(y.data if isinstance(y, gg.Tensor) else y) for y in outs]
    return values + [t.grad for t in (*given, *learned) if isinstance(t, gg.Tensor)]


def require_same(got: list[Any], wanted: list[Any], what: str) -> None:
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert (a is None) == (b is None), what
        if a is not None:
            np.testing.assert_array_equal(a, b, err_msg=what)
            assert a.dtype.kind != "f" or a.dtype == b.dtype, what


NO_COUNTS = {
    # values, not counts: NumPy decides by their dtype what the result's is
    *("ord", "p", "q", "order", "constant_values", "left", "right", "range", "a_min", "a_max"),
    # arrays of numbers that are compared or looked up
    *("a", "condition", "choices", "condlist", "xp", "x", "weights", "labels"),
    # what only graphgrad's own functions hand over, after they checked it
    *("after", "before", "counts", "down", "across", "found", "winners", "power"),
}


def parameters(op: AnyOp, call: Call) -> dict[str, Any]:
    """Name the integer arguments of a call, but for the inputs."""
    given = {**dict(zip(op.binder.order, call.args, strict=False)), **call.kwargs}
    if op.binder.star:
        given = call.kwargs
    inputs = op.order[: op.inputs] if isinstance(op, Op) else ()
    return {
        n: x
        for n, x in given.items()
        if n not in inputs and any(is_integer(v) and not isinstance(v, bool) for v in flatten(x)[0])
    }


def calls_with_integers() -> Iterator[tuple[str, AnyOp, Call]]:
    for name, op in EVERY_OP.items():
        for call in typical_calls(op):
            if parameters(op, call):
                yield name, op, call


CALLS = list(calls_with_integers())


def test_every_integer_parameter_is_known() -> None:
    """A parameter of another name would not be made a Python int: name it in `integers`."""
    found = {n for _, op, call in CALLS for n in parameters(op, call)}
    assert found <= NAMES | NO_COUNTS, found - NAMES - NO_COUNTS
    assert len(CALLS) > 200


@pytest.mark.parametrize(
    ("dtype", "array"), every(5, [*((t, None) for t in INTEGERS), *((t, np.array) for t in NARROW)])
)
def test_parameters_of_ops(dtype: Any, array: Any) -> None:
    for name, op, call in CALLS:
        places = [n for n in parameters(op, call) if n in NAMES]
        if not places:
            continue
        case = Case(op, call)

        def run(call: Call, op: AnyOp = op, case: Case = case) -> list[Any]:
            leaves, rebuild = flatten(tuple(call))

            def on(*points: Any) -> Any:
                for place, point in zip(case.places, points, strict=True):
                    leaves[place] = point
                args, kwargs = rebuild(leaves)
                return op(*args, **kwargs)

            return everything(on, case.points)

        order = op.binder.order
        args = [
            narrowed(x, dtype, array) if i < len(order) and order[i] in places else x
            for i, x in enumerate(call.args)
        ]
        kwargs = {
            n: narrowed(x, dtype, array) if n in places else x for n, x in call.kwargs.items()
        }
        require_same(run(Call(tuple(args), kwargs)), run(call), f"{name} {case} {dtype.__name__}")


def mixed() -> Iterator[tuple[str, Case, list[int]]]:
    """Yield calls of which some inputs may be integers: one of several, in ours also all."""
    for name, op in EVERY_OP.items():
        for call in typical_calls(op):
            case = Case(op, call)
            if len(case.places) > 1:
                for place in case.places:
                    yield name, case, [place]
            if case.places and not is_numpys(op.function) and op.name not in EXACT:
                yield name, case, case.places


_DTYPE_OF_RESULT = {"full_like", "ediff1d", "insert", "setitem"}  # an integer input decides it


@pytest.mark.parametrize(
    ("dtype", "lowest"),
    every(3, [(np.int8, -100), (np.int8, 100), (np.uint8, 100), (np.uint64, 0)]),
)
def test_operands(dtype: Any, lowest: int) -> None:
    """Rules multiply, negate and subtract the integers beside what asks for a gradient."""
    for name, case, places in mixed():
        if case.op.name in _DTYPE_OF_RESULT:
            continue

        def run(dtype: Any, case: Case = case, places: list[int] = places) -> list[Any]:
            rng = np.random.default_rng(3)
            leaves = list(case.leaves)
            for place in places:
                leaves[place] = np.asarray(
                    rng.integers(lowest, lowest + 28 if lowest else 100, np.shape(leaves[place]))
                ).astype(dtype)
            rest = [p for p in case.places if p not in places]

            def on(*points: Any) -> Any:
                for place, point in zip(rest, points, strict=True):
                    leaves[place] = point
                args, kwargs = case.rebuild(leaves)
                return case.op(*args, **kwargs)

            return everything(on, [leaves[p] for p in rest])

        require_same(run(dtype), run(np.int64), f"{name} {case} {places}")


class Narrow:
    """The namespace nn, whose classes get their whole numbers in another dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __getattr__(self, name: str) -> Any:
        made = getattr(nn, name)
        return lambda *args, **kwargs: made(
            *narrowed(args, self.dtype), **narrowed(kwargs, self.dtype)
        )


def made(example: every_module.Example, dtype: Any, patch: pytest.MonkeyPatch) -> nn.Module:
    with patch.context() as patched:
        patched.setattr(every_module, "nn", Narrow(dtype))
        return example.make(np.random.default_rng(0), np.float64)


def kept(x: Any) -> Iterator[Any]:
    """Yield what a module keeps of its arguments, out of tuples too."""
    if isinstance(x, tuple | list):
        for part in x:
            yield from kept(part)
    else:
        yield x


@pytest.mark.parametrize("name", every_module.EXAMPLES)
def test_modules(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example = every_module.EXAMPLES[name]

    def run(dtype: Any) -> tuple[str, list[Any]]:
        model = made(example, dtype, monkeypatch)
        for module in model.modules():
            for attribute, value in vars(module).items():
                numbers = [x for x in kept(value) if isinstance(x, np.integer)]
                assert not numbers, f"{type(module).__name__}.{attribute} is no int"
        rng = np.random.default_rng(1)
        inputs = example.inputs(lambda *shape: rng.standard_normal(shape))
        return repr(model), everything(model, narrowed(inputs, dtype), [*model.parameters()])

    shown, wanted = run(np.int64)
    for dtype in INTEGERS:
        again, got = run(dtype)
        assert again == shown
        require_same(got, wanted, f"{name} {dtype.__name__}")


# sizes whose products do not fit eight bits
LARGE: dict[str, Callable[..., Any]] = {
    "RNN": lambda n: nn.RNN(n, n, bidirectional=True),
    "LSTM": lambda n: nn.LSTM(n, n, 2),
    "GRU": lambda n: nn.GRU(n, n),
    "cells": lambda n: nn.Sequential(nn.RNNCell(n, n), nn.LSTMCell(n, n), nn.GRUCell(n, n)),
    "MultiheadAttention": lambda n: nn.MultiheadAttention(n, n),
    "TransformerEncoderLayer": lambda n: nn.TransformerEncoderLayer(n, n, n),
    "PositionalEncoding": nn.PositionalEncoding,
    "Maxout": lambda n: nn.Maxout(n, n, n),
    "Conv2d": lambda n: nn.Conv2d(n, n, 1, groups=n),
    "ConvTranspose2d": lambda n: nn.ConvTranspose2d(n, n, 1, groups=n),
    "LocallyConnected2d": lambda n: nn.LocallyConnected2d(n, n, 2, 2),
    "GroupNorm": lambda n: nn.GroupNorm(n, n),
    "Embedding": lambda n: nn.Embedding(n, n, padding_idx=n - n),
}


@pytest.mark.parametrize("name", LARGE)
def test_products_of_sizes_do_not_overflow(name: str) -> None:
    make, rng = LARGE[name], np.random.default_rng(0)
    gg.manual_seed(int(rng.integers(100)))
    wanted = {n: p.shape for n, p in make(100).named_parameters()}
    for number in (np.uint8(100), np.int8(100)):
        assert {n: p.shape for n, p in make(number).named_parameters()} == wanted


SCORES = np.random.default_rng(0).standard_normal((4, 3))
IMAGES = np.random.default_rng(1).standard_normal((2, 4, 5, 5))
KERNELS = np.random.default_rng(2).standard_normal((4, 2, 3, 3))
LABELS = np.array([2, 0, 1, 2])
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "cross_entropy of one": (F.cross_entropy, (SCORES[0], LABELS[0]), {}),
    "cross_entropy of images": (F.cross_entropy, (IMAGES, np.full((2, 5, 5), 3)), {}),
    "cross_entropy, the usual mask": (
        F.cross_entropy,
        (SCORES, np.array([1, 255, 0, 255])),
        {"ignore_index": 255},
    ),
    "cross_entropy of one-hot labels": (
        F.cross_entropy,
        (SCORES, np.eye(3, dtype=int)[LABELS]),
        {},
    ),
    "cross_entropy with options": (
        F.cross_entropy,
        (SCORES, LABELS, np.array([1, 2, 3])),
        {"ignore_index": 2, "label_smoothing": 0.25, "reduction": "sum"},
    ),
    "nll_loss, the usual mask": (
        F.nll_loss,
        (SCORES, np.array([1, 255, 0, 255])),
        {"ignore_index": 255, "reduction": "none"},
    ),
    "multi_margin_loss": (F.multi_margin_loss, (SCORES, LABELS, 2, 1.0, np.arange(3)), {}),
    "mse_loss": (F.mse_loss, (SCORES, np.full((4, 3), 100)), {}),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits,
        (SCORES, np.eye(4, 3, dtype=int)),
        {"pos_weight": np.full(3, 100)},
    ),
    "embedding": (lambda w, i, p: F.embedding(i, w, p), (SCORES, LABELS, 1), {}),
    "conv2d": (F.conv2d, (IMAGES, KERNELS), {"stride": (2, 1), "padding": 1, "groups": 2}),
    "conv_transpose2d": (
        F.conv_transpose2d,
        (IMAGES, KERNELS),
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": (1, 2)},
    ),
    "avg_pool2d": (F.avg_pool2d, (IMAGES, 3), {"stride": 2, "divisor_override": 5}),
    "lp_pool2d": (F.lp_pool2d, (IMAGES, 3, 2), {}),
    "adaptive_max_pool2d": (F.adaptive_max_pool2d, (IMAGES, (2, 3)), {}),
    "im2col": (F.im2col, (IMAGES, 3), {"stride": 2, "padding": 1}),
    "col2im": (F.col2im, (np.ones((8, 36)), (2, 4, 5, 5), 3), {"stride": 2}),
    "layer_norm": (F.layer_norm, (IMAGES, (5, 5)), {}),
    "local_response_norm": (F.local_response_norm, (IMAGES, 3), {}),
    "maxout": (F.maxout, (IMAGES[..., :4], 2), {}),
    "one_hot": (gg.data.one_hot, (LABELS, 3), {}),
    "a power": (lambda x, n: x**n, (SCORES, 3), {}),
    "a number to a power": (lambda y, n: n**y, (SCORES, 100), {}),
    "places": (lambda x, i, j: x[i, j], (SCORES, LABELS, 2), {}),
    "a method": (lambda x, n: x.reshape(n, -1).sum(axis=n - n), (SCORES, 2), {}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    function, args, kwargs = FUNCTIONS[name]

    def run(dtype: Any) -> list[Any]:
        more = narrowed(kwargs, dtype)
        return everything(lambda *given: function(*given, **more), narrowed(args, dtype))

    wanted = run(np.int64)
    for dtype in INTEGERS:
        require_same(run(dtype), wanted, f"{name} {dtype.__name__}")


HUGE = np.array([2**64 - 1], np.uint64)  # as 64 bits with a sign: −1
REFUSED: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "an index": (lambda x: x[HUGE], IndexingError),
    "a number as index": (lambda x: x[HUGE[0]], IndexingError),
    "take": (lambda x: np.take(x, HUGE), IndexingError),
    "take_along_axis": (lambda x: np.take_along_axis(x, HUGE, 0), IndexingError),
    "embedding": (lambda x: F.embedding(HUGE, x[:, None]), IndexingError),
    "labels": (lambda x: F.cross_entropy(x[None], HUGE), ArgumentError),
    "labels of a hinge": (lambda x: F.hinge_loss(x[None], HUGE), ArgumentError),
    "one_hot": (lambda _: gg.data.one_hot(HUGE), ArgumentError),
    "a shift": (lambda x: np.roll(x, HUGE), ArgumentError),
    "a count": (lambda x: np.repeat(x, HUGE), ArgumentError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    call, error = REFUSED[name]
    with pytest.raises(error, match=r"\(at test_integers.py:\d+\)"):
        call(leaf([1.0, 2.0, 3.0]))


def test_whole_numbers_inside_of_lists() -> None:
    given = ([np.uint8(1), 2], (np.array(3, np.int8), None), np.array([4], np.uint16), "a", 1.5)
    found = as_whole_numbers("f", "shape", given)
    assert found[:2] == ([1, 2], (3, None))
    assert all(type(x) is int for x in (*found[0], found[1][0]))
    assert found[2].dtype == np.intp
    assert found[3:] == ("a", 1.5)
