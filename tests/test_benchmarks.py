"""The benchmarks still fit the engine that they measure; nothing is timed here."""

import math

import pytest

from tests.test_packaging import checkout

laws = pytest.importorskip("benchmarks.laws", reason="needs the checkout")
commits = pytest.importorskip("benchmarks.commits", reason="needs the checkout")
turns = pytest.importorskip("benchmarks.turns", reason="needs the checkout")
cases = pytest.importorskip("benchmarks.cases", reason="needs the checkout")
timing = pytest.importorskip("benchmarks.timing", reason="needs the checkout")


@checkout
def test_every_piece_that_the_law_table_cuts_out_is_still_there() -> None:
    gone = [
        (file, text)
        for piece in laws.PIECES
        for file, text, _ in piece.cuts
        if text not in (laws.ENGINE / file).read_text(encoding="utf-8")
    ]
    assert gone == []


@checkout
def test_all_pieces_of_the_law_table_can_be_cut_out_together() -> None:
    with laws.without(laws.EVERY, len(laws.PIECES)) as engine:
        laws.work(engine)()


@pytest.mark.whole
@checkout
def test_a_commit_is_compared_with_what_stands_here() -> None:
    (case,) = commits.compared("HEAD", ["multiply, scalar"], pairs=2)
    assert case.name == "multiply, scalar"
    assert case.then > 0
    assert case.now > 0
    assert case.ratio.low <= case.ratio.median <= case.ratio.high


@checkout
def test_an_unknown_commit_is_named() -> None:
    with pytest.raises(LookupError, match="no_such_commit"):
        list(commits.compared("no_such_commit", list(commits.WORK), pairs=2))


WORK = [  # what is compiled takes long to trace, and tests/compiling compares it
    pytest.param(name, marks=pytest.mark.whole) if name.endswith(", compiled") else name
    for name in commits.WORK
]


@checkout
@pytest.mark.parametrize("name", WORK)
def test_the_work_that_is_timed_runs_and_computes_the_same_each_time_it_is_built(name: str) -> None:
    first, second = (turns.shown(commits.WORK[name]()()) for _ in range(2))
    assert first
    assert all(math.isfinite(x) for _, numbers in first for x in numbers)
    turns.agree(second, first, "graphgrad")


@checkout
def test_goals_are_about_peers_that_take_part() -> None:
    for name, case in cases.CASES.items():
        assert set(case.goals) <= set(case.peers), name
        assert case.kind in cases.KINDS, name


@checkout
def test_a_result_that_differs_is_noticed() -> None:
    with pytest.raises(turns.FailedError, match=r"PyTorch computes 1\.001, not 1\.0"):
        turns.agree([("float64", [2.0, 1.001])], [("float64", [2.0, 1.0])], "PyTorch")


@checkout
def test_a_case_is_timed_in_a_process_of_its_own() -> None:
    row = turns.Row("multiply, scalar", ["graphgrad"], threads=1, rounds=4)
    assert row.failed == {}
    assert len(row.seconds["graphgrad"]) == 4
    assert 0 < row.median("graphgrad").processor < 1


@checkout
@pytest.mark.parametrize(("high", "marked"), [(1.2, False), (1.21, True)])
def test_a_ratio_whose_quartiles_are_far_apart_is_marked(high: float, marked: bool) -> None:
    assert ("(?)" in str(timing.Ratio(1.0, 1.0, high))) is marked
