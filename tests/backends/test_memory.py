"""What the contract does not say of the memory backend: bounded garbage, threads, one call per sleep."""

from __future__ import annotations

import asyncio
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.memory.agenda import Agenda
from checkmate_queue.core.model import Done, Epoch, GroupJoin, NewJob, RetryLater
from checkmate_queue.store import Store

QUEUE = "queue"
MANY = 10_000
HOUR_MS = 3_600_000


def prove(store: MemoryStore) -> Store:
    """The type checker's proof that the whole seam is there."""
    return store


class Hand:
    """A store with one worker in one group."""

    def __init__(self, store: MemoryStore, epoch: Epoch) -> None:
        self.store = store
        self.epoch = epoch
        self.count = 0

    async def add(self, *jobs: NewJob) -> None:
        await self.store.add(QUEUE, [jobs])

    async def exchange(self, *settlements: Done | RetryLater, want: int = 0) -> list[int]:
        self.count += 1
        answer = await self.store.exchange(self.epoch, "group", self.count, settlements, want)
        assert answer.refused == []
        return [claim.key for claim in answer.claims]


@pytest.fixture
async def hand() -> Hand:
    store = MemoryStore()
    await store.open()
    await store.register(QUEUE)
    return Hand(store, await store.join(QUEUE, "worker", [GroupJoin("group")], HOUR_MS))


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
async def news(hand: Hand) -> AsyncIterator[list[str]]:
    """The queues that news were called for; every call is made in the loop's thread."""
    called: list[str] = []
    threads: set[int] = set()

    def on_news(queue: str) -> None:
        threads.add(threading.get_ident())
        called.append(queue)

    hand.store.listen(on_news)
    yield called
    assert threads <= {threading.get_ident()}


# -- garbage -------------------------------------------------------------------------------------


class TestGarbage:
    """What is removed from the middle leaves traces, which must not add up."""

    @pytest.fixture(autouse=True)
    async def growth_is_bounded(self, hand: Hand) -> AsyncIterator[None]:
        await hand.add(NewJob("stays ready", b"", -1), NewJob("stays delayed", b"", delay_ms=1))
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        yield
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert after - before < 100_000

    async def test_cancelled_delayed_jobs(self, hand: Hand) -> None:
        """10,000 delayed jobs that were cancelled leave nothing behind."""
        for number in range(MANY):
            await hand.add(NewJob(str(number), b"", delay_ms=HOUR_MS))
            assert await hand.store.cancel(QUEUE, str(number))

    async def test_cancelled_ready_jobs(self, hand: Hand) -> None:
        """Nor do as many that were cancelled while they were ready, of many priorities."""
        for number in range(MANY):
            await hand.add(NewJob(str(number), b"", number % 7))
            assert await hand.store.cancel(QUEUE, str(number))

    async def test_jobs_done_before_they_expire(self, hand: Hand) -> None:
        """Nor do as many that were done long before they would have expired."""
        for number in range(0, MANY, 100):
            await hand.add(*(NewJob(f"{number} {i}", b"", expires_ms=HOUR_MS) for i in range(100)))
            await hand.exchange(*[Done(key) for key in await hand.exchange(want=100)])

    async def test_cancelled_retries(self, hand: Hand) -> None:
        """Nor do as many that were cancelled while they waited for a retry."""
        for number in range(0, MANY, 100):
            await hand.add(*(NewJob(f"{number} {i}", b"") for i in range(100)))
            await hand.exchange(*[RetryLater(key, HOUR_MS) for key in await hand.exchange(want=100)])
            for i in range(100):
                assert await hand.store.cancel(QUEUE, f"{number} {i}")


class TestAgenda:
    """Due things by time and order."""

    def test_a_moved_thing_is_there_once(self) -> None:
        """Moving there and back doesn't double a thing."""
        agenda: Agenda[str] = Agenda()
        for at in (10, 20, 10):
            agenda.put(at, "a", "a")
        agenda.put(10, "b", "b")
        assert agenda.due(15, 10) == ["a", "b"]
        assert [agenda.pop(15), agenda.pop(15), agenda.pop(15)] == ["a", "b", None]
        assert len(agenda) == 0

    def test_garbage_never_outgrows_what_is_current(self) -> None:
        """The heap stays within twice its size, and some slack."""
        agenda: Agenda[int] = Agenda()
        for number in range(10_000):
            agenda.put(number % 97, number, number)
            if number % 10:
                agenda.remove(number)
            assert agenda.footprint <= 2 * len(agenda) + 65
        assert [agenda.pop(1000) for _ in range(1001)][-2:] != [None, None]
        assert agenda.pop(1000) is None


# -- threads -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("eager_threads")
async def test_heartbeats_from_another_thread() -> None:
    """Heartbeats from a thread with a loop of its own disturb no verb, nor verbs them.

    Every reading of the clock is a gap, so that every contact moves all leases, and epochs come and go.
    """
    readings = count(1_000_000, 600)
    store = MemoryStore(clock=lambda: next(readings))
    await store.register(QUEUE)
    epoch = await store.join(QUEUE, "worker", [GroupJoin("group")], 1000)
    finished = threading.Event()

    async def beat() -> int:
        beats = 0
        while not finished.is_set():
            assert (await store.heartbeat(epoch, b"alive")).cancelled == []
            beats += 1
        return beats

    beating = asyncio.create_task(asyncio.to_thread(asyncio.run, beat()))
    try:
        for number in range(500):
            await visit(store, str(number))
            await asyncio.sleep(0)
    finally:
        finished.set()
    assert await beating > 0
    assert [worker.report for worker in await store.workers(QUEUE)] == [b"alive"]


async def visit(store: MemoryStore, name: str) -> None:
    """Five workers come, look for work, and go."""
    guests = [GroupJoin("guests", ephemeral=True)]
    epochs = [await store.join(QUEUE, f"{name} {i}", guests, 1000) for i in range(5)]
    for epoch in epochs:
        assert (await store.exchange(epoch, "guests", 1, [], 1)).claims == []
        await store.leave(epoch, ["guests"])


# -- news ----------------------------------------------------------------------------------------


class TestNews:
    """Sleepers are called once for each sleep, so that a busy producer pays nothing."""

    async def test_once_for_each_sleep(self, hand: Hand, news: list[str]) -> None:
        """Many jobs call a sleeper once; it is called again when it has slept again."""
        assert await hand.exchange(want=1) == []
        for number in range(100):
            await hand.add(NewJob(str(number), b""))
        await asyncio.sleep(0)
        assert news == [QUEUE]
        await hand.exchange(*(Done(key) for key in await hand.exchange(want=100)), want=1)
        await hand.add(NewJob("next", b""))
        await asyncio.sleep(0)
        assert news == [QUEUE, QUEUE]

    async def test_nobody_is_called_while_nobody_sleeps(self, hand: Hand, news: list[str]) -> None:
        """A worker that got something has not slept."""
        await hand.add(NewJob("a", b""))
        await hand.exchange(want=1)
        await hand.add(NewJob("b", b""))
        await asyncio.sleep(0)
        assert news == []

    async def test_only_what_is_due_earlier_calls(self, hand: Hand, news: list[str]) -> None:
        """What is due later than something that the sleeper knows of lets it sleep."""
        await hand.add(NewJob("known", b"", delay_ms=HOUR_MS))
        await hand.exchange(want=1)
        await hand.add(NewJob("later", b"", delay_ms=2 * HOUR_MS))
        await asyncio.sleep(0)
        assert news == []
        await hand.add(NewJob("earlier", b"", delay_ms=HOUR_MS // 2))
        await asyncio.sleep(0)
        assert news == [QUEUE]

    async def test_a_worker_is_not_called_for_what_it_did_itself(self, hand: Hand, news: list[str]) -> None:
        """What an exchange does before it falls asleep is known to its caller."""
        await hand.add(NewJob("a", b""))
        (key,) = await hand.exchange(want=1)
        assert await hand.exchange(RetryLater(key, HOUR_MS), want=1) == []
        await asyncio.sleep(0)
        assert news == []
