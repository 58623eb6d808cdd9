"""`enqueue_many`, metadata, and `enqueue_sync`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkmate_queue import Enqueue, InvalidArgumentError, Job, PayloadError, QueueError, QueueStoppedError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import START, TravellingClock
from tests.system.handlers import Recorder, settled, still_works
from tests.system.storages import ManagerFor


async def test_items_have_options_of_their_own_and_defaults(manager_for: ManagerFor) -> None:
    """Section 1: the keywords of `enqueue_many` hold where an item says nothing."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("batch", str)
    ids = await queue.enqueue_many(
        [
            "plain",
            Enqueue("own", priority=0, start_delay=0, job_id="own", metadata={"own": "1"}),
            Enqueue("partly", priority=3),
            Enqueue("expires", expires_in=100),
        ],
        priority=7,
        start_delay=timedelta(seconds=60),
        expires_in=3600,
        metadata={"trace": "abc"},
    )
    found = {job.data: job for job in await queue.list_jobs()}
    assert [found[data].id for data in ("plain", "own", "partly", "expires")] == ids
    assert {data: (job.priority, job.state, dict(job.metadata)) for data, job in found.items()} == {
        "plain": (7, "delayed", {"trace": "abc"}),
        "own": (0, "unclaimed", {"own": "1"}),
        "partly": (3, "delayed", {"trace": "abc"}),
        "expires": (7, "delayed", {"trace": "abc"}),
    }
    clock.advance(100)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await settled(queue)
    assert recorder.data == ["plain", "partly", "own"]


async def test_of_equal_ids_the_first_counts(manager_for: ManagerFor) -> None:
    """Section 1, J7: in one batch too; an id as keyword makes one job of all plain items."""
    manager = await manager_for()
    queue = manager.get_queue("batch")
    ids = await queue.enqueue_many([Enqueue("first", job_id="a"), Enqueue("second", job_id="a")])
    assert [(job_id, job_id.created) for job_id in ids] == [("a", True), ("a", False)]
    ids = await queue.enqueue_many(["one", "two", Enqueue("three", job_id="c")], job_id="b")
    assert [(job_id, job_id.created) for job_id in ids] == [("b", True), ("b", False), ("c", True)]
    assert {job.id: job.data for job in await queue.list_jobs()} == {"a": "first", "b": "one", "c": "three"}


async def test_an_empty_batch_is_no_error(manager_for: ManagerFor) -> None:
    """Section 1: nothing in, nothing out; any iterable will do."""
    manager = await manager_for()
    queue = manager.get_queue("batch")
    assert await queue.enqueue_many([]) == []
    assert len(await queue.enqueue_many(n for n in range(3))) == 3
    assert (await queue.get_stats()).unclaimed == 3


@pytest.mark.parametrize(
    "bad",
    [
        {1, 2},
        Enqueue(1, priority=2**40),
        Enqueue(1, job_id=""),
        Enqueue(1, start_delay=-1),
        Enqueue(1, expires_in=0),
        Enqueue(1, metadata={"a": 1}),  # type: ignore[dict-item]
        Enqueue(object()),
    ],
)
async def test_a_batch_with_a_bad_item_stores_nothing(manager_for: ManagerFor, bad: Any) -> None:
    """Section 1: one atomic batch, wherever in it the bad item is."""
    manager = await manager_for()
    queue = manager.get_queue("batch")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    for batch in ([bad, "b"], ["a", bad], ["a", bad, "b"]):
        with pytest.raises((InvalidArgumentError, PayloadError)):
            await queue.enqueue_many(batch)
    await still_works(queue, recorder)
    assert recorder.data == ["still works"]


async def test_an_iterable_that_raises_stores_nothing(manager_for: ManagerFor) -> None:
    """Section 1: its error is the caller's."""
    manager = await manager_for()
    queue = manager.get_queue("batch")

    def items() -> Any:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await queue.enqueue_many(items())
    assert (await queue.get_stats()).unclaimed == 0
    await queue.enqueue(1)


async def test_a_handler_sees_everything_about_its_job(manager_for: ManagerFor) -> None:
    """Section 1: `Job` has id, data, priority, an aware timestamp, attempts, queue, group and metadata."""
    manager = await manager_for(clock=TravellingClock())
    queue = manager.get_queue("batch")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    job_id = await queue.enqueue("data", priority=3, metadata={"traceparent": "00-ab-cd-01", "ä": "€"})
    await recorder.calls(1)
    job = recorder.jobs[0]
    assert (job.id, job.data, job.priority, job.attempts) == (job_id, "data", 3, 0)
    assert (job.queue, job.consumer_group, job.cancelled) == ("batch", "g", False)
    assert job.metadata == {"traceparent": "00-ab-cd-01", "ä": "€"}
    assert job.timestamp == datetime.fromtimestamp(START / 1000, UTC)
    with pytest.raises(AttributeError):
        job.data = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": 1},
        {1: "a"},
        {"a": None},
        {"a": b"x"},
        [("a", "b")],
        "text",
        7,
        {"a": "\ud800"},
        {"a": "x" * 8193},
    ],
    ids=excerpt,
)
async def test_metadata_is_a_small_map_of_texts(manager_for: ManagerFor, metadata: Any) -> None:
    """Section 1: anything else raises `InvalidArgumentError`, and nothing is stored."""
    manager = await manager_for()
    queue = manager.get_queue("batch")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    with pytest.raises(InvalidArgumentError, match="metadata"):
        await queue.enqueue(1, metadata=metadata)
    with pytest.raises(InvalidArgumentError, match="metadata"):
        await queue.enqueue_many([1, Enqueue(2, metadata=metadata)])
    await still_works(queue, recorder)
    assert recorder.data == ["still works"]


async def test_enqueue_sync_works_from_other_threads(manager_for: ManagerFor) -> None:
    """Section 1: from plain handlers, from any thread, and from threads with a loop of their own."""
    manager = await manager_for()
    queue = manager.get_queue("sync", int)
    other = manager.get_queue("other", int)
    recorder = Recorder()
    await other.consume(recorder, consumer_group="g")

    def plain(job: Job[int]) -> None:
        other.enqueue_sync(job.data + 1, priority=job.priority)

    async def elsewhere() -> None:
        other.enqueue_sync(3)

    await queue.consume(plain, consumer_group="g")
    await queue.enqueue(1)
    await recorder.calls(1)
    created = await asyncio.to_thread(other.enqueue_sync, 2, job_id="x", start_delay=0.01)
    assert (created, created.created) == ("x", True)
    await asyncio.to_thread(asyncio.run, elsewhere())
    await recorder.calls(3)
    assert sorted(recorder.data) == [2, 2, 3]


async def test_enqueue_sync_raises_what_enqueue_raises(manager_for: ManagerFor) -> None:
    """Section 1: errors reach the thread that called."""
    manager = await manager_for()
    queue = manager.get_queue("sync", int)
    with pytest.raises(InvalidArgumentError):
        await asyncio.to_thread(queue.enqueue_sync, 1, start_delay=-1)
    with pytest.raises(PayloadError):
        await asyncio.to_thread(queue.enqueue_sync, "text")  # type: ignore[arg-type]
    await queue.enqueue(1)


async def test_enqueue_sync_on_the_loop_raises(manager_for: ManagerFor) -> None:
    """Section 1: on the loop itself it would block for ever, so it raises and says what to write."""
    manager = await manager_for()
    queue = manager.get_queue("sync")
    seen: list[str] = []

    async def handler(job: Job[Any]) -> None:
        with pytest.raises(QueueError, match=r"await queue\.enqueue"):
            queue.enqueue_sync(1)
        seen.append("handler")

    await queue.consume(handler, consumer_group="g", max_retries=0)
    with pytest.raises(QueueError, match=r"await queue\.enqueue"):
        queue.enqueue_sync(1)
    await queue.enqueue(1)
    await settled(queue)
    assert seen == ["handler"]


async def test_enqueue_sync_of_many_threads_at_once(manager_for: ManagerFor) -> None:
    """Section 1: each gets its own answer."""
    manager = await manager_for()
    queue = manager.get_queue("sync")
    answers: dict[int, str] = {}

    def produce(start: int) -> None:
        for n in range(start, start + 20):
            answers[n] = queue.enqueue_sync(n, job_id=f"job {n}")

    threads = [threading.Thread(target=produce, args=(start,)) for start in range(0, 200, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert answers == {n: f"job {n}" for n in range(200)}
    assert (await queue.get_stats()).unclaimed == 200


@pytest.mark.parametrize(("count", "data"), [(1000, "short"), (20, "long" * 10_000)])
async def test_others_run_while_a_large_batch_is_encoded(
    manager_for: ManagerFor, count: int, data: str
) -> None:
    """Section 1: a batch is atomic, but doesn't keep the event loop from others until it is stored."""
    manager = await manager_for()
    queue = manager.get_queue("batch")
    await queue.get_stats()
    taken: list[str] = []
    turns: list[int] = []

    def items() -> Iterator[str]:
        for _ in range(count):
            taken.append(data)
            yield data

    async def other() -> None:
        while len(taken) < count:
            turns.append(len(taken))
            await asyncio.sleep(0)

    await asyncio.gather(queue.enqueue_many(items()), other())
    assert len([at for at in turns if 0 < at < count]) >= 3
    assert (await queue.get_stats()).unclaimed == count


async def raised_by(call: Awaitable[object]) -> Exception | None:
    try:
        await call
    except Exception as error:
        return error
    return None


async def test_queue_that_is_stopped_while_a_batch_is_encoded(manager_for: ManagerFor) -> None:
    """L1: nothing of it is stored, as it would be enqueued on a stopped queue."""
    manager = await manager_for()
    queue = manager.get_queue("batch")
    await queue.get_stats()
    async with asyncio.TaskGroup() as tasks:
        batch = tasks.create_task(raised_by(queue.enqueue_many("data" for _ in range(1000))))
        await asyncio.sleep(0)
        await queue.stop()
    assert isinstance(batch.result(), QueueStoppedError)
    assert (await manager.get_queue("batch").get_stats()).unclaimed == 0
