"""Ephemeral groups (G4): they go with their last consumer, and come back with it."""

from __future__ import annotations

import asyncio

import pytest

from checkmate_queue import InvalidArgumentError, LeaseLost, Queue
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Recorder, still_works
from tests.system.storages import Link, ManagerFor

LEASE = 1.0


async def test_it_goes_with_its_last_consumer(manager_for: ManagerFor) -> None:
    """G4: at its `stop`, here and elsewhere; what comes meanwhile is not delivered."""
    managers = [await manager_for(link=Link()) for _ in range(2)]
    queues = [manager.get_queue("caches", unclaimed="drop") for manager in managers]
    one, two = [await queue.consume(Recorder(), consumer_group="e", ephemeral=True) for queue in queues]
    await one.stop()
    assert list((await queues[0].get_stats()).groups) == ["e"]
    await two.stop()
    assert (await queues[0].get_stats()).consumer_groups == 0
    await queues[0].enqueue("missed")
    recorder = Recorder()
    await queues[0].consume(recorder, consumer_group="e", ephemeral=True)
    await still_works(queues[0], recorder)
    assert recorder.data == ["still works"]


async def test_consumers_of_one_group_must_agree(manager_for: ManagerFor) -> None:
    """G4: one that is ephemeral and one that is not raise `InvalidArgumentError`; the first goes on."""
    manager = await manager_for()
    queue = manager.get_queue("caches")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g", ephemeral=True)
    with pytest.raises(InvalidArgumentError, match="ephemeral"):
        await queue.consume(Recorder(), consumer_group="g")
    await still_works(queue, recorder)


async def lose_lease(link: Link, witness: Queue[str], lost: list[LeaseLost]) -> None:
    """Cut one manager off, while another stays in touch, until its lease has run out; then mend it."""
    link.cut("heartbeat", "exchange", "tick", "join")

    async def dropped() -> bool:
        await witness.enqueue("for nobody here")
        return "e" not in (await witness.get_stats()).groups

    await wait_until(dropped, description="the ephemeral group was dropped", timeout=PATIENCE)
    link.mend()
    await wait_until(lambda: lost, description="the loss was noticed", timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["async", "plain", "raises"])
async def test_it_comes_back_after_a_lost_lease(manager_for: ManagerFor, kind: str) -> None:
    """G4: the consumer joins again by itself and calls `on_rejoin`, whatever that does."""
    link = Link()
    manager = await manager_for(link=link, lease_seconds=LEASE)
    other = await manager_for(link=Link(), lease_seconds=LEASE)
    queue, witness = manager.get_queue("caches"), other.get_queue("caches")
    await witness.consume(Recorder(), consumer_group="durable")
    lost: list[LeaseLost] = []
    manager.on(LeaseLost, lost.append)
    rejoined: list[str] = []

    def plain() -> None:
        rejoined.append("plain")

    async def later() -> None:
        await asyncio.sleep(0)
        rejoined.append("async")

    def raises() -> None:
        rejoined.append("raises")
        raise RuntimeError("the cache is broken")

    recorder = Recorder()
    on_rejoin = {"plain": plain, "async": later, "raises": raises}[kind]
    await queue.consume(recorder, consumer_group="e", ephemeral=True, on_rejoin=on_rejoin)
    await still_works(queue, recorder)
    await lose_lease(link, witness, lost)
    await wait_until(lambda: rejoined == [kind], description="on_rejoin was called once", timeout=PATIENCE)
    await still_works(queue, recorder, "after")
    assert recorder.data == ["still works", "after"]
    assert [event.queue for event in lost] == ["caches"]
