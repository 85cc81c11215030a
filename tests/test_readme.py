"""What the README shows runs as written, and prints the numbers that stand beside it."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_packaging import ROOT, checkout

README = ROOT / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^```text\n( +# -+ backward.*?)^```", re.MULTILINE | re.DOTALL)
RESULT = re.compile(r"^print\(.*  # ([-\d. ]+)$", re.MULTILINE)


@checkout
def test_the_readme_tells_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    code = "".join(BLOCK.findall(README.read_text(encoding="utf-8")))
    exec(compile(code, "README.md", "exec"), scope)
    said = " ".join(RESULT.findall(code)).split()
    printed = capsys.readouterr().out.split()
    assert len(said) >= 7
    assert [float(n) for n in printed] == pytest.approx([float(n) for n in said], rel=1e-9)
    scope["out"].sum().backward()
    assert scope["apple"].grad == pytest.approx(2.2 + 1.1), (
        "what was written into `out` is recorded"
    )
    shown = PROGRAM.findall(README.read_text("utf-8"))[0].splitlines()
    statements = [line.partition("#")[0].strip() for line in shown]
    assert all(statement in scope["source"] for statement in statements)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["curves.png", "price.html", "price.svg"], "nothing that a second run trips over"
    assert "650" in (tmp_path / "price.svg").read_text(encoding="utf-8")


@checkout
def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []


@checkout
def test_who_says_the_book_says_which() -> None:
    """In all that a user reads; tests are for contributors."""
    folders = ("graphgrad", "examples", "docs", "benchmarks")
    paths = [*ROOT.glob("*.md"), *(p for f in folders for p in (ROOT / f).rglob("*.*"))]
    texts = {p: p.read_text("utf-8") for p in paths if p.suffix in {".py", ".md", ".js"}}
    assert len(texts) > 100
    vague = [p for p, text in texts.items() if re.search(r"\bthe book\b", text, re.IGNORECASE)]
    assert [p for p in vague if "Saito" not in texts[p]] == []
    assert [p for p, text in texts.items() if re.search(r"source documents?\b", text)] == []
