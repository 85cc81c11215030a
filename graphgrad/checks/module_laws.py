"""What holds for every module: a function per law, which raises where it does not.

What is known of modules here is what their methods are called: this package stands below nn.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.checks.gradcheck import gradcheck
from graphgrad.checks.inputs import is_floating
from graphgrad.checks.laws import require
from graphgrad.checks.modules import Twin
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.record import constant
from graphgrad.engine.recording import no_grad
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten
from graphgrad.typing import Array


class ModuleCase:
    """A module with inputs; every law gets a copy, which draws the same numbers at random."""

    def __init__(
        self,
        module: Any,
        inputs: Sequence[Any],
        loss: Callable[..., Any] | None = None,
        resting: Sequence[str] = (),
    ) -> None:
        self.module, self.inputs, self.loss = module, inputs, loss
        self.resting = resting

    def __repr__(self) -> str:
        """Name the module and the inputs' shapes."""
        shapes = ", ".join(str(np.shape(x)) for x in self.inputs)
        return f"{type(self.module).__name__} of {shapes}"

    def fresh(self, dtype: Any = np.float64) -> Any:
        """Return a copy of the module."""
        return copy.deepcopy(self.module).astype(dtype)

    def rests(self, name: str) -> bool:
        """Whether a parameter need not take part: it, or a module around it, is named so."""
        return any(name == part or name.startswith(f"{part}.") for part in self.resting)

    def arguments(self, dtype: Any = np.float64) -> list[Any]:
        """Return copies of the inputs, floating ones in a dtype."""
        plain = [unwrapped(x) for x in self.inputs]
        return [np.array(x, dtype) if is_floating(x) else copy.copy(x) for x in plain]


def floating_outputs(result: Any) -> list[Array]:
    """List the floating arrays in what a module returned."""
    leaves, _ = flatten(result)
    return [y for y in map(unwrapped, leaves) if getattr(y, "dtype", np.dtype(int)).kind == "f"]


def _same(ours: Any, theirs: Any, message: str) -> None:
    pairs = zip(floating_outputs(ours), floating_outputs(theirs), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b, err_msg=message)


def _ramp(x: Array) -> Array:
    """Return steps of different lengths, of about the size of x."""
    return (0.5 + np.reshape(np.arange(x.size) % 3, x.shape)) * (0.5 + abs(x))


def _equal(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def gradients_are_the_slopes(case: ModuleCase) -> None:
    """In float64 the gradients of every parameter and input are those of differences."""
    leaves, _ = flatten(case.arguments())
    if any(map(is_floating, leaves)) or any(p.requires_grad for p in case.module.parameters()):
        gradcheck(case.module, *case.arguments(), loss=case.loss).assert_right()


def every_parameter_takes_part(case: ModuleCase) -> None:
    """Each parameter that requires a gradient gets one, and the outputs change with it."""
    module = case.fresh()
    leaves, _ = flatten(module(*case.arguments()))
    outs = [y for y in leaves if isinstance(y, Tensor) and y.requires_grad]
    if outs:
        total: Any = sum(y.sum() for y in outs)
        total.backward()
    asked = {
        name: p.grad
        for name, p in module.named_parameters()
        if p.requires_grad and p.size and not case.rests(name)
    }
    for name, g in asked.items():
        require(g is not None, f"{name} got no gradient: does forward use it?")
    twin = Twin(case.module, (), None)
    values = dict(zip(twin.names, twin.inputs, strict=True))
    with no_grad(), np.errstate(all="ignore"):
        before = floating_outputs(twin(*map(constant, values.values()), *case.arguments()))
        for name, g in asked.items():
            way = _ramp(values[name])
            moved = {**values, name: values[name] + way}
            after = floating_outputs(twin(*map(constant, moved.values()), *case.arguments()))
            hidden = 0 < abs(np.sum(g * way)) < 1e-12 * sum(np.sum(abs(y)) for y in before)
            message = f"the outputs do not change with {name}: does forward read it, or what was"
            require(
                hidden or not all(map(_equal, before, after)),
                f"{message} made of it before? If these inputs do not use it, say so by resting=",
            )


def float32_stays_float32(case: ModuleCase) -> None:
    """In float32 no parameter and no output is widened."""
    module = case.fresh(np.float32)
    outs = floating_outputs(module(*case.arguments(np.float32)))
    for y in outs:
        require(y.dtype == np.float32, f"a float32 module returned {y.dtype}")
    for name, p in module.named_parameters():
        require(p.dtype == np.float32, f"{name} became {p.dtype}")


def inputs_are_not_written(case: ModuleCase) -> None:
    """Call forward: no input is written to."""
    given, before = case.arguments(), case.arguments()
    with no_grad():
        case.fresh()(*given)
    for number, (a, b) in enumerate(zip(given, before, strict=True)):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=f"forward wrote into input {number}")


def the_state_dict_holds_everything(case: ModuleCase) -> None:
    """Another module of its kind computes the same once the state is loaded."""
    module = case.fresh()
    with no_grad():
        module(*case.arguments())  # moves running statistics
        module.eval()
        other = case.fresh().eval()
        for x in (*other.parameters(), *other.buffers()):
            x.data += 1
        other(*case.arguments())  # what it remembers of them is stale soon
        _same(other.load_state_dict(module.state_dict()), ([], []), "names")
        expected = module(*case.arguments())
        _same(other(*case.arguments()), expected, "after load_state_dict(state_dict())")


def evaluation_changes_nothing(case: ModuleCase) -> None:
    """After ``eval()`` it computes the same each time, and its state stays as it is."""
    module = case.fresh().eval()
    state = module.state_dict()
    with no_grad():
        _same(module(*case.arguments()), module(*case.arguments()), "two calls in eval()")
    np.testing.assert_equal(module.state_dict(), state, err_msg="eval() moved the state")


def a_copy_is_independent(case: ModuleCase) -> None:
    """Deep copies share no memory with the module."""
    module = case.fresh()
    other, before = copy.deepcopy(module), module.state_dict()
    for x in (*other.parameters(), *other.buffers()):
        x.data += 1
    np.testing.assert_equal(module.state_dict(), before, err_msg="a deep copy shares memory")


def tensors_and_arrays_are_alike(case: ModuleCase) -> None:
    """Compute from Tensors and from arrays: the numbers are the same."""
    twin = Twin(case.module, (), None)
    parameters, arguments = list(map(constant, twin.inputs)), case.arguments()
    tensors = [
        constant(x) if isinstance(x, np.ndarray) and is_floating(x) else x for x in arguments
    ]
    with no_grad():
        _same(twin(*parameters, *tensors), twin(*parameters, *arguments), "of Tensors and arrays")


ModuleLaw = Callable[[ModuleCase], None]
MODULE_LAWS: tuple[ModuleLaw, ...] = (
    every_parameter_takes_part,
    float32_stays_float32,
    inputs_are_not_written,
    tensors_and_arrays_are_alike,
    gradients_are_the_slopes,
    the_state_dict_holds_everything,
    evaluation_changes_nothing,
    a_copy_is_independent,
)
