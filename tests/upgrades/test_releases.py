"""What earlier releases stored is read by this one (U1, U3)."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from checkmate_queue import ConfigError, Job, LagThresholds, QueueManager
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.waiting import wait_until
from tests.fixtures.make_release import FOLDER, QUEUE, UNCLAIMED

RELEASES = sorted(path.parent.name for path in FOLDER.glob("*/queue.db"))
HOUR = 3600


@pytest.fixture(params=RELEASES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a release has left."""
    copy = tmp_path / "queue.db"
    shutil.copy(FOLDER / request.param / "queue.db", copy)
    return copy


def test_there_is_a_release_to_read() -> None:
    assert "0.1.0" in RELEASES


async def test_everything_that_a_release_stored_is_there(file: Path) -> None:
    """U3: jobs with state, priority and metadata, failed entries, groups, schedules, counts, settings."""
    clock = TravellingClock()
    async with QueueManager(f"sqlite:///{file}", clock=clock) as manager:
        queue = manager.get_queue(QUEUE, dict[str, str])
        jobs = {job.id: (job.state, job.priority, job.data["kind"]) for job in await queue.list_jobs()}
        assert jobs == {
            "retried": ("retrying", 0, "retried"),
            "low": ("pending", -5, "low"),
            "high": ("pending", 5, "high"),
            "delayed": ("delayed", 0, "delayed"),
            "expiring": ("pending", 0, "expiring"),
        }
        stats = await queue.get_stats()
        assert (stats.completed, stats.failed, stats.pending, stats.delayed) == (2, 2, 6, 3)
        assert set(stats.groups) == {"workers", "audit"}
        failed = await queue.list_failed()
        assert {(entry.job_id, entry.consumer_group, entry.error_type) for entry in failed} == {
            ("failing", "workers", "Discard"),
            ("failing", "audit", "Discard"),
        }
        assert await queue.list_recurring_jobs() == ["cron", "every"]
        cron = await queue.get_recurring_job_details("cron")
        assert cron is not None
        assert (cron.cron_pattern, cron.timezone, cron.overlap) == ("0 12 * * *", "Europe/Berlin", False)
        assert (await queue.get_lag()).thresholds == LagThresholds(7, 70)
        assert (await manager.get_queue(UNCLAIMED).get_stats()).unclaimed == 1


async def test_what_a_release_stored_is_worked_on(file: Path) -> None:
    """U1: by priority, when due, for each group; failed entries can be retried."""
    clock = TravellingClock()
    clock.advance(2 * HOUR)
    seen: list[tuple[str, str]] = []

    async def handle(job: Job[dict[str, str]]) -> None:
        seen.append((job.consumer_group, job.data["kind"]))

    async with QueueManager(f"sqlite:///{file}", clock=clock) as manager:
        queue = manager.get_queue(QUEUE, dict[str, str])
        assert await queue.retry_failed("failing") == 2
        for group in ("workers", "audit"):
            queue.consumer(group, concurrency=1)(handle)
        await queue.start_declared()
        kinds = {"high", "low", "retried", "delayed", "failing", "every"}
        await wait_until(
            lambda: all(
                {kind for group, kind in seen if group == name} >= kinds for name in ("workers", "audit")
            ),
            description=f"both groups have run all of it: {seen}",
        )
    for name in ("workers", "audit"):
        order = [kind for group, kind in seen if group == name]
        assert order[0] == "high"
        assert order.index("low") > max(map(order.index, ("high", "retried", "delayed", "failing")))
        assert "expiring" not in order


async def test_a_newer_schema_is_refused_with_both_numbers(file: Path) -> None:
    """U1: an error that names the version found and the version known; the file stays as it was."""
    with sqlite3.connect(file) as connection:
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {known + 41}")
    connection.close()
    before = file.read_bytes()
    manager = QueueManager(f"sqlite:///{file}", patience_seconds=0.1)
    with pytest.raises(ConfigError, match=rf"{known + 41}.*{known}\b"):
        await manager.start()
    assert file.read_bytes() == before
