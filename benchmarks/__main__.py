"""Print ratios of graphgrad to its peers and our goals; with --save, also into docs/benchmarks.md.

The page is for users and has no goals; they are in `benchmarks/cases.py`, and those of other things
here.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from benchmarks import commits, growth, imports, laws, libraries, memory, pictures
from benchmarks.cases import CASES, KINDS, Case
from benchmarks.libraries import JAX, OURS, TORCH
from benchmarks.machine import Load, at_best
from benchmarks.report import ROOT, Cell, Judged, Report, versions
from benchmarks.timing import Ratio, Times, duration
from benchmarks.turns import VARIABLES, Row, environment
from tests.browser import NoBrowserError

NODE_BYTES = 600
MEASURED = 3  # processes of each library; PyTorch's differ by a third
HALF = 0.5  # share of the bytes of Graphviz's own SVG
DRAWN, OPENS, STEP = 2.0, 1.0, 0.016  # seconds
PAGES = {"apples and oranges": 40_000, "100 steps of an RNN": 600_000}  # bytes
DOUBLED = 2.5  # times as long for twice the work: 2 would be in proportion, 4 with its square
IMPORT = 0.04  # seconds of processor time over NumPy's own import
SAVED = ROOT / "docs" / "benchmarks.md"
INTRODUCTION = """
A ratio is graphgrad's processor time as a share of the other library's: 0.5 is half of its time, 2
twice as much. It is the median over rounds in which the libraries take turns, with the quartiles;
(?) marks one that this run did not settle, for they are more than a fifth of it apart. All compute
on one thread, unless the row says two: there the ratios are of the time on the clock. Each row runs
in processes that ran nothing else before, and starts when all have computed the same numbers. JAX
is compiled by `jax.jit` before it is timed. "At best" is what no library can beat on this machine:
the row's matrix products at the speed of a large one, or reading and writing as many bytes as it
must in one simple operation.
"""
ADVICE = """
What you can do yourself. Compute large arrays in float32: they take between a third and two thirds
of float64's time, small ones the same. Give an op much to do, for each takes microseconds before it
computes anything: a step of 784-50-10 on a batch of 100 takes twice as long as on one of 10. Let
BLAS have as many threads as cores are idle (`OMP_NUM_THREADS`), and one where other programs keep
them busy: threads that wait for each other are slower than one. Put what needs no gradient into
`with gg.no_grad():`, where nothing is recorded and no array is kept.
"""


def judged(ratio: Ratio, goal: float | None) -> Cell:
    """Format a ratio, and judge it where there is a goal."""
    return str(ratio) if goal is None else Judged(str(ratio), ratio.median <= goal, f"{goal:g}")


def in_time(seconds: float, goal: float) -> Judged:
    """Judge a time."""
    return Judged(duration(seconds), seconds <= goal, duration(goal))


def kilobytes(size: int) -> str:
    """Format a size with three digits."""
    return f"{size / 1000:.3g} KB"


def kind(report: Report, there: list[str], rounds: int, name: str) -> None:
    """Time the cases of one kind."""
    report.say("", f"## {KINDS[name].heading}", "")
    report.paragraph(KINDS[name].text)
    cases = {label: case for label, case in CASES.items() if case.kind == name}
    others = {
        peer: None
        for case in cases.values()
        for peer in case.peers
        if peer in there or peer not in libraries.MODULES
    }
    bounded = any(case.flops or case.bytes for case in cases.values())
    rows = [
        timed(report, label, case, list(others), bounded, rounds) for label, case in cases.items()
    ]
    best = ["at best"] if bounded else []
    report.table(["", "graphgrad", "on the clock", *best, *map(titled, others)], rows)


def titled(peer: str) -> str:
    """Head the column of a peer."""
    return f"/ {peer} jit" if peer == JAX else f"/ {peer}"


def timed(
    report: Report, label: str, case: Case, others: list[str], bounded: bool, rounds: int
) -> list[Cell]:
    """Time a case, and return its row of the table."""
    taking_part = [peer for peer in others if peer in case.peers]
    row = Row(label, [OURS, *taking_part], case.threads, rounds)
    took = row.median(OURS)
    cells: list[Cell] = [label, duration(took.processor), duration(took.wall)]
    if bounded:
        best = at_best(case.threads, case.flops, case.bytes)
        cells.append("" if best is None else duration(best))
    for peer in others:
        if peer in row.failed:
            cells.append("failed")
            report.failed.append(f"{label}: {row.failed[peer]}")
        elif peer in taking_part:
            cells.append(judged(row.ratio(OURS, peer), case.goals.get(peer)))
        else:
            cells.append("")
    on_the_clock = [f"{row.wall(OURS, p).median:.2f}" for p in taking_part if p not in row.failed]
    print(*cells, "on the clock:", *on_the_clock, sep=" · ", file=sys.stderr, flush=True)
    return cells


def law(report: Report, _: list[str], rounds: int) -> None:
    """Show what each promise costs."""
    report.say("", "## What each promise costs", "")
    seconds, rows = laws.costs(5 * rounds)
    report.say(
        f"Forward and backward of a scalar x · y, {duration(seconds)}: the share of it that goes",
        "when one promise is taken out of a copy of the engine.",
    )
    table = []
    for promise, share, problem in rows:
        if share is None:
            table.append([promise, problem, ""])
        else:
            spread = f"{share.median:.1%} ({share.low:.1%} to {share.high:.1%})"
            table.append([promise, spread, f"{share.median * seconds * 1e9:.0f} ns"])
    report.table(["promise", "share", "time"], table)


def remembered(report: Report, there: list[str], __: int) -> None:
    """Show what training steps and a chain of scalars cost."""
    report.say("", "## Memory", "")
    if TORCH in there:
        report.say(
            "What training steps add to the memory of a process, at the peak; the median of three:"
        )
        rows: list[list[Cell]] = []
        for label, goal in [(n, case.memory) for n, case in CASES.items() if case.memory]:
            found = [[memory.step(name, label) for name in (OURS, TORCH)] for _ in range(MEASURED)]
            ours, theirs = map(statistics.median, zip(*found, strict=True))
            share = Judged(f"{ours / theirs:.2f}", ours <= goal * theirs, f"{goal}")
            rows.append([label, f"{ours / 2**20:.0f} MiB", f"{theirs / 2**20:.0f} MiB", share])
        report.table(["training step", OURS, TORCH, f"/ {TORCH}"], rows)
    report.paragraph(
        f"Bytes per node of a chain of {memory.LENGTH} scalars, by tracemalloc, garbage collector "
        "off: while it is recorded, after `backward()`, and after it is dropped."
    )
    rows = []
    for name, compute in memory.CHAINS.items():
        chain = memory.chain(compute)
        recorded = Judged(f"{chain.recorded:.0f}", chain.recorded <= NODE_BYTES, f"{NODE_BYTES}")
        left = Judged(f"{chain.left:.1f}", chain.left < 1, "1")
        rows.append([name, recorded, f"{chain.swept:.0f}", left])
    report.table(["op", "recorded", "after backward()", "dropped"], rows)


def grown(report: Report, _: list[str], rounds: int) -> None:
    """Show how time grows with the work."""
    report.say("", "## Twice the work", "")
    report.say("Forward and backward: how many times as long, where there is twice as much of it.")
    rows = []
    for name, (make, count) in growth.CASES.items():
        work = {"once": make(count), "twice": make(2 * count)}
        times = Times(work, rounds, time.process_time)
        ratio = judged(times.ratio("twice", "once"), DOUBLED)
        rows.append([name, f"{count:,}", duration(times.median("once")), ratio])
    report.table(["work", "of it", "graphgrad", "twice as much"], rows)


def imported(report: Report, _: list[str], rounds: int) -> None:
    """Time what a script waits for at its first line."""
    report.say("", "## Importing", "")
    report.say(
        "Processor time of fresh processes that take turns, bytecode written before: Python's",
        "start and the import, and what that adds to `import numpy`.",
    )
    verdicts: dict[str, Callable[[float], Cell]] = {
        "numpy": lambda _: "",
        "graphgrad": lambda more: in_time(more, IMPORT),
    }
    rows = [
        [f"import {name}", duration(seconds), verdicts.get(name, duration)(more)]
        for name, (seconds, more) in imports.added(rounds).items()
    ]
    report.table(["", "in all", "over NumPy"], rows)


def seen(report: Report, _: list[str], __: int) -> None:
    """Measure pictures and pages, and a browser that opens them."""
    report.say("", "## Pictures and pages", "")
    report.say(
        "From a tensor to its picture: snapshot, gradients, formulas, layout, SVG. Sizes in KB of",
        "1,000 bytes; Graphviz's own SVG is that of the same graph, by `to_dot()`.",
    )
    found = {name: pictures.picture(compute) for name, compute in pictures.GRAPHS.items()}
    rows: list[list[Cell]] = []
    for name, p in found.items():
        share = p.svg / p.by_graphviz
        verdict = Judged(f"{share:.2f}", share <= HALF, f"{HALF}")
        drawn = in_time(p.seconds, DRAWN)
        rows.append([name, str(p.values), drawn, kilobytes(p.svg), verdict])
    report.table(["graph", "values", "drawn in", "SVG", "share of Graphviz's"], rows)
    rows = []
    for name, (compute, goal) in {n: (c, PAGES[n]) for n, c in pictures.GRAPHS.items()}.items():
        size = found[name].page
        page = Judged(kilobytes(size), size <= goal, f"{goal // 1000} KB")
        try:
            told = pictures.opened(compute)
        except NoBrowserError as error:
            rows.append([name, page, str(error), "", "", ""])
            continue
        cells = [in_time(told.opens, OPENS), in_time(told.step, STEP)]
        rows.append([name, page, *cells, duration(told.nearly_all), duration(told.painted)])
    report.say(
        "Pages in Chromium without a graphics card, the best of three visits: opened and painted;",
        "a step in script, style and layout, the median and what 95 of 100 stay below; and its",
        "mean with painting.",
    )
    report.table(["page of", "size", "opens in", "a step", "of 95 %", "painted"], rows)


def against_commit(report: Report, commit: str, names: list[str], pairs: int) -> None:
    """Compare the package as it stands with that of a commit."""
    report.say(
        f"The package as it stands, against commit {commit}. Processor time, one core, one thread;",
        f"{pairs} pairs of fresh processes that take turns.",
    )
    rows = []
    for case in commits.compared(commit, names, pairs):
        if isinstance(case, str):
            report.say("", f"Left out: {case}")
            continue
        now, low, high = case.ratio
        cells = [f"{now:.3f}", f"{low:.3f} to {high:.3f}"]
        rows.append([case.name, duration(case.then), duration(case.now), *cells])
        print(" · ".join(rows[-1]), file=sys.stderr, flush=True)
    report.table(["case", commit, "now", "ratio", "quartiles"], rows)


SECTIONS: dict[str, Callable[[Report, list[str], int], None]] = {
    **{name: partial(kind, name=name) for name in KINDS},
    "memory": remembered,
    "laws": law,
    "growth": grown,
    "imports": imported,
    "pictures": seen,
}


def compared(chosen: list[str], rounds: int) -> Report:
    """Run the sections asked for."""
    there, missing = libraries.installed()
    report = Report()
    load = Load()
    report.say("# Speed and memory", "", f"By `make bench ARGS=--save`: {versions(there)}.", "")
    for paragraph in (INTRODUCTION, ADVICE):
        report.paragraph(paragraph.strip())
    for name in missing:
        report.paragraph(f"{name} is not installed and left out; `make bench` installs it.")
    for name in chosen:
        SECTIONS[name](report, there, rounds)
    report.say("", "## How busy the machine was", "", str(load))
    report.summary()
    return report


def arguments() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument(
        "--rounds", type=int, default=20, help="more give a narrower spread (default 20)"
    )
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help="compare only with the package of a commit; sections are then cases, "
        + ", ".join(f"'{name}'" for name in commits.WORK),
    )
    parser.add_argument(
        "--pairs", type=int, default=commits.PAIRS, help="of processes, with --against"
    )
    parser.add_argument(
        "--save", action="store_true", help=f"write {SAVED.parent.name}/{SAVED.name}"
    )
    return parser


def main() -> None:
    """Compare with the peers, or with another commit."""
    parser = arguments()
    options = parser.parse_args()
    if any(os.environ.get(n) != "1" for n in VARIABLES):  # read when NumPy loads
        command = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        os.execve(sys.executable, command, environment(1))
    known = list(commits.WORK if options.against else SECTIONS)
    chosen = options.sections or list(commits.USUAL if options.against else SECTIONS)
    if unknown := set(chosen) - set(known):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if min(options.rounds, options.pairs) < 2:
        parser.error("a spread needs at least 2 rounds, or pairs")
    if options.against:
        if options.save:
            parser.error("--save is for the comparison with peers")
        try:
            against_commit(Report(), options.against, chosen, options.pairs)
        except LookupError as error:
            parser.error(str(error))
        return

    report = compared(chosen, options.rounds)
    if options.save:
        report.save(SAVED)


if __name__ == "__main__":
    main()
