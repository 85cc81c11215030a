"""Print ratios of graphgrad to its peers; with --save, also into docs/benchmarks.md."""

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import commits, growth, imports, laws, memory, networks, peers, pictures
from benchmarks.report import ROOT, Report, versions
from benchmarks.timing import Ratio, Times, duration
from tests.browser import NoBrowserError

GOALS = {  # case, then peer: at most this share of its time
    "scalar": {"PyTorch": 0.6, "HIPS autograd": 0.25, "MyGrad": 0.25},
    "16 floats": {"PyTorch": 0.8, "HIPS autograd": 0.25, "MyGrad": 0.25},
    "step": {"PyTorch": 0.6, "NumPy by hand": 1.3},
}
NODE_BYTES = 600
HALF = 0.5  # share of the bytes of Graphviz's own SVG
DRAWN, OPENS, STEP = 2.0, 1.0, 0.016  # seconds
PAGES = {"apples and oranges": 40_000, "100 steps of an RNN": 600_000}  # bytes
IN_A_ROW = 0.02  # seconds of training steps that a contestant takes at a time
DOUBLED = 2.5  # times as long for twice the work: 2 would be in proportion, 4 with its square
IMPORT = 0.04  # seconds of processor time over NumPy's own import
PEAK = 1.2  # share of PyTorch's memory in a training step
Cases = dict[str, tuple[Callable[[str], Callable[[], Any]], float | None]]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SAVED = ROOT / "docs" / "benchmarks.md"


def against(ratio: Ratio, goal: float | None) -> str:
    """Format a ratio beside its goal."""
    if goal is None:
        return str(ratio)
    return f"{ratio} {'✓' if ratio.median <= goal else '✗'} ≤ {goal}"


def mark(good: bool) -> str:
    """Return a tick or a cross."""
    return "✓" if good else "✗"


def in_time(seconds: float, goal: float) -> str:
    """Format a time beside its goal."""
    return f"{duration(seconds)} {mark(seconds <= goal)} ≤ {duration(goal)}"


def kilobytes(size: int) -> str:
    """Format a size with three digits."""
    return f"{size / 1000:.3g} KB"


def small_ops(report: Report, there: list[str], rounds: int) -> None:
    """Time forward and backward of one op."""
    report.say("", "## One small op, forward and backward", "")
    report.say(
        "float64, every law of the engine on, fresh gradients on each call. Share of the peer's",
        "processor time: the median over interleaved rounds (and its quartiles), with the goal.",
    )
    rng = np.random.default_rng(0)
    rows = []
    for case, shape in (("scalar", ()), ("16 floats", (16,))):
        x, y = rng.uniform(0.5, 1.5, (2, *shape))
        for op in peers.OPS:
            work = {name: peers.small_op(name, op, x, y) for name in ("graphgrad", *there)}
            expected = work["graphgrad"]()
            for name in there:
                for ours, theirs in zip(expected, work[name](), strict=True):
                    np.testing.assert_allclose(np.asarray(theirs), ours, err_msg=name)
            times = Times(work, rounds, time.process_time)
            ratios = [
                against(times.ratio("graphgrad", name), GOALS[case].get(name)) for name in there
            ]
            rows.append([case, op, duration(times.median("graphgrad")), *ratios])
    report.table(["inputs", "op", "graphgrad", *[f"share of {name}" for name in there]], rows)


def step(report: Report, there: list[str], rounds: int) -> None:
    """Time a step of training."""
    report.say("", "## A training step: 784 → 50 → 10, batch 100, float32", "")
    threads = os.environ.get(THREADS[0], "as many threads as each likes")
    report.say(
        f"Forward, cross-entropy, backward, update, threads: {threads}. MyGrad and HIPS",
        "autograd as their users would write it; PyTorch with addmm and its own SGD; NumPy written",
        "out by hand. Wall-clock time; each takes some 20 ms of steps in a row.",
    )
    problem = peers.Problem()
    names = ["graphgrad", "NumPy by hand", *there]
    work = {name: peers.training_step(name, problem) for name in names}
    losses = {name: [step() for _ in range(3)] for name, step in work.items()}
    for name in names:
        np.testing.assert_allclose(losses[name], losses["graphgrad"], rtol=1e-4, err_msg=name)
    times = Times(work, rounds, sample=IN_A_ROW)
    rows = [["graphgrad", duration(times.median("graphgrad")), ""]]
    for name in names[1:]:
        ratio = against(times.ratio("graphgrad", name), GOALS["step"].get(name))
        rows.append([name, duration(times.median(name)), ratio])
    report.table(["contestant", "a step", "graphgrad's share of it"], rows)


def law(report: Report, _: list[str], rounds: int) -> None:
    """Show what each promise costs."""
    report.say("", "## What each promise costs", "")
    seconds, rows = laws.costs(rounds)
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


def bytes_per_node(report: Report, _: list[str], __: int) -> None:
    """Show what a chain of scalars costs."""
    report.say("", "## Memory of a chain of scalars", "")
    report.say(
        f"Bytes per node by tracemalloc, {memory.LENGTH} nodes, garbage collector off. The goal",
        f"is {NODE_BYTES} while recorded, and nothing left after deletion.",
    )
    rows = []
    for name, compute in memory.CHAINS.items():
        found = memory.chain(compute)
        verdict = "✓" if found.recorded <= NODE_BYTES and found.left < 1 else "✗"
        cells = [f"{found.recorded:.0f}", f"{found.swept:.0f}", f"{found.left:.1f}"]
        rows.append([name, *cells, verdict])
    report.table(["op", "recorded", "after backward()", "after deletion", ""], rows)


def compared(report: Report, heading: str, cases: Cases, rounds: int) -> None:
    """Time each case in both libraries, and compare what they computed."""
    rows = []
    for label, (work, goal) in cases.items():
        both = {name: work(name) for name in ("graphgrad", "PyTorch")}
        ours, theirs = (np.asarray(run()) for run in both.values())
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4, err_msg=label)
        times = Times(both, rounds, sample=IN_A_ROW)
        ratio = against(times.ratio("graphgrad", "PyTorch"), goal)
        rows.append([label, *[duration(times.median(name)) for name in both], ratio])
    report.table([heading, "graphgrad", "PyTorch", "share of PyTorch's time"], rows)


def nets(report: Report, there: list[str], rounds: int) -> None:
    """Time training steps and layers against PyTorch."""
    report.say("", "## Networks and layers, float32, batch 100", "")
    if "PyTorch" not in there:
        report.say("PyTorch is not installed.")
        return
    threads = os.environ.get(THREADS[0], "as many threads as each likes")
    report.say(
        "The same modules with the same numbers in both libraries. A step is forward,",
        f"cross-entropy, backward, update; threads: {threads}. Wall-clock time; each takes some",
        "20 ms of them in a row.",
    )
    steps: Cases = {
        label: (functools.partial(networks.training_step, network=case), case.goal)
        for label, case in networks.NETWORKS.items()
    }
    compared(report, "training step", steps, max(rounds // 5, 2))
    layers: Cases = {
        label: (functools.partial(networks.layer, case=case), case.goal)
        for label, case in networks.LAYERS.items()
    }
    compared(report, "layer, forward and backward", layers, max(rounds // 5, 2))
    update: Cases = {"Adam": (networks.adam, 1.0)}
    compared(report, "update of 10,000,000 parameters", update, max(rounds // 5, 2))
    rows = []
    for label in list(networks.NETWORKS)[1:]:
        ours, theirs = (memory.step(name, label) for name in ("graphgrad", "PyTorch"))
        verdict = f"{ours / theirs:.2f} {'✓' if ours <= PEAK * theirs else '✗'} ≤ {PEAK}"
        rows.append([label, f"{ours / 2**20:.0f} MiB", f"{theirs / 2**20:.0f} MiB", verdict])
    report.say("", "What training steps add to the memory of a process, at the peak:")
    report.table(["training step", "graphgrad", "PyTorch", "share of PyTorch's"], rows)


def grown(report: Report, _: list[str], rounds: int) -> None:
    """Show how time grows with the work."""
    report.say("", "## Twice the work", "")
    report.say("Forward and backward: how many times as long, where there is twice as much of it.")
    rows = []
    for name, (make, count) in growth.CASES.items():
        work = {"once": make(count), "twice": make(2 * count)}
        times = Times(work, max(rounds // 5, 2), time.process_time)
        ratio = against(times.ratio("twice", "once"), DOUBLED)
        rows.append([name, f"{count:,}", duration(times.median("once")), ratio])
    report.table(["work", "of it", "graphgrad", "twice as much"], rows)


def imported(report: Report, _: list[str], rounds: int) -> None:
    """Time what a script waits for at its first line."""
    report.say("", "## Importing", "")
    report.say(
        "Processor time of fresh processes that take turns, bytecode written before: Python's",
        "start and the import, and what that adds to `import numpy`.",
    )
    verdicts: dict[str, Callable[[float], str]] = {
        "numpy": lambda _: "",
        "graphgrad": lambda more: in_time(more, IMPORT),
    }
    rows = [
        [f"import {name}", duration(seconds), verdicts.get(name, duration)(more)]
        for name, (seconds, more) in imports.added(max(rounds // 5, 2)).items()
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
    rows = []
    for name, p in found.items():
        share = p.svg / p.by_graphviz
        verdict = f"{share:.2f} {mark(share <= HALF)} ≤ {HALF}"
        drawn = in_time(p.seconds, DRAWN)
        rows.append([name, str(p.values), drawn, kilobytes(p.svg), verdict])
    report.table(["graph", "values", "drawn in", "SVG", "share of Graphviz's"], rows)
    rows = []
    for name, (compute, goal) in {n: (c, PAGES[n]) for n, c in pictures.GRAPHS.items()}.items():
        page = f"{kilobytes(found[name].page)} {mark(found[name].page <= goal)} ≤ {goal // 1000} KB"
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
        f"The package as it stands, against commit {commit}. Processor time, one core, threads:",
        f"{os.environ.get(THREADS[0], 'as many as each likes')}; {pairs} pairs of fresh processes"
        " that take turns.",
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
    "ops": small_ops,
    "step": step,
    "nets": nets,
    "laws": law,
    "growth": grown,
    "memory": bytes_per_node,
    "imports": imported,
    "pictures": seen,
}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=101, help="more give a narrower spread")
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help="compare only with the package of a commit; sections are then of: "
        + ", ".join(f"'{name}'" for name in commits.WORK),
    )
    parser.add_argument(
        "--pairs", type=int, default=commits.PAIRS, help="of processes, with --against"
    )
    parser.add_argument(
        "--save", action="store_true", help=f"write {SAVED.parent.name}/{SAVED.name}"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="of BLAS and PyTorch; 0 lets each choose (default 1)"
    )
    options = parser.parse_args()
    if options.threads and any(os.environ.get(n) != str(options.threads) for n in THREADS):
        os.environ.update(dict.fromkeys(THREADS, str(options.threads)))  # read when NumPy loads
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
    known = list(commits.WORK if options.against else SECTIONS)
    chosen = options.sections or known
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

    there, missing = peers.installed()
    report = Report()
    report.say("# Speed and memory", "", f"By `make bench ARGS=--save`: {versions(there)}.")
    for name in missing:
        report.say("", f"{name} is not installed and left out; `make bench` installs it.")
    for name in chosen:
        SECTIONS[name](report, there, options.rounds)
    if options.save:
        report.save(SAVED)


if __name__ == "__main__":
    main()
