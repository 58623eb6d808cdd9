"""One job for one id (J7), and repeated calls (J10)."""

from __future__ import annotations

import asyncio
import copy

import pytest

from checkmate_queue import (
    BackendUnavailableError,
    Discard,
    Enqueue,
    Job,
    JobEnqueued,
    JobId,
    Retry,
)
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import Gate, Recorder, settled, still_works
from tests.system.storages import Link, ManagerFor


async def test_a_living_id_is_stored_once(manager_for: ManagerFor) -> None:
    """J7: a duplicate stores nothing, returns the id, and says so; the first data stays."""
    manager = await manager_for()
    queue = manager.get_queue("dedup")
    first = await queue.enqueue("first", job_id="same")
    second = await queue.enqueue("second", job_id="same", priority=9, start_delay=5)
    assert (first, second) == ("same", "same")
    assert isinstance(first, JobId)
    assert (first.created, second.created) == (True, False)
    details = await queue.get_job("same")
    assert details is not None
    assert (details.data, details.priority, details.state) == ("first", 0, "unclaimed")
    assert (await queue.get_stats()).unclaimed == 1


@pytest.mark.parametrize("state", ["delayed", "unclaimed", "pending", "processing", "retrying"])
async def test_an_id_is_taken_in_every_state(manager_for: ManagerFor, state: str) -> None:
    """J7: delayed, unclaimed, ready, running or waiting to be retried, the job exists."""
    manager = await manager_for(concurrency=1)
    queue = manager.get_queue("states")
    gate = Gate()

    async def handler(job: Job[str]) -> None:
        if job.data == "retrying":
            raise Retry(delay=600)
        await gate(job)

    if state != "unclaimed":
        await queue.consume(handler, consumer_group="g")
    if state == "pending":
        await queue.enqueue("blocks", job_id="blocks")
        await gate.calls(1)
    await queue.enqueue(state, job_id="same", start_delay=600 if state == "delayed" else 0)

    async def reached() -> bool:
        details = await queue.get_job("same")
        return details is not None and details.state == state

    await wait_until(reached, description=f"the job is {state}")
    assert not (await queue.enqueue("again", job_id="same")).created
    gate.open()


async def test_the_id_is_free_when_the_last_delivery_has_ended(manager_for: ManagerFor) -> None:
    """J7: completed or finally failed in every group, and not before."""
    manager = await manager_for()
    queue = manager.get_queue("freed")
    gate = Gate()

    async def fail(job: Job[int]) -> None:
        raise Discard("no good")

    await queue.consume(fail, consumer_group="fails")
    await queue.consume(gate, consumer_group="waits")
    assert (await queue.enqueue(1, job_id="same")).created

    async def failed() -> bool:
        return (await queue.get_stats()).failed == 1

    await wait_until(failed, description="one group is done with it")
    assert not (await queue.enqueue(2, job_id="same")).created
    gate.open()
    await settled(queue)
    assert (await queue.enqueue(3, job_id="same")).created
    await settled(queue)
    assert gate.data == [1, 3]


async def test_concurrent_callers_make_one_job(manager_for: ManagerFor) -> None:
    """J7: of many callers at once, through two managers where the storage is shared, one creates it."""
    links = [Link(), Link()]
    managers = [await manager_for(link=link) for link in links]
    queues = [manager.get_queue("rush") for manager in managers]
    answers = await asyncio.gather(
        *(queues[index % 2].enqueue(index, job_id=f"job {index % 5}") for index in range(200))
    )
    assert sorted({str(answer) for answer in answers}) == [f"job {n}" for n in range(5)]
    assert sum(bool(answer.created) for answer in answers) == 5
    recorder = Recorder()
    await queues[0].consume(recorder, consumer_group="g")
    await settled(queues[1])
    assert sorted(recorder.ids) == [f"job {n}" for n in range(5)]


async def test_batches_of_many_callers_make_one_job_each(manager_for: ManagerFor) -> None:
    """J7: for `enqueue_many` too, whatever travels together."""
    manager = await manager_for()
    queue = manager.get_queue("rush")
    batch = [Enqueue(n, job_id=str(n)) for n in range(20)]
    answers = await asyncio.gather(*(queue.enqueue_many(batch) for _ in range(20)))
    assert all(answer == [str(n) for n in range(20)] for answer in answers)
    assert sum(bool(job_id.created) for answer in answers for job_id in answer) == 20


async def test_a_duplicate_is_an_event_of_its_own_kind(manager_for: ManagerFor) -> None:
    """J7: `JobEnqueued` tells duplicates apart."""
    manager = await manager_for()
    events: list[JobEnqueued] = []
    manager.on(JobEnqueued, events.append)
    queue = manager.get_queue("events")
    for _ in range(2):
        await queue.enqueue(1, job_id="same")
    assert [(event.queue, event.job_id, event.created) for event in events] == [
        ("events", "same", True),
        ("events", "same", False),
    ]


def test_a_job_id_is_a_str_that_can_be_copied() -> None:
    """J7: it behaves as its text, and keeps `created`."""
    job_id = JobId("x", created=False)
    assert job_id == "x"
    assert job_id in {"x"}
    assert f"{job_id}" == "x"
    for twin in (copy.copy(job_id), copy.deepcopy(job_id)):
        assert (twin, twin.created) == ("x", False)


async def test_a_lost_answer_is_repeated_and_reported_as_created(manager_for: ManagerFor) -> None:
    """J10: the library repeats a lost answer under the same id, and reports its own job as created."""
    link = Link()
    manager = await manager_for(link=link)
    queue = manager.get_queue("lost")
    for options in ({}, {"job_id": "mine"}):
        link.lose_answers("add", 2)
        assert (await queue.enqueue(1, **options)).created  # type: ignore[arg-type]
    link.lose_answers("add", 1)
    answers = await queue.enqueue_many([2, Enqueue(3, job_id="mine"), Enqueue(4, job_id="other")])
    assert [answer.created for answer in answers] == [True, False, True]
    assert not (await queue.enqueue(1, job_id="mine")).created
    assert (await queue.get_stats()).unclaimed == 4


async def test_repeating_after_an_error_is_safe(manager_for: ManagerFor) -> None:
    """J10: after `BackendUnavailableError` the same id may be given again: there is one job then."""
    link = Link()
    manager = await manager_for(link=link, patience_seconds=0)
    queue = manager.get_queue("repeated")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    link.lose_answers("add")
    with pytest.raises(BackendUnavailableError):
        await queue.enqueue(1, job_id="mine", start_delay=600)
    assert not (await queue.enqueue(1, job_id="mine")).created
    link.cut("add")
    with pytest.raises(BackendUnavailableError):
        await queue.enqueue(2, job_id="yours", start_delay=600)
    link.mend()
    assert (await queue.enqueue(2, job_id="yours", start_delay=600)).created
    assert (await queue.get_stats()).delayed == 2
    await still_works(queue, recorder)
