"""Recurring jobs through the public interface (R1 to R8)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from checkmate_queue import InvalidArgumentError, Job, Queue, ScheduleError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.testing.clock import START, TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works, travel
from tests.system.storages import Link, ManagerFor


def due_times(recorder: Recorder) -> list[float]:
    """When the occurrences were due, in seconds since the clock began, by their ids."""
    return [(int(job_id.rsplit(":", 1)[1]) - START) / 1000 for job_id in recorder.ids]


def at(seconds: float) -> datetime:
    """That many seconds after the clock began."""
    return datetime.fromtimestamp(START / 1000 + seconds, UTC)


async def test_an_interval_fires_on_a_fixed_grid(manager_for: ManagerFor) -> None:
    """R1, R3: at first + k · interval, without drift; ids are `<job_id>:<due time in ms>`."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("grid")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    assert await queue.schedule_recurring("s", {"n": 1}, interval_seconds=10, start_delay=3) == "s"
    for count, step in enumerate([3, 10.5, 9.5, 10.001], start=1):
        travel(clock, queue, step)
        await recorder.calls(count)
        await settled(queue)
    assert due_times(recorder) == [3, 13, 23, 33]
    assert recorder.ids[0] == f"s:{START + 3000}"
    assert recorder.data == [{"n": 1}] * 4


async def test_real_time_passes_as_well(manager_for: ManagerFor) -> None:
    """R1: on the engine's own clock, several schedules at once, none early."""
    manager = await manager_for()
    queue = manager.get_queue("real")
    recorder = Recorder()
    late: list[float] = []

    async def handler(job: Job[str]) -> None:
        due = int(job.id.rsplit(":", 1)[1])
        late.append(datetime.now(UTC).timestamp() * 1000 - due)
        await recorder(job)

    await queue.consume(handler, consumer_group="g")
    await queue.schedule_recurring("quick", "quick", interval_seconds=0.1)
    await queue.schedule_recurring("slow", "slow", interval_seconds=0.25)
    await wait_until(
        lambda: recorder.data.count("quick") >= 5 and recorder.data.count("slow") >= 2,
        description="both ran",
        timeout=PATIENCE,
    )
    assert min(late) >= -1
    times = [int(job.id.rsplit(":", 1)[1]) for job in recorder.jobs if job.data == "quick"]
    assert all((later - times[0]) % 100 == 0 for later in times)


async def test_any_group_fires_and_all_get_it(manager_for: ManagerFor) -> None:
    """R1, R3: many instances make one job for each due time, and every group gets it."""
    managers = [await manager_for(link=Link()) for _ in range(3)]
    queues = [manager.get_queue("shared") for manager in managers]
    recorders = [Recorder() for _ in range(3)]
    for index, (queue, recorder) in enumerate(zip(queues, recorders, strict=True)):
        await queue.consume(recorder, consumer_group="work" if index < 2 else "watch")
    await asyncio.gather(*(queue.schedule_recurring("s", 1, interval_seconds=0.1) for queue in queues))
    await recorders[2].calls(6)
    assert await queues[0].cancel_recurring("s")
    await settled(queues[0])
    worked = recorders[0].ids + recorders[1].ids
    assert sorted(worked) == sorted(set(worked))
    assert set(worked) == set(recorders[2].ids)
    assert len(recorders[2].ids) == len(set(recorders[2].ids))


async def test_cron_fires_in_its_zone(manager_for: ManagerFor) -> None:
    """R2: five fields or six with seconds first, in an IANA zone; the first match after the start delay."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("cron")
    for name, options in {
        "tokyo": {"cron_pattern": "30 9 * * *", "timezone": "Asia/Tokyo"},
        "seconds": {"cron_pattern": "15 * * * * *"},
        "names": {"cron_pattern": "0 12 * * MON"},
        "alias": {"cron_pattern": "@hourly", "start_delay": 1},
        "now": {"cron_pattern": "@hourly"},
        "later": {"cron_pattern": "0 8 * * *", "start_delay": timedelta(days=2)},
    }.items():
        await queue.schedule_recurring(name, name, **options)  # type: ignore[arg-type]
    next_runs = {}
    for name in await queue.list_recurring_jobs():
        details = await queue.get_recurring_job_details(name)
        assert details is not None
        next_runs[name] = details.next_run_at
    assert next_runs == {  # It is Friday, 2027-01-15T08:00:00Z.
        "tokyo": datetime(2027, 1, 16, 9, 30, tzinfo=ZoneInfo("Asia/Tokyo")),
        "seconds": datetime(2027, 1, 15, 8, 0, 15, tzinfo=UTC),
        "names": datetime(2027, 1, 18, 12, 0, tzinfo=UTC),
        "alias": datetime(2027, 1, 15, 9, 0, tzinfo=UTC),
        "now": datetime(2027, 1, 15, 8, 0, tzinfo=UTC),
        "later": datetime(2027, 1, 17, 8, 0, tzinfo=UTC),
    }
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(1)
    travel(clock, queue, 15)
    await recorder.calls(2)
    assert recorder.data == ["now", "seconds"]


@dataclass
class Check:
    names: frozenset[str]


@pytest.mark.parametrize("payload", ["json", "typed"])
async def test_the_same_definition_changes_nothing(manager_for: ManagerFor, payload: str) -> None:
    """R4: a hundred instances that start up make one schedule and one first run."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue: Queue[Any]
    if payload == "json":
        queue = manager.get_queue("same")
        forms: list[Any] = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    else:
        queue = manager.get_queue("same", Check)
        forms = [Check(frozenset({"x", "y", "z"})), Check(frozenset({"z", "y", "x"}))]
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await asyncio.gather(
        *(queue.schedule_recurring("s", forms[n % 2], interval_seconds=60) for n in range(100))
    )
    await recorder.calls(1)
    clock.advance(30)
    for form in forms:
        await queue.schedule_recurring("s", form, interval_seconds=60.0, start_delay=5)
    travel(clock, queue, 30)
    await recorder.calls(2)
    await settled(queue)
    assert due_times(recorder) == [0, 60]


@dataclass
class Site:
    name: str
    url: str = field(default="", compare=False)


@pytest.mark.parametrize(
    ("payload_type", "before", "after"),
    [
        (Any, {"flag": 1}, {"flag": True}),
        (Any, {"order": [1, 2]}, {"order": [2, 1]}),
        (Site, Site("a", "http://old"), Site("a", "http://new")),
    ],
)
async def test_a_change_that_equality_does_not_see_is_one(
    manager_for: ManagerFor, payload_type: Any, before: Any, after: Any
) -> None:
    """R4: what the handler would see is what counts."""
    manager = await manager_for(clock=TravellingClock())
    queue: Queue[Any] = manager.get_queue("changed", payload_type)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    for payload in (before, after):
        await queue.schedule_recurring("s", payload, interval_seconds=60, start_delay=60)
    await queue.run_recurring_now("s")
    await recorder.calls(1)
    assert repr(recorder.data) == repr([after])


@pytest.mark.parametrize(
    ("change", "next_at"),
    [
        ({"data": "new"}, 70),
        ({"priority": 5}, 70),
        ({"misfire": "skip"}, 70),
        ({"overlap": False}, 70),
        ({"interval_seconds": 60, "start_delay": 7}, 17),
        ({"interval_seconds": None, "cron_pattern": "30 * * * * *"}, 30),
        ({"timezone": "Europe/Berlin", "start_delay": 1}, 11),
    ],
    ids=excerpt,
)
async def test_another_definition_replaces_the_old_one(
    manager_for: ManagerFor, change: dict[str, Any], next_at: float
) -> None:
    """R4: jobs of the old one that wait go; what keeps the timing keeps the next due time."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("changed")
    gate = Gate()
    await queue.consume(gate, consumer_group="g", concurrency=1)
    await queue.enqueue("blocks")
    await gate.calls(1)
    definition: dict[str, Any] = {"data": "old", "interval_seconds": 70}
    await queue.schedule_recurring("s", **definition)

    async def waits() -> bool:
        return (await queue.get_stats()).pending == 1

    await wait_until(waits, description="the first run waits", timeout=PATIENCE)
    clock.advance(10)
    changed = {**definition, **change}
    await queue.schedule_recurring("s", **changed)
    stats = await queue.get_stats()
    assert (stats.pending, stats.cancelled) == (0, 1)
    details = await queue.get_recurring_job_details("s")
    assert details is not None
    assert details.next_run_at == at(next_at)
    for name in ("data", "priority", "misfire", "overlap", "interval_seconds", "cron_pattern", "timezone"):
        if name in changed:
            assert getattr(details, name) == changed[name]
    gate.open()


async def test_details_of_a_schedule(manager_for: ManagerFor) -> None:
    """Section 1: what was asked for, when it runs next, when it ran last and how that ended."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("details")
    await queue.schedule_recurring("s", [1], interval_seconds=60, start_delay=5, priority=-3)
    details = await queue.get_recurring_job_details("s")
    assert details is not None
    assert (details.job_id, details.data, details.interval_seconds, details.cron_pattern) == (
        "s",
        [1],
        60,
        None,
    )
    assert (details.timezone, details.priority, details.misfire, details.overlap) == (
        "UTC",
        -3,
        "coalesce",
        True,
    )
    assert (details.next_run_at, details.last_run_at, details.last_outcome) == (at(5), None, None)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    travel(clock, queue, 5)
    await recorder.calls(1)
    assert recorder.jobs[0].priority == -3
    await settled(queue)
    details = await queue.get_recurring_job_details("s")
    assert details is not None
    assert (details.next_run_at, details.last_run_at, details.last_outcome) == (at(65), at(5), "completed")
    assert await queue.get_recurring_job_details("unknown") is None
    assert (await queue.get_stats()).delayed == 0


async def test_schedules_are_listed(manager_for: ManagerFor) -> None:
    """Section 1: by queue and for all queues; more than fit in one step."""
    manager = await manager_for()
    queue, other = manager.get_queue("one"), manager.get_queue("two")
    assert await queue.list_recurring_jobs() == []
    ids = [f"s{n:04}" for n in range(1200)]
    await asyncio.gather(
        *(queue.schedule_recurring(name, 1, interval_seconds=60, start_delay=60) for name in ids)
    )
    await other.schedule_recurring("x", 1, interval_seconds=60, start_delay=60)
    assert await queue.list_recurring_jobs() == ids
    assert await manager.list_all_recurring_jobs() == {"one": ids, "two": ["x"]}


async def test_a_cancelled_schedule_is_gone(manager_for: ManagerFor) -> None:
    """R7: with its jobs that wait, and nothing else whose id begins alike; running ones finish."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("cancelled")
    gate = Gate()
    await queue.consume(gate, consumer_group="g", concurrency=1)
    await queue.schedule_recurring("s", "runs", interval_seconds=60)
    await gate.calls(1)
    travel(clock, queue, 60)
    for name in ("s:", "s:1", "s2", "S"):
        await queue.schedule_recurring(name, name, interval_seconds=600, start_delay=600)
    await queue.enqueue("a user's", job_id=f"s:{START + 60_000}", start_delay=1)

    async def waits() -> bool:
        return (await queue.get_stats()).pending == 1

    await wait_until(waits, description="the second run waits", timeout=PATIENCE)
    assert await queue.cancel_recurring("s") is True
    assert await queue.cancel_recurring("s") is False
    assert await queue.cancel_recurring("unknown") is False
    assert await queue.list_recurring_jobs() == ["S", "s2", "s:", "s:1"]
    assert await queue.get_recurring_job_details("s") is None
    gate.open()
    travel(clock, queue, 61)
    await gate.calls(2)
    await settled(queue)
    assert gate.data == ["runs", "a user's"]
    stats = await queue.get_stats()
    assert (stats.completed, stats.cancelled) == (2, 1)


WRONG: list[dict[str, Any]] = [
    {},
    {"interval_seconds": 60, "cron_pattern": "* * * * *"},
    {"interval_seconds": 0},
    {"interval_seconds": -1},
    {"interval_seconds": float("nan")},
    {"interval_seconds": float("inf")},
    {"interval_seconds": 1e-9},
    {"interval_seconds": "60"},
    {"interval_seconds": True},
    {"interval_seconds": timedelta.max},
    {"cron_pattern": ""},
    {"cron_pattern": "* * * *"},
    {"cron_pattern": "60 * * * *"},
    {"cron_pattern": "* * * * * * *"},
    {"cron_pattern": "not a pattern at all"},
    {"cron_pattern": "0 0 31 2 *"},
    {"cron_pattern": "@sometimes"},
    {"cron_pattern": "*" * 10_000},
    {"cron_pattern": 7},
    {"cron_pattern": ["* * * * *"]},
    {"cron_pattern": "* * * * *", "timezone": "Mars/Olympus"},
    {"cron_pattern": "* * * * *", "timezone": ""},
    {"cron_pattern": "* * * * *", "timezone": "../../etc/passwd"},
    {"cron_pattern": "* * * * *", "timezone": "CEST "},
    {"cron_pattern": "* * * * *", "timezone": None},
    {"cron_pattern": "* * * * *", "timezone": []},
    {"interval_seconds": 60, "timezone": "Mars/Olympus"},
    {"interval_seconds": 60, "misfire": "explode"},
    {"interval_seconds": 60, "misfire": None},
    {"interval_seconds": 60, "misfire": []},
    {"interval_seconds": 60, "overlap": "no"},
    {"interval_seconds": 60, "overlap": None},
]


@pytest.mark.parametrize("options", WRONG, ids=excerpt)
async def test_wrong_schedules_are_refused(manager_for: ManagerFor, options: dict[str, Any]) -> None:
    """R8: `ScheduleError`, and the old schedule stays and goes on."""
    clock = TravellingClock()
    manager = await manager_for(clock=clock)
    queue = manager.get_queue("wrong")
    await queue.schedule_recurring("s", "old", interval_seconds=60, start_delay=60)
    before = await queue.get_recurring_job_details("s")
    for name in ("s", "new"):
        with pytest.raises(ScheduleError):
            await queue.schedule_recurring(name, "new", **options)
    assert await queue.list_recurring_jobs() == ["s"]
    assert await queue.get_recurring_job_details("s") == before
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    travel(clock, queue, 60)
    await recorder.calls(1)
    assert recorder.data == ["old"]


async def test_a_wrong_schedule_says_what_would_be_right(manager_for: ManagerFor) -> None:
    """R8: each message shows the value and an example."""
    manager = await manager_for()
    queue = manager.get_queue("wrong")
    with pytest.raises(ScheduleError, match="exactly one of interval_seconds and cron_pattern"):
        await queue.schedule_recurring("s", 1)
    with pytest.raises(ScheduleError, match=r"'60 \* \* \* \*'.*must have 5 fields"):
        await queue.schedule_recurring("s", 1, cron_pattern="60 * * * *")
    with pytest.raises(ScheduleError, match=r"'Mars/Olympus'.*'Europe/Berlin'"):
        await queue.schedule_recurring("s", 1, cron_pattern="@daily", timezone="Mars/Olympus")
    with pytest.raises(ScheduleError, match=r"misfire is 'explode'.*'coalesce', 'skip' or 'all'"):
        await queue.schedule_recurring("s", 1, interval_seconds=1, misfire="explode")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="priority"):
        await queue.schedule_recurring("s", 1, interval_seconds=1, priority=2**31)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)
