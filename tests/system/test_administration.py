"""What people ask and order from outside: lists of what there is, and a schedule's job at once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkmate_queue import ConfigError, InvalidArgumentError, Queue, QueueStoppedError, ScheduleError
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import Recorder
from tests.system.storages import Link, ManagerFor


async def test_queues_are_listed_by_name_and_looking_makes_none(manager_for: ManagerFor) -> None:
    manager = await manager_for()
    assert await manager.list_queues() == []
    queue = manager.get_queue("looked at")
    assert (await queue.get_stats()).pending == 0
    assert await queue.get_job("x") is None
    assert await queue.list_jobs() == []
    assert await queue.list_failed() == []
    assert await queue.list_recurring_jobs() == []
    assert await queue.get_recurring_job_details("x") is None
    assert await queue.list_groups() == []
    assert await queue.list_workers() == []
    assert not await queue.is_paused()
    assert await manager.list_queues() == []
    for name in ("zebra", "apple"):
        await manager.get_queue(name).enqueue(1)
    assert await manager.list_queues() == ["apple", "zebra"]
    assert [(name, s.unclaimed) for name, s in (await manager.get_all_stats()).items()] == [
        ("apple", 1),
        ("zebra", 1),
    ]


async def test_a_pause_is_seen(manager_for: ManagerFor) -> None:
    """L11."""
    queue = (await manager_for()).get_queue("q")
    await queue.pause()
    assert await queue.is_paused()
    await queue.resume()
    assert not await queue.is_paused()


async def test_groups_and_workers_are_listed(manager_for: ManagerFor) -> None:
    manager = await manager_for(lease_seconds=7, max_stalls=2)
    queue = manager.get_queue("q")
    before = datetime.now(UTC)
    kept = await queue.consume(Recorder(), consumer_group="kept")
    await queue.consume(Recorder(), consumer_group="passing", ephemeral=True)
    groups = {group.name: group for group in await queue.list_groups()}
    assert [(g.name, g.ephemeral, g.max_stalls, g.workers) for g in groups.values()] == [
        ("kept", False, 2, 1),
        ("passing", True, 2, 1),
    ]
    assert abs(groups["kept"].registered_at - before) < timedelta(seconds=60)
    (worker,) = await queue.list_workers()
    assert str(os.getpid()) in worker.worker.split(":")
    assert set(worker.consumer_groups) == {"kept", "passing"}
    assert before < worker.lease_expires_at < before + timedelta(seconds=67)
    assert worker.processing == 0
    await kept.stop()
    assert [(g.name, g.workers) for g in await queue.list_groups()] == [("kept", 0), ("passing", 1)]


async def test_a_worker_tells_what_it_did_with_its_heartbeat(manager_for: ManagerFor) -> None:
    queue = (await manager_for(lease_seconds=0.5)).get_queue("q")
    await queue.consume(Recorder(), consumer_group="g", concurrency=3)
    await queue.enqueue(1)

    async def told() -> bool:
        (worker,) = await queue.list_workers()
        return worker.report.get("groups") == {
            "g": {"running": 0, "completed": 1, "failed": 0, "concurrency": 3}
        }

    await wait_until(told, description="the heartbeat has told", timeout=20)


async def test_the_consumers_of_this_process_are_known(manager_for: ManagerFor) -> None:
    manager = await manager_for(start=False)
    queue = manager.get_queue("q")
    queue.consumer("declared")(Recorder())
    assert queue.declared_groups == ["declared"]
    assert queue.get_consumers() == []
    await manager.start()
    assert queue.declared_groups == []
    (consumer,) = queue.get_consumers()
    assert (consumer.queue, consumer.consumer_group) == ("q", "declared")
    assert consumer.last_contact_at is not None
    await consumer.stop()
    assert queue.get_consumers() == []


async def test_only_the_consumers_of_some_queues_may_be_started(manager_for: ManagerFor) -> None:
    manager = await manager_for(start=False)
    wanted, other = manager.get_queue("wanted"), manager.get_queue("other")
    for queue in (wanted, other):
        queue.consumer("g")(Recorder())
    await manager.start(queues=["wanted"])
    assert len(wanted.get_consumers()) == 1
    assert (other.get_consumers(), other.declared_groups) == ([], ["g"])


async def test_settings_may_be_replaced_before_the_start(manager_for: ManagerFor) -> None:
    manager = await manager_for(start=False, concurrency=3, lease_seconds=9)
    manager.configure(concurrency=2)
    config = manager.get_active_config()
    assert (config["concurrency"], config["lease_seconds"]) == (2, 9)
    with pytest.raises(ConfigError, match="concurrency"):
        manager.configure(concurrency=0)
    await manager.start()
    with pytest.raises(ConfigError, match="was started"):
        manager.configure(concurrency=4)


async def test_the_backend_is_probed_without_a_change(manager_for: ManagerFor) -> None:
    link = Link()
    manager = await manager_for(link=link)
    probe = await manager.probe_backend()
    assert abs(datetime.now(UTC) - probe.time) < timedelta(seconds=60)
    assert abs(probe.clock_offset_seconds) < 1
    assert 0 <= probe.round_trip_seconds < 60
    assert await manager.list_queues() == []


# -- a schedule's job at once ------------------------------------------------------------------------


async def test_a_recurring_job_runs_once_more_and_its_grid_stays(manager_for: ManagerFor) -> None:
    manager = await manager_for()
    queue = manager.get_queue("q")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await queue.schedule_recurring("tick", {"n": 1}, interval_seconds=3600, start_delay=1800, priority=7)
    before = await queue.get_recurring_job_details("tick")
    made = await queue.run_recurring_now("tick")
    assert made is not None
    assert made.startswith("tick:")
    await wait_until(lambda: recorder.jobs, description="the job has run")
    assert [(job.id, job.data, job.priority) for job in recorder.jobs] == [(made, {"n": 1}, 7)]
    after = await queue.get_recurring_job_details("tick")
    assert before is not None and after is not None
    assert after.next_run_at == before.next_run_at
    assert after.last_run_at is not None
    assert made == f"tick:{round(after.last_run_at.timestamp() * 1000)}"


async def test_a_run_is_held_back_while_an_earlier_one_has_not_started(manager_for: ManagerFor) -> None:
    """R5."""
    queue = (await manager_for()).get_queue("q")
    await queue.schedule_recurring("tick", 1, interval_seconds=3600, start_delay=1800)
    assert await queue.run_recurring_now("tick") is not None
    assert await queue.run_recurring_now("tick") is None
    assert len(await queue.list_jobs()) == 1
    await queue.schedule_recurring("all", 1, interval_seconds=3600, start_delay=1800, misfire="all")
    made = {await queue.run_recurring_now("all") for _ in range(2)}
    assert {job.id for job in await queue.list_jobs() if job.id.startswith("all:")} == made
    assert len(made) == 2


async def test_a_lost_answer_makes_no_second_run(manager_for: ManagerFor) -> None:
    """J10, for schedules."""
    link = Link()
    queue = (await manager_for(link=link)).get_queue("q")
    recorder = Recorder()
    await queue.schedule_recurring("tick", 1, interval_seconds=3600, start_delay=1800, misfire="all")
    await queue.consume(recorder, consumer_group="g")
    link.lose_answers("fire")
    made = await queue.run_recurring_now("tick")
    await wait_until(lambda: recorder.jobs, description="the job has run")
    await wait_until(lambda: _completed(queue), description="it is settled")
    assert [job.id for job in recorder.jobs] == [made]


async def _completed(queue: Queue[Any]) -> int:
    return (await queue.get_stats()).completed


async def test_only_a_schedule_that_exists_can_be_run(manager_for: ManagerFor) -> None:
    manager = await manager_for()
    queue = manager.get_queue("q")
    with pytest.raises(ScheduleError, match="'nobody'"):
        await queue.run_recurring_now("nobody")
    with pytest.raises(InvalidArgumentError):
        await queue.run_recurring_now("")
    await queue.stop()
    with pytest.raises(QueueStoppedError):
        await queue.run_recurring_now("nobody")
