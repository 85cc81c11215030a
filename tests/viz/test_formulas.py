"""What the pictures say of an op in mathematics is what its rules compute."""

import math
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.domains import Call, Cases, Elementwise, Reduction, call
from graphgrad.engine.op import Op
from graphgrad.engine.plan import rule_arguments
from graphgrad.engine.record import record
from graphgrad.nn.functional.activations import _ELU, _LEAKY
from graphgrad.nn.functional.linear_units import _GELU
from graphgrad.nn.functional.losses.classification import _CROSS_ENTROPY
from graphgrad.nn.functional.matrix_products import _LINEAR
from graphgrad.nn.kernels.convolution import CONV2D
from graphgrad.viz.formulas.local_derivatives import local_derivatives
from graphgrad.viz.formulas.node_formulas import (
    formula_of,
    formulas_of,
    from_rules,
    local_gradients,
)
from graphgrad.viz.formulas.number_format import signed
from tests.every_op import EVERY_OP
from tests.reading import Reader

OPS = {name: op for name, op in EVERY_OP.items() if isinstance(op, Op)}
MATRIX, VECTOR = (2, 3), (3,)


def calls_of(op: Op[Any]) -> list[Call]:
    rng = np.random.default_rng(0)
    domain: Any = op.domain

    def r(*shape: int) -> Any:
        return rng.uniform(-1, 1, shape)

    if isinstance(domain, Cases):
        return [make(r) for make in domain.calls]
    if isinstance(domain, Reduction):
        return [call(r(2, 3)), call(r(2, 3), axis=1), call(r(2, 3), axis=(0, 1), keepdims=True)]
    if isinstance(domain, Elementwise):
        return [call(*[rng.uniform(*interval, (5,)) for interval in domain.intervals])]
    return []


def uses_of(op: Op[Any]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    found = []
    for args, kwargs in calls_of(op):
        inputs, params = op.bind(args, kwargs)
        found.append((inputs, dict(zip(op.order[op.inputs :], params, strict=True))))
    return found


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_every_op_has_formulas(op: Op[Any]) -> None:
    """With its shapes and without, no op is passed over, and none breaks a picture."""
    uses: list[Any] = [((), {}, None)]
    uses += [((), k, [np.shape(x) for x in inputs]) for inputs, k in uses_of(op)]
    for names, keywords, shapes in uses:
        formula = formula_of(op, names, keywords, shapes)
        gradients = local_gradients(op, names, keywords, None, shapes)
        assert formula
        assert len(gradients) >= op.inputs
        if not op.joint:
            assert [g is None for g in gradients] == [rule is None for rule in op.rules]
        for text in (formula, *[g for g in gradients if g is not None]):
            assert text.strip() == text != ""
            assert text.isprintable(), "what symbols could not tell must not be seen"
            assert "by the rule of" not in text, "a docstring has no sentence on the gradient"


def test_most_formulas_come_from_rules() -> None:
    assert len(ELEMENTWISE) > 80
    by_rule = 0
    for op in OPS.values():
        uses = uses_of(op) or [((), {})]
        inputs, keywords = uses[0]
        by_rule += all(from_rules(op, keywords, [np.shape(x) for x in inputs]))
    assert by_rule >= 0.8 * len(OPS)


OTHERS: dict[str, Any] = {
    "σ": gg.sigmoid,
    "max": np.maximum,
    "min": np.minimum,
    "atan2": np.arctan2,
    "mod": np.remainder,
    "clip": np.clip,
    "gelu′": lambda x, _: OPS["gelu_slope"](x, "tanh"),
    **{f"sinc{'′' * n}": lambda x, n=n: OPS["sinc_derivative"](x, n) for n in (1, 2, 3)},
    "Φ": lambda x: (1 + OPS["erf"](x / math.sqrt(2))) / 2,
    "φ": lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
}
FUNCTIONS = {
    **{op.name: op for op in OPS.values()},
    **{name: getattr(np, name) for name in ("rint", "sign", "trunc", "log", "exp", "log2")},
    **OTHERS,
}
ELEMENTWISE = {
    name: op for name, op in OPS.items() if op.elementwise and not op.joint and any(from_rules(op))
}


ARRAYS = (
    *("matmul", "outer", "inv", "sum", "mean", "var"),
    *("std", "max", "min", "nansum", "nanmean", "nanmax"),
    *("nanmin", "nanvar", "transpose", "swapaxes", "moveaxis", "reshape"),
    *("ravel", "expand_dims", "squeeze", "flip", "fliplr", "flipud"),
    *("rot90", "roll", "tril", "triu", "cumsum", "getitem"),
    *("take", "softmax", "log_softmax", "logsumexp", "linear", "det"),
    *("cofactors", "solve", "concatenate", "stack", "vecdot", "cross"),
    *("tile", "repeat", "dot", "vdot", "broadcast_to", "dropout"),
    *("cross_entropy",),
)


def with_axes(function: Any) -> Any:
    """A reduction as formulas mean it: what it leaves lines up with what it took."""
    return lambda a, axis=None, **more: function(a, axis=axis, keepdims=axis is not None, **more)


REDUCED = ("sum", "mean", "var", "std", "max", "min", "nanmax", "nanmin", "logsumexp")
ON_ARRAYS: dict[str, Any] = {
    **{name: getattr(np, name) for name in ARRAYS if hasattr(np, name)},
    **{name: op for name, op in OPS.items() if not hasattr(np, name)},
    **{name: with_axes(getattr(np, name)) for name in REDUCED if hasattr(np, name)},
    "Σ": with_axes(np.sum),
    "norm": np.linalg.norm,
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "solve": np.linalg.solve,
    "cof": OPS["cofactors"],
    "broadcast": lambda x: x,
    "max": lambda a, *b, axis=None: np.maximum(a, *b) if b else with_axes(np.max)(a, axis),
}


def lined_up(op: Op[Any], g: Any, keywords: dict[str, Any]) -> Any:
    """The gradient of a reduction with the axes that it lost."""
    axis = keywords.get("axis")
    if axis is None or op.name not in (*REDUCED, "nansum", "nanmean", "nanvar"):
        return g
    return g if keywords.get("keepdims") else np.expand_dims(g, axis)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *ARRAYS])
def test_formulas_evaluate_to_what_ops_compute(name: str) -> None:
    """The texts, read back and computed with numbers, give what forward and rules give.

    Axes line up as NumPy's broadcasting wants them.
    """
    op, rng, read = OPS[name], np.random.default_rng(3), 0
    functions = FUNCTIONS if name in ELEMENTWISE else FUNCTIONS | ON_ARRAYS
    for inputs, keywords in uses_of(op):
        arrays = tuple(np.asarray(x) for x in inputs)
        shapes = [x.shape for x in arrays]
        raw = op.forward(*((arrays,) if op.variadic else arrays), *keywords.values())
        out, saved = raw if op.has_saved else (raw, None)
        g = rng.uniform(0.5, 2, np.shape(out))
        names = list(op.order[: op.inputs])
        if op.variadic:
            names = [f"x{i + 1}" for i in range(len(arrays))]
        values: dict[str, Any] = {**keywords, **dict(zip(names, arrays, strict=True))}
        values |= {"out": out, "saved": saved}
        known = {**functions, **values, "g": lined_up(op, g, keywords)}
        known["onehot"] = lambda labels, shape=shapes[0]: np.eye(shape[-1])[labels]
        values |= {"inputs": arrays, "wanted": (True,) * len(arrays), "inputs_shape": tuple(shapes)}
        values |= {f"{n}_shape": s for n, s in zip(names, shapes, strict=True)}
        if name in ELEMENTWISE:
            formula = Reader(formula_of(op, (), keywords, shapes), known).read()
            np.testing.assert_allclose(formula, out, rtol=1e-5, atol=1e-9, err_msg="formula")
        texts = local_gradients(op, (), keywords, None, shapes)
        by_rule = iter(from_rules(op, keywords, shapes))
        for i, text in enumerate(texts):
            rule: Any = op.joint or op.rules[i]
            if rule is None or not next(by_rule) or text is None:
                continue
            if "[index]" in text or "…, −1]" in text:
                continue
            expected = rule(g, *(values[n] for n in rule_arguments(rule)))
            expected = expected[i] if op.joint else expected
            found = computed(text, known, shapes[i])
            if isinstance(expected, Scatter):
                buffer = np.zeros(shapes[i])
                np.add.at(buffer, expected.index, expected.values)
                expected = buffer
            same = np.size(found) == np.size(expected)
            found = np.reshape(found, np.shape(expected)) if same else found
            found, expected = np.broadcast_arrays(found, expected)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9, err_msg=text)
            read += 1
    assert read


def computed(text: str, known: dict[str, Any], shape: Any) -> Any:
    """Read a gradient of an array, with what is said of its place."""
    text = text.split(", summed", maxsplit=1)[0]
    if text.endswith(", repeated"):
        return np.broadcast_to(Reader(text.removesuffix(", repeated"), known).read(), shape)
    if text.endswith(", 0 elsewhere"):
        value, place = text.removesuffix("], 0 elsewhere").split(" at [", 1)
        out = np.zeros(shape)
        index = Reader(f"index[{place}]", {**known, "index": Index()}).read()
        out[index] += Reader(value, known).read()
        return out
    return np.asarray(Reader(text, known).read())


class Index:
    def __getitem__(self, index: Any) -> Any:
        return index


def slope(op: Op[Any], points: list[float], i: int) -> float:
    def along(x: Any) -> Any:
        return op(*points[:i], x, *points[i + 1 :])

    difference: Any = gg.numerical_gradient(along, points[i])
    return float(difference)


def numbers_of(tensor: Any) -> Any:
    return local_derivatives(tensor._node)


def test_local_derivatives_agree_with_differences() -> None:
    """For a single number: what one step of the chain rule multiplies by."""
    rng = np.random.default_rng(2)
    for name, op in ELEMENTWISE.items():
        if not isinstance(op.domain, Elementwise):
            continue
        points = [float(rng.uniform(*interval)) for interval in op.domain.intervals]
        tensors = [gg.Tensor(p, requires_grad=True) for p in points]
        out: Any = op(*tensors)
        node: Any = out._node
        expected = [
            slope(op, points, i) if wanted else None for i, wanted in enumerate(node.plan.wanted)
        ]
        before = local_derivatives(node)
        out.backward()
        after = local_derivatives(node)  # freed, but single numbers stay with their nodes
        for found in (before, after):
            for number, difference in zip(found, expected, strict=True):
                assert (number is None) == (difference is None), name
                if number is not None:
                    assert number == pytest.approx(difference, rel=1e-5, abs=1e-6), name


def test_local_derivatives_from_overwritten_values_are_omitted() -> None:
    x, v = gg.Tensor(2.0, requires_grad=True), gg.Tensor([1.0, 2.0], requires_grad=True)
    square: Any = x * x
    assert numbers_of(square) == (2.0, 2.0)
    assert numbers_of(x * 3) == (3.0, None)
    assert numbers_of(v * x) == (None, None), "no single numbers"
    x.data += 1.0
    assert numbers_of(square) == (None, None), "overwritten since"


def leaf(x: Any, scalar: int | None) -> Any:
    if not isinstance(x, float | np.ndarray) or np.asarray(x).dtype.kind != "f":
        return x
    if scalar is not None and np.size(x):
        x = round(float(np.ravel(x)[scalar % np.size(x)]), 2)
    return gg.Tensor(x, requires_grad=True, name="★")


def graph_of(op: Op[Any], args: Any, scalar: int | None, **keywords: Any) -> Any:
    inputs, params = op.bind(args, keywords)
    able = [True] * len(inputs) if op.joint else [rule is not None for rule in op.rules]
    out: Any = record(
        op, tuple(leaf(x, scalar) if a else x for x, a in zip(inputs, able, strict=True)), params
    )
    out = out if isinstance(out, gg.Tensor) else out[0]
    values = gg.graph(out).snapshot.values
    return values, next(v for v in reversed(values) if v.kind in ("op", "constant"))


def on_floats(function: Any) -> Any:
    """A function whose first two arguments are no integers, though they may be whole."""

    def of_floats(*xs: Any, **named: Any) -> Any:
        return function(*[np.float64(x) for x in xs[:2]], *xs[2:], **named)

    return of_floats


ON_NUMBERS = {name: on_floats(f) for name, f in FUNCTIONS.items()} | {"True": 1, "False": 0}


@pytest.mark.parametrize("name", OPS)
def test_every_op_has_a_formula_in_numbers(name: str) -> None:
    """No name is left where its number is known; what stands left of = is what stands right."""
    op = OPS[name]
    for args, keywords in calls_of(op):
        for scalar in (0, 1, None) if op.elementwise else (None,):
            values, value = graph_of(op, args, scalar, **keywords)
            text = value.in_numbers
            if text is None:  # too long to be read
                assert sum(len(values[i - 1].shape) for i in value.inputs) > 4, value.formula
                continue
            assert "★" not in text, text
            few = value.shape is not None and value.numbers.elements is not None
            assert (" = " if few and not value.shape else " ") in f"{text} "
            if name in ELEMENTWISE and not value.shape and "→" not in text:
                left, right = (Reader(side, ON_NUMBERS).read() for side in text.rsplit(" = ", 1))
                np.testing.assert_allclose(left, right, rtol=2e-3, atol=1e-4, err_msg=text)


X2, X3 = np.array([1.0, -2.0]), np.array([1.0, 2.0, 3.0])
# fmt: off
IN_NUMBERS: list[tuple[Any, tuple[Any, ...], str]] = [
    (lambda x, y: x @ y, (np.ones((4, 3)), np.ones((3, 2))), "4×3 @ 3×2 → 4×2"),
    (lambda x, y: x * y, (3.0, -2.0), "3 × (−2) = −6"),
    (lambda x: x * x, (-2.0,), "(−2)² = 4"),
    (lambda x: -x, (-2.0,), "−(−2) = 2"),
    (lambda x: x * x, (1e-5,), "(1e−05)² = 1e−10"),
    (np.abs, (-2.0,), "|−2| = 2"),
    (np.maximum, (4.0, -2.0), "max(4, −2) = 4"),
    (gg.relu, (-3.0,), "max(−3, 0) = 0"),
    (np.log, (0.0,), "log(0) = −∞"),
    (lambda x: x + X2, (X2,), "[1, −2] + [1, −2] = [2, −4]"),
    (lambda x: x * 2, (X3,), "[1, 2, 3] · 2 = [2, 4, 6]"),
    (lambda x: x * 2, (np.ones(30),), "(30,) · 2 → (30,)"),
    (np.transpose, (np.ones((4, 3)),), "(4×3)ᵀ → 3×4"),
    (lambda x: x[1:, -1], (np.ones((4, 3)),), "(4×3)[index] → (3,)"),
    (np.sum, (np.ones((4, 3)),), "Σ(4×3) = 12"),
    (nn.functional.linear, (np.ones((5, 3)), np.ones((2, 3)), X2), "5×3 @ (2×3)ᵀ + (2,) → 5×2"),
    (lambda *xs: np.concatenate(xs), (np.ones((2, 3)), np.ones((1, 3))), "concatenate(2×3, 1×3) → 3×3"),  # noqa: E501
]
# fmt: on


@pytest.mark.parametrize(
    ("function", "args", "text"), IN_NUMBERS, ids=[row[-1] for row in IN_NUMBERS]
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_typography_of_formulas_in_numbers(function: Any, args: Any, text: str) -> None:
    assert gg.graph(function, *args).snapshot.result.in_numbers == text


def test_minus_signs_in_a_sentence() -> None:
    text = "run-3 of 0-9 fell from 1e-3 to -2.5, by (-.5), in x.-1"
    assert signed(text) == "run-3 of 0-9 fell from 1e−3 to −2.5, by (−.5), in x.-1"


def test_overwritten_values_stay_names() -> None:
    """The number that the op saw is gone: the name stands for it."""
    w = gg.Tensor(3.0, requires_grad=True, name="w")
    y = w * gg.Tensor(2.0, requires_grad=True, name="x")
    y.backward()
    w.data -= 1.0
    assert gg.graph(y).snapshot.result.in_numbers == "w × 2 = 6"


X, XY, A = ("x",), ("x", "y"), ("A",)
# fmt: off
TABLE: list[tuple[str, tuple[Any, ...], dict[str, Any], Any, str, tuple[str | None, ...]]] = [
    ("tanh", X, {}, None, "tanh(x)", ("g · (1 − tanh(x)²)",)),
    ("relu", X, {}, None, "max(x, 0)", ("g · [x > 0]",)),
    ("add", XY, {}, None, "x + y", ("g", "g")),
    ("multiply", XY, {}, None, "x · y", ("g · y", "g · x")),
    ("multiply", ("x", "x"), {}, None, "x²", ("g · x", "g · x")),
    ("multiply", ("loss", 3), {}, None, "loss · 3", ("g · 3", "g · loss")),
    ("multiply", (-1.0, "x"), {}, None, "−x", ("g · x", "−g")),
    ("multiply", ("x", "b"), {}, [(2, 3), (3,)], "x · b", ("g · b", "g · x, summed to (3,)")),
    ("add", ("x", "b"), {}, [(2, 3), ()], "x + b", ("g", "g, summed")),
    ("power", XY, {}, None, "x^y", ("g · y · x^(y − 1)", "g · x^y · log(x), 0 where x = 0 and y ≥ 0")),  # noqa: E501
    ("power", ("x", 2), {}, None, "x²", ("g · 2 · x", None)),
    ("power", ("x", -1), {}, None, "1 / x", ("−g / x²", None)),
    ("power", ("x", 0.5), {}, None, "x^½", ("g · ½ · x^(−½)", None)),
    ("maximum", XY, {}, None, "max(x, y)", ("g · [x > y] + g · ½ · [x = y]", "g · [y > x] + g · ½ · [y = x]")),  # noqa: E501
    ("where", ("c", "x", "y"), {}, None, "x if c else y", (None, "g · [c]", "g · [not c]")),
    ("matmul", XY, {}, [(2, 3), (3, 4)], "x @ y", ("g @ yᵀ", "xᵀ @ g")),
    ("matmul", XY, {}, [(3,), (3,)], "x @ y", ("g[…, None] · y", "g · x")),
    ("transpose", A, {}, None, "Aᵀ", ("gᵀ",)),
    ("sum", X, {"axis": 0}, [MATRIX], "Σ(x, axis=0)", ("g, repeated",)),
    ("mean", X, {}, [MATRIX], "mean(x)", ("g / 6, repeated",)),
    ("mean", X, {}, None, "mean(x)", ("g / N, repeated over them",)),  # N is not known
    ("var", X, {"ddof": 1}, [MATRIX], "var(x, ddof=1)", ("g · 2 · (x − mean(x)) / 5",)),
    ("max", X, {}, [MATRIX], "max(x)", ("g · [x = max(x)] / Σ([x = max(x)])",)),
    ("reshape", X, {"shape": (3, 2)}, [MATRIX], "reshape(x, (3, 2))", ("reshape(g, (2, 3))",)),
    ("getitem", X, {"index": (slice(1, None), -1)}, [MATRIX], "x[1:, −1]", ("g at [1:, −1], 0 elsewhere",)),  # noqa: E501
    ("concatenate", XY, {}, [(2, 3), (1, 3)], "concatenate(x, y)", ("g[0:2]", "g[2:3]")),
    ("softmax", X, {}, None, "softmax(x)", ("softmax(x) · (g − Σ(g · softmax(x), axis=−1))",)),
    ("det", A, {}, None, "det(A)", ("g[…, None, None] · cof(A)",)),
]
# fmt: on
ROWS = [f"{row[0]}{row[1]}" for row in TABLE]


@pytest.mark.parametrize(
    ("name", "names", "keywords", "shapes", "formula", "sent"), TABLE, ids=ROWS
)
def test_typography(
    name: str, names: Any, keywords: Any, shapes: Any, formula: str, sent: tuple[str | None, ...]
) -> None:
    op = OPS[name]
    assert formula_of(op, names, keywords, shapes) == formula
    found = local_gradients(op, names, keywords, None, shapes)
    # a plain number has no gradient to be shown
    assert tuple(t for t, s in zip(found, sent, strict=True) if s is not None) == tuple(
        s for s in sent if s is not None
    )


def test_heavy_ops() -> None:
    def sent(op: Any, *names: str, **keywords: Any) -> Any:
        shapes = keywords.pop("shapes", None)
        return local_gradients(op, names, keywords, None, shapes)

    assert formula_of(_LINEAR, ("x", "W", "b")) == "x @ Wᵀ + b"
    assert sent(_LINEAR, "x", "W", "b", shapes=[(5, 3), (2, 3), (2,)]) == (
        "g @ W",
        "gᵀ @ x",
        "Σ(g, axis=0)",
    )
    assert formula_of(_LEAKY, X, {"negative_slope": 0.01}) == "max(x, 0.01 · x)"
    assert sent(_LEAKY, "x", negative_slope=0.01) == ("g · ([x > 0] · 0.99 + 0.01)",)
    assert sent(_ELU, "x", alpha=1.0) == ("g · (1 if x > 0 else exp(x))",)
    assert sent(_GELU, "x", approximate="none") == ("g · (Φ(x) + x · φ(x))",)
    labels = np.array([0, 2, 1])
    (text,) = sent(_CROSS_ENTROPY, "x", labels=labels, shapes=[(3, 4)])
    assert text == "g · (softmax(x) − onehot(labels)) / 3"
    assert sent(CONV2D, "x", "w", "b")[:2] == ("conv_transpose2d(g, w)", "conv2d_weight_grad(x, g)")


def test_formulas_of_a_node() -> None:
    """From what the node kept, also of keywords; after backward() from what is left."""
    x = gg.Tensor(np.ones(MATRIX), requires_grad=True)
    total: Any = gg.sum(x, axis=0)
    assert formulas_of(total._node, ["x"])[:3] == ("Σ(x, axis=0)", ("g, repeated",), (None,))
    y = gg.Tensor(3.0, requires_grad=True)
    z: Any = y**2
    assert formulas_of(z._node, ["y", 2])[:3] == ("y²", ("g · 2 · y", None), (6.0, None))
    z.backward()
    assert formulas_of(z._node, ["y", 2])[:3] == ("y²", ("g · 2 · y", None), (6.0, None))
    gg.sum(total).backward()
    formula, sent, *_ = formulas_of(total._node, ["x"])
    assert formula == "Σ(x)", "the axis went with what was kept: it is not made up"
    assert sent == ("g, repeated over them",)


def test_ops_of_users() -> None:
    """Their forward tells the formula, their rule the gradient, their names nothing."""
    swish = gg.op(
        lambda x: x / (1 + np.exp(-x)),
        lambda g, x, out: g * (out + (1 - out) / (1 + np.exp(-x))),
        name="sin",
        elementwise=True,
    )
    assert formula_of(swish) == "x / (1 + exp(−x))"
    (sent,) = local_gradients(swish)
    s = 1 / (1 + math.exp(-0.7))
    known = {"x": 0.7, "g": 2.0, "exp": np.exp}
    assert Reader(str(sent), known).read() == pytest.approx(2 * (0.7 * s + (1 - 0.7 * s) * s))


def test_an_op_named_like_one_of_numpys_is_not_mistaken_for_it() -> None:
    """An op of the user's that is called like one of ours is none of them."""
    product = gg.op(lambda x, y: x[y], None, None, name="multiply")
    outer = gg.op(float, lambda g, x: g * product(x, x), name="outer")
    assert formula_of(product) == "x[y]"
    assert local_gradients(outer) == ("g · multiply(x, x)",)


def test_rules_without_a_formula() -> None:
    """Branches, loops, buffers, tricks with memory: the docstring, or its absence, stands in."""

    def writes(g: Any, x: Any) -> Any:
        y = x * 1.5
        z = y
        z *= 2  # y too, of an array
        return g * y

    def grows(g: Any, x: Any) -> Any:
        for _ in range(60):
            x = x * x + x
        return g * x

    rules: list[Any] = [
        writes,
        grows,
        lambda g, x: g if x > 0 else -g,
        lambda g, x: g * float(x),
        lambda g, x: g * np.fromiter(x, float),
        lambda g, x: g * np.add(x, x, out=x),
        lambda g, x: g.no_such_thing + x,
        lambda g, x: math.sqrt(-1),  # noqa: ARG005
        lambda g, x: None,  # noqa: ARG005
    ]
    for rule in rules:
        documented = gg.op(lambda x: abs(+x), rule, name="f", doc="F. Gradient: as it is.")
        assert local_gradients(documented) == ("as it is",)
        assert local_gradients(gg.op(lambda x: x[::2], rule, name="f")) == ("by the rule of f",)
    assert formula_of(gg.op(lambda x: dict[str, Any]()[x], rules[-1], name="f")) == "f(x)"


def test_hostile_names() -> None:
    """One line, printable, short: a name can do no more than be shown."""
    sin = OPS["sin"]
    assert formula_of(sin, ["a\nb\x00\u202e"]) == "sin(a b)"
    assert len(formula_of(sin, ["x" * 10_000])) < 40
    assert formula_of(sin, [""]) == formula_of(sin, [None]) == "sin(x)"
    assert formula_of(sin, ["<script>"]) == "sin(<script>)"  # to be escaped where it is written


def test_names_that_collide() -> None:
    """What is called g, out or like another value must not be taken for that."""
    multiply, cross = OPS["multiply"], OPS["fmod"]
    assert local_gradients(multiply, ("g", "y")) == ("ḡ · y", "ḡ · g")
    assert formula_of(multiply, ("y", None)) == "y · y′", "its own definition calls it y, too"
    assert local_gradients(cross, ("x" * 20, "out"))[1] == (
        f"−g · rint(({'x' * 20} − fmod({'x' * 20}, out)) / out)"
    )
    x, y = (gg.Tensor(2.0, requires_grad=True, name="w") for _ in range(2))
    assert formulas_of((x * y)._node, ["w", "w"])[:2] == ("w · w′", ("g · w′", "g · w"))  # type: ignore[arg-type]
    assert formulas_of((x * x)._node, ["w", "w"]).formula == "w²"  # type: ignore[arg-type]
    assert formulas_of((x * x)._node, [None, None]).formula == "x²"  # type: ignore[arg-type]
    assert formulas_of((x * y)._node, [None, "x"]).formula == "x′ · x"  # type: ignore[arg-type]


def test_equal_numbers_of_different_types_are_cached_apart() -> None:
    """1, 1.0 and True are one key of a dictionary; a cache must not mix up what they show."""
    add = OPS["add"]
    assert formula_of(add, ("x", 0.0)) == "x + 0", "what was typed is shown"
    assert formula_of(OPS["multiply"], (1, "x")) == "1 · x"
    assert formula_of(add, ("x", False)) == "x + False"
    assert formula_of(add, ("x", math.inf)) == "x + ∞"
    assert formula_of(add, ("x", math.nan)) == "x + NaN"


def test_arguments_with_equal_reprs_are_cached_apart() -> None:
    """NumPy's numbers have one shape, and an object the address of the one before it."""

    class Factor:
        def __init__(self, k: float) -> None:
            self.k = k

        def __repr__(self) -> str:
            return "a factor"

    times: Any = gg.op(lambda x, k: x * k, lambda g, k: g * k, name="times")
    scaled: Any = gg.op(lambda x, by: x * by.k, lambda g, by: g * by.k, name="scaled")
    for op, kind in ((times, np.float64), (times, np.array), (scaled, Factor)):
        for k in (2.0, 3.0):
            y = op(gg.Tensor(1.0, requires_grad=True), kind(k))
            node = y._node
            assert node is not None
            assert formulas_of(node, ["x"])[:2] == (f"x · {k:g}", (f"g · {k:g}",))
