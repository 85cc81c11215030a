"""The faults that `make mutants` plants, and its list of those that are none."""

import ast

import pytest

from tests.mutants.mutations import ROOT, equivalents, mutants_of


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        ("f = lambda g: -g", ["g"]),
        ("f = lambda g, y: g * y", ["(g / y)"]),
        ("f = lambda x, y: x - y", ["(y - x)", "(x + y)"]),
        ("f = lambda x, y: x @ y", ["(y @ x)"]),
        ("f = lambda x: x < 0", ["(x <= 0)", "(x >= 0)", "1"]),
        ("f = lambda x: 2.5 * x", ["(2.5 / x)", "5.0"]),
        ("f = lambda c, x, y: np.where(c, x, y)", ["np.where(c, y, x)"]),
        ("f = lambda x, y: np.maximum(x, y)", ["np.minimum(x, y)"]),
        ("f = lambda x: np.sum(x, axis=-1)", ["axis=0"]),
        ("f = lambda x: np.sum(x, axis=(0, 1))", ["axis=(1,)"]),
        ("f = lambda x: x if c else y", ["(y if c else x)"]),
        ("x += y", ["x -= y"]),
        ("f = op(np.exp, lambda g, out: g * out, domain=(1, 2))", ["(g / out)"]),
        ("raise ValueError(1)", []),
        ("shape = (n, *shape[1:]) + (m,)", ["2"]),
    ],
)
def test_what_may_be_wrong_in_a_rule(rule: str, faults: list[str]) -> None:
    assert [mutant.text for mutant in mutants_of("rule.py", rule.encode())] == faults


def test_a_fault_changes_its_own_place_alone() -> None:
    source = "def f(x):\n    é = x * (\n        y - 1)  # why\n    return é\n"
    planted = [m.planted(source.encode()).decode() for m in mutants_of("f.py", source.encode())]
    assert "def f(x):\n    é = (x / (y - 1))  # why\n    return é\n" in planted
    assert "def f(x):\n    é = x * (\n        (1 - y))  # why\n    return é\n" in planted


def test_the_lines_that_may_notice_a_fault_grow_from_its_own_to_the_file() -> None:
    source = b"LIMIT = 3\n\n\ndef f(x):\n    y = (\n        x * LIMIT\n    )\n    return y\n"
    constant, product = mutants_of("f.py", source)
    assert [set(lines) for lines in constant.reach] == [{1}, {1}, {6}, set(range(1, 9))]
    assert [set(lines) for lines in product.reach] == [
        {6},
        {5, 6, 7},
        {4, 5, 6, 7, 8},
        {8},
        set(range(1, 9)),
    ]


def test_what_is_listed_as_no_fault_is_still_in_the_code() -> None:
    found = {
        mutant.key
        for path in {path for path, *_ in equivalents()}
        for mutant in mutants_of(path, (ROOT / path).read_bytes())
    }
    missing = equivalents().keys() - found
    assert not missing, "take out of tests/mutants/equivalent.txt what the code no longer has"
    assert all(equivalents().values()), "each has a reason"


def test_every_fault_is_a_program() -> None:
    source = (
        b"def f(x, y=-1.0):\n    return x[-1] @ y if not x.any() else max(x, y) ** 2 and x is y\n"
    )
    for mutant in mutants_of("f.py", source):
        ast.parse(mutant.planted(source))
