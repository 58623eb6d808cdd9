"""What a process that did not switch itself notices: it follows, with reads too, and adopts the config."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from checkmate_queue import (
    BackendUnavailableError,
    ConfigError,
    Job,
    LeaseLost,
    PayloadError,
    QueueFullError,
    QueueManager,
    Retry,
    SwitchProgressed,
)
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.moving import MovedRetry
from checkmate_queue.switching.document import parse
from checkmate_queue.switching.mover import Mover
from checkmate_queue.switching.settings import BACKEND_KEY
from checkmate_queue.testing.waiting import wait_until

Started = Callable[..., Awaitable[QueueManager]]


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    """Makes managers that look at the settings only when they must, and shuts them down."""
    managers: list[QueueManager] = []

    async def make(*urls: str, **options: Any) -> QueueManager:
        manager = QueueManager(*urls, **options)
        managers.append(manager)
        await manager.start()
        manager.stop_polling()
        return manager

    yield make
    for manager in managers:
        await manager.shutdown(timeout=1)


def url(tmp_path: Path, name: str) -> str:
    return f"sqlite:///{tmp_path / name}.db"


def config(tmp_path: Path, name: str, **settings: Any) -> dict[str, Any]:
    return {"path": str(tmp_path / f"{name}.db"), **settings}


async def active_in(tmp_path: Path, name: str) -> object:
    """Which file is active according to the settings in this one; None where it has none."""
    store = SqliteStore(tmp_path / f"{name}.db")
    await store.open()
    try:
        setting = await store.load_setting(BACKEND_KEY)
        return setting and Path(parse(setting.value).active.values["path"]).stem
    finally:
        await store.close()


async def test_settings_named_outright(started: Started, tmp_path: Path) -> None:
    """B3, B5: they stay where they are, and the backends hold none; URLs of before lead to the active one."""
    home = url(tmp_path, "home")
    first = await started(url(tmp_path, "a"), settings=home)
    second = await started(url(tmp_path, "a"), settings=home)
    await first.get_queue("q").enqueue(1)
    await first.set_active_backend("sqlite", config(tmp_path, "b"))
    await second.get_queue("q").enqueue(2)
    await second.set_active_backend("sqlite", config(tmp_path, "c"))
    await first.get_queue("q").enqueue(3)
    later = await started(url(tmp_path, "a"), settings=home)
    alone = await started(settings=home)
    for manager in (first, second, later, alone):
        assert manager.get_active_config()["path"] == str(tmp_path / "c.db")
        assert (await manager.get_queue("q").get_stats()).unclaimed == 3
    assert [await active_in(tmp_path, name) for name in ("home", "a", "b", "c")] == ["c", None, None, None]


async def test_fence_of_settings_elsewhere_is_followed(started: Started, tmp_path: Path) -> None:
    """B3: by one that was started with a backend's URL alone, running or started later."""
    first = await started(url(tmp_path, "a"), settings=url(tmp_path, "home"))
    stranger = await started(url(tmp_path, "a"))
    await stranger.get_queue("q").enqueue(1)
    await first.set_active_backend("sqlite", config(tmp_path, "b"))
    await stranger.get_queue("q").enqueue(2)
    later = await started(url(tmp_path, "a"))
    await later.get_queue("q").enqueue(3)
    for manager in (stranger, later):
        assert manager.get_active_config()["path"] == str(tmp_path / "b.db")
        assert (await manager.get_queue("q").get_stats()).unclaimed == 3


async def test_settings_alone_name_the_backend_too(started: Started, tmp_path: Path) -> None:
    """B3: until the first switch it is where they are."""
    manager = await started(settings=url(tmp_path, "home"), concurrency=3)
    await manager.get_queue("q").enqueue(1)
    assert manager.get_active_config()["path"] == str(tmp_path / "home.db")
    assert manager.get_active_config()["concurrency"] == 3


def test_a_manager_needs_a_url() -> None:
    """B3: of one or the other."""
    with pytest.raises(ConfigError, match="needs the URL"):
        QueueManager()


async def test_reads_follow(started: Started, tmp_path: Path) -> None:
    """B5: statistics, lists and details are those of the active backend, though nobody polls or writes."""
    first, reader = [await started(url(tmp_path, "a")) for _ in range(2)]
    queue = first.get_queue("q")
    await queue.enqueue_many(range(3))
    seen = reader.get_queue("q")
    assert (await seen.get_stats()).unclaimed == 3
    await first.set_active_backend("sqlite", config(tmp_path, "b"))
    await queue.enqueue(3, job_id="new")
    assert (await seen.get_stats()).unclaimed == 4
    await first.set_active_backend("sqlite", config(tmp_path, "a"))
    assert len(await seen.list_jobs("unclaimed")) == 4
    await first.set_active_backend("sqlite", config(tmp_path, "c"))
    assert await seen.get_job("new") is not None
    await first.set_active_backend("sqlite", config(tmp_path, "d"))
    assert await reader.list_queues() == ["q"]
    assert reader.get_active_config()["path"] == str(tmp_path / "d.db")


async def test_worker_that_saw_nothing_of_a_move_away_and_back(started: Started, tmp_path: Path) -> None:
    """B2, B4: what it runs is settled there, once; no lease is lost."""
    first, worker = [await started(url(tmp_path, "a")) for _ in range(2)]
    began, go_on = asyncio.Event(), asyncio.Event()
    runs: list[str] = []
    lost: list[LeaseLost] = []

    async def handle(job: Job[Any]) -> None:
        runs.append(job.id)
        began.set()
        await go_on.wait()

    worker.on(LeaseLost, lost.append)
    await worker.get_queue("q").consume(handle, consumer_group="g")
    await first.get_queue("q").enqueue(1, job_id="long")
    await began.wait()
    assert worker._backends is not None
    async with worker._backends._following:  # It may meet fences, but is too slow to look where they lead.
        for name in ("b", "a"):
            await first.set_active_backend("sqlite", config(tmp_path, name))
    await first.get_queue("q").enqueue(2, job_id="short")
    await wait_until(lambda: runs == ["long", "short"], description="the worker goes on")
    go_on.set()

    async def all_is_settled() -> bool:
        return (await first.get_queue("q").get_stats()).completed == 2

    await wait_until(all_is_settled, description="all is settled")
    assert (runs, lost) == (["long", "short"], [])


async def test_switch_back_that_is_undone_opens_nothing(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: one who never heard of the switch away must not find the old backend open."""
    first, asleep = [await started(url(tmp_path, "a")) for _ in range(2)]
    await asleep.get_queue("q").enqueue(1, job_id="1")
    await first.set_active_backend("sqlite", config(tmp_path, "b"))
    with monkeypatch.context() as context, pytest.raises(BackendUnavailableError):
        context.setattr(Mover, "_copy_queue", AsyncMock(side_effect=BackendUnavailableError("full disk")))
        await first.set_active_backend("sqlite", config(tmp_path, "a"))
    for name in ("q", "new"):
        await asleep.get_queue(name).enqueue(2, job_id="2")
        assert await first.get_queue(name).get_job("2") is not None
    assert asleep.get_active_config()["path"] == str(tmp_path / "b.db")


async def test_concurrency_changes_under_running_consumers(started: Started, tmp_path: Path) -> None:
    """B1, G10: up and down, in this process and in others; a consumer's own stays."""
    manager, other = [await started(url(tmp_path, "a"), concurrency=1) for _ in range(2)]
    queue = other.get_queue("q")
    gate = asyncio.Semaphore(0)
    running = {"g": 0, "own": 0}

    def counting(group: str) -> Callable[[Job[Any]], Awaitable[None]]:
        async def handle(job: Job[Any]) -> None:
            running[group] += 1
            await gate.acquire()
            running[group] -= 1

        return handle

    await queue.consume(counting("g"), consumer_group="g")
    await queue.consume(counting("own"), consumer_group="own", concurrency=2)
    await queue.enqueue_many(range(12))
    await wait_until(lambda: running == {"g": 1, "own": 2}, description="they run")
    await manager.set_active_backend("sqlite", config(tmp_path, "a", concurrency=4))
    assert (await other.get_queue("q").get_stats()).processing in (3, 6)
    await wait_until(lambda: running == {"g": 4, "own": 2}, description="more run")
    await manager.set_active_backend("sqlite", config(tmp_path, "a", concurrency=2))
    await other.get_queue("q").get_stats()
    for _ in range(6):
        gate.release()
    await wait_until(lambda: running == {"g": 2, "own": 2}, description="fewer run")
    for _ in range(24):
        gate.release()
    await wait_until(lambda: running == {"g": 0, "own": 0}, description="all are done")


async def test_progress_counts_jobs(started: Started, tmp_path: Path) -> None:
    """B7: not deliveries, of which there are as many as groups."""
    manager = await started(url(tmp_path, "a"))
    queue = manager.get_queue("q")
    for group in ("g", "h"):
        await (await queue.consume(print, consumer_group=group)).stop()
    await queue.enqueue_many(range(3))
    await queue.enqueue(3, start_delay=60)
    events: list[SwitchProgressed] = []
    manager.on(SwitchProgressed, events.append)
    await manager.set_active_backend("sqlite", config(tmp_path, "b"))
    await wait_until(lambda: bool(events) and events[-1].step == "finish", description="it is told")
    assert {event.total for event in events} == {4}
    assert events[-1].jobs == 4


async def test_settings_reach_a_running_process(started: Started, tmp_path: Path) -> None:
    """B1, L9, J6: payloads, delays and retries go by the config that holds; a lease by that of its join."""
    manager = await started("memory://", delay_multiplier=0.001, lease_seconds=40, max_payload_bytes=10)
    failed = asyncio.Event()

    async def handle(job: Job[Any]) -> None:
        failed.set()
        raise Retry(delay=60)

    queue = manager.get_queue("q")
    await queue.consume(handle, consumer_group="g")
    with pytest.raises(PayloadError):
        await queue.enqueue("x" * 20)
    await manager.set_active_backend("sqlite", config(tmp_path, "a", lease_seconds=20))
    await queue.enqueue("x" * 20, start_delay=60, job_id="later")
    await queue.enqueue("x" * 20, job_id="soon")
    await failed.wait()
    later = await queue.get_job("later")
    assert later is not None
    store = SqliteStore(tmp_path / "a.db")
    await store.open()

    async def retries_later() -> bool:
        jobs = await store.jobs("q")
        return [(each.id, each.state) for each in jobs] == [("later", "delayed"), ("soon", "retrying")]

    try:
        await wait_until(retries_later, description="it waits for its retry")
        (record,) = await store.jobs("q", "delayed")
        assert record.due_at is not None
        assert record.due_at - record.enqueued_at >= 60_000
        (retry,) = [each for each in (await store.export("q")).records if isinstance(each, MovedRetry)]
        assert retry.due_at - record.enqueued_at > 50_000
    finally:
        await store.close()
    runtime = manager._runtime
    assert runtime is not None
    (worker,) = runtime.heart._due
    assert worker.beat_seconds == 40 / 3  # Of the lease that it has.
    await queue.consume(handle, consumer_group="h")
    assert worker.beat_seconds == 20 / 3
    await manager.set_active_backend("sqlite", config(tmp_path, "a", max_block_seconds=7))
    assert runtime.heart.max_block_seconds == 7


async def test_limits_of_the_memory_change_too(started: Started, tmp_path: Path) -> None:
    """B1, J8: at once, and when it is switched to again."""
    manager = await started("memory://", max_queue_size=2)
    queue = manager.get_queue("q")
    for most in (2, 4, 6):
        await queue.enqueue_many(range(2))
        with pytest.raises(QueueFullError, match=f"max: {most}"):
            await queue.enqueue(0)
        if most == 4:
            await manager.set_active_backend("sqlite", config(tmp_path, "a"))
        await manager.set_active_backend("memory", {"max_queue_size": most + 2})


async def test_limits_change_while_everything_runs(started: Started, tmp_path: Path) -> None:
    """B1, J8: the engine keeps to the new ones, in every process that knows of them."""
    manager, other = [await started(url(tmp_path, "a")) for _ in range(2)]
    await manager.get_queue("q").enqueue_many(range(3))
    await manager.set_active_backend("sqlite", config(tmp_path, "a", max_queue_size=4))
    await other.get_queue("q").get_stats()
    await other.get_queue("q").enqueue(3)
    for each in (manager, other):
        with pytest.raises(QueueFullError, match="max: 4"):
            await each.get_queue("q").enqueue(4)
    await manager.set_active_backend("sqlite", config(tmp_path, "a"))
    await manager.get_queue("q").enqueue(4)
    assert (await manager.get_queue("q").get_stats()).unclaimed == 5
