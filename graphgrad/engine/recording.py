"""What a with-block switches: whether operations are recorded, and who observes the engine.

The open blocks stand in a context variable, so every thread and every task of asyncio has its
own. A block may be closed in another order than it was opened, or from another task (a generator
that ends late): it is then marked as over, and each context drops it when it looks next.
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
    """What the engine shows its work to, in a block; a subclass has the methods that it needs.

    Observers see, and change nothing. An error in an observer propagates, and stops the op or
    the sweep. Pictures, ``detect_anomaly()`` and ``recompute`` are observers::

        class Counter(Observer):
            ops = 0

            def recorded(self, op, tensors, arrays, params):
                self.ops += 1

        with observing(Counter()) as counter:
            loss = net(x).sum()
    """

    kind: ClassVar[str | None] = None  # of several open ones of one kind, the innermost observes

    def recorded(
        self, op: Any, tensors: list[Any], arrays: list[Any], params: tuple[Any, ...]
    ) -> None:
        """See an op that was recorded: the Tensors it made, from which arrays and parameters.

        Ops that need no gradient, under ``no_grad()`` or of constants, are not recorded; a
        composition is seen as its parts, a transform as ops called identity. Of several
        outputs, the node of the op is the parent of each tensor's. What the rules will need
        is in the node's ``values``, by ``plan.kept_names``.
        """

    def answered(self, question: str, answer: Array) -> None:
        """See what NumPy says about a Tensor without a graph: of a comparison, of argmax, of if."""

    def called(self, module: Any) -> contextlib.AbstractContextManager[Any]:  # noqa: ARG002
        """Return a context for the forward of a module that is called."""
        return contextlib.nullcontext()

    def overwritten(self, x: Array) -> None:
        """See a Tensor, or an array that a layer keeps, whose value was changed in place."""

    def sweeping(self, sweep: Any) -> "Observer | None":  # noqa: ARG002
        """Return who observes a sweep that is about to start, by the methods below."""
        return self

    def complete(self, node: Any, g: Array) -> None:
        """See the gradient of a node, hooks included, after the last contribution to it."""

    def before_rules(self, node: Any) -> None:
        """See a node whose rules are about to run."""

    def after_rules(self, node: Any) -> None:
        """See a node whose rules have run."""

    def sent(self, node: Any, position: int, contribution: Array, g: Array) -> None:
        """See what a rule contributes to the gradient of one input, for the upstream gradient g.

        It has the input's shape, or is a `Scatter`. For an op with several outputs, the
        contribution to output k is the tuple (k, gradient).
        """

    def summed(self, node: Any, total: Array) -> None:
        """See the sum, where a contribution was not the first one to a node."""

    def ended(self, *, finished: bool) -> None:
        """See the end of the sweep, which may have failed."""


class _Entry:
    """One entering of a block."""

    __slots__ = ("kind", "over", "value")

    def __init__(self, kind: Kind, value: Array) -> None:
        self.kind = kind
        self.value = value
        self.over = False


class Switches:
    """How everything is switched while some blocks are open; never changed."""

    __slots__ = ("enabled", "entries", "observers", "plain")

    def __init__(self, entries: tuple[_Entry, ...]) -> None:
        """Let the innermost block decide about recording, and list the observers, outer first."""
        self.entries = entries
        # plain: it records, and nobody observes, so no ended block need be dropped first
        self.enabled = self.plain = True
        observers: list[Observer] = []
        for entry in entries:
            if entry.kind == "enabled":
                self.enabled = entry.value
            else:
                new = entry.value
                observers = [o for o in observers if o.kind is None or o.kind != new.kind]
                observers.append(new)
            self.plain = self.plain and entry.kind == "enabled" and entry.value
        self.observers = tuple(observers)


_UNSWITCHED = Switches(())
_variable = ContextVar("graphgrad", default=_UNSWITCHED)
latest = _variable.get  # for the hottest code: may know blocks that are over, if not `plain`


def switches() -> Switches:
    """Return how everything is switched here and now."""
    now = latest()
    for entry in now.entries:
        if entry.over:
            return _dropping()
    return now


def note_change(x: Array) -> None:
    """Show observers a tensor or array that was overwritten in place."""
    if latest().observers:
        for observer in switches().observers:
            observer.overwritten(x)


def show_answer(question: str, answer: Array) -> Array:
    """Show observers a plain answer about a Tensor, and return it."""
    for observer in switches().observers:
        observer.answered(question, answer)
    return answer


@contextlib.contextmanager
def calling(module: Any) -> Generator[None, None, None]:
    """Show observers that a module's forward runs."""
    with contextlib.ExitStack() as stack:
        for observer in switches().observers:
            stack.enter_context(observer.called(module))
        yield


def _dropping() -> Switches:
    """Leave out the blocks that are over, from here on."""
    left = tuple([entry for entry in latest().entries if not entry.over])
    now = Switches(left) if left else _UNSWITCHED
    _variable.set(now)
    return now


class Block:
    """A with-block that switches something, and a decorator; to be used any number of times.

    A decorated generator or coroutine is switched only while it runs, not while it waits and
    others do. A block that ends, ends for the tasks that were started inside it too.
    """

    def __init__(self, kind: Kind, value: Callable[[], Any]) -> None:
        self._kind: Kind = kind
        self._value = value
        self._open: list[_Entry] = []

    def __enter__(self) -> Any:
        """Open the block here; return the observer, if it is for one."""
        entry = _Entry(self._kind, self._value())
        before = switches()
        if not (before.plain and self._kind == "enabled" and entry.value):  # else it is so already
            _variable.set(Switches((*before.entries, entry)))
        self._open.append(entry)
        return entry.value if self._kind == "observer" else None

    def __exit__(self, *error: object) -> None:
        """Close the block, which may have been opened elsewhere."""
        mine = self._open
        entry = mine[-1]
        for candidate in reversed(latest().entries):
            if candidate in mine:
                entry = candidate
                break
        mine.remove(entry)
        entry.over = True
        if latest().entries:
            _dropping()

    def __call__(self, function: F) -> F:
        """Decorate a function, a generator function or an ``async def``: all of its run."""
        if not callable(function):
            message = f"a decorator takes a function, not {function!r:.40}"
            raise DtypeError(message)
        return functools.wraps(function)(self._decorated(function))  # type: ignore[return-value]

    def _decorated(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            def generator(*args: Any, **kwargs: Any) -> Any:
                return (yield from self._once()._run(function(*args, **kwargs)))

            return generator

        if inspect.iscoroutinefunction(function):

            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                return await _awaited(self._once()._run(function(*args, **kwargs)))

            return coroutine

        if inspect.isasyncgenfunction(function):
            return self._around_asynchronous(function)

        def plain(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return plain

    def _around_asynchronous(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            block, body = self._once(), function(*args, **kwargs)
            step = body.asend(None)
            while True:
                try:
                    value = await _awaited(block._run(step))
                except StopAsyncIteration:
                    return
                finally:
                    del step  # it may hold an error, whose traceback holds this frame
                try:
                    step = body.asend((yield value))
                except GeneratorExit:
                    await _awaited(block._run(body.aclose()))
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the body's to deal with
                    step = body.athrow(error)

        return asynchronous

    def _once(self) -> "Block":
        """Return a block of one value, however often it is opened."""
        value = self._value()
        return Block(self._kind, lambda: value)

    def _run(self, body: Any) -> Generator[Any, Any, Any]:
        """Run a generator or an awaitable, with the block open whenever it runs."""
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
def _awaited(running: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Let a generator be awaited."""
    return (yield from running)


def observing(observer: Observer) -> Block:
    """Show an observer what the engine does, in a block or a function."""
    return Block("observer", lambda: observer)


def switched(kind: Kind, value: Callable[[], Any], function: F | None) -> F | Block:
    """Return a block, or the function that was given to decorate."""
    block = Block(kind, value)
    return block if function is None else block(function)


@overload
def no_grad(function: F) -> F: ...
@overload
def no_grad() -> Block: ...
def no_grad(function: F | None = None) -> F | Block:
    """Switch recording off, as a context manager or a decorator, with or without ``()``.

    It is off in the thread or task that opened the block, in the tasks that are started inside
    it and in what ``asyncio.to_thread`` runs, until the block ends; a new thread records. A
    decorated generator or ``async def`` is off only while it runs. A block *inside* a generator
    stays open while that waits, also for its caller: decorate the generator instead::

        with gg.no_grad():
            scores = net(images)
    """
    return switched("enabled", lambda: False, function)


@overload
def enable_grad(function: F) -> F: ...
@overload
def enable_grad() -> Block: ...
def enable_grad(function: F | None = None) -> F | Block:
    """Switch recording on again inside ``no_grad()``; all else is as there."""
    return switched("enabled", lambda: True, function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded here and now."""
    return switches().enabled
