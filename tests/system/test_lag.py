"""How far a queue is behind (L4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from checkmate_queue import InvalidArgumentError, Lag, LagChanged, LagThresholds, Queue
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works
from tests.system.storages import Link, ManagerFor


async def group_without_consumer(queue: Queue[Any]) -> None:
    """Have jobs wait as pending."""
    consumer = await queue.consume(Recorder(), consumer_group="g")
    await consumer.stop()


@pytest.mark.parametrize(
    ("pending", "severity"),
    [(0, "none"), (99, "none"), (100, "warning"), (499, "warning"), (500, "critical")],
)
async def test_the_default_thresholds(manager_for: ManagerFor, pending: int, severity: str) -> None:
    """L4: a warning from 100, critical from 500 pending deliveries."""
    manager = await manager_for()
    queue = manager.get_queue("behind")
    await group_without_consumer(queue)
    await queue.enqueue_many(range(pending))
    lag = await queue.get_lag()
    assert lag == Lag(severity, pending, LagThresholds(100, 500))  # type: ignore[arg-type]
    assert await manager.get_lag() == {"behind": lag}


async def test_thresholds_are_stored_and_hold_for_all(manager_for: ManagerFor) -> None:
    """L4: for other processes, and for those that start later."""
    managers = [await manager_for(link=Link()) for _ in range(2)]
    queues = [manager.get_queue("behind") for manager in managers]
    await group_without_consumer(queues[0])
    await queues[0].enqueue_many(range(6))
    assert (await queues[1].get_lag()).severity == "none"
    await managers[0].set_lag_thresholds(5, 50)
    assert await queues[1].get_lag() == Lag("warning", 6, LagThresholds(5, 50))
    await managers[1].set_lag_thresholds(warning=2, critical=6)
    late = await manager_for(link=Link())
    assert await late.get_queue("behind").get_lag() == Lag("critical", 6, LagThresholds(2, 6))
    await managers[0].set_lag_thresholds(100, 500)
    assert (await queues[1].get_lag()).severity == "none"


@pytest.mark.parametrize(
    ("warning", "critical"),
    [(0, 5), (-1, 5), (5, 5), (6, 5), (1.5, 5), ("1", 5), (True, 5), (1, None), (float("nan"), 5), ([], {})],
    ids=excerpt,
)
async def test_wrong_thresholds_are_refused(manager_for: ManagerFor, warning: Any, critical: Any) -> None:
    """L4: `InvalidArgumentError`, and those that were set stay."""
    manager = await manager_for()
    await manager.set_lag_thresholds(3, 4)
    with pytest.raises(InvalidArgumentError, match="threshold"):
        await manager.set_lag_thresholds(warning, critical)
    assert (await manager.get_queue("q").get_lag()).thresholds == LagThresholds(3, 4)


async def test_a_change_is_signalled_once(manager_for: ManagerFor) -> None:
    """L4: whoever notices it, across instances; rising at once, falling well below at once."""
    managers = [await manager_for(link=Link()) for _ in range(3)]
    queues = [manager.get_queue("behind") for manager in managers]
    events: list[LagChanged] = []
    for manager in managers:
        manager.on(LagChanged, events.append)
    await managers[0].set_lag_thresholds(4, 8)
    gate = Gate()
    for queue in queues:
        await queue.consume(gate, consumer_group="g", concurrency=1)
    await queues[0].enqueue_many(range(3))
    await gate.calls(3)
    await queues[0].enqueue_many(range(5))
    await asyncio.gather(*(queue.get_lag() for queue in queues))
    assert events == [LagChanged("behind", "none", "warning")]
    await queues[1].enqueue_many(range(3))
    await asyncio.gather(*(queue.get_lag() for queue in queues))
    assert events[1:] == [LagChanged("behind", "warning", "critical")]
    gate.open()
    await settled(queues[0])
    await asyncio.gather(*(queue.get_lag() for queue in queues))
    assert events[2:] == [LagChanged("behind", "critical", "none")]


async def test_workers_notice_by_themselves(manager_for: ManagerFor) -> None:
    """L4: nobody has to ask."""
    manager = await manager_for()
    queue = manager.get_queue("behind")
    events: list[LagChanged] = []
    manager.on(LagChanged, events.append)
    gate = Gate()
    await queue.consume(gate, consumer_group="g", concurrency=1)
    await queue.enqueue_many(range(120))
    await wait_until(
        lambda: events == [LagChanged("behind", "none", "warning")],
        description="the rise was signalled",
        timeout=PATIENCE,
    )
    gate.open()
    await wait_until(
        lambda: events[1:] == [LagChanged("behind", "warning", "none")],
        description="the fall was signalled",
        timeout=PATIENCE,
    )
    await still_works(queue, gate)
