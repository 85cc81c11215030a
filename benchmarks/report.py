"""What benchmarks write: Markdown, and what they ran on."""

import datetime as dt
import os
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


class Report:
    """Markdown, printed as it grows."""

    def __init__(self) -> None:
        """Start empty."""
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Add and print lines."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """Add a table, its columns aligned."""
        cells = [head, *rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        lines = [[c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in cells]
        lines.insert(1, ["-" * w for w in widths])
        self.say("", *[f"| {' | '.join(line)} |" for line in lines], "")

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(self.lines).replace("\n\n\n", "\n\n") + "\n", "utf-8")


def versions(names: list[str]) -> str:
    """List what was compared, and on what."""
    packages = {"PyTorch": "torch", "JAX": "jax", "HIPS autograd": "autograd", "MyGrad": "mygrad"}
    found = [f"{name} {metadata.version(packages[name])}" for name in names]
    return ", ".join(
        [
            dt.datetime.now(tz=dt.UTC).date().isoformat(),
            f"{platform.python_implementation()} {platform.python_version()}",
            f"NumPy {np.__version__}",
            *found,
            f"{platform.machine()}, {os.cpu_count()} cores",
        ]
    )
