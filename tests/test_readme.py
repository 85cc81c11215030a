"""What the README shows runs as written, and prints the numbers that stand beside it."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_packaging import ROOT, checkout

README = ROOT / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
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
    assert "650" in (tmp_path / "price.svg").read_text(encoding="utf-8")


@checkout
def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []
