"""Every function of NumPy is an op, answers plainly, or is refused: none drops a graph in silence.

The table says what is refused and why; what is an op or answers plainly stands in the package.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from graphgrad.engine.op import TABLE
from graphgrad.engine.plain import PLAIN
from graphgrad.errors import GraphgradError
from tests.builders import leaf

REFUSED = {  # by the reason why it is no op
    "its values are complex, and graphgrad is for real numbers": """
        angle imag real_if_close sort_complex roots linalg.eig linalg.eigvals fft.fft fft.fft2
        fft.fftn fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.irfft fft.irfft2 fft.irfftn
        fft.rfft fft.rfft2 fft.rfftn""",
    "it writes into an array that stays what it is": """
        copyto fill_diagonal place put put_along_axis putmask""",
    "it turns a tensor into a plain array": """
        array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bmat
        fromiter require""",
    "it writes a file or text": """
        save savetxt savez savez_compressed format_float_positional format_float_scientific""",
    "it calls a function that is given": "apply_along_axis apply_over_axes piecewise fromfunction",
    "it is about dates": "busday_count busday_offset is_busday datetime_as_string",
    "nobody has asked for its rule yet; it can be composed": """
        convolve corrcoef correlate cov geomspace histogram2d histogramdd i0 intersect1d linspace
        logspace nanmedian nanpercentile nanquantile partition poly polyadd polyder polydiv
        polyfit polyint polymul polysub polyval resize setdiff1d setxor1d trim_zeros union1d
        unwrap vander linalg.lstsq linalg.tensorinv linalg.tensorsolve fft.fftshift
        fft.ifftshift""",
}
NO_OPERANDS = {  # what takes no array whose values could be lost
    "an array is made of sizes and numbers of Python's": """
        arange bartlett blackman diag_indices empty eye full hamming hanning identity indices
        kaiser mask_indices ones tri tril_indices triu_indices zeros broadcast_shapes
        fft.fftfreq fft.rfftfreq""",
    "it reads a file or text": """
        frombuffer from_dlpack fromfile fromregex fromstring genfromtxt load loadtxt""",
    "it tells about dtypes, whole numbers or settings": """
        base_repr binary_repr datetime_data frompyfunc get_include get_printoptions getbufsize
        geterr geterrcall info isdtype isfortran isscalar issubdtype iterable mintypecode
        nested_iters printoptions promote_types set_printoptions setbufsize seterr seterrcall
        show_config show_runtime test typename linalg.test fft.test""",
}
ONCE = ["chararray", "row_stack", "in1d", "trapz"]  # of some versions of NumPy only


def listed(table: dict[str, str]) -> dict[str, str]:
    return {name: reason for reason, names in table.items() for name in names.split()}


def walked(modules: tuple[ModuleType, ...]) -> Iterator[tuple[str, Any]]:
    for module in modules:
        prefix = module.__name__.removeprefix("numpy").removeprefix(".")
        for name in dir(module):
            function = getattr(module, name)
            if name[:1] != "_" and callable(function) and name not in ONCE:
                yield f"{prefix}.{name}".removeprefix("."), function


NUMPYS = {
    name: function
    for name, function in walked((np, np.linalg, np.fft))
    if not isinstance(function, type)
}


def test_the_table_is_what_is_there() -> None:
    refused, no_operands = listed(REFUSED), listed(NO_OPERANDS)
    assert not set(refused) & set(no_operands)
    for name, function in NUMPYS.items():
        kinds = [function in TABLE, function in PLAIN, name in refused, name in no_operands]
        assert sum(kinds) == 1, f"{name}: an op, plain, refused or without operands? {kinds}"


CALLS: list[Callable[[Any], tuple[Any, ...]]] = [
    lambda t: (t,),
    lambda t: (t, t),
    lambda t: (t, np.ones(2)),
    lambda t: (np.ones(2), t),
    lambda t: (t[0],),
    lambda t: (t[0], t[0]),
    lambda t: (t[0], np.array([0, 1])),
    lambda t: (np.array([0, 1]), t[0]),
    lambda t: (t[0, 0],),
    lambda t: (t[0, 0], t[0, 1], 3),
    lambda t: (t, 1),
    lambda t: (1, t),
    lambda t: ([t[0], t[1]],),
    lambda t: (t, t, t),
    lambda t: (2, 2, t),
    lambda t: ("ij->j", t),
    lambda t: (np.sum, 0, t),
    lambda t: (np.sum, t, [0]),
    lambda t: (t, np.array([[0, 1]]), t[:1], 0),
]
FIRST, SECOND = np.array([[1.5, 2.5], [3.5, 0.5]]), np.array([[0.3, 0.7], [0.6, 0.2]])
# What reads or writes files, asks for a terminal, or changes settings of the whole process.
LEFT_OUT = """
    DataSource fromfile fromregex genfromtxt get_state info load loadtxt memmap open_memmap save
    savetxt savez savez_compressed seed set_bit_generator set_printoptions set_state setbufsize
    seterr seterrcall show_config show_runtime test empty empty_like ndarray recarray chararray
    masked_all masked_all_like MaskedArray bytes random_integers"""


def plain_numbers(answer: Any) -> list[Any]:
    """List the floating arrays and numbers of an answer that stand outside of the graph."""
    if isinstance(answer, tuple | list):
        return [number for part in answer for number in plain_numbers(part)]
    if isinstance(answer, np.ndarray | np.generic | float | complex):
        array = np.ma.getdata(np.asarray(answer))
        return [array] if array.dtype.kind in "fcO" else []
    return []


def answers(function: Any, call: Callable[[Any], tuple[Any, ...]]) -> list[list[Any]]:
    """Call with two recorded tensors; empty if it is refused, as it should be."""
    found = []
    for values in (FIRST, SECOND):
        try:
            found.append(plain_numbers(function(*call(leaf(values)))))
        except Exception:  # noqa: BLE001 - of any kind: nothing has left the graph
            return []
    return found


def silent(function: Any) -> bool:
    """Whether floating numbers come out that depend on a recorded tensor, outside its graph."""
    for call in CALLS:
        first, second = answers(function, call) or ([], [])
        if len(first) != len(second):
            return True
        for a, b in zip(first, second, strict=True):
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                return True
    return False


# Methods of a generator that believe their argument `out` to be an array, and read the memory of
# anything else as one, which may crash the process. By the place of `out`.
OUT = {"random": 2, "standard_normal": 2, "standard_exponential": 3, "standard_gamma": 3}


def found_in(module: Any, name: str) -> Any:
    """Return what has a name; a method of a random generator draws the same each time."""
    if module is not np.random.Generator:
        return getattr(module, name)

    def draw(*args: Any) -> Any:
        out = args[OUT[name] :] if name in OUT else ()
        if out and not isinstance(out[0], np.ndarray):
            raise TypeError(name)
        return getattr(np.random.default_rng(0), name)(*args)

    return draw


@pytest.mark.parametrize(
    "module",
    [
        np,
        np.linalg,
        np.fft,
        np.ma,
        np.char,
        np.strings,
        np.emath,
        np.rec,
        np.lib.stride_tricks,
        np.polynomial,
        np.polynomial.polynomial,
        np.polynomial.chebyshev,
        np.random,
        np.random.Generator,
    ],
    ids=lambda module: module.__name__,
)
def test_no_graph_is_dropped_in_silence(module: Any) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of what is called with odd arguments
        found = [
            name
            for name in dir(module)
            if name[:1] != "_" and name not in LEFT_OUT.split()
            for function in [found_in(module, name)]
            if callable(function) and not inspect.ismodule(function)
            if not (isinstance(function, type) and issubclass(function, BaseException))
            if silent(function)
        ]
    assert not found


def test_the_walk_finds_silence() -> None:
    assert silent(lambda t: t.numpy() * 2)
    assert silent(lambda t: (1, [t.detach().numpy()]))
    assert not silent(np.ones_like)
    assert not silent(lambda t: t * 2)


@pytest.mark.parametrize("name", listed(REFUSED))
def test_what_is_refused_says_so(name: str) -> None:
    """At least one call reaches the refusal, and none returns anything."""
    function = NUMPYS.get(name)
    if function is None:
        pytest.skip("not in this version of NumPy")
    refusals = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in CALLS:
            t = leaf(FIRST)
            try:
                function(*call(t))
            except GraphgradError:
                refusals += 1
            except Exception:  # noqa: BLE001 - not the arguments that it takes
                continue
            np.testing.assert_array_equal(t.numpy(), FIRST)
    assert refusals
