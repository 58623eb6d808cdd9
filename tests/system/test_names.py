"""Names and ids (J1, X1)."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from checkmate_queue import InvalidArgumentError, Queue
from checkmate_queue.core.excerpt import excerpt
from tests.system.handlers import Recorder, settled, still_works
from tests.system.storages import ManagerFor

GOOD = [
    "a",
    " ",
    "health-checks:c1/s1.eu west",
    "ä€🙂",
    "x" * 512,
    "€" * 170,
    "'; DROP TABLE jobs; --",
    '"quoted" %s {0} \\',
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "*",
    "_%",
    "{tag}",
]

BAD: list[Any] = [
    "",
    "a\x00b",
    "a\nb",
    "\t",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\ud800",
    "x" * 513,
    "€" * 171,
    None,
    7,
    b"bytes",
    ["unhashable"],
    {},
]


@pytest.mark.parametrize("name", GOOD, ids=excerpt)
async def test_any_text_may_be_a_name(manager_for: ManagerFor, name: str) -> None:
    """J1: queue, group and job ids are any text without control characters, 1 to 512 bytes of UTF-8."""
    manager = await manager_for()
    queue = manager.get_queue(name)
    recorder = Recorder()
    consumer = await queue.consume(recorder, consumer_group=name)
    assert consumer.consumer_group == name
    assert await queue.enqueue(1, job_id=name) == name
    await recorder.calls(1)
    job = recorder.jobs[0]
    assert (job.id, job.queue, job.consumer_group) == (name, name, name)
    await settled(queue)
    assert list((await queue.get_stats()).groups) == [name]


@pytest.mark.parametrize("name", [*GOOD[:4], "x" * 480, *GOOD[6:]], ids=excerpt)
async def test_any_text_may_be_a_schedule_id(manager_for: ManagerFor, name: str) -> None:
    """J1, R3, R7: schedule ids are text of up to 480 bytes, and ids that begin alike don't touch."""
    manager = await manager_for()
    queue = manager.get_queue("schedules")
    for each in (name, name[:-1] + "~", "z"):
        await queue.schedule_recurring(each, 1, interval_seconds=60, start_delay=60)
    assert await queue.cancel_recurring(name)
    assert name not in await queue.list_recurring_jobs()
    assert len(await queue.list_recurring_jobs()) == len({name, name[:-1] + "~", "z"} - {name})


@pytest.mark.parametrize("name", BAD, ids=excerpt)
async def test_what_is_no_name_is_refused_everywhere(manager_for: ManagerFor, name: Any) -> None:
    """J1: a bad queue, group, job or schedule id raises `InvalidArgumentError`, and all goes on."""
    manager = await manager_for()
    queue = manager.get_queue("names")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: queue.consume(recorder, consumer_group=name),
        lambda: queue.schedule_recurring(name, 1, interval_seconds=60),
        lambda: queue.cancel_recurring(name),
        lambda: queue.get_recurring_job_details(name),
        lambda: queue.get_job(name),
        lambda: queue.cancel(name),
        lambda: queue.retry_failed(name),
        lambda: queue.drop_group(name),
        lambda: queue.rename_group(name, "new"),
        lambda: queue.rename_group("g", name),
    ]
    if name is not None:
        calls += [
            lambda: queue.enqueue(1, job_id=name),
            lambda: queue.enqueue_many([1], job_id=name),
            lambda: queue.retry_failed("x", name),
            lambda: queue.discard_failed(name),
            lambda: queue.discard_failed("x", name),
            lambda: queue.list_failed(name),
            lambda: queue.list_jobs(after=name),
        ]
    for call in calls:
        with pytest.raises(InvalidArgumentError):
            await call()
    with pytest.raises(InvalidArgumentError):
        manager.get_queue(name)
    with pytest.raises(InvalidArgumentError):
        queue.consumer(name)(recorder)
    await still_works(queue, recorder)


async def test_a_schedule_id_leaves_room_for_the_due_time(manager_for: ManagerFor) -> None:
    """J1: a schedule id has at most 480 bytes."""
    manager = await manager_for()
    queue = manager.get_queue("schedules")
    with pytest.raises(InvalidArgumentError, match="480"):
        await queue.schedule_recurring("x" * 481, 1, interval_seconds=60)
    assert await queue.list_recurring_jobs() == []


async def test_a_job_without_an_id_gets_a_uuid7(manager_for: ManagerFor) -> None:
    """J1: and each one its own, in the order of their making."""
    manager = await manager_for()
    queue = manager.get_queue("ids")
    ids = [await queue.enqueue(n) for n in range(20)] + await queue.enqueue_many(range(20))
    assert all(job_id.created for job_id in ids)
    assert {uuid.UUID(job_id).version for job_id in ids} == {7}
    assert len(set(ids)) == 40
    assert ids == sorted(ids)


async def test_an_id_of_a_subclass_of_str_counts_by_its_text(manager_for: ManagerFor) -> None:
    """J1: what is checked is what is stored, whatever `__str__` of the subclass says."""

    class Names(str, enum.Enum):  # noqa: UP042 - its __str__ is what this is about
        CHECK = "check"

    class Liar(str):
        def __str__(self) -> str:
            return "\x00"

    manager = await manager_for()
    queue: Queue[int] = manager.get_queue(Names.CHECK, int)
    assert queue.name == "check"
    assert queue is manager.get_queue("check")
    assert await queue.enqueue(1, job_id=Names.CHECK) == "check"
    assert await queue.enqueue(1, job_id=Liar("fine")) == "fine"
    assert sorted(job.id for job in await queue.list_jobs()) == ["check", "fine"]


async def test_bad_messages_say_what_was_wrong_and_what_would_be_right(manager_for: ManagerFor) -> None:
    """J1: the message names the argument, shows the value, and says what would do."""
    manager = await manager_for()
    queue = manager.get_queue("messages")
    with pytest.raises(
        InvalidArgumentError, match=r"job_id 'a\\nb' holds '\\n' at position 1.*without control"
    ):
        await queue.enqueue(1, job_id="a\nb")
    with pytest.raises(InvalidArgumentError, match="consumer_group must be 1 to 512 bytes of UTF-8, not 0"):
        await queue.consume(print, consumer_group="")
    with pytest.raises(ValueError, match="queue name must be a str, not int: 7"):
        manager.get_queue(7)  # type: ignore[call-overload]
