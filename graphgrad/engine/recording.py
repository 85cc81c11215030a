"""With-blocks of the engine: whether operations are recorded, and which observers are notified.

The open blocks are in a context variable, so every thread and every task of asyncio has its own.
Blocks may be closed in another order than they were opened, or from another task (a generator that
ends late): a closed block is marked, and each context drops it when it next reads the variable.
"""

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, ClassVar, Literal, TypeVar, overload

from graphgrad.errors import DtypeError
from graphgrad.typing import Array

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["enabled", "observer"]


class Observer:
    """Base class of objects that the engine notifies inside a block; override what you need.

    Observers change nothing. An error in an observer propagates, and stops the op or the sweep.
    Pictures, ``detect_anomaly()`` and ``recompute`` use observers::

        class Counter(Observer):
            ops = 0

            def recorded(self, op, tensors, arrays, params):
                self.ops += 1

        with observing(Counter()) as counter:
            loss = net(x).sum()
    """

    kind: ClassVar[str | None] = (
        None  # of open observers of the same kind only the innermost is notified
    )

    def recorded(
        self, op: Any, tensors: list[Any], arrays: list[Any], params: tuple[Any, ...]
    ) -> None:
        """Observe an op that was recorded: the Tensors it made, from which arrays and parameters.

        Ops under ``no_grad()`` or on constants are not recorded; a composition appears as its
        parts, the variables of a transform as ops named identity. With several outputs, the node
        of the op is the parent of each tensor's node. The values that the rules need are the
        node's ``values``, by ``plan.kept_names``.
        """

    def answered(self, question: str, answer: Array) -> None:
        """See what NumPy says about a Tensor without a graph: of a comparison, of argmax, of if."""

    def called(self, module: Any) -> contextlib.AbstractContextManager[Any]:  # noqa: ARG002
        """Return a context for the forward of a module that is called."""
        return contextlib.nullcontext()

    def overwritten(self, x: Array) -> None:
        """Observe a Tensor, or an array in a layer, whose value was changed in place."""

    def sweeping(self, sweep: Any) -> "Observer | None":  # noqa: ARG002
        """Return the observer of a sweep that is about to start, if any, for the methods below."""
        return self

    def complete(self, node: Any, g: Array) -> None:
        """Observe the complete gradient of a node, after its hooks."""

    def before_rules(self, node: Any) -> None:
        """Observe a node whose rules are about to run."""

    def after_rules(self, node: Any) -> None:
        """Observe a node whose rules have run."""

    def sent(self, node: Any, position: int, contribution: Array, g: Array) -> None:
        """Observe the contribution of a rule to one input, for the upstream gradient g.

        It has the input's shape, or is a `Scatter`. The contribution of output k to an op with
        several outputs is the tuple (k, gradient).
        """

    def summed(self, node: Any, total: Array) -> None:
        """Observe the partial sum after the second and each later contribution to a node."""

    def ended(self, *, finished: bool) -> None:
        """Observe the end of the sweep; ``finished`` is False if it failed."""


class _Entry:
    """One entry into a block."""

    __slots__ = ("closed", "kind", "value")

    def __init__(self, kind: Kind, value: Array) -> None:
        self.kind = kind
        self.value = value
        self.closed = False


class RecordingState:
    """The state of recording while some blocks are open; immutable."""

    __slots__ = ("enabled", "entries", "is_default", "observers")

    def __init__(self, entries: tuple[_Entry, ...]) -> None:
        """Take ``enabled`` from the innermost block, and list the observers, outermost first."""
        self.entries = entries
        # default: recording, no observers, and so no closed blocks to drop first
        self.enabled = self.is_default = True
        observers: list[Observer] = []
        for entry in entries:
            if entry.kind == "enabled":
                self.enabled = entry.value
            else:
                new = entry.value
                observers = [o for o in observers if o.kind is None or o.kind != new.kind]
                observers.append(new)
            self.is_default = self.is_default and entry.kind == "enabled" and entry.value
        self.observers = tuple(observers)


# the traces of gg.compile that run, the innermost last; empty nearly always, and cheap to ask
tracers: list[Any] = []

_DEFAULT = RecordingState(())
_variable = ContextVar("graphgrad", default=_DEFAULT)
latest = _variable.get  # for hot code: may contain closed blocks, unless `is_default`


def switches() -> RecordingState:
    """Return the current state, without closed blocks."""
    now = latest()
    for entry in now.entries:
        if entry.closed:
            return _without_closed()
    return now


def notify_overwritten(x: Array) -> None:
    """Notify observers of a tensor or array that was overwritten in place."""
    if latest().observers:
        for observer in switches().observers:
            observer.overwritten(x)


def show_answer(question: str, answer: Array) -> Array:
    """Show observers a plain answer about a Tensor, and return it."""
    for observer in switches().observers:
        observer.answered(question, answer)
    return answer


def one_call(function: F) -> F:
    """Decorate what a compiled program calls as one: a computation in blocks, say."""
    return _through_traces(function, "whole")


def one_draw(function: F) -> F:
    """Decorate what draws random numbers, which a compiled program calls as one."""
    return _through_traces(function, "whole", draws=True)


def outside_traces(function: F) -> F:
    """Decorate what a compiled program calls as it is, such as the step of an optimizer."""
    return _through_traces(function, "outside")


def _through_traces(function: F, method: str, **how: bool) -> F:
    """Let a method of the innermost trace call a function, if there is a trace."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if tracers:
            return getattr(tracers[-1], method)(function, args, kwargs, **how)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


@contextlib.contextmanager
def notify_called(module: Any) -> Generator[None, None, None]:
    """Notify observers that a module's forward runs."""
    with contextlib.ExitStack() as stack:
        for observer in switches().observers:
            stack.enter_context(observer.called(module))
        yield


def _without_closed() -> RecordingState:
    """Drop closed blocks from the context variable."""
    left = tuple([entry for entry in latest().entries if not entry.closed])
    now = RecordingState(left) if left else _DEFAULT
    _variable.set(now)
    return now


class Block:
    """A reusable with-block and decorator.

    A decorated generator or coroutine opens the block only while it runs, not while it is
    suspended. A block that is closed is closed for the tasks that were started inside it too.
    """

    def __init__(self, kind: Kind, value: Callable[[], Any]) -> None:
        self._kind: Kind = kind
        self._value = value
        self._open: list[_Entry] = []

    def __enter__(self) -> Any:
        """Open the block; return its observer, if it has one."""
        entry = _Entry(self._kind, self._value())
        before = switches()
        if not (before.is_default and self._kind == "enabled" and entry.value):  # else no change
            _variable.set(RecordingState((*before.entries, entry)))
        self._open.append(entry)
        return entry.value if self._kind == "observer" else None

    def __exit__(self, *error: object) -> None:
        """Close the block, which may have been opened in another context."""
        entries_of_block = self._open
        entry = entries_of_block[-1]
        for candidate in reversed(latest().entries):
            if candidate in entries_of_block:
                entry = candidate
                break
        entries_of_block.remove(entry)
        entry.closed = True
        if latest().entries:
            _without_closed()

    def __call__(self, function: F) -> F:
        """Decorate a function, a generator function or an ``async def``."""
        if not callable(function):
            message = f"a decorator takes a function, not {function!r:.40}"
            raise DtypeError(message)
        return functools.wraps(function)(self._decorated(function))  # type: ignore[return-value]

    def _decorated(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            def generator(*args: Any, **kwargs: Any) -> Any:
                return (yield from self._with_one_value()._run(function(*args, **kwargs)))

            return generator

        if inspect.iscoroutinefunction(function):

            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                return await _awaitable(self._with_one_value()._run(function(*args, **kwargs)))

            return coroutine

        if inspect.isasyncgenfunction(function):
            return self._asynchronous(function)

        def plain(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return plain

    def _asynchronous(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            block, body = self._with_one_value(), function(*args, **kwargs)
            step = body.asend(None)
            while True:
                try:
                    value = await _awaitable(block._run(step))
                except StopAsyncIteration:
                    return
                finally:
                    del step  # it may hold an error, whose traceback holds this frame
                try:
                    step = body.asend((yield value))
                except GeneratorExit:
                    await _awaitable(block._run(body.aclose()))
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the body's to deal with
                    step = body.athrow(error)

        return asynchronous

    def _with_one_value(self) -> "Block":
        """Return a block that keeps one observer, however often it is opened."""
        value = self._value()
        return Block(self._kind, lambda: value)

    def _run(self, body: Any) -> Generator[Any, Any, Any]:
        """Run a generator or an awaitable, with the block open while it runs."""
        resume = functools.partial(body.send, None)
        while True:
            try:
                with self:
                    value = resume()
            except StopIteration as stop:
                return stop.value
            finally:
                del resume  # it may hold an error, whose traceback holds this frame
            try:
                resume = functools.partial(body.send, (yield value))
            except GeneratorExit:
                with self:
                    body.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the body's to deal with
                resume = functools.partial(body.throw, error)


@types.coroutine
def _awaitable(running: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Make a generator awaitable."""
    return (yield from running)


def observing(observer: Observer) -> Block:
    """Return a block, also a decorator, that notifies an observer."""
    return Block("observer", lambda: observer)


def switched(kind: Kind, value: Callable[[], Any], function: F | None) -> F | Block:
    """Return a block, or the decorated function."""
    block = Block(kind, value)
    return block if function is None else block(function)


@overload
def no_grad(function: F) -> F: ...
@overload
def no_grad() -> Block: ...
def no_grad(function: F | None = None) -> F | Block:
    """Switch recording off, as a context manager or a decorator, with or without ``()``.

    It is off in the thread or task that opened the block, in tasks that are started inside it and
    in what ``asyncio.to_thread`` runs, until the block ends; a new thread records. In a decorated
    generator or ``async def`` it is off only while that runs. A block *inside* a generator stays
    open for the caller while the generator is suspended: decorate the generator instead::

        with gg.no_grad():
            scores = net(images)
    """
    return switched("enabled", lambda: False, function)


@overload
def enable_grad(function: F) -> F: ...
@overload
def enable_grad() -> Block: ...
def enable_grad(function: F | None = None) -> F | Block:
    """Switch recording on again inside ``no_grad()``, for the same threads and tasks."""
    return switched("enabled", lambda: True, function)


def is_grad_enabled() -> bool:
    """Whether recording is on in this context."""
    return switches().enabled
