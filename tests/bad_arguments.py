"""Calls with one bad argument each, made in processes that may hang, run out of memory or die.

``python -m tests.bad_arguments [part of a name …]`` makes them all and prints the counts.
"""

import contextlib
import importlib
import inspect
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphgrad.arguments import CALLED
from graphgrad.engine.composite import Composite
from graphgrad.engine.op import Op
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.plain import is_numpys
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphgradError
from tests.every_call import Good, apply, good_calls, signature_of

BAD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "text",
    "[]": list,
    "{}": dict,
    "object": object,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "1e300": lambda: 1e300,
    "10**12": lambda: 10**12,
    "True": lambda: True,
    "1j": lambda: 1j,
    "3-d": lambda: np.ones((2, 3, 4)),
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "set": lambda: {1, 2},
    "function": lambda: lambda *_, **__: None,
}
NUMPYS = "NumPy takes it too, and finds the same"
LIMIT = 2.0  # seconds of computing for one call
WAIT = 20.0  # seconds until a process that does not answer is ended; others may use the machine
MEMORY = 1 << 31  # bytes that a call may take


class Case(NamedTuple):
    """Which argument is replaced, and by what."""

    name: str
    parameter: str
    bad: str


class Outcome(NamedTuple):
    """How a call ended: refused, nameless, bare, accepted, slow or dead; and what it said."""

    kind: str
    said: str = ""


def all_cases(calls: dict[str, Good]) -> list[Case]:
    """List every parameter with every bad value that is not its default."""
    return [
        Case(name, parameter, bad)
        for name, good in calls.items()
        for parameter, about in signature_of(good.function).items()
        if not (parameter == "self" and name.startswith("Tensor."))
        for bad, make in BAD.items()
        if about.kind not in (about.VAR_KEYWORD, about.VAR_POSITIONAL)
        and Case(name, parameter, bad) not in NOT_CALLED
        and not (type(make()) is type(about.default) and make() == about.default)
    ]


def judge(good: Good, case: Case) -> Outcome:
    """Make one call and say how it ended."""
    arguments = good.copied()
    arguments[case.parameter] = BAD[case.bad]()
    found: Any = None
    start = time.process_time()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = apply(good.function, arguments)
        outcome = Outcome("accepted")
    except (MemoryError, FileNotFoundError) as error:
        outcome = Outcome("refused", type(error).__name__)
    except GraphgradError as error:
        own = case.name.rpartition(".")[2]
        said = str(error)
        if CALLED in said:
            return Outcome("bare", said)
        known = {own, *(getattr(good.function, n, own) for n in ("__name__", "name"))}
        named = any(re.search(rf"\b{re.escape(str(n))}\b", said, re.IGNORECASE) for n in known)
        outcome = Outcome("refused" if named else "nameless", f"{type(error).__name__}: {said}")
    except Exception as error:  # noqa: BLE001 - which is the question
        outcome = Outcome("bare", f"{type(error).__name__}: {error}")
    took = time.process_time() - start
    if outcome.kind == "accepted" and took < LIMIT and is_numpys_value(good, case, found):
        return Outcome("accepted", NUMPYS)
    return Outcome("slow", f"{took:.1f} s, {outcome.said}") if took > LIMIT else outcome


def is_numpys_value(good: Good, case: Case, found: Any) -> bool:
    """Whether NumPy's own function, or method, of that name takes the same and finds the same."""
    space, _, own = case.name.rpartition(".")
    all_places: dict[str, list[Any]] = {
        "gg": [np],
        "linalg": [np.linalg],
        "Tensor": [np.ndarray, np],
    }
    places = all_places.get(space, [])
    functions = [getattr(good.function, "function", None)]
    functions = [f for f in functions if is_numpys(f)] or [getattr(p, own, None) for p in places]
    return any(f is not None and _finds(f, good, case, found) for f in functions)


def _finds(numpys: Any, good: Good, case: Case, found: Any) -> bool:
    arguments = {name: unwrapped(value) for name, value in good.copied().items()}
    arguments[case.parameter] = BAD[case.bad]()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = apply(numpys, arguments, good.function, _keyword_only(numpys))
        ours, theirs = flatten(unwrapped(found))[0], flatten(expected)[0]
        arrays = zip(map(np.asarray, ours), map(np.asarray, theirs), strict=True)
        return all(_same(a, b) for a, b in arrays)
    except Exception:  # noqa: BLE001 - NumPy refuses it, or what it finds is no array
        return False


def _keyword_only(function: Any) -> set[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C do not tell
        return set()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def _same(a: Any, b: Any) -> bool:
    if (a.shape, a.dtype.kind) != (b.shape, b.dtype.kind):
        return False
    if a.dtype.kind == "f":
        return np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)
    if a.dtype.kind == "O":  # of these only the kinds are the same: each call has its own
        return [type(x) for x in a.flat] == [type(x) for x in b.flat]
    return np.array_equal(a, b)


def serve() -> None:
    """Answer questions from the standard input, a case a line, until it ends."""
    questions, answers = os.dup(0), os.dup(1)  # a bad path is the number of an open file
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        calls = good_calls(Path(folder))
        os.chdir(folder)
        with os.fdopen(questions, buffering=1) as lines, os.fdopen(answers, "w") as out:
            while _in_child():  # a child that was ended has a successor, which need not prepare
                _limit_memory()
                print(f"ready {os.getpid()}", file=out, flush=True)
                while line := lines.readline():
                    case = Case(*json.loads(line))
                    outcome = judge(calls[case.name], case)
                    print(json.dumps([outcome.kind, outcome.said[:400]]), file=out, flush=True)
                return


def _in_child() -> bool:
    """Fork where that can be done; return only in a child, until one has come to its end."""
    if not hasattr(os, "fork"):
        return True
    while child := os.fork():
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return False
    return True


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # where there is such a limit
        resource: Any = importlib.import_module("resource")
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


class Worker:
    """A process that answers, or is ended and replaced."""

    def __init__(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bad_arguments", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"},
            cwd=Path(__file__).resolve().parent.parent,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.child = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self._await_child()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.process.stdout.close()

    def _await_child(self) -> None:
        while not (line := self.lines.get(timeout=300)).startswith("ready"):
            pass  # an answer that came too late
        self.child = int(line.split()[1])

    def ask(self, case: Case) -> Outcome:
        """Return how a call ended; the next one is made by another process, if it did not."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=WAIT)
        except queue.Empty:
            os.kill(self.child, signal.SIGKILL)
            self._await_child()
            return Outcome("slow", "never ends")
        if line.startswith("ready"):
            self.child = int(line.split()[1])
            return Outcome("dead")
        return Outcome(*json.loads(line))

    def end(self) -> None:
        """Let the processes come to their end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.reader.join()
        self.process.wait()


def walk(cases: Sequence[Case], workers: int = 2) -> dict[Case, Outcome]:
    """Make all calls, shared among processes."""
    todo: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        todo.put(case)
    found: dict[Case, Outcome] = {}

    def work(_: int) -> None:
        worker = Worker()
        with contextlib.suppress(queue.Empty):
            while True:
                case = todo.get_nowait()
                found[case] = worker.ask(case)
        worker.end()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(min(workers, len(cases)))))
    return {case: found[case] for case in cases}


# What a parameter may be given, by a word of its annotation. No number is NaN or infinite, and
# none negative, unless `ACCEPTED` says so.
KINDS: dict[str, str] = {
    r"\bbool\b": "True",
    r"\bint\b": "0 10**12",
    r"\bfloat\b": "0 1.5 1e300 10**12",
    r"\bstr\b|Path": "text",
    r"Iterable|Sequence|tuple\[|list\[": "[] {} set 3-d ragged",
    r"Mapping|dict\[": "{}",
    r"Callable|Function": "function",
    r"None|Optional": "None",
}
OPERAND = "[] -1 0 1.5 nan inf 1e300 10**12 True 3-d"  # what makes an array of real numbers
# Names, parameters, values, and why these are accepted. Names and parameters are patterns.
ACCEPTED: list[tuple[str, str, str, str]] = [
    (r"nn\.functional\..*", r".*", OPERAND, "operands, and what NumPy takes"),
    (r".*", r"axis|axis1|axis2|.*_dim|padding_idx|ignore_index", "-1", "counted from the end"),
    (r"nn\.(ELU|LeakyReLU|PReLU)", r"alpha|negative_slope|init", "-1", "a slope of any sign"),
    (r"nn\.Hardtanh", "min_val", "-1", "an end of any sign"),
    (r"nn\.(.*Hinge|MultiMargin)Loss", r"delta|margin", "-1", "a margin of any sign"),
    (r"nn\.LocalResponseNorm", r"alpha|beta|k", "-1", "of any sign; the value may be NaN"),
    (r"nn\.Softplus", "threshold", "-1", "linear from there on"),
    (r"nn\.AvgPool2d", "divisor_override", "-1", "what divides may be negative"),
    (r"nn\..*Loss", r"weight|pos_weight", OPERAND, "weights of classes or samples"),
    (r"nn\.(Parameter|Buffer)|gg\.Tensor", "data", OPERAND, "any array of numbers"),
    (r"nn\.Ensemble", "models", "text", "an iterable; what it holds is called later"),
    (r"gg\.(no_grad|enable_grad)", "function", "function", "decorated"),
    (r"gg\.detect_anomaly|viz\.tracing", "function", "function", "decorated"),
    (r"gg\.(softmax|log_softmax|logsumexp)", "axis", "0 None", "an axis, or all of them"),
    (r"gg\.(grad|value_and_grad|jacobian|hessian)", "argnums", "-1", "counted from the end"),
    (r"gg\.(gradcheck|numerical_gradient)", "h", "1.5 1e300 10**12", "a step of any size"),
    (r"gg\.(\w*softmax|logsumexp|relu|erfc?|softplus|\w*sigmoid)", "a|x", OPERAND, "an operand"),
    (r"gg\.(astype|numerical_gradient)", "x", OPERAND, "any array of numbers"),
    (r"gg\.logsumexp", "keepdims", "True", "a flag"),
    (r"gg\.manual_seed", "seed", "None []", "seeds of NumPy's; None takes one of the system's"),
    (r"nn\.functional\.(rnn|lstm|gru)_layer", "h0|c0", "None", "zeros"),
    (r"nn\.(functional\.adaptive_|Adaptive).*", "output_size", "None", "that of the input"),
    (r"nn\.LPPool2d", "norm_type", "1.5 1e300 10**12", "a power from 1 on"),
    (r"nn\.sanity_checks", "expected", "-1", "a loss may be negative"),
    (r"viz\.plots\.show_images", "images", "3-d", "two images of one channel"),
    (r"viz\.training_page", "history", "{}", "the diagnosis beside it is drawn"),
    (r"optim\.clip_grad_norm", "norm_type", "inf", "the largest element"),
    (r"nn\.init\..*", r"value|mean|low|high|gain|bias|negative_slope", "-1", "of any sign"),
    (r"data\..*", r"images|labels|dataset", OPERAND, "arrays of samples"),
]
NOT_CALLED = [  # networks of hundreds of millions of weights, as they were asked for
    Case("nn.models.VGG", "width", "1.5"),
    Case("nn.models.ZFNet", "width", "1.5"),
    Case("testing.check_optimizer", "step", "function"),  # doing nothing, it breaks a law
]
LEFT = Path(__file__).with_name("bad_arguments_left.txt")


def reason(good: Good, case: Case) -> str | None:
    """Say why a call may be accepted; None if it may not."""
    parameter = signature_of(good.function)[case.parameter]
    annotation = str(parameter.annotation)
    if "_NestedSequence" in annotation or isinstance(good.function, Op | Composite):
        annotation = ""  # an array, of which the table tells
    for word, values in KINDS.items():
        if re.search(word, annotation) and case.bad in values.split():
            return f"its kind is {annotation}"
    for name, pattern, values, why in ACCEPTED:
        matches = re.fullmatch(name, case.name) and re.fullmatch(pattern, case.parameter)
        if matches and case.bad in values.split():
            return why
    return None


def is_left(good: Good, case: Case, outcome: Outcome) -> bool:
    """Whether the call neither was refused by an error of ours nor may be accepted."""
    if outcome.kind == "accepted":
        return outcome.said != NUMPYS and reason(good, case) is None
    return outcome.kind in {"bare", "slow", "dead"}


def known_left() -> set[Case]:
    """Read which calls are known to end otherwise than they should."""
    return {
        Case(name, parameter, bad)
        for (_, name, parameter), values in _rows().items()
        for bad in values
    }


def _rows() -> dict[tuple[str, str, str], list[str]]:
    """Read what is left, by kind, name and parameter."""
    lines = [line for line in LEFT.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {(kind, name, what): bad for kind, name, what, *bad in (x.split(" ") for x in lines)}


def write_left(calls: dict[str, Good], outcomes: dict[Case, Outcome]) -> None:
    """Write anew which calls end otherwise than they should; of what was not called, as it was."""
    not_called = calls.keys() - {case.name for case in outcomes}
    rows: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    rows |= {key: values for key, values in _rows().items() if key[1] in not_called}
    for case, outcome in outcomes.items():
        if is_left(calls[case.name], case, outcome):
            rows[outcome.kind, case.name, case.parameter].append(case.bad)
    counts = Counter(kind for (kind, *_), values in rows.items() for _ in values)
    found = ", ".join(f"{n} {k}" for k, n in sorted(counts.items()))
    head = [
        "# Bad arguments that are still accepted without a reason, or end in a bare error.",
        f"# Of {len(all_cases(calls))} calls: {found or 'none'}.",
        "# Written by `python -m tests.bad_arguments --write`; a line goes with its cause.",
    ]
    lines = [
        " ".join([*key, *values]) for key, values in sorted(rows.items(), key=lambda r: r[0][1:])
    ]
    LEFT.write_text("\n".join([*head, *lines]) + "\n", "utf-8")


def main(parts: Sequence[str]) -> None:
    """Make the calls of what matches one of these patterns; ``--write`` keeps what is left."""
    patterns = [p for p in parts if not p.startswith("--")]
    with tempfile.TemporaryDirectory() as folder:
        calls = good_calls(Path(folder))
    cases = [
        c for c in all_cases(calls) if not patterns or any(re.search(p, c.name) for p in patterns)
    ]
    outcomes = walk(cases, os.cpu_count() or 1)
    for case, outcome in outcomes.items():
        if is_left(calls[case.name], case, outcome):
            said = f"{outcome.kind:9}{case.name} {case.parameter}={case.bad}: {outcome.said}"
            sys.stdout.write(said + "\n")
    counts = Counter(outcome.kind for outcome in outcomes.values())
    sys.stdout.write(", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) + "\n")
    if "--write" in parts:
        write_left(calls, outcomes)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main(sys.argv[1:])
