"""Clocks that jump, processes that are stopped, and groups that are abandoned (G4, G12, L8)."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest

from checkmate_queue import GroupAbandoned, LeaseLost
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works, travel
from tests.system.storages import Link, ManagerFor, Storage


async def test_a_clock_that_jumps_on(manager_for: ManagerFor) -> None:
    """G12, L8: no lease is lost for it, and what is due runs."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("jumps")
    lost: list[LeaseLost] = []
    manager.on(LeaseLost, lost.append)
    gate, passing = Gate(), Recorder()
    await queue.consume(gate, consumer_group="g")
    await queue.consume(passing, consumer_group="e", ephemeral=True)
    await queue.enqueue("runs")
    await gate.calls(1)
    await queue.enqueue("delayed", start_delay=timedelta(days=2))
    await queue.schedule_recurring("s", "scheduled", interval_seconds=3600, start_delay=3600)
    travel(clock, queue, timedelta(days=3))
    await passing.calls(3)
    gate.open()
    await settled(queue)
    assert lost == []
    assert gate.cancelled == 0
    assert sorted(passing.data) == ["delayed", "runs", "scheduled"]


async def test_a_clock_that_jumps_back(manager_for: ManagerFor) -> None:
    """G12: no lease is lost, and nothing stops."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("jumps")
    lost: list[LeaseLost] = []
    manager.on(LeaseLost, lost.append)
    gate, recorder = Gate(), Recorder()
    await queue.consume(gate, consumer_group="g")
    await queue.enqueue("runs")
    await gate.calls(1)
    clock.back(timedelta(days=1))
    await queue.consume(recorder, consumer_group="h")
    await still_works(queue, recorder)
    gate.open()
    await settled(queue)
    assert (lost, gate.cancelled) == ([], 0)
    assert (await queue.get_stats()).completed == 3


STOPPED = """
import asyncio, sys
from checkmate_queue import LeaseLost, QueueManager

async def handler(job):
    print("started", flush=True)
    await asyncio.sleep(1)
    print("ended", flush=True)
    ended.set()

async def main():
    global ended
    ended = asyncio.Event()
    async with QueueManager(sys.argv[1], lease_seconds=1) as manager:
        manager.on(LeaseLost, print)
        queue = manager.get_queue("q")
        await queue.consume(handler, consumer_group="g")
        await queue.enqueue(1)
        await ended.wait()
        await queue.stop()
        print((await queue.get_stats()).completed, flush=True)

asyncio.run(main())
"""


async def test_a_process_that_was_stopped_for_a_while(storage: Storage) -> None:
    """G12, L8: where no other lived meanwhile, it goes on as if nothing had been."""
    worker = subprocess.Popen([sys.executable, "-c", STOPPED, storage.url], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert await asyncio.to_thread(worker.stdout.readline) == "started\n"
        worker.send_signal(signal.SIGSTOP)
        ends = time.monotonic() + 3
        await wait_until(lambda: time.monotonic() > ends, description="it stood still for three leases")
        worker.send_signal(signal.SIGCONT)
        output, _ = await asyncio.to_thread(worker.communicate, timeout=60)
        assert output == "ended\n1\n"
    finally:
        worker.kill()
        worker.communicate()


async def test_an_abandoned_group_is_announced_and_dropped(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """G4: a warning a day before, an event, and the end of its deliveries; the last one is kept."""
    clock = TravellingClock()
    day = 86_400
    settings: dict[str, Any] = {"clock": clock, "lease_seconds": day, "group_retention_seconds": 1.4 * day}
    manager = await manager_for(link=Link(), **settings)
    gone = await manager_for(link=Link(), **settings)
    queue = manager.get_queue("abandoned")
    events: list[GroupAbandoned] = []
    manager.on(GroupAbandoned, events.append)
    stays = Recorder()
    await gone.get_queue("abandoned").consume(Recorder(), consumer_group="leaves")
    await gone.shutdown()
    await queue.consume(stays, consumer_group="stays")
    await queue.schedule_recurring("s", "ticks", interval_seconds=day / 4, start_delay=day / 4)
    for count in range(1, 8):
        travel(clock, queue, day / 4)
        await stays.calls(count)
        groups = (await queue.get_stats()).groups
        # A call under way when the clock travels looks like a clock set back, and counts a step twice.
        assert ("leaves" in groups) or count >= 5

    async def dropped() -> bool:
        return list((await queue.get_stats()).groups) == ["stays"]

    await wait_until(dropped, description="the group was dropped", timeout=PATIENCE)
    assert {(event.queue, event.consumer_group) for event in events} == {("abandoned", "leaves")}
    assert len(events) == 1
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any("'leaves'" in message and "will be dropped" in message for message in warnings)
    assert any("'leaves' was dropped" in message for message in warnings)
    assert (await queue.get_stats()).expired >= 1
