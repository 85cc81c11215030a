"""The benchmarks still fit the engine that they measure; nothing is timed here."""

import pytest

from tests.test_packaging import checkout

laws = pytest.importorskip("benchmarks.laws", reason="needs the checkout")


@checkout
def test_every_piece_that_the_law_table_cuts_out_is_still_there() -> None:
    gone = [
        (file, text)
        for piece in laws.PIECES
        for file, text, _ in piece.cuts
        if text not in (laws.SOURCE / file).read_text(encoding="utf-8")
    ]
    assert gone == []
