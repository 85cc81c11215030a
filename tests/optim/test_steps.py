"""Optimizers: the numbers of 20 steps, groups, saving, and what they refuse."""

import contextlib
import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import optim
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from graphgrad.optim import optimizer as shell, rules
from tests.builders import Refusals, leaf, refuses
from tests.groups import Groups
from tests.optimizer_cases import CASES, START, X, Y, loss_of, run

# By PyTorch, in float64: `python -m tests.parity.test_optim` prints this table. The parameters
# after 20 steps on the problem of tests/optimizer_cases.py; the losses before steps 10 and 20.
_NUMBERS = """
SGD: 0.541566919 -0.912243245 0.302328133 0.923728900 | 0.431034835 0.201811938
SGD, momentum: 0.354809839 -0.712537552 0.072711401 1.661623448 | 0.640594860 0.644647228
SGD, dampening: 0.177020713 -0.890165186 -0.272636630 1.440735788 | 1.316194745 0.185953040
SGD, nesterov: 0.307226075 -0.948558352 -0.115803703 1.306758354 | 0.240413000 0.134853642
SGD, weight decay: 0.333159950 -0.855500584 0.063278579 0.969094588 | 0.201952984 0.116709895
Momentum: 0.014297680 -1.122281298 -0.496090324 0.849088868 | 1.427094971 0.508303543
Nesterov: 0.083358934 -0.999063777 -0.330022914 1.023563715 | 0.743290814 0.218725373
Adagrad: 0.308297995 -0.919705358 -0.035281136 1.112725157 | 0.115402002 0.096290527
Adagrad, all: 0.383523154 -0.951410073 0.032302191 1.097415586 | 0.158446099 0.106359478
Adadelta: 1.432885447 -1.932505675 0.562137036 0.367183808 | 4.961854652 4.573586435
Adadelta, all: 0.305918358 -0.886135571 -0.011621792 1.040078434 | 0.253623382 0.099923620
RMSprop: 0.305665957 -0.918722232 -0.037417511 1.113013086 | 0.113817415 0.096199435
RMSprop, centered: 0.541073922 -1.075716857 0.132330322 1.099907516 | 0.609698554 0.200044852
RMSprop, momentum: 0.292610332 -0.913113745 0.116826465 1.043808577 | 0.512260607 0.120227555
RMSprop, all: 0.813748894 -1.293212964 0.575733874 0.948338134 | 2.472622632 0.771874154
Adam: 0.182147617 -0.710660139 -0.249587867 1.240568619 | 0.519465892 0.194790198
Adam, weight decay: 0.269476123 -0.829102373 -0.165076854 1.109404434 | 0.462079499 0.112021885
Adam, amsgrad: 0.528387673 -1.054560903 0.122559372 1.099866827 | 0.669711727 0.183891930
AdamW: 0.132316514 -0.604235661 -0.283814436 1.110629361 | 0.377979334 0.252226138
AdamW, amsgrad: 0.520631081 -1.040329474 0.120922686 1.086966974 | 0.649416105 0.175479195
LBFGS: 0.298902154 -0.916644595 -0.041970288 1.112432243 | 0.145715300 0.096058371
LBFGS, two pairs: 0.580458585 -1.123773089 0.126866673 1.005724028 | 1.336765802 0.286105561
LBFGS, line search: 0.294726684 -0.915378359 -0.046411162 1.114831027 | 0.096012278 0.096012274
"""
NUMBERS: dict[str, list[list[float]]] = {
    name: [[float(x) for x in part.split()] for part in numbers.split("|")]
    for name, numbers in (line.split(": ") for line in _NUMBERS.strip().splitlines())
}
FIRST_ORDER = [name for name in CASES if not name.startswith("LBFGS")]


def problem() -> tuple[list[Any], Any]:
    w, b = params = [gg.Tensor(p.copy(), requires_grad=True) for p in START]
    return params, lambda: loss_of(w, b, X, Y)


@contextlib.contextmanager
def unchanged(optimizer: Any) -> Iterator[None]:
    def everything() -> Any:
        return copy.deepcopy(optimizer.state_dict()), [p.numpy().copy() for p in optimizer.params]

    before = everything()
    yield
    np.testing.assert_equal(everything(), before)


def started(make: Any, **options: Any) -> tuple[Any, Any]:
    params, loss = problem()
    optimizer = make(params, **options)
    run(optimizer, params, loss)
    return optimizer, loss


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps(name: str) -> None:
    params, loss = problem()
    optimizer = getattr(optim, CASES[name].name)(params, **CASES[name].options)
    points, losses = run(optimizer, params, loss)
    np.testing.assert_allclose(points[-1], NUMBERS[name][0], rtol=0, atol=1e-7)
    np.testing.assert_allclose((losses[9], losses[19]), NUMBERS[name][1], rtol=0, atol=1e-7)


def test_newton_solves_a_quadratic_in_one_step() -> None:
    a, b = gg.Tensor([[2.0, -1.0]], requires_grad=True), leaf([5.0])
    h = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.0], [0.5, 0.0, 1.0]])
    target = np.array([1.0, -2.0, 0.25])

    def loss() -> Any:
        v = gg.concatenate([a.reshape(2), b]) - target
        return 0.5 * (v @ h @ v)

    optimizer = optim.Newton([a, b])
    before = optimizer.step(loss)
    assert before.item() > 10
    np.testing.assert_allclose(np.append(a.numpy(), b.numpy()), target, atol=1e-12)
    assert a.grad is None


def test_damping_shortens_newtons_step_and_turns_it_downhill() -> None:
    """On the saddle y² − x² the plain step goes up to the saddle; with λ > 2 it goes down."""
    plain, damped = leaf([1.0, 1.0]), leaf([1.0, 1.0])
    optim.Newton([plain]).step(lambda: plain[1] ** 2 - plain[0] ** 2)
    np.testing.assert_allclose(plain.numpy(), [0, 0], atol=1e-15)
    optim.Newton([damped], damping=4.0).step(lambda: damped[1] ** 2 - damped[0] ** 2)
    np.testing.assert_allclose(damped.numpy(), [1 + 2 / 2, 1 - 2 / 6])


def test_newton_in_float32_and_with_a_parameter_that_is_not_used() -> None:
    used, unused = leaf([3.0], dtype=np.float32), leaf([5.0], dtype=np.float32)
    optim.Newton([used, unused], damping=1e-6).step(lambda: (used[0] - 1) ** 2)
    np.testing.assert_allclose(used.numpy(), [1.0], atol=1e-5)
    assert used.dtype == np.float32
    assert unused.numpy() == 5.0


def rosenbrock(w: Any) -> Any:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def closure_of(optimizer: Any, loss: Any) -> Any:

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def test_lbfgs_finds_the_minimum_of_rosenbrocks_valley() -> None:
    w = leaf([-1.2, 1.0])
    opt = optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")
    assert opt.step(closure_of(opt, lambda: rosenbrock(w))).item() == pytest.approx(24.2)
    np.testing.assert_allclose(w.numpy(), [1, 1], atol=1e-4)
    assert opt.state_dict()["state"]["func_evals"] < 70


def test_lbfgs_puts_the_parameters_back_where_its_closure_fails() -> None:
    w = leaf([-1.2, 1.0])
    opt = optim.LBFGS([w], line_search_fn="strong_wolfe")
    calls = []

    def closure() -> Any:
        calls.append(w.numpy().copy())
        if len(calls) == 3:
            raise KeyboardInterrupt
        return closure_of(opt, lambda: rosenbrock(w))()

    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(KeyboardInterrupt):
        opt.step(closure)
    assert not np.array_equal(calls[2], calls[0])
    assert opt.state_dict() == before
    # the first of its steps was done: it stands where that began or ended, not on a trial
    assert any(np.array_equal(w.numpy(), point) for point in calls[:2])


def test_lbfgs_keeps_a_good_first_trial_where_no_more_are_allowed() -> None:
    """The first trial is the minimum itself: a second one would be wasted."""
    w = leaf([1.0])
    opt = optim.LBFGS([w], lr=1.0, max_eval=2, line_search_fn="strong_wolfe")
    opt.step(closure_of(opt, lambda: (w**2).sum() / 2))
    assert w.numpy() == [0.0]
    assert opt.state_dict()["state"]["func_evals"] == 2


def test_lbfgs_goes_further_within_a_hundredth_and_tenfold() -> None:
    """On a line no cubic has a minimum: the trial is halfway between these bounds."""
    w = leaf([0.0])
    tried = []

    def closure() -> Any:
        tried.append(w.numpy().item())
        return closure_of(opt, lambda: -w.sum())()

    opt = optim.LBFGS([w], lr=2.0, max_eval=3, line_search_fn="strong_wolfe")
    opt.step(closure)
    assert tried[:3] == pytest.approx([0, 2, (2.02 + 20) / 2])


@pytest.mark.parametrize(
    ("options", "evals"), [({"max_eval": 5}, 6), ({"max_eval": 100, "tolerance_change": 0.01}, 7)]
)
def test_lbfgs_searches_until_it_may_no_more_or_the_bracket_is_small(
    options: dict[str, Any], evals: int
) -> None:
    """At the kink of |w| no slope is small enough."""
    w = leaf([0.3])
    opt = optim.LBFGS([w], max_iter=1, line_search_fn="strong_wolfe", **options)
    opt.step(closure_of(opt, lambda: np.abs(w).sum()))
    assert opt.state_dict()["state"]["func_evals"] == evals


def test_lbfgs_comes_back_from_where_the_loss_is_nan() -> None:
    """log(w) is NaN left of 0, where the first trial goes."""
    w = leaf([3.0])
    opt = optim.LBFGS([w], lr=50.0, line_search_fn="strong_wolfe")
    with np.errstate(invalid="ignore"):
        opt.step(closure_of(opt, lambda: w[0] - gg.log(w[0])))
    np.testing.assert_allclose(w.numpy(), [1.0], atol=1e-5)


BLOCKED: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd": (rules.sgd, {"weight_decay": 0.1}),
    "momentum": (rules.momentum, {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0, "step": 2}),
    "adam": (rules.adam, {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "step": 3}),
    "rmsprop": (
        rules.rmsprop_centered_momentum,
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.0, "momentum": 0.5},
    ),
}


@st.composite
def layouts(draw: st.DrawFn) -> Any:
    """Draw a shape, and a function that gives an array of it any strides."""
    shape = draw(st.lists(st.integers(0, 9), max_size=3))
    axes = draw(st.permutations(range(len(shape))))
    steps = draw(st.lists(st.sampled_from([1, 2, -1]), min_size=len(shape), max_size=len(shape)))

    def lay(a: Any) -> Any:
        roomy = np.zeros([2 * shape[i] for i in axes], a.dtype).transpose(np.argsort(axes))
        strides: Any = (*(slice(None, None, s) for s in steps), ...)  # … keeps 0-d an array
        part: Any = (*(slice(0, n) for n in shape), ...)
        view = roomy[strides][part]
        view[...] = a
        return view

    return tuple(shape), lay


@pytest.mark.parametrize("name", BLOCKED)
@given(data=st.data())
def test_pieces_give_what_the_rule_gives_on_whole_arrays(name: str, data: st.DataObject) -> None:
    shape, lay = data.draw(layouts())
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    rng = np.random.default_rng(0)
    rule, keywords = BLOCKED[name][0], {"lr": 0.1, **BLOCKED[name][1]}
    high = np.float32 if dtype == np.float16 else dtype
    w, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    state = [rng.random(shape).astype(high) + high(1) for _ in shell.recipe(rule).state]
    expected = rule(w.astype(high), g.astype(high), *state, **keywords)
    d, *new = expected if state else (expected,)
    laid = lay(w)
    held = [lay(s) if i % 2 else np.array(s) for i, s in enumerate(state)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shell, "MANY_ARRAYS", 16 * laid.itemsize)
        patch.setattr(shell, "WHOLE", data.draw(st.sampled_from([0, 1 << 20])))
        shell.update(rule, laid, g, held, keywords)
    np.testing.assert_array_equal(laid, (w.astype(high) - d).astype(dtype))
    for array, value in zip(held, new, strict=True):
        np.testing.assert_array_equal(array, value)


def test_a_rule_may_hand_on_what_it_was_given() -> None:
    """Delayed descent: the step is the old state, and the state becomes the parameter."""

    def delayed(w: Any, g: Any, old: Any, older: Any) -> Any:  # noqa: ARG001
        return older, w, old

    w, old, older = arrays = [np.array([v]) for v in (3.0, 2.0, 1.0)]
    shell.update(delayed, w, np.array([0.0]), [old, older], {})
    np.testing.assert_array_equal(arrays, [[2.0], [3.0], [2.0]])


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_float16_is_computed_in_float32(name: str) -> None:
    """After a step the parameter is the nearest float16 to that of a float32 run."""
    case = CASES[name]
    values = np.array([1.5, -2.0, 0.25], np.float16)
    half, single = (gg.Tensor(values.astype(d), requires_grad=True) for d in ("f2", "f4"))
    for w in (half, single):
        w.grad = np.array([0.5, 0.001, -3.0], w.dtype)  # exact in neither, the same for both
    single.grad = half.grad.astype(np.float32)
    optimizers = [getattr(optim, case.name)([w], **case.options) for w in (half, single)]
    for optimizer in optimizers:
        optimizer.step()
    np.testing.assert_array_equal(half.numpy(), single.numpy().astype(np.float16))
    states = optimizers[0].state.values()
    assert all(v.dtype == np.float32 for s in states for k, v in s.items() if k != "step")


def test_the_array_and_its_dtype_stay_the_same() -> None:
    """Other views of it, such as a module's, see the step; NumPy's numbers do not widen it."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    w = gg.Tensor(array, requires_grad=True)
    w.data = array
    for make in (optim.Adam, optim.SGD):
        opt = make([w], lr=np.float64(0.5))
        assert type(opt.lr) is float
        opt.param_groups[0]["lr"] = np.float64(0.25)
        for _ in range(2):
            w.grad = np.ones((3, 2), np.float32)
            opt.step()
        assert type(opt.param_groups[0]["lr"]) is float
    assert w.data is array
    np.testing.assert_allclose(array, np.arange(6.0).reshape(2, 3).T - 1, rtol=1e-6)


def test_a_shared_parameter_is_updated_once() -> None:
    w = leaf([1.0])
    opt = optim.SGD([w, w], lr=0.25)
    w.sum().backward()
    opt.step()
    assert w.numpy() == 0.75


def test_groups_have_options_of_their_own() -> None:
    a, b, c = leaf([1.0]), leaf([1.0]), leaf([1.0])
    opt = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    opt.add_param_group({"params": [c], "lr": 0.25, "weight_decay": 1.0})
    (a + b + c).sum().backward()
    opt.step()
    np.testing.assert_allclose([a.numpy(), b.numpy(), c.numpy()], [[0.9], [0.5], [0.5]])
    with pytest.raises(GraphError, match="rates of their own"):
        _ = opt.lr
    opt.lr = 0.2
    assert [group["lr"] for group in opt.param_groups] == [0.2] * 3
    with pytest.raises(GraphError, match="group 3: parameter 0 stands in an earlier group"):
        opt.add_param_group({"params": [a]})
    with pytest.raises(ArgumentError, match=r"group 3: unknown \['rate'\]"):
        opt.add_param_group({"params": [leaf([1.0])], "rate": 1})
    assert len(opt.param_groups) == 3


@pytest.mark.parametrize("name", CASES)
def test_a_saved_run_goes_on_bit_for_bit(name: str) -> None:
    """Twenty steps at once, and ten, saved, loaded into new objects, and then twenty more."""
    case = CASES[name]
    make = getattr(optim, case.name)
    params, loss = problem()
    first = make(params, **case.options)
    run(first, params, loss)
    saved, values = first.state_dict(), [p.numpy().copy() for p in params]
    points, losses = run(first, params, loss)

    params, loss = problem()
    for p, value in zip(params, values, strict=True):
        p.data[...] = value
    second = make(params, lr=0.123)
    second.load_state_dict(saved)
    again, losses_again = run(second, params, loss)
    np.testing.assert_array_equal(points, again)
    assert losses == losses_again
    np.testing.assert_equal(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("old", ["AdaGrad", "AdaDelta"])
def test_a_state_saved_under_an_older_name_loads(old: str) -> None:
    opt, _ = started(getattr(optim, old))
    assert repr(opt).startswith(f"{old.capitalize()}(")
    saved = opt.state_dict() | {"optimizer": old}
    fresh, _ = started(getattr(optim, old))
    fresh.load_state_dict(saved)
    np.testing.assert_equal(fresh.state_dict(), opt.state_dict())


def test_a_saved_state_does_not_change_with_the_run() -> None:
    opt, loss = started(optim.Adam)
    saved = opt.state_dict()
    kept = copy.deepcopy(saved)
    run(opt, opt.params, loss)
    np.testing.assert_equal(saved, kept)


def averaged() -> tuple[Any, Any]:
    average = optim.RunningAverage([w := leaf([1.0])], None)
    average.update()
    return average, w


def scheduled(make: Any) -> Any:
    def started() -> tuple[Any, Any]:
        optimizer = Groups({"lr": 0.5, "momentum": 0.9})
        return make(optimizer), optimizer.param_groups

    return started


ADAM, LBFGS = (functools.partial(started, make) for make in (optim.Adam, optim.LBFGS))
STEPPED = scheduled(lambda o: optim.StepLR(o, 3))
PLATEAU = scheduled(optim.ReduceLROnPlateau)
SPOILED: dict[str, tuple[Any, Any]] = {  # what the error says: whose state, and what is wrong
    "the state is of SGD": (ADAM, lambda s: s.update(optimizer="SGD")),
    "no state_dict": (ADAM, lambda s: s.pop("state")),
    r"parameter 0: \['v'\] are missing": (ADAM, lambda s: s["state"][0].pop("v")),
    r"parameter 1: m \(3,\) is not \(\)": (ADAM, lambda s: s["state"][1].update(m=np.zeros(3))),
    "lr = -1.0": (ADAM, lambda s: s["param_groups"][0].update(lr=-1.0)),
    r"the groups have \[2\] parameters, the state has \[1\]": (
        ADAM,
        lambda s: s["param_groups"][0].update(params=[0]),
    ),
    r"options \['betas'\] are missing": (ADAM, lambda s: s["param_groups"][0].pop("betas")),
    "the state has": (LBFGS, lambda s: s["state"].pop("steps")),
    r"direction \(3,\) is not \(4,\)": (LBFGS, lambda s: s["state"].update(direction=np.zeros(3))),
    r"not of \(4,\) each": (LBFGS, lambda s: s["state"]["steps"].append(np.zeros(2))),
    "differ in number": (LBFGS, lambda s: s["state"]["steps"].pop()),
    r"shapes \[\(2,\)\], .* \[\(1,\)\]": (averaged, lambda s: s.update(averages=[np.zeros(2)])),
    r"shapes \[\], ": (averaged, lambda s: s.update(averages=[])),
    "updates = -1": (averaged, lambda s: s.update(updates=-1)),
    r"unexpected \['decay'\]": (averaged, lambda s: s.update(decay=0.9)),
    "t = -1": (STEPPED, lambda s: s.update(t=-1)),
    "2 rates in .*lrs for 1 groups": (STEPPED, lambda s: s.update(initial_lrs=[0.5, 0.5])),
    "initial_lrs": (STEPPED, lambda s: s.update(initial_lrs=[np.nan])),
    r"missing \[\], unexpected \['epoch'\]": (STEPPED, lambda s: s.update(epoch=3)),
    "whole number": (STEPPED, lambda s: s.update(t=None)),
    r"unexpected \['t'\]": (PLATEAU, lambda s: s.update(t=1)),
    "2 rates in lrs for 1 groups|2 rates in .*lrs": (PLATEAU, lambda s: s.update(lrs=[0.5] * 2)),
}


@pytest.mark.parametrize("says", SPOILED)
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(says: str) -> None:
    make, spoil = SPOILED[says]
    owner, held = make()
    saved = owner.state_dict()
    spoil(saved)
    params = getattr(owner, "params", [])
    before = repr((owner.state_dict(), held, params))
    with pytest.raises((ArgumentError, DtypeError, ShapeError), match=says):
        owner.load_state_dict(saved)
    assert repr((owner.state_dict(), held, params)) == before


@pytest.mark.parametrize("make", [optim.SGD, optim.Adagrad, optim.Adam, optim.LBFGS, optim.Newton])
def test_wrong_rates_are_refused(make: Any) -> None:
    opt = make([leaf([1.0])], lr=0.1)
    for lr in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="finite and not negative"):
            opt.lr = lr
        with pytest.raises(ArgumentError, match="finite and not negative"):
            make([leaf([1.0])], lr=lr)
    assert opt.lr == 0.1


REFUSED: Refusals = {
    ArgumentError: {
        r"Adam: .*betas.*1\.0": lambda: optim.Adam([leaf([1.0])], betas=(0.9, 1.0)),
        "Adadelta: .*rho": lambda: optim.Adadelta([leaf([1.0])], rho=1.0),
        "SGD: .*nesterov needs a momentum": lambda: optim.SGD([leaf([1.0])], nesterov=True),
        "Nesterov: .*nesterov needs": lambda: optim.Nesterov([leaf([1.0])], dampening=0.1),
    },
    GraphError: {
        r"\[tensor\]": lambda: optim.SGD(leaf([1.0]), lr=0.1),
        "parameter 0 is no": lambda: optim.SGD([gg.Tensor([1.0])], lr=0.1),
        "parameter 1 is no": lambda: optim.SGD([leaf([1.0]), leaf([1.0]) * 2], lr=0.1),
        "parameter 0 is no leaf": lambda: optim.SGD([np.zeros(2)], lr=0.1),  # type: ignore[list-item]
        "LBFGS.* in one group": lambda: optim.LBFGS([{"params": [leaf([n])]} for n in (1.0, 2.0)]),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


def test_an_option_that_became_wrong_is_refused_at_the_step() -> None:
    opt, _ = started(optim.Adam)
    with unchanged(opt):
        opt.param_groups[0]["betas"] = (0.9, 1.5)
        with pytest.raises(ArgumentError, match="betas"):
            opt.step()
        opt.param_groups[0]["betas"] = (0.9, 0.999)


def test_a_step_that_cannot_be_taken_changes_nothing() -> None:
    params, loss = problem()
    opt = optim.Adam(params)
    with unchanged(opt):
        with pytest.raises(
            GraphError, match=r"no parameter has a gradient; call loss.backward\(\)"
        ):
            opt.step()
        loss().backward()
        params[1].data.flags.writeable = False
        with pytest.raises(GraphError, match="read-only"):
            opt.step()


@pytest.mark.parametrize("make", [optim.LBFGS, optim.Newton])
@pytest.mark.parametrize(
    ("closure", "error", "says"),
    [
        (None, GraphError, "function that returns the loss"),
        (lambda: None, ShapeError, "not nothing"),
        (lambda: np.zeros(3), ShapeError, r"shape \(3,\)"),
        (lambda: 1.0, GraphError, "no parameter has a gradient|not depend on any parameter"),
    ],
)
def test_closures_must_give_a_loss(make: Any, closure: Any, error: Any, says: str) -> None:
    opt = make(problem()[0])
    with unchanged(opt), pytest.raises(error, match=f"{make.__name__}: .*({says})"):
        opt.step(closure)


def test_newton_refuses_what_it_cannot_solve() -> None:
    w = leaf([1.0, 2.0])
    opt = optim.Newton([w])
    with pytest.raises(GraphError, match="singular or not finite; use a damping"):
        opt.step(lambda: w[0] ** 2 + w[1])
    with pytest.raises(GraphError, match="leave backward"):
        opt.step(closure_of(opt, lambda: w[0] ** 2 + w[1] ** 2))
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])
    with pytest.raises(ShapeError, match="1,001 numbers is too large; at most 1,000"):
        optim.Newton([gg.Tensor(np.zeros(1001), requires_grad=True)])
