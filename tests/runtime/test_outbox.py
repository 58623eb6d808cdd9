"""How enqueues travel: alone at once, together where they come together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from checkmate_queue.core.errors import BackendUnavailableError, QueueFullError
from checkmate_queue.core.model import Added, NewJob, QueueFull
from checkmate_queue.runtime.outbox import BATCH_BYTES, Outbox


class Engine:
    """Counts the calls of `add`; `prompt` ones return without suspending the caller."""

    def __init__(self, *, prompt: bool, limit: int | None = None) -> None:
        self.batches: list[int] = []
        self._prompt = prompt
        self._limit = limit

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        self.batches.append(len(units))
        if not self._prompt:
            await asyncio.sleep(0)
        return [
            QueueFull(self._limit)
            if self._limit is not None and len(unit) > self._limit
            else [Added(job.id, True) for job in unit]
            for unit in units
        ]


def unit(*names: str) -> list[NewJob]:
    return [NewJob(name, b"1") for name in names]


@pytest.mark.parametrize("prompt", [True, False])
async def test_calls_that_come_together_travel_together(prompt: bool) -> None:
    engine = Engine(prompt=prompt)
    outbox = Outbox(engine, "q", 1)
    added = await asyncio.gather(*(outbox.put(unit(str(n))) for n in range(500)))
    assert [each[0].id for each in added] == [str(n) for n in range(500)]
    assert engine.batches == [1, 499]


@pytest.mark.parametrize("prompt", [True, False])
async def test_a_call_that_comes_alone_goes_alone(prompt: bool) -> None:
    engine = Engine(prompt=prompt)
    outbox = Outbox(engine, "q", 1)
    for n in range(20):
        await outbox.put(unit(str(n)))
    assert engine.batches == [1] * 20


async def test_batches_are_bounded() -> None:
    engine = Engine(prompt=False)
    outbox = Outbox(engine, "q", 1)
    await asyncio.gather(*(outbox.put(unit(*map(str, range(100)))) for _ in range(25)))
    assert engine.batches == [1, 10, 10, 4]


async def test_batches_are_bounded_in_bytes() -> None:
    """A unit that is larger travels alone."""
    engine = Engine(prompt=False)
    outbox = Outbox(engine, "q", 1)
    sizes = [BATCH_BYTES // 2, BATCH_BYTES // 2, 1, BATCH_BYTES * 2, 1, 1]
    await asyncio.gather(*(outbox.put([NewJob("j", b" " * size)]) for size in (1, *sizes)))
    assert engine.batches == [1, 2, 2, 2]


async def test_a_producer_without_pause_lets_others_run() -> None:
    outbox = Outbox(Engine(prompt=True), "q", 1)
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for n in range(20_000):
        await outbox.put(unit(str(n)))
    task.cancel()
    assert others > 3


async def test_what_is_refused_concerns_its_caller_alone() -> None:
    """J8: a full queue fails one call, and no other."""
    outbox = Outbox(Engine(prompt=False, limit=1), "q", 1)
    calls = [outbox.put(unit("a")), outbox.put(unit("b", "c")), outbox.put(unit("d"))]
    first, second, third = await asyncio.gather(*calls, return_exceptions=True)
    assert first == [Added("a", True)]
    assert isinstance(second, QueueFullError)
    assert third == [Added("d", True)]


async def test_a_caller_that_gives_up_disturbs_no_other() -> None:
    engine = Engine(prompt=False)
    outbox = Outbox(engine, "q", 1)
    tasks = [asyncio.create_task(outbox.put(unit(str(n)))) for n in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [
        True, False, True, False, False,
    ]  # fmt: skip
    await outbox.drained()
    assert sum(engine.batches) == 5


async def test_draining_waits_for_what_was_given_and_not_for_what_comes() -> None:
    """L1: a stop ends though others go on enqueueing."""
    engine = Engine(prompt=False)
    outbox = Outbox(engine, "q", 1)

    async def go_on() -> None:
        while True:
            await outbox.put(unit("again"))

    busy = [asyncio.create_task(go_on()) for _ in range(2)]
    mine = asyncio.create_task(outbox.put(unit("mine")))
    await asyncio.sleep(0)
    await outbox.drained()
    assert mine.done()
    for task in busy:
        task.cancel()
    await asyncio.wait(busy)
    await outbox.drained()


async def test_draining_does_not_mind_an_engine_that_is_away() -> None:
    class Away(Engine):
        async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
            await asyncio.sleep(0)
            raise BackendUnavailableError

    outbox = Outbox(Away(prompt=False), "q", 0)
    mine = asyncio.create_task(outbox.put(unit("mine")))
    await asyncio.sleep(0)
    await outbox.drained()
    with pytest.raises(BackendUnavailableError):
        await mine
