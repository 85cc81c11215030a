"""What benchmarks write: Markdown, and what they ran on."""

import datetime as dt
import os
import platform
import re
import textwrap
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.libraries import MODULES

ROOT = Path(__file__).resolve().parent.parent


class Judged(NamedTuple):
    """A cell of a table, and how it stands to our goal: printed, and not saved."""

    text: str
    met: bool
    goal: str

    def __str__(self) -> str:
        return f"{self.text} {'✓' if self.met else '✗'} ≤ {self.goal}"


Cell = str | Judged


class Report:
    """Markdown, printed as it grows, with the goals; saved without."""

    def __init__(self) -> None:
        """Start empty."""
        self.lines: list[str] = []
        self.missed: list[str] = []
        self.failed: list[str] = []
        self.met = 0

    def say(self, *lines: str) -> None:
        """Add and print lines."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def paragraph(self, text: str) -> None:
        """Add and print a paragraph, in lines of 100."""
        self.say(*textwrap.wrap(text, 100), "")

    def table(self, head: list[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Add a table, its columns aligned, and count the goals."""
        for row in rows:
            for column, cell in zip(head, row, strict=True):
                if isinstance(cell, Judged):
                    self.met += cell.met
                    if not cell.met:
                        self.missed.append(f"{row[0]}, {column}: {cell}")
        lead = [] if self.lines[-1:] == [""] else [""]
        print(
            *lead,
            *_lines([head, *[[str(c) for c in row] for row in rows]]),
            "",
            sep="\n",
            flush=True,
        )
        plain = [[c.text if isinstance(c, Judged) else c for c in row] for row in rows]
        self.lines += [*lead, *_lines([head, *plain]), ""]

    def summary(self) -> None:
        """Print which goals are missed, and what did not run or computed something else."""
        print(f"\n{self.met} goals met, {len(self.missed)} missed:", *self.missed, sep="\n  ")
        if self.failed:
            print(f"{len(self.failed)} failed:", *self.failed, sep="\n  ")

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.parent.mkdir(exist_ok=True)
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(self.lines))
        path.write_text(text.strip() + "\n", "utf-8")


def _lines(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [[c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in cells]
    lines.insert(1, ["-" * w for w in widths])
    return [f"| {' | '.join(line)} |" for line in lines]


def versions(names: list[str]) -> str:
    """List what was compared, and on what."""
    found = [f"{name} {metadata.version(MODULES[name])}" for name in names]
    return ", ".join(
        [
            dt.datetime.now(tz=dt.UTC).date().isoformat(),
            f"{platform.python_implementation()} {platform.python_version()}",
            f"NumPy {np.__version__}",
            *found,
            f"{platform.machine()}, {os.cpu_count()} cores",
        ]
    )
