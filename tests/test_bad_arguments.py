"""Bad arguments of everything public: refused by an error of ours, or accepted with a reason.

All of them by ``make test-all``; by ``make test`` a sample, drawn with one seed.
"""

import inspect
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import arguments
from graphgrad.engine.composite import Composite
from graphgrad.engine.op import Op
from graphgrad.errors import ArgumentError, DtypeError
from tests.bad_arguments import BAD, LEFT, Case, all_cases, is_left, judge, known_left, walk
from tests.every_call import Good, apply, good_calls, public, signature_of


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Good]:
    return good_calls(tmp_path_factory.mktemp("calls"))


def test_everything_public_has_a_call(calls: dict[str, Good]) -> None:
    """What takes an argument is called somewhere, so that each can be replaced."""
    asked = {
        name
        for name, value in public().items()
        if set(signature_of(value)) - ({"self"} if name.startswith("Tensor.") else set())
    }
    assert asked - set(calls) == set()


@pytest.mark.parametrize("sample", [40, pytest.param(None, marks=pytest.mark.whole)])
def test_bad_arguments_are_refused(calls: dict[str, Good], sample: int | None) -> None:
    cases = all_cases(calls)
    known = known_left()
    if sample:
        cases = random.Random(0).sample([c for c in cases if c not in known], sample)
    outcomes = walk(cases, workers=1 if sample else 2)
    left = {c: o for c, o in outcomes.items() if is_left(calls[c.name], c, o)}
    assert {c: o for c, o in left.items() if c not in known} == {}
    if not sample:
        mended = sorted(known - left.keys())
        assert not mended, f"take these out of {LEFT.name}"


def test_a_generator_is_given_by_name() -> None:
    """It reads ``rng=rng`` everywhere but in ``augment(images, rng)``, which `Batches` calls."""
    found: dict[str, inspect.Parameter] = {}
    for name, value in public().items():
        methods = inspect.getmembers(value, inspect.isfunction) if isinstance(value, type) else []
        called = {name: value} | {f"{name}.{n}": m for n, m in methods if not n.startswith("_")}
        found |= {n: signature_of(f)["rng"] for n, f in called.items() if "rng" in signature_of(f)}
    assert len(found) > 50
    assert [n for n, rng in found.items() if rng.kind is not rng.KEYWORD_ONLY] == []


# Numbers that are just out of range, by the parameters that refuse them: the walk above lets any
# parameter of a kind have 0 and 1.5.
ENDS = {
    "0": r"""T_max batch_size betas channels clip_norm clip_value columns components d_model
        dim_feedforward div_factor divisor_override embed_dim embedding_dim epochs every factor
        final_div_factor gamma groups hidden_size history_size in_channels in_features input_size
        keep kernel_size last layers limit maps max_eval max_iter max_lr max_norm milestones nhead
        nonzero norm_type normalized_shape num_channels num_classes num_embeddings num_features
        num_groups num_heads num_layers num_parameters out_channels out_features pieces planes
        samples shapes share stages start_factor step_size steps steps_per_epoch stride tolerance
        total_iters total_steps trials width window workers Softplus.beta huber_loss.delta
        HuberLoss.delta (Ada\w+|RMSprop).eps k_folds.k Trainer.patience softplus.beta
        (LocalR|local_r)\w+.size""",
    "1.5": r"""amount base_momentum betas dampening dropout dropout_p end factor label_smoothing
        max_momentum p pct_start probability rho share start BatchNorm\dd.momentum
        batch_norm.momentum RMSprop.alpha RunningAverage.decay""",
}


@pytest.mark.parametrize("bad", ENDS)
def test_ranges_end_where_they_should(calls: dict[str, Good], bad: str) -> None:
    names = re.compile(rf"(.*\.)?({'|'.join(ENDS[bad].split())})")
    cases = [
        Case(name, what, bad)
        for name, good in calls.items()
        for what in signature_of(good.function)
        if names.fullmatch(f"{name}.{what}") and not name.startswith(("nn.models", "viz", "Tensor"))
    ]
    kinds = {case: judge(calls[case.name], case).kind for case in cases}
    assert {c: k for c, k in kinds.items() if k not in ("refused", "nameless")} == {}
    assert len(cases) > 40


CHECKS: dict[str, tuple[Any, list[Any], list[str]]] = {  # a check, good values, which are refused
    "whole": (arguments.whole, [0, -1, 10**12, np.int64(3)], ["1.5", "True", "nan", "text", "3-d"]),
    "size": (arguments.size, [1, np.uint8(3)], ["0", "-1", "10**12", "1.5", "True"]),
    "number": (arguments.number, [1, 0.5, np.float32(2), np.array(1.0)], ["nan", "inf", "True"]),
    "positive": (arguments.positive, [1, 0.5], ["0", "-1", "nan", "inf", "True", "1j", "text"]),
    "non_negative": (arguments.non_negative, [0, 0.5], ["-1", "nan", "inf", "True", "1j", "text"]),
    "share": (arguments.share, [0, 0.5, 1], ["1.5", "-1", "nan", "True", "text", "3-d"]),
    "flag": (arguments.flag, [True, False, np.True_], ["0", "None", "text", "3-d", "object"]),
    "text": (arguments.text, ["", "a"], ["0", "None", "[]", "True"]),
    "path": (arguments.path, ["a", Path("a")], ["0", "True", "None", "[]"]),
    "function": (arguments.function, [abs], ["0", "None", "text"]),
    "sizes": (arguments.sizes, [(2, 3), [4]], ["0", "text", "None", "3-d", "ragged"]),
    "real": (arguments.real, [int, bool, "f4", np.uint8], ["None", "text", "{}", "object", "1.5"]),
    "floating": (arguments.floating, ["f4", float, np.float64], ["None", "text", "object", "1.5"]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_what_a_check_lets_through(name: str) -> None:
    check, good, refused = CHECKS[name]
    for value in good:
        check("f", "x", value)
    for bad in refused:
        with pytest.raises((ArgumentError, DtypeError), match=r"^f: .*x\b.*test_bad_arg"):
            check("f", "x", BAD[bad]())


def test_a_nul_byte_is_no_part_of_a_path() -> None:
    with pytest.raises(ArgumentError, match="NUL"):
        arguments.path("f", "x", "a\0b")


def test_a_guarded_function_reads_unions_words_lists_and_what_stands_behind_a_star() -> None:
    @arguments.guarded
    def go(
        f: Callable[..., Any],
        *xs: Any,
        word: Literal["a", "b"] = "a",
        op: Op[Any] | Composite[Any] | None = None,
        several: Sequence[Callable[[Any], None]] = (),
        ends: tuple[float, float] = (0, 1),
    ) -> Any:
        return f(*xs), word, op, several, ends

    call: Any = go
    assert call(max, 1, "2".__len__(), op=gg.tanh, several=[print], ends=[0, 2])[0] == 1
    for bad in (
        {"word": "c"},
        {"word": 1},
        {"op": 1},
        {"several": [1]},
        {"several": {print}},
        {"ends": (1,)},
        {"ends": (1, "2")},
    ):
        with pytest.raises((ArgumentError, DtypeError), match=f"^go: .*{next(iter(bad))}"):
            call(max, 1, 2, **bad)


def test_an_error_of_a_helper_names_the_innermost_guarded_function() -> None:
    def helper(x: Any) -> None:
        raise ArgumentError(f"{arguments.CALLED}: x is {x}")

    @arguments.guarded
    def inner(x: Any) -> None:
        helper(x)

    class Outer:
        @arguments.guarded
        def __init__(self, x: Any) -> None:
            helper(x)

    class Named(Outer): ...

    @arguments.guarded
    def outer(call: Callable[[Any], Any]) -> None:
        call(3)

    for call, name in ((inner, "inner"), (Named, "Named"), (helper, "outer")):
        with pytest.raises(ArgumentError, match=rf"^{name}: x is 3 \(at test_bad_arguments"):
            outer(call)


def test_a_guarded_function_checks_what_it_is_given_and_nothing_else() -> None:
    @arguments.guarded
    def scale_it(
        x: Any, factor: float = 1.0, *, whole: bool = False, name: str | None = None
    ) -> Any:
        return x, factor, whole, name

    scale: Any = scale_it
    assert scale("anything", 2, whole=np.True_) == ("anything", 2, True, None)
    assert scale(None, name=None) == (None, 1.0, False, None)
    for args, kwargs in (((0, "2"), {}), ((0,), {"whole": 1}), ((0,), {"name": 3})):
        with pytest.raises(DtypeError, match=r"scale_it: (factor|whole|name) = "):
            scale(*args, **kwargs)
    with pytest.raises(TypeError, match="missing"):  # Python's own word for a call that is no call
        apply(scale, {})


def test_an_argument_too_many_names_those_that_are_given_by_name() -> None:
    rng = np.random.default_rng(0)
    pair = (np.ones((4, 2)), np.zeros(4, int))
    with pytest.raises(DtypeError, match=r"Batches: one argument too many; give rng=.* by name"):
        gg.data.Batches(pair, 2, rng)  # type: ignore[call-arg]
