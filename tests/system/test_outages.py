"""A backend that goes away and comes back (L2)."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import BackendUnavailableError, QueueError, QueueManager
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works
from tests.system.storages import Link, ManagerFor, Storage


async def test_callers_learn_of_it_after_the_patience(manager_for: ManagerFor) -> None:
    """L2: every call raises `BackendUnavailableError`, and works again when the backend is back."""
    link = Link()
    manager = await manager_for(link=link, patience_seconds=0.2)
    queue = manager.get_queue("away")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    link.cut()
    calls = [
        queue.enqueue(1),
        queue.enqueue_many([1, 2]),
        queue.consume(Recorder(), consumer_group="other"),
        queue.schedule_recurring("s", 1, interval_seconds=60),
        queue.get_stats(),
        queue.list_jobs(),
        queue.list_failed(),
        queue.list_recurring_jobs(),
        queue.cancel("x"),
        queue.pause(),
        queue.test_connection(),
        queue.get_lag(),
        manager.get_aggregated_stats(),
        manager.get_lag(),
        manager.list_all_recurring_jobs(),
        manager.set_lag_thresholds(1, 2),
        manager.get_queue("never seen").enqueue(1),
        asyncio.to_thread(queue.enqueue_sync, 1),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["BackendUnavailableError"] * len(calls)
    link.mend()
    await still_works(queue, recorder)
    assert len(recorder.jobs) == 1
    await manager.get_queue("never seen").enqueue(1)


async def test_a_short_outage_goes_unnoticed(manager_for: ManagerFor) -> None:
    """L2: within the patience, a call just takes longer."""
    link = Link()
    manager = await manager_for(link=link, patience_seconds=PATIENCE)
    queue = manager.get_queue("away")
    await queue.get_stats()
    link.cut()
    calls = [asyncio.create_task(queue.enqueue(n)) for n in range(3)]
    await wait_until(lambda: link.refused >= 3, description="it was tried a few times")
    link.mend()
    assert all([(await call).created for call in calls])
    assert sorted(job.data for job in await queue.list_jobs()) == [0, 1, 2]


async def test_consumers_go_on_by_themselves(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """L2: outcomes that could not be written are written then; nothing runs twice."""
    link = Link()
    manager = await manager_for(link=link)
    producer = await manager_for(link=Link())
    queue = manager.get_queue("away")
    gate, late = Gate(), Recorder()
    await queue.consume(gate, consumer_group="g", concurrency=2)
    await queue.consume(late, consumer_group="h")
    await producer.get_queue("away").enqueue_many(["a", "b"])
    await gate.calls(2)
    link.cut()
    gate.open()
    await wait_until(lambda: gate.running == 0, description="the handlers ended during the outage")
    await wait_until(lambda: link.refused > 3, description="consumers keep trying")
    await producer.get_queue("away").enqueue("c")
    link.mend()
    await settled(queue)
    assert sorted(gate.data) == ["a", "b", "c"]
    stats = await queue.get_stats()
    assert (stats.completed, stats.failed) == (6, 0)
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
async def test_a_stop_ends_although_the_backend_is_away(
    manager_for: ManagerFor, short_stops: None, busy: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """L2: in bounded time; what ran is delivered again when the lease has run out."""
    link = Link()
    manager = await manager_for(link=link, lease_seconds=1, patience_seconds=0.5)
    queue = manager.get_queue("away")
    gate = Gate()
    consumer = await queue.consume(gate, consumer_group="g")
    await queue.consume(Recorder(), consumer_group="h")
    if busy:
        await queue.enqueue("done, and not written")
        await gate.calls(1)
        await wait_until(partial(_one_is_done, queue), description="the other group is done with it")
    link.cut()
    gate.open()
    began = time.monotonic()
    await asyncio.gather(consumer.stop(), queue.stop())
    await manager.shutdown()
    assert time.monotonic() - began < 20
    assert any("away" in record.message for record in caplog.records)
    link.mend()
    other = await manager_for(link=Link(), lease_seconds=1)
    recorder = Recorder()
    again = other.get_queue("away")
    await again.consume(recorder, consumer_group="g")
    if busy:
        await recorder.calls(1)
        assert recorder.jobs[0].attempts == 0
    await still_works(again, recorder)


async def _one_is_done(queue: Any) -> bool:
    return bool((await queue.get_stats()).groups["h"].completed == 1)


async def test_a_start_with_an_unreachable_backend(manager_for: ManagerFor) -> None:
    """Section 1: raises after the patience, leaves nothing behind, and may be repeated."""
    link = Link()
    manager = await manager_for(link=link, start=False, patience_seconds=0.1)
    queue = manager.get_queue("early")
    recorder = Recorder()
    queue.consumer("g")(recorder)
    link.cut()
    for _ in range(2):
        with pytest.raises(BackendUnavailableError):
            await manager.start()
        with pytest.raises(BackendUnavailableError, match=r"await manager\.start\(\)"):
            await queue.enqueue(1)
    link.mend()
    await manager.start()
    await still_works(queue, recorder)


async def test_declared_consumers_that_could_not_start(manager_for: ManagerFor) -> None:
    """Section 1: a start that fails half-way raises, and the next one starts them."""
    link = Link()
    manager = await manager_for(link=link, start=False, patience_seconds=0.1)
    queue = manager.get_queue("early")
    recorder = Recorder()
    queue.consumer("g")(recorder)
    link.cut("join")
    with pytest.raises(BackendUnavailableError):
        await manager.start()
    link.mend()
    await manager.start()
    await still_works(queue, recorder)


async def test_a_shutdown_during_a_start(manager_for: ManagerFor) -> None:
    """L1, L2: the start raises, and nothing is left open."""
    link = Link()
    manager = await manager_for(link=link, start=False, patience_seconds=PATIENCE)
    link.cut()
    starting = asyncio.create_task(manager.start())
    await wait_until(lambda: link.refused, description="it tries to start")
    await manager.shutdown()
    link.mend()
    with pytest.raises(QueueError):
        await asyncio.wait_for(starting, PATIENCE)


async def test_a_queue_that_cannot_be_read_is_named(manager_for: ManagerFor) -> None:
    """L3: aggregated numbers don't skip it."""
    link = Link()
    manager = await manager_for(link=link, patience_seconds=0.1)
    await manager.get_queue("unreadable one").enqueue(1)
    link.cut("stats")
    with pytest.raises(BackendUnavailableError, match="'unreadable one'"):
        await manager.get_aggregated_stats()
    link.mend()
    assert (await manager.get_aggregated_stats()).unclaimed == 1


async def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    """Section 1: an address that can't be opened raises from `start`, and names the place."""
    manager = QueueManager(f"sqlite:///{tmp_path}/no/such/folder/queue.db", patience_seconds=0.1)
    with pytest.raises(QueueError, match="no/such/folder"):
        async with manager:
            pass
    assert not (tmp_path / "no").exists()


async def test_an_ephemeral_group_survives_an_outage(manager_for: ManagerFor, storage: Storage) -> None:
    """L2, G12: nobody joins again, since nobody was dropped."""
    link = Link()
    manager = await manager_for(link=link, lease_seconds=1)
    queue = manager.get_queue("away")
    rejoined: list[int] = []
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="e", ephemeral=True, on_rejoin=lambda: rejoined.append(1))
    ends = time.monotonic() + 2
    link.cut()
    await wait_until(lambda: time.monotonic() > ends, description="twice the lease is over")
    link.mend()
    await still_works(queue, recorder)
    assert rejoined == []
