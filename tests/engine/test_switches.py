"""A with-block switches back what it switched, in whatever order and from wherever it ends."""

import asyncio
import concurrent.futures
import contextvars
import gc
import inspect
import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.recording import Block, Observer, switches
from graphgrad.errors import DtypeError, NonFiniteError
from graphgrad.viz import tracing
from tests.builders import leaf

BLOCKS: list[Callable[..., Any]] = [gg.no_grad, gg.enable_grad, gg.detect_anomaly, tracing]
on = gg.is_grad_enabled


@pytest.fixture(autouse=True)
def _all_as_before() -> Iterator[None]:
    yield
    assert switches().entries == ()


class Numbered(Observer):
    """Of the odd ones the innermost observes, of the even ones all do."""

    def __init__(self, number: int) -> None:
        self.kind = "odd" if number % 2 else None  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(40))
def test_blocks_closed_in_any_order_from_any_context(seed: int) -> None:
    draw = random.Random(seed)
    contexts = [contextvars.Context()]
    known: list[list[int]] = [[]]  # by context: the blocks opened there, or before it was copied
    blocks: list[tuple[str, Any, Block]] = []
    unclosed: set[int] = set()
    for _ in range(40):
        where = draw.randrange(len(contexts))
        action = draw.choice(["open", "open", "close", "close", "copy"])
        if action == "copy" and len(contexts) < 4:
            contexts.append(contexts[where].run(contextvars.copy_context))
            known.append(list(known[where]))
        elif action == "open":
            number = len(blocks)
            seeing = Numbered(number)
            kind, value = draw.choice([("enabled", True), ("enabled", False), ("observer", seeing)])
            blocks.append((kind, value, Block(kind, lambda value=value: value)))  # type: ignore[misc, arg-type]
            contexts[where].run(blocks[number][2].__enter__)
            known[where].append(number)
            unclosed.add(number)
        elif action == "close" and unclosed:
            number = draw.choice(sorted(unclosed))
            contexts[where].run(blocks[number][2].__exit__, None, None, None)
            unclosed.remove(number)
        for context, numbers in zip(contexts, known, strict=True):
            left = [blocks[number][:2] for number in numbers if number in unclosed]
            enabled = [value for kind, value in left if kind == "enabled"]
            observers = [value for kind, value in left if kind == "observer"]
            now = context.run(switches)
            assert now.enabled == (enabled or [True])[-1]
            odd = [observer for observer in observers if observer.kind]
            assert now.observers == tuple(o for o in observers if not o.kind or o is odd[-1])
            y = context.run(lambda: leaf(1.0) * 2)
            assert y.requires_grad == now.enabled


def waiting() -> Generator[int, None, None]:
    with gg.no_grad():
        yield 1


def test_generators_closed_out_of_order() -> None:
    first, second = waiting(), waiting()
    next(first)
    next(second)
    first.close()
    assert not on()
    second.close()
    assert on()


def test_overlapping_tasks() -> None:
    async def task(block: Callable[[], Block], before: int, inside: int) -> list[bool]:
        for _ in range(before):
            await asyncio.sleep(0)
        with block():
            seen = [on()]
            for _ in range(inside):
                await asyncio.sleep(0)
            seen.append(on())
        return [*seen, on()]

    async def run() -> list[list[bool]]:
        return list(
            await asyncio.gather(
                task(gg.no_grad, 0, 4), task(gg.no_grad, 2, 4), task(gg.enable_grad, 1, 4)
            )
        )

    assert asyncio.run(run()) == [[False, False, True], [False, False, True], [True, True, True]]


def test_an_asynchronous_generator_that_is_dropped() -> None:
    async def values() -> AsyncIterator[int]:
        with gg.no_grad():
            yield 1
            yield 2

    async def run() -> list[bool]:
        async for _ in values():
            break  # the event loop closes it, in a task of its own
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        return [on(), (leaf(1.0) * 2).requires_grad]

    assert asyncio.run(run()) == [True, True]


def test_what_new_threads_and_tasks_start_with() -> None:
    async def inner(ended: asyncio.Event) -> list[bool]:
        seen = on()
        await ended.wait()
        return [seen, on()]

    async def run() -> list[bool]:
        ended = asyncio.Event()
        with gg.no_grad():
            task = asyncio.create_task(inner(ended))
            taken_along = await asyncio.to_thread(on)
        ended.set()  # a block that ends, ends for the tasks that were started inside it
        return [taken_along, *(await task)]

    assert asyncio.run(run()) == [False, False, True]
    with gg.no_grad(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(on).result()


@pytest.mark.parametrize("make", BLOCKS)
def test_a_block_is_used_again_and_inside_itself(make: Callable[[], Block]) -> None:
    block = make()

    def depth() -> int:
        return len(switches().entries)

    @block
    def countdown(n: int) -> int:
        return countdown(n - 1) if n else depth()

    with gg.no_grad():
        for _ in range(2):
            with block:
                assert depth() == 2
                with block:
                    assert depth() == 3
                assert depth() == 2
            assert depth() == 1
        assert countdown(3) == 5
    with pytest.raises(ZeroDivisionError), block:
        raise ZeroDivisionError


def test_each_entering_watches_anew() -> None:
    block = gg.detect_anomaly()
    with block:
        first = switches().observers
    with block:
        assert switches().observers != first
        with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
            gg.log(leaf(-1.0))


def test_an_object_shared_by_threads() -> None:
    block = gg.no_grad()
    barrier = threading.Barrier(4, timeout=10)

    def work(number: int) -> list[bool]:
        with block:
            barrier.wait()
            inside = on()
        barrier.wait()
        return [inside, on(), number % 2 == 0]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(found[:2] == [False, True] for found in pool.map(work, range(4)))


@pytest.mark.parametrize("parentheses", [True, False])
@pytest.mark.parametrize("make", BLOCKS)
def test_decorated_functions(make: Callable[..., Any], parentheses: bool) -> None:
    def f(x: int) -> tuple[int, int]:
        """Say something."""
        return x, len(switches().entries)

    decorated = make()(f) if parentheses else make(f)
    with gg.no_grad():
        assert decorated(3) == (3, 2)
    assert (decorated.__name__, decorated.__doc__) == ("f", "Say something.")
    with pytest.raises(DtypeError, match=r"takes a function, not 3 \(at test_switches"):
        make(3)


def test_methods_and_kinds_of_functions_stay_what_they_are() -> None:
    class Thing:
        @gg.no_grad
        def method(self) -> bool:
            return on()

        @gg.no_grad()
        def values(self) -> Iterator[bool]:
            yield on()

        @gg.no_grad
        async def later(self) -> bool:
            return on()

        @gg.no_grad
        @gg.no_grad()
        async def stream(self) -> AsyncIterator[bool]:
            yield on()

    assert not Thing().method()
    assert inspect.isgeneratorfunction(Thing.values)
    assert list(Thing().values()) == [False]
    assert inspect.iscoroutinefunction(Thing.later)
    assert not asyncio.run(Thing().later())
    assert inspect.isasyncgenfunction(Thing.stream)


def test_a_decorated_generator_is_off_only_while_it_runs() -> None:
    heard: list[Any] = []

    @gg.no_grad
    def conversation() -> Any:
        assert not on()
        try:
            while True:
                try:
                    heard.append((yield len(heard)))
                except KeyError as error:
                    heard.append(error)
                assert not on()
                if heard[-1] == "stop":
                    return "done"
        finally:
            heard.append(on())

    talk = conversation()
    assert next(talk) == 0
    assert on()
    assert talk.send("a") == 1
    assert on()
    assert talk.throw(KeyError("b")) == 2
    assert on()
    with pytest.raises(StopIteration) as stop:
        talk.send("stop")
    assert stop.value.value == "done"
    assert heard[0] == "a"
    assert isinstance(heard[1], KeyError)
    assert heard[2:] == ["stop", False]
    talk = conversation()
    next(talk)
    with pytest.raises(ZeroDivisionError):
        talk.throw(ZeroDivisionError())
    talk = conversation()
    next(talk)
    talk.close()
    assert heard[-1] is False
    assert on()


def test_a_decorated_coroutine_is_off_only_while_it_runs() -> None:
    seen: list[bool] = []

    class Turn:
        def __await__(self) -> Generator[str, None, None]:
            yield "turn"

    @gg.no_grad
    async def work() -> str:
        for _ in range(2):
            seen.append(on())
            await Turn()
        seen.append(on())
        return "done"

    first, second = work(), work()  # driven by hand, in one context
    for coroutine in (first, second, second, first):
        assert coroutine.send(None) == "turn"
        assert on()
    for coroutine in (first, second):
        with pytest.raises(StopIteration, match="done"):
            coroutine.send(None)
    assert seen == [False] * 6
    third = work()
    third.send(None)
    third.close()
    assert on()


def test_a_decorated_asynchronous_generator_is_off_only_while_it_runs() -> None:
    heard: list[Any] = []

    @gg.no_grad
    async def stream() -> AsyncGenerator[Any, Any]:
        try:
            while True:
                await asyncio.sleep(0)
                assert not on()
                try:
                    heard.append((yield len(heard)))
                except KeyError:
                    heard.append("KeyError")
                if heard[-1] == "stop":
                    return
        finally:
            heard.append(on())

    async def run() -> None:
        values = stream()
        assert await anext(values) == 0
        assert on()
        assert await values.asend("a") == 1
        assert await values.athrow(KeyError()) == 2
        assert on()
        with pytest.raises(StopAsyncIteration):
            await values.asend("stop")
        assert heard == ["a", "KeyError", "stop", False]
        async for _ in stream():
            assert on()
            break
        values = stream()
        await anext(values)
        await values.aclose()
        assert heard[-1] is False
        assert on()

    asyncio.run(run())


def test_a_decorated_generator_keeps_one_watcher() -> None:
    seen: list[Any] = []

    @tracing
    def steps() -> Iterator[None]:
        for _ in range(3):
            seen.append(switches().observers)
            yield

    for _ in steps():
        assert switches().observers == ()
    for _ in steps():
        pass
    assert seen[0] == seen[1] == seen[2]
    assert seen[3] != seen[0]


def test_an_error_that_passed_through_leaves_no_cycle() -> None:
    @gg.no_grad
    def values() -> Generator[int, None, None]:
        yield 1

    gc.collect()
    gc.disable()
    try:
        generator = values()
        next(generator)
        with pytest.raises(ZeroDivisionError):
            generator.throw(ZeroDivisionError())
        del generator
        assert not [x for x in gc.get_objects() if isinstance(x, ZeroDivisionError)]
    finally:
        gc.enable()
