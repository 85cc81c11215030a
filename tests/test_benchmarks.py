"""The benchmarks still fit the engine that they measure; nothing is timed here."""

import pytest

from tests.test_packaging import checkout

laws = pytest.importorskip("benchmarks.laws", reason="needs the checkout")
commits = pytest.importorskip("benchmarks.commits", reason="needs the checkout")


@checkout
def test_every_piece_that_the_law_table_cuts_out_is_still_there() -> None:
    gone = [
        (file, text)
        for piece in laws.PIECES
        for file, text, _ in piece.cuts
        if text not in (laws.ENGINE / file).read_text(encoding="utf-8")
    ]
    assert gone == []


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


@checkout
@pytest.mark.parametrize("name", commits.WORK)
def test_the_work_that_commits_are_compared_by_runs(name: str) -> None:
    commits.WORK[name]()()
