"""How accurate every op is, in ULP beside PyTorch and JAX: `python -m benchmarks.accuracy`."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy import losses, peers
from benchmarks.accuracy.cases import CASES, Case
from benchmarks.accuracy.exact import WIDE_ENOUGH
from benchmarks.accuracy.measure import BOUND, Array, Found, Worst, measured, ours, sample
from benchmarks.report import ROOT, Report, versions

SAVED = ROOT / "docs" / "accuracy.md"
POINTS = 100_000
OURS = "graphgrad"


class Row(NamedTuple):
    """The value, or the gradient in all inputs, of a case in one dtype, by library."""

    case: Case
    what: str
    dtype: Any
    found: dict[str, list[Found]]

    def largest(self, library: str) -> Worst | None:
        """Return the largest error."""
        found = self.found.get(library)
        return max((f.largest for f in found), key=lambda w: w.error) if found else None

    def steepest(self, library: str) -> Worst | None:
        """Return the largest error over the condition number."""
        found = self.found.get(library)
        return max((f.steepest for f in found), key=lambda w: w.scaled) if found else None

    def behind(self) -> bool:
        """Whether the better peer is better by more than 2 ULP; in tails, by half as well."""
        others = [w.scaled for name in self.found if name != OURS if (w := self.steepest(name))]
        mine = self.steepest(OURS)
        if mine is None or not others:
            return False
        return mine.scaled > max(1.5 * min(others), min(others) + 2)


def rows(names: list[str], points: int) -> Iterator[Row]:
    """Measure every library at the same points."""
    for name in names:
        case = CASES[name]
        runners = {OURS: ours(case)}
        runners |= {p: run for p in peers.installed() if (run := peers.runner(p, case))}
        for dtype in (np.float32, np.float64):
            each: dict[str, list[Found]] = {}
            for library, run in runners.items():
                rng = np.random.default_rng(0)
                each[library] = list(measured(case, run, sample(case, dtype, points, rng), rng))
            yield Row(case, "value", dtype, {k: v[:1] for k, v in each.items()})
            yield Row(case, "gradient", dtype, {k: v[1:] for k, v in each.items()})
        print(name, file=sys.stderr, flush=True)


def number(x: float) -> str:
    """Write an error with two digits."""
    if np.isinf(x):
        return "∞"
    return f"{x:.2f}" if x < 10 else f"{x:.0f}" if x < 1e4 else f"{x:.0e}".replace("e+", "e")


def at(point: tuple[float, ...] | list[float]) -> str:
    """Write a point."""
    return ", ".join(f"{x:.6g}" for x in point)


def tables(report: Report, all_rows: list[Row], libraries: list[str]) -> None:
    """Write the errors of each dtype."""
    for dtype in (np.float32, np.float64):
        report.say("", f"## {dtype.__name__}", "")
        lines = []
        for row in all_rows:
            if row.dtype is not dtype:
                continue
            errors = [w and w.error for w in map(row.largest, libraries)]
            scaled = [w and w.scaled for w in map(row.steepest, libraries)]
            worst = row.steepest(OURS)
            cells = ["" if x is None else number(x) for x in (*errors, *scaled)]
            lines.append([row.case.name, row.what, *cells, at(worst.point) if worst else ""])
        over = [f"{name}, over κ" for name in libraries]
        report.table(["op", "of", *libraries, *over, "graphgrad's worst over κ is at"], lines)


def beyond(report: Report, all_rows: list[Row]) -> int:
    """List what is beyond the bound with its reason, and count the points that have none."""
    lines, without = [], 0
    for row in all_rows:
        declared = losses.of(row.case.name, row.what)
        points = [
            np.concatenate(xs) for xs in zip(*(f.outside for f in row.found[OURS]), strict=True)
        ]
        by = np.concatenate([f.by for f in row.found[OURS]])
        left = np.ones(len(by), bool)
        for loss in declared:
            still = losses.undeclared([loss], points, by)
            lines += _line(row, points, by, left & ~still, loss.why)
            left &= still
        lines += _line(row, points, by, left, "**No reason is declared.**")
        without += int(left.sum())
    report.say("", "## Beyond the bound", "")
    report.say(
        f"Points where the error is more than {BOUND:g} ULP times the condition number, inputs and",
        "result being normal numbers: how many, of all that were tried; the worst of them by that",
        "ratio, as longdouble has it.",
    )
    report.table(["op", "of", "dtype", "points", "over κ", "at", "why"], lines)
    return without


def _line(row: Row, points: list[Array], by: Array, here: Array, why: str) -> list[list[str]]:
    if not here.any():
        return []
    worst = int(np.argmax(np.where(here, by, -1)))
    place = at([float(x[worst]) for x in points])
    cells = [f"{here.sum():,}", number(by[worst]), place, why]
    return [[row.case.name, row.what, row.dtype.__name__, *cells]]


def better_peers(report: Report, all_rows: list[Row], libraries: list[str]) -> None:
    """List where a peer is better by more than we allow ourselves."""
    lines = []
    for row in all_rows:
        if row.behind():
            cells = [
                "" if (w := row.steepest(name)) is None else number(w.scaled) for name in libraries
            ]
            why = losses.behind(row.case, row.what)
            lines.append([row.case.name, row.what, row.dtype.__name__, *cells, why])
    report.say("", "## Worse than a peer by more than 2 ULP", "")
    report.say("The worst error over the condition number, where it is half as much again, too.")
    report.table(["op", "of", "dtype", *libraries, "why"], lines)


def denormal(report: Report, all_rows: list[Row]) -> None:
    """List what is beyond the bound where an input or the result is no normal number."""
    lines = []
    for row in all_rows:
        worst = max((f.denormal for f in row.found[OURS]), key=lambda w: w.scaled)
        if worst.scaled > BOUND:
            cells = [row.dtype.__name__, number(worst.scaled), at(worst.point)]
            lines.append([row.case.name, row.what, *cells])
    report.say("", "## Denormal numbers", "")
    report.say(
        "The same where an input or the exact result is smaller than the smallest normal number,",
        "1e-38 or 2e-308: fewer digits are left there, and a step on the way may leave none. The",
        "worst of each op that is beyond the bound. JAX takes such numbers for 0.",
    )
    report.table(["op", "of", "dtype", "over κ", "at"], lines)


def main() -> int:
    """Measure, print, and save where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(CASES)}")
    parser.add_argument("--points", type=int, default=POINTS, help="for each case and dtype")
    parser.add_argument("--save", action="store_true", help="write docs/accuracy.md")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}")
    if not WIDE_ENOUGH:
        parser.error("np.longdouble is no wider than float64 here; it finds the worst points")
    libraries = [OURS, *peers.installed()]
    report = Report()
    report.say("# Accuracy", "")
    report.say(
        f"By `make accuracy ARGS=--save`: {versions(peers.installed())}.",
        "",
        "The largest error in ULP (distances between neighbouring numbers of the dtype, at the",
        "exact result) of each elementwise op, reduction, loss and activation: of its value, and",
        "of its gradient in any input, where the upstream gradient is 1. κ, the condition number,",
        "is by how many ULP the exact result changes where each input changes by one, at least 1.",
        "No more can be asked of a function whose input was rounded. The columns “over κ” have the",
        "largest ratio of error and κ.",
        "",
        f"{options.points:,} points for each op and dtype: a third over all exponents, a third of",
        "usual size, a third near singular points, zeros and kinks (left out themselves, for",
        "[conventions.md](conventions.md) has them); and from the worst, eight times uphill. Each",
        "library climbs for itself. `np.longdouble` finds the points, mpmath decides in 60 digits.",
        "Where a peer's column is empty, it has no such function. These two tables have normal",
        "numbers only; reductions have three elements, losses one sample.",
        "",
        f"The bound is {BOUND:g} ULP times κ. `make test-all` fails where it no longer holds",
        "(`tests/test_accuracy.py`); what is beyond it is listed below the tables.",
    )
    measured_rows = list(rows(options.cases or list(CASES), options.points))
    tables(report, measured_rows, libraries)
    without = beyond(report, measured_rows)
    better_peers(report, measured_rows, libraries)
    denormal(report, measured_rows)
    if options.save:
        report.save(SAVED)
    return 1 if without else 0


if __name__ == "__main__":
    sys.exit(main())
