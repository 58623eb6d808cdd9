"""Who gets a job (G1 to G5)."""

from __future__ import annotations

from typing import Any

import pytest

from checkmate_queue import ConfigError, Discard, InvalidArgumentError, Job, QueueManager
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import Gate, Recorder, settled, still_works
from tests.system.storages import Link, ManagerFor


async def test_every_group_gets_every_job_once(manager_for: ManagerFor) -> None:
    """G1: consumers of one group compete, groups each get all, in two processes as in one."""
    managers = [await manager_for(link=Link()) for _ in range(2)]
    queues = [manager.get_queue("news") for manager in managers]
    one, two, broadcast = Recorder(), Recorder(), Recorder()
    await queues[0].consume(one, consumer_group="work")
    await queues[1].consume(two, consumer_group="work")
    await queues[1].consume(broadcast, consumer_group="instance 2")
    await queues[0].enqueue_many(range(100))
    await settled(queues[0])
    assert sorted(one.data + two.data) == list(range(100))
    assert sorted(broadcast.data) == list(range(100))
    stats = await queues[0].get_stats()
    assert (stats.consumer_groups, stats.completed) == (2, 200)


async def test_a_delayed_job_goes_to_the_groups_of_its_due_time(manager_for: ManagerFor) -> None:
    """G1: those registered when it becomes ready, whenever it was enqueued."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("news")
    early, late = Recorder(), Recorder()
    await queue.enqueue("delayed", start_delay=60)
    await queue.consume(early, consumer_group="registered at the due time")
    clock.advance(60)
    await queue.consume(late, consumer_group="registered later")
    await settled(queue)
    assert (early.data, late.data) == (["delayed"], [])


async def test_what_nobody_is_registered_for_waits(manager_for: ManagerFor) -> None:
    """G2: it is `unclaimed`, and the first durable group to register gets it all, in order."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("early")
    for n in range(10):
        await queue.enqueue(n)
    stats = await queue.get_stats()
    assert (stats.unclaimed, stats.pending, stats.consumer_groups) == (10, 0, 0)
    first, second = Recorder(), Recorder()
    await queue.consume(first, consumer_group="first")
    await queue.consume(second, consumer_group="second")
    await settled(queue)
    assert (first.data, second.data) == (list(range(10)), [])


async def test_an_ephemeral_group_does_not_take_what_waits(manager_for: ManagerFor) -> None:
    """G2: the first durable group does."""
    manager = await manager_for()
    queue = manager.get_queue("early")
    await queue.enqueue("waits")
    passing, durable = Recorder(), Recorder()
    await queue.consume(passing, consumer_group="ephemeral", ephemeral=True)
    assert (await queue.get_stats()).unclaimed == 1
    await queue.consume(durable, consumer_group="durable")
    await settled(queue)
    assert (passing.data, durable.data) == ([], ["waits"])


async def test_consumers_that_start_together_all_get_what_waits(manager_for: ManagerFor) -> None:
    """G2: declared consumers of a queue join in one step."""
    manager = await manager_for(start=False)
    queue = manager.get_queue("early")
    recorders = [Recorder() for _ in range(3)]
    for index, recorder in enumerate(recorders):
        assert queue.consumer(f"group {index}", concurrency=1)(recorder) is recorder
    await manager.start(consume=False)
    await queue.enqueue_many(range(5))
    assert (await queue.get_stats()).unclaimed == 5
    await manager.start()
    await settled(queue)
    assert [recorder.data for recorder in recorders] == [list(range(5))] * 3


async def test_announcements_without_listeners_are_dropped(manager_for: ManagerFor) -> None:
    """G2: with `unclaimed="drop"` at once; the choice travels with each job."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    news = manager.get_queue("news", unclaimed="drop")
    await news.enqueue("nobody listens")
    await news.enqueue("nobody will", start_delay=5)
    clock.advance(6)
    recorder = Recorder()
    await news.consume(recorder, consumer_group="g")
    await still_works(news, recorder)
    assert recorder.data == ["still works"]
    assert (await news.get_stats()).expired == 2


async def test_unclaimed_jobs_have_their_retention(manager_for: ManagerFor) -> None:
    """G2: they expire after `unclaimed_retention_seconds`."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock, unclaimed_retention_seconds=60)
    queue = manager.get_queue("early")
    await queue.enqueue("old")
    clock.advance(59)
    await queue.enqueue("young")
    clock.advance(2)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await settled(queue)
    assert recorder.data == ["young"]
    assert (await queue.get_stats()).expired == 1


async def test_when_the_last_group_is_dropped_its_deliveries_end(manager_for: ManagerFor) -> None:
    """G2, G4: they end as expired, and do not become unclaimed again; new jobs do."""
    manager = await manager_for()
    queue = manager.get_queue("dropped")
    consumer = await queue.consume(Recorder(), consumer_group="g")
    await consumer.stop()
    await queue.enqueue_many(range(3))
    assert (await queue.get_stats()).pending == 3
    assert await queue.drop_group("g")
    assert not await queue.drop_group("g")
    stats = await queue.get_stats()
    assert (stats.pending, stats.unclaimed, stats.expired, stats.consumer_groups) == (0, 0, 3, 0)
    await queue.enqueue("new")
    assert (await queue.get_stats()).unclaimed == 1


async def test_a_later_group_starts_now_or_from_the_earliest(manager_for: ManagerFor) -> None:
    """G3: "now" is the default; "earliest" gets every job that some group has not finished."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("late")
    gate, now, earliest, again = Gate(), Recorder(), Recorder(), Recorder()
    await queue.consume(gate, consumer_group="slow")
    await queue.enqueue_many(range(4))
    await gate.calls(1)
    await queue.consume(now, consumer_group="now")
    await queue.consume(earliest, consumer_group="earliest", start_from="earliest")
    await queue.enqueue(4)
    await earliest.calls(5)
    await now.calls(1)
    assert (now.data, earliest.data) == ([4], [0, 1, 2, 3, 4])
    await queue.consume(again, consumer_group="now", start_from="earliest")
    gate.open()
    await settled(queue)
    assert again.data == []


async def test_a_registration_outlives_its_consumers(manager_for: ManagerFor) -> None:
    """G4: what is enqueued while all workers of a group are down is delivered when one returns."""
    managers = [await manager_for(link=Link()) for _ in range(2)]
    first, second = (manager.get_queue("outlives") for manager in managers)
    await first.consume(Recorder(), consumer_group="g")
    await managers[0].shutdown()
    await second.enqueue_many(range(3))
    assert (await second.get_stats()).groups["g"].pending == 3
    recorder = Recorder()
    await second.consume(recorder, consumer_group="g")
    await recorder.calls(3)


async def test_dropping_or_renaming_a_group_in_use_is_refused(manager_for: ManagerFor) -> None:
    """G4: with live consumers, an unknown old or a taken new name: `InvalidArgumentError`."""
    manager = await manager_for()
    queue = manager.get_queue("groups")
    recorder = Recorder()
    consumer = await queue.consume(recorder, consumer_group="used")
    other = await queue.consume(Recorder(), consumer_group="unused")
    await other.stop()
    for call in (
        queue.drop_group("used"),
        queue.rename_group("used", "new"),
        queue.rename_group("unknown", "new"),
        queue.rename_group("unused", "used"),
    ):
        with pytest.raises(InvalidArgumentError):
            await call
    await still_works(queue, recorder)
    await consumer.stop()
    await queue.enqueue("waits")
    await queue.rename_group("used", "renamed")
    assert sorted((await queue.get_stats()).groups) == ["renamed", "unused"]
    await queue.consume(recorder, consumer_group="renamed")
    await recorder.calls(2)


async def test_a_stop_can_unsubscribe(manager_for: ManagerFor) -> None:
    """G4: `Consumer.stop(unregister=True)` removes the group with its last consumer, here or elsewhere."""
    managers = [await manager_for(link=Link()) for _ in range(2)]
    queues = [manager.get_queue("groups") for manager in managers]
    one, two = [await queue.consume(Recorder(), consumer_group="g") for queue in queues]
    await one.stop(unregister=True)
    assert list((await queues[0].get_stats()).groups) == ["g"]
    await two.stop(unregister=True)
    assert (await queues[0].get_stats()).consumer_groups == 0
    await queues[0].enqueue("waits")
    assert (await queues[0].get_stats()).unclaimed == 1


async def test_groups_are_independent(manager_for: ManagerFor) -> None:
    """G5: slowness and failures of one never affect another."""
    manager = await manager_for(concurrency=2)
    queue = manager.get_queue("independent")
    gate, fine = Gate(), Recorder()

    async def fails(job: Job[Any]) -> None:
        raise Discard

    await queue.consume(gate, consumer_group="slow")
    await queue.consume(fails, consumer_group="fails")
    await queue.consume(fine, consumer_group="fine")
    await queue.enqueue_many(range(20))
    await fine.calls(20)

    async def all_failed() -> bool:
        return (await queue.get_stats()).groups["fails"].failed == 20

    await wait_until(all_failed, description="one group failed all of them")
    stats = await queue.get_stats()
    assert (stats.groups["slow"].processing, stats.groups["slow"].pending) == (2, 18)
    gate.open()
    await settled(queue)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"max_retries": None},
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": 2.0},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": "1"},
        {"timeout": True},
        {"backoff": 5},
        {"ephemeral": "yes"},
        {"start_from": "yesterday"},
        {"start_from": ["now"]},
        {"on_rejoin": "no function"},
    ],
    ids=excerpt,
)
async def test_wrong_options_of_a_consumer_are_refused(manager_for: ManagerFor, options: Any) -> None:
    """Section 1: `InvalidArgumentError` at `consume` and at the decorator, and no group is registered."""
    manager = await manager_for()
    queue = manager.get_queue("options")
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        await queue.consume(Recorder(), consumer_group="g", **options)
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        queue.consumer("g", **options)(Recorder())
    assert (await queue.get_stats()).consumer_groups == 0
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)


@pytest.mark.parametrize("handler", [None, 7, "name"], ids=excerpt)
async def test_a_handler_must_be_callable(manager_for: ManagerFor, handler: Any) -> None:
    """Section 1: anything else raises `InvalidArgumentError`."""
    manager = await manager_for()
    queue = manager.get_queue("options")
    with pytest.raises(InvalidArgumentError, match="handler"):
        await queue.consume(handler, consumer_group="g")
    assert (await queue.get_stats()).consumer_groups == 0


async def test_the_same_name_is_the_same_queue(manager_for: ManagerFor) -> None:
    """Section 1: until it is stopped; another type or option raises `ConfigError`."""
    manager = await manager_for()
    queue = manager.get_queue("same", int, unclaimed="drop")
    assert manager.get_queue("same") is queue
    assert manager.get_queue("same", int) is queue
    with pytest.raises(ConfigError, match=r"int.*str"):
        manager.get_queue("same", str)
    with pytest.raises(ConfigError, match="unclaimed"):
        manager.get_queue("same", unclaimed="hold")
    with pytest.raises(InvalidArgumentError, match="unclaimed"):
        manager.get_queue("other", unclaimed="keep")  # type: ignore[call-overload]
    await queue.stop()
    fresh = manager.get_queue("same", str)
    assert id(fresh) != id(queue)
    await fresh.enqueue("text")


async def test_looking_at_all_queues_decides_nothing_for_them(manager_for: ManagerFor) -> None:
    """Section 1: what the manager itself reads leaves the payload type of a queue open."""
    links = [Link(), Link()]
    producer, viewer = [await manager_for(link=link) for link in links]
    await producer.get_queue("typed", int).enqueue(1)
    await producer.get_queue("typed", int).schedule_recurring("s", 1, interval_seconds=60, start_delay=60)
    assert await viewer.list_all_recurring_jobs() == {"typed": ["s"]}
    assert set(await viewer.get_lag()) == {"typed"}
    assert (await viewer.get_aggregated_stats()).unclaimed == 1
    viewer.get_queue("typed", int)


async def test_each_memory_manager_has_a_store_of_its_own() -> None:
    """Section 1: of two managers of `memory://`, neither sees the other's jobs."""
    async with QueueManager("memory://") as one, QueueManager("memory://") as two:
        await one.get_queue("q").enqueue(1)
        assert (await two.get_queue("q").get_stats()).unclaimed == 0
