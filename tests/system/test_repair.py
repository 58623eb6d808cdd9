"""Looking at failed jobs and repairing them (F4), and at living ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from checkmate_queue import (
    Discard,
    FailedJob,
    InvalidArgumentError,
    Job,
    JobDetails,
    JobExistsError,
    Queue,
    Retry,
)
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import START, TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import Gate, Recorder, settled, still_works
from tests.system.storages import ManagerFor


class Flaky:
    """A handler that fails as long as it is broken."""

    def __init__(self) -> None:
        self.broken = True
        self.jobs: list[Job[Any]] = []

    async def __call__(self, job: Job[Any]) -> None:
        self.jobs.append(job)
        if self.broken:
            raise Discard(f"broken: {job.data}")


async def fail_jobs(queue: Queue[Any], flaky: Flaky, *ids: str, group: str = "g") -> None:
    """Have these jobs fail for good."""
    await queue.consume(flaky, consumer_group=group)
    for job_id in ids:
        await queue.enqueue(f"data of {job_id}", job_id=job_id, priority=3, metadata={"a": "b"})
        await settled(queue)


async def test_a_failed_entry_says_what_happened(manager_for: ManagerFor) -> None:
    """F4: with error type, message, traceback, attempts and time."""
    manager = await manager_for(clock=TravellingClock())
    queue = manager.get_queue("failed")
    await fail_jobs(queue, Flaky(), "a")
    [entry] = await queue.list_failed()
    assert isinstance(entry, FailedJob)
    assert (entry.job_id, entry.consumer_group, entry.data) == ("a", "g", "data of a")
    assert (entry.error_type, entry.message, entry.attempts) == ("Discard", "broken: data of a", 1)
    assert "raise Discard(" in entry.traceback
    assert entry.failed_at == datetime.fromtimestamp(START / 1000, UTC)
    assert (await queue.enqueue("again", job_id="a")).created


async def test_failed_jobs_are_listed_the_newest_first_and_in_pages(manager_for: ManagerFor) -> None:
    """F4: of one group where asked; `after` is the last `entry_id` of the page before."""
    manager = await manager_for()
    queue = manager.get_queue("failed")
    ids = [f"job {n}" for n in range(7)]
    await fail_jobs(queue, Flaky(), *ids)
    pages: list[str] = []
    after = None
    while page := await queue.list_failed(limit=3, after=after):
        pages += [entry.job_id for entry in page]
        after = page[-1].entry_id
    assert pages == ids[::-1]
    assert await queue.list_failed("other") == []
    assert len(await queue.list_failed("g")) == 7


async def test_a_failed_job_can_be_retried(manager_for: ManagerFor) -> None:
    """F4: ready again in its group alone, with its priority and attempts at 0."""
    manager = await manager_for()
    queue = manager.get_queue("failed")
    flaky, other = Flaky(), Recorder()
    await fail_jobs(queue, flaky, "a", "b")
    await queue.consume(other, consumer_group="other")
    flaky.broken = False
    assert await queue.retry_failed("a") == 1
    await settled(queue)
    job = flaky.jobs[-1]
    assert (job.id, job.data, job.attempts, job.priority) == ("a", "data of a", 0, 3)
    assert job.metadata == {"a": "b"}
    assert [entry.job_id for entry in await queue.list_failed()] == ["b"]
    assert other.jobs == []
    assert await queue.retry_failed("a") == 0
    assert await queue.retry_failed("unknown") == 0


async def test_a_retry_of_several_groups(manager_for: ManagerFor) -> None:
    """F4: all groups that failed with it, or one of them."""
    manager = await manager_for()
    queue = manager.get_queue("failed")
    one, two = Flaky(), Flaky()
    await queue.consume(one, consumer_group="one")
    await fail_jobs(queue, two, "a", group="two")
    one.broken = two.broken = False
    assert await queue.retry_failed("a", "one") == 1
    await settled(queue)
    assert [(len(one.jobs), len(two.jobs))] == [(2, 1)]
    assert await queue.retry_failed("a") == 1
    await settled(queue)
    assert (len(one.jobs), len(two.jobs)) == (2, 2)


async def test_only_the_newest_entries_of_an_id_are_retried(manager_for: ManagerFor) -> None:
    """F4: an id that failed several times has several entries."""
    manager = await manager_for()
    queue = manager.get_queue("failed")
    flaky = Flaky()
    await fail_jobs(queue, flaky, "a")
    await queue.enqueue("newer", job_id="a")
    await settled(queue)
    flaky.broken = False
    assert await queue.retry_failed("a") == 1
    await settled(queue)
    assert flaky.jobs[-1].data == "newer"
    assert [entry.data for entry in await queue.list_failed()] == ["data of a"]


async def test_a_retry_while_the_id_lives_is_refused(manager_for: ManagerFor) -> None:
    """F4: `JobExistsError`, and nothing changes."""
    manager = await manager_for()
    queue = manager.get_queue("failed")
    await fail_jobs(queue, Flaky(), "a")
    await queue.enqueue("lives", job_id="a", start_delay=600)
    with pytest.raises(JobExistsError, match="'a'"):
        await queue.retry_failed("a")
    assert len(await queue.list_failed()) == 1
    details = await queue.get_job("a")
    assert details is not None
    assert details.data == "lives"


async def test_failed_jobs_can_be_discarded(manager_for: ManagerFor) -> None:
    """F4: of an id, of a group, or all."""
    manager = await manager_for()
    queue = manager.get_queue("failed")
    flaky = Flaky()
    await fail_jobs(queue, flaky, "a", "b", "c")
    assert await queue.discard_failed("a") == 1
    assert await queue.discard_failed("a") == 0
    assert await queue.discard_failed("b", "other") == 0
    assert await queue.discard_failed("b", "g") == 1
    assert [entry.job_id for entry in await queue.list_failed()] == ["c"]
    assert await queue.discard_failed() == 1
    assert await queue.list_failed() == []
    assert (await queue.get_stats()).failed == 3


async def test_failed_jobs_have_their_retention(manager_for: ManagerFor) -> None:
    """F4: so many per queue, and for so long."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock, failed_retention_count=3, failed_retention_seconds=60)
    queue = manager.get_queue("failed")
    flaky = Flaky()
    await fail_jobs(queue, flaky, *"abcde")
    assert [entry.job_id for entry in await queue.list_failed()] == ["e", "d", "c"]
    clock.advance(61)
    flaky.broken = False
    await queue.enqueue("x")
    await settled(queue)
    await wait_for_none_failed(queue)


async def wait_for_none_failed(queue: Queue[Any]) -> None:
    """Wait until the retention has done its work."""

    async def none() -> bool:
        return await queue.list_failed() == []

    await wait_until(none, description="no failed entry is left", timeout=30)


async def test_living_jobs_are_listed_by_state(manager_for: ManagerFor) -> None:
    """Section 1: `list_jobs` and `get_job` tell a job's state, per group and as a whole."""
    manager = await manager_for(clock=TravellingClock())
    queue = manager.get_queue("living")
    await queue.enqueue("delayed", job_id="delayed", start_delay=60, priority=2, metadata={"k": "v"})
    await queue.enqueue("unclaimed", job_id="unclaimed")
    assert [job.id for job in await queue.list_jobs("unclaimed")] == ["unclaimed"]
    gate = Gate()

    async def handler(job: Job[Any]) -> None:
        if job.data == "retrying":
            raise Retry(60)
        await gate(job)

    await queue.consume(handler, consumer_group="g", concurrency=1)
    await gate.calls(1)
    consumer = await queue.consume(Recorder(), consumer_group="quick")
    await consumer.stop()
    await queue.enqueue("retrying", job_id="retrying", priority=1)
    await queue.enqueue("pending", job_id="pending")
    found = {job.id: (job.state, job.groups) for job in await queue.list_jobs()}
    assert found == {
        "delayed": ("delayed", {}),
        "unclaimed": ("processing", {"g": "processing"}),
        "retrying": ("pending", {"g": "pending", "quick": "pending"}),
        "pending": ("pending", {"g": "pending", "quick": "pending"}),
    }
    details = await queue.get_job("delayed")
    assert details == JobDetails(
        id="delayed",
        data="delayed",
        state="delayed",
        priority=2,
        timestamp=datetime.fromtimestamp(START / 1000, UTC),
        metadata={"k": "v"},
        groups={},
    )
    assert await queue.get_job("unknown") is None
    gate.open()
    await settled_group(queue)
    assert [job.id for job in await queue.list_jobs("retrying")] == ["retrying"]


async def settled_group(queue: Queue[Any]) -> None:
    """Wait until group g has nothing but a retry."""

    async def rest() -> bool:
        group = (await queue.get_stats()).groups["g"]
        return (group.pending, group.processing, group.delayed) == (0, 0, 1)

    await wait_until(rest, description="only the retry is left", timeout=30)


async def test_jobs_are_listed_in_pages(manager_for: ManagerFor) -> None:
    """Section 1: the oldest first; `after` is the last id of the page before."""
    manager = await manager_for()
    queue = manager.get_queue("living")
    ids = [str(await queue.enqueue(n)) for n in range(7)]
    pages: list[str] = []
    after = None
    while page := await queue.list_jobs(limit=3, after=after):
        pages += [job.id for job in page]
        after = page[-1].id
    assert pages == ids


@pytest.mark.parametrize(
    "options",
    [
        {"state": "sleeping"},
        {"state": 7},
        {"state": ["pending"]},
        {"limit": 0},
        {"limit": 10_001},
        {"limit": "3"},
        {"after": "unknown"},
    ],
    ids=excerpt,
)
async def test_wrong_questions_are_refused(manager_for: ManagerFor, options: dict[str, Any]) -> None:
    """Section 1: with `InvalidArgumentError` that names the argument."""
    manager = await manager_for()
    queue = manager.get_queue("living")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        await queue.list_jobs(**options)
    if "limit" in options:
        with pytest.raises(InvalidArgumentError, match="limit"):
            await queue.list_failed(**options)
    await still_works(queue, recorder)
