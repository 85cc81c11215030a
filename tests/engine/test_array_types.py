"""The arrays decide where it runs: a type that has NumPy's protocols, and no __array__, works."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg


class Device(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on some device: it computes by NumPy's protocols and refuses to come to the host."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("an implicit copy to the host")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._host, name)
        if callable(found):
            return lambda *args, **kwargs: on_device(found(*map(on_host, args), **kwargs))
        return on_device(found)

    def __getitem__(self, index: Any) -> Any:
        return on_device(self._host[on_host(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[on_host(index)] = on_host(value)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __len__(self) -> int:
        return len(self._host)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = {k: on_host(v) for k, v in kwargs.items()}
        return on_device(getattr(ufunc, method)(*map(on_host, inputs), **plain))

    def __array_function__(self, func: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        return on_device(func(*on_host(args), **{k: on_host(v) for k, v in kwargs.items()}))


def on_host(x: Any) -> Any:
    if isinstance(x, Device):
        return x._host
    return type(x)(map(on_host, x)) if type(x) in (tuple, list) else x


def on_device(x: Any) -> Any:
    if type(x) in (tuple, list) and x and isinstance(x[0], np.ndarray):
        return type(x)(map(on_device, x))
    return Device(np.asarray(x)) if isinstance(x, np.ndarray | np.generic) else x


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (x * x / (x + 3) - 2 * x) ** 2,
    "functions": lambda x: np.exp(-x) + np.log(x) + np.tanh(x) + np.sqrt(x),
    "reductions": lambda x: np.mean(x, axis=0) * np.max(x) + np.var(x, axis=1, keepdims=True),
    "matmul": lambda x: x @ x.T,
    "shape": lambda x: np.concatenate([x.reshape(-1), np.transpose(x).ravel()]),
    "slices": lambda x: x[:, 1:] * x[1, :2],
    "gather": lambda x: x[np.array([0, 0, 1])] * 2,
    "where": lambda x: np.where(x > 1, np.log(x), x),
    "kinks": lambda x: np.maximum(x, 1.0) + np.abs(x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_device_array_stays_on_its_device(name: str) -> None:
    host = np.array([[0.5, 1.5, 2.5], [0.7, 1.2, 3.5]])
    f = PROGRAMS[name]
    expected = gg.grad(lambda t: np.sum(f(t)))(host)
    x: Any = gg.Tensor(Device(host.copy()), requires_grad=True)
    y = f(x)
    assert isinstance(y.data, Device)
    y.sum().backward()
    assert isinstance(x.grad, Device)
    np.testing.assert_allclose(x.grad._host, expected)
