"""Every op against the laws, and the table of ops against the names that users write."""

import functools
import inspect
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.gradcheck import gradcheck
from graphgrad.checks.laws import AnyOp, Case
from graphgrad.engine.composite import Composite
from graphgrad.engine.domains import Call, Cases, Elementwise
from graphgrad.engine.op import TABLE, Op
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphgradError, UnsupportedError
from graphgrad.testing import check_op, typical_calls
from tests.every_op import EVERY_OP
from tests.sampling import every

EXAMPLES = 2  # random calls of each op, beside its typical ones


def module_of(function: Any) -> str:
    """Name the module of a function; ufuncs of older NumPys have none, and are NumPy's own."""
    return getattr(function, "__module__", None) or "numpy"


NUMPYS = {
    f"{module_of(function)}.{function.__name__}".replace("numpy", "np", 1): function
    for function in TABLE
    if not isinstance(function, str) and module_of(function).startswith("numpy")
}


@pytest.mark.parametrize("op", EVERY_OP.values(), ids=EVERY_OP)
def test_laws(op: AnyOp) -> None:
    # every one of Cases is typical: random calls of them differ in their numbers alone
    check_op(op, examples=1 if isinstance(op.domain, Cases) else EXAMPLES)


@pytest.mark.whole
@pytest.mark.parametrize("op", EVERY_OP.values(), ids=EVERY_OP)
def test_laws_on_many_random_calls(op: AnyOp) -> None:
    check_op(op, examples=5 * EXAMPLES)


@pytest.mark.parametrize("op", every(8, EVERY_OP.values()), ids=EVERY_OP)
def test_third_order(op: AnyOp) -> None:
    """Ops that only rules call, and the rules of those, are differentiated here."""
    cases = [Case(op, call) for call in typical_calls(op)]
    for case in [c for c in cases if 0 < sum(p.size for p in c.points) <= 6][:2]:
        report = gradcheck(case.run, *case.points, order=3)
        assert report, f"{case}: {report}"


@pytest.mark.parametrize("op", EVERY_OP.values(), ids=EVERY_OP)
def test_is_fully_declared(op: AnyOp) -> None:
    assert op.domain is not None, "a domain, for its property tests"
    assert 0 < len(op.symbol) <= 20, "a symbol, for pictures"
    assert "<lambda>" not in op.name
    assert op.name != "op"
    if isinstance(op, Op) and isinstance(op.domain, Elementwise):
        assert op.elementwise
    own = op.body.__doc__ if isinstance(op, Composite) else op.__doc__
    assert own, "a docstring"
    if module_of(op.function).startswith("numpy"):
        assert own != op.function.__doc__, "a docstring that says its gradient"


@pytest.mark.parametrize("op", EVERY_OP.values(), ids=EVERY_OP)
def test_what_works_element_by_element_is_declared_so(op: AnyOp) -> None:
    if isinstance(op, Op) and not op.variadic and not op.elementwise:
        matrices = [c for c in typical_calls(op) if c.args and np.ndim(c.args[0]) > 1]
        matrices = [c for c in matrices if np.size(c.args[0]) > 1]
        assert not matrices or not all(map(functools.partial(elements_alone, op), matrices))


def elements_alone(op: Any, call: Call) -> bool:
    """Whether the elements of the first argument may stand in any shape and order."""
    x, *others = call.args
    try:
        y, turned = (op(a, *others, **call.kwargs) for a in (x, x.ravel()[::-1]))
    except (GraphgradError, IndexError, ValueError):
        return False
    return np.shape(y) == np.shape(x) and np.array_equal(np.ravel(y)[::-1], turned)


@pytest.mark.parametrize("op", EVERY_OP.values(), ids=EVERY_OP)
def test_an_input_that_has_a_rule_is_floating_in_some_typical_call(op: AnyOp) -> None:
    if isinstance(op, Op) and not op.variadic:
        ruled = range(op.inputs) if op.joint else [i for i, rule in enumerate(op.rules) if rule]
        calls = typical_calls(op)
        for i in ruled:
            given = [call.args[i] for call in calls if len(call.args) > i]
            assert any(np.asarray(x).dtype.kind == "f" for x in given), op.order[i]


def public(function: Any) -> Any:
    """Find what stands under the name of a NumPy function in gg."""
    space = gg.linalg if module_of(function).startswith("numpy.linalg") else gg
    return getattr(space, function.__name__, None)


@pytest.mark.parametrize("name", NUMPYS)
def test_numpys_name_is_ours(name: str) -> None:
    """`np.f(t)` and `gg.f(t)` are one op: the same object stands in the table and in gg."""
    assert public(NUMPYS[name]) is TABLE[NUMPYS[name]]


def test_every_alias_of_numpys_is_ours() -> None:
    """np.abs is np.absolute, so gg.abs is gg.absolute; likewise in np.linalg."""
    for theirs, ours in ((np, gg), (np.linalg, gg.linalg)):
        for name, function in inspect.getmembers(theirs, callable):
            if not name.startswith("_") and not inspect.isclass(function) and function in TABLE:
                assert getattr(ours, name, None) is TABLE[function], name


def defaults(function: Any) -> dict[str, Any]:
    """Return the default of each parameter that has one, where NumPy tells."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # written in C
        return {}
    unsaid = (inspect.Parameter.empty, np._NoValue)
    return {k: p.default for k, p in parameters.items() if p.default not in unsaid}


@pytest.mark.parametrize("name", NUMPYS)
def test_defaults_are_numpys(name: str) -> None:
    op = TABLE[NUMPYS[name]]
    ours = defaults(op.body if isinstance(op, Composite) else op.forward)
    theirs = defaults(NUMPYS[name])
    for parameter in ours.keys() & theirs.keys():
        assert repr(ours[parameter]) == repr(theirs[parameter]), parameter


def tensor_call(op: AnyOp, call: Call) -> tuple[Case, Any]:
    case = Case(op, call)
    return case, case.arguments([gg.Tensor(p, requires_grad=True) for p in case.points])


def same(found: Any, expected: Any) -> None:
    """Require equal numbers that stand in equal places of the graph."""
    ys, es = flatten(found)[0], flatten(expected)[0]
    for y, e in zip(ys, es, strict=True):
        assert type(y) is type(e)
        if isinstance(y, gg.Tensor):
            assert (y._node is None) == (e._node is None)
            assert y._node is None or y._node.plan is e._node.plan
        np.testing.assert_array_equal(
            *(t._array if isinstance(t, gg.Tensor) else t for t in (y, e))
        )


@pytest.mark.parametrize("name", NUMPYS)
def test_numpys_function_records_our_op(name: str) -> None:
    function = NUMPYS[name]
    for call in typical_calls(TABLE[function]):
        case, (args, kwargs) = tensor_call(TABLE[function], call)
        if case.points:
            same(function(*args, **kwargs), public(function)(*args, **kwargs))


METHODS = [
    name for name, f in NUMPYS.items() if hasattr(gg.Tensor, f.__name__) and "linalg" not in name
]


@pytest.mark.parametrize("name", METHODS)
def test_the_method_is_the_same_op(name: str) -> None:
    function = NUMPYS[name]
    compared = 0
    for call in typical_calls(TABLE[function]):
        case, (args, kwargs) = tensor_call(TABLE[function], call)
        if args and isinstance(args[0], gg.Tensor) and case.points:
            method = function.__name__
            (array, *others), options = case.arguments(case.points)
            try:
                if hasattr(array, method):
                    getattr(array.copy(), method)(*others, **options)
            except (TypeError, ValueError):  # arrays do not take these arguments either
                continue
            same(getattr(args[0], method)(*args[1:], **kwargs), function(*args, **kwargs))
            compared += 1
    assert compared


def test_the_methods_of_ndarray_are_there() -> None:
    """A method that an array has is one that a Tensor has, but for those that make no sense."""
    elsewhere = """
        base ctypes data device dump dumps flags flat getfield itemset itemsize nbytes newbyteorder
        resize setfield setflags strides tobytes tofile tostring to_device byteswap view partition
        argpartition put fill imag real conj conjugate choose compress searchsorted
        ptp
    """
    missing = {n for n in dir(np.ndarray) if not n.startswith("_")} - set(dir(gg.Tensor))
    assert missing <= set(elsewhere.split())


def takes_out(function: Any) -> bool:
    """Whether NumPy's function can be given an array to write its result into."""
    if isinstance(function, np.ufunc):
        return True
    try:
        return "out" in inspect.signature(function).parameters
    except ValueError:  # written in C; older NumPys do not tell
        return False


TAKES_OUT = [name for name, f in NUMPYS.items() if takes_out(f)]


@pytest.mark.parametrize("name", TAKES_OUT)
def test_an_output_array_is_refused_by_name(name: str) -> None:
    """Else NumPy's own argument would be ignored, and the array left as it was."""
    function = NUMPYS[name]
    out: Any = np.zeros(3)
    if isinstance(function, np.ufunc) and function.nout > 1:
        out = (out, out)
    for call in typical_calls(TABLE[function]):
        case, (args, kwargs) = tensor_call(TABLE[function], call)
        if case.points:
            with pytest.raises(UnsupportedError, match="'out' is not supported; assign the result"):
                function(*args, **kwargs, out=out)
