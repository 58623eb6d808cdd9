"""What handlers do with the queues that run them."""

from __future__ import annotations

import asyncio
from typing import Any

from checkmate_queue import Job
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works
from tests.system.storages import ManagerFor


async def test_a_handler_may_enqueue_to_its_own_queue(manager_for: ManagerFor) -> None:
    """Section 1: also where it takes the only slot."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("chain", int)
    recorder = Recorder()

    async def handler(job: Job[int]) -> None:
        await recorder(job)
        if job.data < 20:
            await queue.enqueue_many([job.data + 1])

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue(0)
    await recorder.calls(21)
    assert recorder.data == list(range(21))


async def test_its_own_id_is_taken_while_it_runs(manager_for: ManagerFor) -> None:
    """J7: until it has completed."""
    manager = await manager_for()
    queue = manager.get_queue("own")
    created: list[bool] = []

    async def handler(job: Job[Any]) -> None:
        created.append(bool((await queue.enqueue("again", job_id=job.id)).created))

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue("once", job_id="same")
    await settled(queue)
    assert created == [False]
    assert (await queue.enqueue("again", job_id="same")).created


async def test_a_handler_may_start_consumers_and_schedules(manager_for: ManagerFor) -> None:
    """Section 1: they outlive its job."""
    manager = await manager_for()
    first, second = manager.get_queue("first"), manager.get_queue("second")
    recorder = Recorder()

    async def handler(job: Job[Any]) -> None:
        await second.consume(recorder, consumer_group="g")
        await second.schedule_recurring("s", "scheduled", interval_seconds=3600)

    await first.consume(handler, consumer_group="g")
    await first.enqueue(1)
    await recorder.calls(1)
    await settled(first)
    await still_works(second, recorder)
    assert recorder.data == ["scheduled", "still works"]


async def test_a_handler_may_cancel_its_own_job(manager_for: ManagerFor) -> None:
    """L12: it ends as cancelled."""
    manager = await manager_for()
    queue = manager.get_queue("own")

    async def handler(job: Job[Any]) -> None:
        assert (await queue.cancel(job.id)).signalled == 1
        await asyncio.sleep(0)
        raise ValueError("not retried")

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue(1)
    await settled(queue)
    stats = await queue.get_stats()
    assert (stats.cancelled, stats.completed, stats.failed) == (1, 0, 0)


async def test_a_handler_may_look_at_everything(manager_for: ManagerFor) -> None:
    """Section 1: and sees itself run."""
    manager = await manager_for()
    queue = manager.get_queue("looks")
    seen: list[Any] = []

    async def handler(job: Job[Any]) -> None:
        details = await queue.get_job(job.id)
        assert details is not None
        seen.append((details.state, await queue.get_in_flight_count(), manager.get_queue("looks") is queue))

    await queue.consume(handler, consumer_group="g", max_retries=0)
    await queue.enqueue(1)
    await settled(queue)
    assert seen == [("processing", 1, True)]


async def test_a_handler_may_pause_its_queue(manager_for: ManagerFor) -> None:
    """L11: what it ran alongside finishes, and nothing follows."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("pauses")
    recorder = Recorder()

    async def handler(job: Job[Any]) -> None:
        await recorder(job)
        await queue.pause()

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue_many(range(3))
    for count in range(1, 4):
        await recorder.calls(count)
        await wait_until_idle(queue)
        assert len(recorder.jobs) == count
        await queue.resume()


async def wait_until_idle(queue: Any) -> None:
    """Wait until nothing runs."""

    async def idle() -> bool:
        return bool(await queue.get_in_flight_count() == 0)

    await wait_until(idle, description="nothing runs", timeout=PATIENCE)


async def test_tasks_that_a_handler_leaves_behind_are_its_own(manager_for: ManagerFor) -> None:
    """G13: the queue neither waits for them nor ends them, and what they enqueue later is as from anybody."""
    manager = await manager_for()
    queue, other = manager.get_queue("leaves"), manager.get_queue("other")
    go = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def later() -> None:
        await go.wait()
        await other.enqueue("later")

    async def handler(job: Job[Any]) -> None:
        tasks.append(asyncio.create_task(later()))

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue(1)
    await settled(queue)
    await queue.stop()
    go.set()
    await asyncio.gather(*tasks)
    assert (await other.get_stats()).unclaimed == 1


async def test_many_queues_at_once(manager_for: ManagerFor) -> None:
    """Section 1: a manager has as many as are asked for, each with its own consumers."""
    manager = await manager_for()
    queues = [manager.get_queue(f"queue {n}") for n in range(30)]
    gate = Gate()
    gate.open()
    await asyncio.gather(*(queue.consume(gate, consumer_group="g") for queue in queues))
    await asyncio.gather(*(queue.enqueue(n) for n, queue in enumerate(queues)))
    await gate.calls(30)
    assert sorted(gate.data) == list(range(30))
    assert {job.queue for job in gate.jobs} == {queue.name for queue in queues}
