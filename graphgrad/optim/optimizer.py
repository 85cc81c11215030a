"""The shell of the optimizers: groups of parameters, their state, and writing in place.

What an optimizer does to the numbers is a pure rule (`graphgrad.optim.rules`); here it is fed
with pieces that fit into the cache, and what it returns is written back. An optimizer of
yours is a rule and its options::

    def sign_descent(w, g, *, lr):
        return lr * np.sign(g)

    class SignDescent(Optimizer):
        def __init__(self, params, lr=1e-2):
            super().__init__(params, lr=lr)

        def rule(self, options):
            return sign_descent
"""

import inspect
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from graphgrad.arguments import (
    CALLED,
    Check,
    flag,
    non_negative,
    positive,
    several,
    share,
    wrong,
)
from graphgrad.engine.in_place import mark_changed, writable
from graphgrad.engine.operands import as_plain
from graphgrad.engine.recording import outside_traces
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, GraphError, GraphgradError, ShapeError
from graphgrad.pieces import FEW_ARRAYS, MANY_ARRAYS, pieces
from graphgrad.reprs import counted
from graphgrad.typing import Array

WHOLE = 2 * MANY_ARRAYS  # bytes; cutting up less than this costs more than it saves

Group = dict[str, Any]
Groups = Sequence[Mapping[str, Any]]
Params = Iterable[Tensor | Mapping[str, Any]]  # tensors, or groups of them with options


def _decay(who: str, what: str, value: Any) -> None:
    if non_negative(who, what, value) >= 1:
        raise ArgumentError(f"{who}: {what} = {value} must be below 1")


def _betas(who: str, what: str, value: Any) -> None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise wrong(who, what, value, "two numbers from 0 to below 1")
    for beta in value:
        _decay(who, f"an element of {what}", beta)


CHECKS: dict[str, Check] = {  # by the name of an option
    "alpha": _decay,
    "amsgrad": flag,
    "betas": _betas,
    "centered": flag,
    "damping": non_negative,
    "dampening": share,
    "eps": positive,
    "initial_accumulator_value": non_negative,
    "initial_lr": non_negative,
    "lr": non_negative,
    "lr_decay": non_negative,
    "lr_scale": non_negative,
    "momentum": non_negative,
    "nesterov": flag,
    "rho": _decay,
    "weight_decay": non_negative,
}
# may stand in a group beside the options: for people, for schedules
EXTRAS = {"name", "initial_lr", "lr_scale"}


_RENAMED = {"AdaGrad": "Adagrad", "AdaDelta": "Adadelta"}  # in states saved before


class Recipe(NamedTuple):
    """What a rule asks for, read from its arguments."""

    state: tuple[str, ...]
    options: tuple[str, ...]
    counts: bool  # whether it asks for the number of the step
    stateful: bool  # whether there is anything to keep from step to step


_recipes: weakref.WeakKeyDictionary[Any, Recipe] = weakref.WeakKeyDictionary()


def recipe(rule: Callable[..., Any]) -> Recipe:
    """Read the arguments of a rule: ``(w, g, *state, *, step, **options)``."""
    found = _recipes.get(rule)
    if found is None:  # a rule made anew at each step takes its entry with it
        found = _recipes[rule] = _read(rule)
    return found


def _read(rule: Callable[..., Any]) -> Recipe:
    arguments = inspect.signature(rule).parameters.values()
    keywords = [a.name for a in arguments if a.kind is a.KEYWORD_ONLY]
    state = [a.name for a in arguments if a.kind is not a.KEYWORD_ONLY][2:]
    counts = "step" in keywords
    options = tuple(k for k in keywords if k != "step")
    return Recipe(tuple(state), options, counts, stateful=bool(state) or counts)


# ------------------------------------------------------------------------ writing in place


def update(
    rule: Callable[..., Any], w: Array, g: Array, state: Sequence[Any], keywords: Mapping[str, Any]
) -> None:
    """Do w ← w − d and state ← new state in place, by pieces where the arrays are large.

    float16 is computed in float32, in which its state is, and rounded once.
    """
    if w.nbytes > WHOLE and isinstance(w, np.ndarray):
        for w_, g_, *state_ in pieces((w, g, *state), MANY_ARRAYS if state else FEW_ARRAYS):
            _update(rule, w_, g_, state_, keywords)
    elif state or w.itemsize == 2:
        _update(rule, w, g, state, keywords)
    else:
        w -= rule(w, g, **keywords)


def _update(rule: Any, w: Array, g: Array, state: Sequence[Any], keywords: Any) -> None:
    now = w
    if w.itemsize == 2:
        now, g = w.astype(np.float32), g.astype(np.float32)
    if state:
        new = rule(now, g, *state, **keywords)
        # what a rule hands on unchanged is about to be written over: keep its value
        d, *new = [v.copy() if v is w or any(v is s for s in state) else v for v in new]
        for array, value in zip(state, new, strict=True):
            array[...] = value
        w -= d
    else:
        w -= rule(now, g, **keywords)


# ---------------------------------------------------------------------------- the optimizer


class Optimizer:
    """What all optimizers share.

    ``param_groups`` is a list of dicts as in PyTorch: ``params`` and the options, which may be
    changed between steps. ``state`` maps a parameter to a dict of its arrays: of the parameter's
    dtype, but float32 for float16.

    Parameters
    ----------
    params
        The tensors to learn, leaves that require a gradient, each updated once even if listed
        twice; or dicts with ``params`` and options of that group.
    defaults
        The options of groups that do not say otherwise.

    Raises
    ------
    GraphError
        If a parameter is no leaf that requires a gradient or stands in two groups, or the list
        is empty or one tensor.
    ArgumentError
        If an option is unknown or out of range.
    """

    checks: ClassVar[Mapping[str, Check]] = CHECKS
    compiled_as_object: ClassVar[bool] = True  # a compiled program calls its methods
    param_groups: list[Group]
    state: dict[Tensor, dict[str, Any]]

    def __init__(self, params: Params, **defaults: Any) -> None:
        """Check everything, then take the parameters."""
        self.defaults = defaults
        self.param_groups = []
        self.state = {}
        self.scheduled_by: dict[str, int] = {}  # what schedules set, and the number of each
        self._checked: dict[int, Any] = {}  # by group: the options that were found good
        if isinstance(params, Tensor):
            raise GraphError(f"{self._name}: params is one tensor; give [tensor]")
        if isinstance(params, Mapping):
            raise GraphError(f"{self._name}: params is one dict; give a list")
        given = several(self._name, "params", params, "tensors or groups")
        groups = given if given and isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the rule for a group with these options."""
        raise NotImplementedError

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def params(self) -> list[Tensor]:
        """All parameters, in the order of the groups."""
        return [p for group in self.param_groups for p in group["params"]]

    @property
    def lr(self) -> float:
        """The learning rate; setting it sets that of every group."""
        rates = [group["lr"] for group in self.param_groups]
        if any(rate != rates[0] for rate in rates):
            message = (
                f"{self._name}: the groups have rates of their own, {rates}; read "
                "param_groups[i]['lr']"
            )
            raise GraphError(message)
        return float(rates[0])

    @lr.setter
    def lr(self, lr: float) -> None:
        self._refuse(self._complaints({"lr": lr}))
        for group in self.param_groups:
            group["lr"] = float(lr)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Learn more parameters, with options of their own where the group has them."""
        if not isinstance(group, Mapping) or "params" not in group:
            message = f"{self._name}: {group!r:.60} is no dict with 'params'"
            raise GraphError(message)
        number = len(self.param_groups)
        where = f"group {number}: " if number or len(group) > 1 else ""
        params = self._checked_params(group["params"], where)
        unknown = sorted(group.keys() - self.defaults.keys() - EXTRAS - {"params"})
        options = {k: _plain(v) for k, v in {**self.defaults, **group}.items() if k != "params"}
        complaints = [f"{where}{c}" for c in self._complaints(options)]
        if unknown:
            complaints.append(f"{where}unknown {unknown}; there are {sorted(self.defaults)}")
        self._refuse(complaints)
        self.param_groups.append({"params": params, **options})

    def _checked_params(self, params: Any, where: str) -> list[Tensor]:
        given = (
            [params]
            if isinstance(params, Tensor)
            else several(self._name, f"{where}params", params, "tensors")
        )
        if not given:
            message = f"{where}params is empty, there is nothing to learn"
            raise GraphError(f"{self._name}: {message}")
        known = set(self.params)
        for i, p in enumerate(given):
            if not (isinstance(p, Tensor) and p.requires_grad and p.is_leaf):
                message = (
                    f"{where}parameter {i} is no leaf with a gradient; make it by "
                    "gg.Tensor(…, requires_grad=True), and leave out what is frozen"
                )
                raise GraphError(f"{self._name}: {message}")
            if p in known:
                message = f"{where}parameter {i} stands in an earlier group already"
                raise GraphError(f"{self._name}: {message}")
        return list(dict.fromkeys(given))

    def _complaints(self, options: Mapping[str, Any]) -> list[str]:
        """Say which options are out of range."""
        found = []
        for name in self.checks.keys() & options.keys():
            try:
                self.checks[name](CALLED, name, options[name])
            except GraphgradError as error:
                found.append(error.message.removeprefix(f"{CALLED}: "))
        return sorted(found)

    def _refuse(self, complaints: list[str], kind: type[GraphgradError] = ArgumentError) -> None:
        if complaints:
            raise kind(f"{self._name}: {'; '.join(complaints)}")

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next ``backward()`` does not add to them."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @outside_traces
    def step(self) -> None:
        """Update in place every parameter that has a gradient; ``backward()`` notices it.

        Parameters without a gradient, and frozen ones, are left alone. A gradient that is not
        finite is used as it is: what it makes of the parameters is not finite either.

        Raises
        ------
        GraphError
            If no parameter has a gradient; nothing was changed.
        ArgumentError
            If an option is out of range by now; nothing was changed.
        """
        for p, w, g, rule, asks, keywords in self._work():
            if asks.stateful:
                state = self._started(p, w, asks)
                state["step"] += 1
                counted = {**keywords, "step": state["step"]} if asks.counts else keywords
                update(rule, w, g, [state[name] for name in asks.state], counted)
            else:
                update(rule, w, g, (), keywords)
            mark_changed(p)

    def _work(self) -> list[tuple[Any, ...]]:
        """List what a step has to do, having checked all of it."""
        work: list[tuple[Any, ...]] = []
        for number, group in enumerate(self.param_groups):
            values = tuple(group.values())[1:]  # without the parameters
            if values != self._checked.get(number):
                options = {k: _plain(v) for k, v in group.items() if k != "params"}
                self._refuse([f"group {number}: {c}" for c in self._complaints(options)])
                group.update(options)
                self._checked[number] = tuple(group.values())[1:]
            rule = self.rule(group)
            asks = recipe(rule)
            keywords = {name: group[name] for name in asks.options}
            for p in group["params"]:
                g = p.grad
                if g is None or not p.requires_grad:
                    continue
                w = writable(p)
                if isinstance(w, np.ndarray) and not w.flags.writeable:
                    message = f"{self._name}: the array of a parameter {w.shape} is read-only"
                    raise GraphError(message)
                work.append((p, w, g, rule, asks, keywords))
        if not work:
            message = f"{self._name}: no parameter has a gradient; call loss.backward() first"
            raise GraphError(message)
        return work

    def _started(self, p: Tensor, w: Array, asks: Recipe) -> dict[str, Any]:
        """Return the state, at zero where there is none yet."""
        state = self.state.setdefault(p, {"step": 0})
        for name in asks.state:
            if name not in state:
                state[name] = np.zeros_like(w, dtype=_state_dtype(w))
        return state

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self, copy: bool = True) -> dict[str, Any]:
        """Return copies of everything that `load_state_dict` needs to go on from here.

        ``copy=False`` gives the arrays themselves, for what is written at once.
        ``{"optimizer": class, "param_groups": [options …], "state": [dict …]}``, a dict of state
        for each parameter in the order of the groups; plain numbers, strings and arrays.
        """
        groups, start = [], 0
        for group in self.param_groups:
            options = {k: v for k, v in group.items() if k in self.defaults or k in EXTRAS}
            stop = start + len(group["params"])
            groups.append({**options, "params": list(range(start, stop))})
            start = stop
        return {
            "optimizer": self._name,
            "param_groups": groups,
            "state": self._saved_state(copy=copy),
        }

    def load_state_dict(self, saved: Mapping[str, Any], copy: bool = True) -> None:
        """Go on from where `state_dict` was taken, bit for bit.

        ``copy=False`` goes on with the arrays of the state themselves, where they fit.

        Raises
        ------
        ShapeError
            If it is of another optimizer, or groups, parameters, options or shapes differ:
            all differences are named, and nothing was changed.
        """
        self._refuse(self._differences(saved), ShapeError)
        for group, options in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({k: _plain(v) for k, v in options.items() if k != "params"})
        self._load_state(saved["state"], copy=copy)

    def _differences(self, saved: Mapping[str, Any]) -> list[str]:
        wanted = {"optimizer", "param_groups", "state"}
        if not isinstance(saved, Mapping) or saved.keys() != wanted:
            return [f"this is no state_dict of an optimizer, whose keys are {sorted(wanted)}"]
        if _RENAMED.get(saved["optimizer"], saved["optimizer"]) != self._name:
            return [f"the state is of {saved['optimizer']}"]
        groups = saved["param_groups"]
        counts = [len(group["params"]) for group in self.param_groups]
        saved_counts = [len(group.get("params", ())) for group in groups]
        if counts != saved_counts:
            return [f"the groups have {counts} parameters, the state has {saved_counts}"]
        numbers = [number for group in groups for number in group["params"]]
        if numbers != list(range(sum(counts))):
            return [f"its parameters are numbered {numbers}, not from 0 on"]
        found = []
        for i, group in enumerate(groups):
            names = group.keys() - {"params"} - EXTRAS
            if missing := sorted(self.defaults.keys() - names):
                found.append(f"group {i}: options {missing} are missing")
            if unexpected := sorted(names - self.defaults.keys()):
                found.append(f"group {i}: options {unexpected} are unexpected")
            found += [f"group {i}: {c}" for c in self._complaints(group)]
        return found + ([] if found else self._state_differences(groups, saved["state"]))

    def _saved_state(self, *, copy: bool) -> Any:
        return [
            {
                k: v.copy() if copy and hasattr(v, "copy") else v
                for k, v in self.state.get(p, {}).items()
            }
            for p in self.params
        ]

    def _state_differences(self, groups: Groups, saved: Any) -> list[str]:
        params = self.params
        if len(saved) != len(params):
            return [f"the state is of {len(saved)} parameters, there are {len(params)}"]
        found = []
        asked = [
            {"step", *recipe(self.rule({**g, "betas": (0, 0)})).state}
            for g in groups
            for _ in g["params"]
        ]
        for i, (p, entry, names) in enumerate(zip(params, saved, asked, strict=True)):
            if entry and (missing := sorted(names - entry.keys())):
                found.append(f"parameter {i}: {missing} are missing")
            for name, value in entry.items():
                if name == "step":
                    if not isinstance(value, int | np.integer) or value < 0:
                        found.append(f"parameter {i}: step = {value!r} is no number of steps")
                elif np.shape(as_plain(self._name, value, name)) != p.shape:
                    found.append(f"parameter {i}: {name} {np.shape(value)} is not {p.shape}")
                elif np.asarray(value).dtype.kind != "f":
                    found.append(f"parameter {i}: {name} holds no floating numbers")
        return found

    def _load_state(self, saved: Any, *, copy: bool) -> None:
        self.state = {
            p: {
                k: int(v) if k == "step" else _held(v, _state_dtype(p.data), copy=copy)
                for k, v in entry.items()
            }
            for p, entry in zip(self.params, saved, strict=True)
            if entry
        }

    def __repr__(self) -> str:
        """Show the options, those that differ between groups by group."""
        lines = []
        for group in self.param_groups:
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            numbers = sum(p.size for p in group["params"])
            held = counted(len(group["params"]), "parameter")
            lines.append(f"{held} of {counted(numbers, 'number')}, {options}")
        return f"{self._name}({'; '.join(lines)})"


def _held(array: Array, dtype: Any, *, copy: bool) -> Any:
    """Return an array that is written piece by piece, hence in C order."""
    return np.array(array, dtype, copy=copy or None, order="C")


def _state_dtype(w: Array) -> Any:
    return np.float32 if w.dtype == np.float16 else w.dtype


def _plain(value: Any) -> Any:
    """Make NumPy's numbers Python's, which leave float32 alone, and a list a tuple."""
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value
