"""Where a NaN or infinity in a training run comes from."""

from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.engine.anomaly import detect_anomaly
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import NonFiniteError
from graphgrad.nn.modules.module import Module
from graphgrad.typing import Array


def nonfinite_member(model: Module) -> str | None:
    """Name the first parameter or buffer that is not finite."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    return next((name for name, x in tensors if not np.isfinite(x.data).all()), None)


def cause_of(loss: Tensor, model: Module, again: Callable[[], Any], images: Array) -> str:
    """Say what made a loss NaN or infinite: weights, data, or an op in a layer.

    Parameters
    ----------
    loss
        The Tensor that is not finite.
    model
        What made it.
    again
        Computes it once more; running statistics and generators move on.
    images
        The inputs.
    """
    if name := nonfinite_member(model):
        return f"{name} is not finite, since the step before"
    if not np.isfinite(images).all():
        return "the images of this batch are not finite"
    layers: list[str] = []

    def watch(name: str) -> Callable[[Module, Any, Any], None]:
        def note(module: Module, _: Any, out: Array) -> None:
            arrays = out if isinstance(out, list | tuple) else [out]
            if not all(np.isfinite(unwrapped(x)).all() for x in arrays if hasattr(x, "dtype")):
                layers.append(f"{name or 'the model'} ({type(module).__name__}): ")

        return note

    unhook = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        with np.errstate(all="ignore"):
            again()
            try:
                with detect_anomaly():
                    again()
                cause = loss.explain_nan()
            except NonFiniteError as error:
                cause = error.message
    finally:
        for remove in unhook:
            remove()
    return f"{layers[0] if layers else ''}{cause}"
