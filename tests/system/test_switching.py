"""Changing the backend while everything runs, through the public interface (section 7)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from checkmate_queue import (
    BackendSwitched,
    BackendSwitchError,
    BackendUnavailableError,
    ConfigError,
    Job,
    PluginNotFoundError,
    QueueError,
    QueueManager,
    SwitchProgressed,
)
from checkmate_queue.testing.waiting import wait_until
from tests.servers.postgres import PostgresStorage
from tests.servers.redis_storage import RedisStorage
from tests.system.places import Places

PRODUCERS = 3

Started = Callable[..., Awaitable[QueueManager]]


MakePlaces = Callable[[str], Places]


@pytest.fixture
async def make_places(
    tmp_path: Path, redis_storage: RedisStorage, postgres_storage: PostgresStorage
) -> AsyncIterator[MakePlaces]:
    made: list[Places] = []

    def make(kind: str) -> Places:
        made.append(Places(kind, tmp_path, redis_storage, postgres_storage))
        return made[-1]

    yield make
    for places in made:
        await places.destroy()


@pytest.fixture
async def started(make_places: MakePlaces) -> AsyncIterator[Started]:
    """Makes managers, and shuts them down before the servers are emptied; nothing may be left behind (L1)."""
    managers: list[QueueManager] = []

    async def make(url: str, **settings: Any) -> QueueManager:
        manager = QueueManager(url, **settings)
        managers.append(manager)
        await manager.start()
        return manager

    threads = set(threading.enumerate())
    yield make
    for manager in managers:
        await manager.shutdown(timeout=1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await wait_until(
        lambda: not [t for t in set(threading.enumerate()) - threads if "asyncio" not in t.name],
        description="no thread is left",
    )


@pytest.fixture(params=["sqlite", "redis", pytest.param("postgres", marks=pytest.mark.full)])
def places(request: pytest.FixtureRequest, make_places: MakePlaces) -> Places:
    return make_places(request.param)


class Work:
    """A queue at work: producers, a handler that runs for long, and what was done how often."""

    def __init__(self, manager: QueueManager) -> None:
        self.queue = manager.get_queue("q")
        self.done: Counter[str] = Counter()
        self.events: list[object] = []
        self.began, self.go_on, self.stopping = asyncio.Event(), asyncio.Event(), asyncio.Event()
        manager.on(BackendSwitched, self.events.append)
        manager.on(SwitchProgressed, self.events.append)

    async def handle(self, job: Job[Any]) -> None:
        if job.data == "long":
            self.began.set()
            await self.go_on.wait()
            await self.queue.enqueue("child", job_id="child")
        self.done[job.id] += 1

    async def produce(self, name: str) -> int:
        count = 0
        while not self.stopping.is_set():
            await wait_until(
                partial(self._done_more_than, PRODUCERS * count - 500), description="jobs are done"
            )
            await self.queue.enqueue(name, job_id=f"{name}:{count}")
            count += 1
        return count

    def _done_more_than(self, number: int) -> bool:
        return self.done.total() > number

    async def begin(self) -> list[asyncio.Task[int]]:
        """Consume, with one delivery that runs on, and produce."""
        await self.queue.consume(self.handle, consumer_group="g", concurrency=3)
        await self.queue.schedule_recurring("often", {}, interval_seconds=3600, start_delay=3600)
        await self.queue.enqueue("later", start_delay=3600, job_id="later")
        await self.queue.enqueue("long", job_id="long")
        await self.began.wait()
        return [asyncio.create_task(self.produce(f"{number}")) for number in range(PRODUCERS)]

    async def more_is_done(self) -> None:
        """Wait until it goes on."""
        before = self.done.total()
        await wait_until(lambda: self.done.total() > before + 20, description="jobs are done")


@pytest.mark.parametrize("first", ["memory", "sqlite", "redis"])
async def test_everything_goes_on(
    first: str, places: Places, make_places: MakePlaces, started: Started
) -> None:
    """B2, B3, B4: queues and consumers from before, a delivery that runs, and handlers that enqueue."""
    manager = await started("memory://" if first == "memory" else make_places(first).url("old"))
    work = Work(manager)
    producers = await work.begin()
    await work.more_is_done()
    result = await manager.set_active_backend(places.kind, places.config("new"))
    assert (result.success, result.migrated_recurring_jobs) == (True, 1)
    assert result.migrated_jobs >= 2
    assert result.warnings
    await work.more_is_done()
    work.go_on.set()
    work.stopping.set()
    expected = sum(await asyncio.gather(*producers)) + 2
    await wait_until(lambda: work.done.total() == expected, description="all jobs are done")
    assert set(work.done.values()) == {1}
    await work.queue.stop()
    stats = await manager.get_queue("q").get_stats()
    assert (stats.completed, stats.delayed, stats.pending) == (expected, 1, 0)
    assert await manager.get_queue("q").list_recurring_jobs() == ["often"]
    assert manager.get_active_plugin() == places.kind
    assert places.are(manager.get_active_config(), "new")
    assert work.events[-1] == BackendSwitched("", places.kind, 2)
    assert any(isinstance(event, SwitchProgressed) for event in work.events)


async def test_other_processes_follow(started: Started, places: Places) -> None:
    """B3, B5: one that works meets the fence, one that only looks polls, and one that comes later too."""
    first, second = [await started(places.url("old")) for _ in range(2)]
    done: list[str] = []

    async def handle(job: Job[Any]) -> None:
        done.append(job.id)

    await second.get_queue("q").consume(handle, consumer_group="g")
    looking = await started(places.url("old"))
    looking.start_polling(0.05)
    await first.set_active_backend(places.kind, places.config("new"))
    await first.get_queue("q").enqueue(1, job_id="a")
    await wait_until(lambda: done == ["a"], description="the other process has done it")
    await wait_until(
        lambda: places.are(looking.get_active_config(), "new"), description="the third one sees it"
    )
    later = await started(places.url("old"))
    assert places.are(later.get_active_config(), "new")
    await later.get_queue("other").enqueue(2, job_id="b")
    assert await first.list_queues() == ["other", "q"]


async def test_fence_leads_to_the_settings(started: Started, places: Places) -> None:
    """B3: one that was started with a later backend's URL follows the next switch all the same."""
    first = await started(places.url("a"))
    await first.get_queue("q").enqueue(1, job_id="1")
    await first.set_active_backend(places.kind, places.config("b"))
    stranger = await started(places.url("b"))
    await stranger.get_queue("q").enqueue(2, job_id="2")
    await first.set_active_backend(places.kind, places.config("c"))
    await stranger.get_queue("q").enqueue(3, job_id="3")
    assert places.are(stranger.get_active_config(), "c")
    assert (await first.get_queue("q").get_stats()).unclaimed == 3
    await first.set_active_backend(places.kind, places.config("b"))
    await stranger.get_queue("q").enqueue(4, job_id="4")
    assert places.are(stranger.get_active_config(), "b")
    assert (await first.get_queue("q").get_stats()).unclaimed == 4


async def test_refused_switches_change_nothing(started: Started, places: Places, tmp_path: Path) -> None:
    """B1: an unknown plugin, a wrong config, no connection, a target that is not empty or too small."""
    manager = await started(places.url("old"))
    queue = manager.get_queue("q")
    await queue.enqueue_many(range(5))
    full = await started(places.url("full"))
    await full.get_queue("theirs").enqueue(1)
    before = await places.setting("old")
    refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (PluginNotFoundError, "nowhere", {}),
        (ConfigError, "sqlite", {}),
        (ConfigError, "memory", {"odd": 1}),
        (ConfigError, "sqlite", {"path": str(tmp_path)}),
        (BackendSwitchError, places.kind, places.config("full")),
        (BackendSwitchError, "memory", {"max_queue_size": 4}),
    ]
    for error, plugin, values in refused:
        for call in (manager.set_active_backend, manager.preview_switch):
            with pytest.raises(error):
                await call(plugin, values)
    assert await places.setting("old") == before
    assert places.are(manager.get_active_config(), "old")
    assert (await queue.get_stats()).unclaimed == 5


@pytest.mark.parametrize(
    ("plugin", "config"),
    [
        ("redis", {"url": "redis://:s3cret@127.0.0.1:1/0"}),
        ("redis", {"url": "redis://127.0.0.1:1/0", "password": "s3cret"}),
        ("postgres", {"url": "postgresql://me:s3cret@127.0.0.1:1/db"}),
        ("postgres", {"url": "postgresql://me@127.0.0.1:1/db", "password": "s3cret"}),
    ],
)
async def test_backend_that_is_not_there_changes_nothing(
    plugin: str, config: dict[str, Any], started: Started, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B1, L6: the error has host and port, and no secret."""
    monkeypatch.setenv("CHECKMATE_QUEUE_SECRET_KEY", Fernet.generate_key().decode())
    manager = await started(places.url("old"))
    await manager.get_queue("q").enqueue(1)
    before = await places.setting("old")
    for call in (manager.set_active_backend, manager.preview_switch):
        with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1:1\b") as caught:
            await call(plugin, {**config, "patience_seconds": 0.1})
        assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert await places.setting("old") == before
    assert (await manager.get_queue("q").get_stats()).unclaimed == 1


@pytest.mark.parametrize(
    ("plugin", "url"),
    [("redis", "redis://:s3cret@host:1/0"), ("postgres", "postgresql://me:s3cret@host:1/db")],
)
def test_password_of_an_address_is_a_secret(plugin: str, url: str) -> None:
    """L6: however it came, it is redacted and sealed like one."""
    registry = QueueManager("memory://").registry
    config = registry.get_plugin(plugin).validate({"url": url})
    assert config.password.get_secret_value() == "s3cret"
    assert "s3cret" not in f"{config!r}"


async def test_preview_tells_the_same_and_moves_nothing(started: Started, places: Places) -> None:
    """B7."""
    manager = await started(places.url("old"))
    queue = manager.get_queue("q")
    await queue.enqueue_many(range(5))
    await queue.schedule_recurring("s", {}, interval_seconds=60, start_delay=60)
    before = await places.setting("old")
    preview = await manager.preview_switch(places.kind, places.config("new"))
    assert (preview.migrated_jobs, preview.migrated_recurring_jobs) == (5, 1)
    assert await places.setting("old") == before
    result = await manager.set_active_backend(places.kind, places.config("new"))
    assert (result.migrated_jobs, result.migrated_recurring_jobs, result.warnings) == (5, 1, ())


async def test_config_of_the_same_storage(started: Started, places: Places) -> None:
    """B1: nothing moves; the config is another one, for those that start later too."""
    manager = await started(places.url("old"))
    await manager.get_queue("q").enqueue(1)
    values = {**places.config("old"), "concurrency": 3}
    result = await manager.set_active_backend(places.kind, values)
    assert (result.migrated_jobs, result.warnings) == (0, ())
    assert manager.get_active_config()["concurrency"] == 3
    assert (await started(places.url("old"))).get_active_config()["concurrency"] == 3
    assert (await manager.get_queue("q").get_stats()).unclaimed == 1


@pytest.mark.parametrize("kind", ["redis", pytest.param("postgres", marks=pytest.mark.full)])
async def test_config_that_the_same_storage_refuses(
    kind: str, make_places: MakePlaces, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B1: a password that is wrong changes nothing, or nobody could follow."""
    monkeypatch.setenv("CHECKMATE_QUEUE_SECRET_KEY", Fernet.generate_key().decode())
    places = make_places(kind)
    manager = await started(places.url("old"))
    await manager.get_queue("q").enqueue(1)
    before = await places.setting("old")
    config = places.config("old")
    scheme, _, rest = config["url"].partition("://")
    wrong = {**config, "url": f"{scheme}://nobody@{rest.rpartition('@')[2]}", "password": "s3cret"}
    for call in (manager.set_active_backend, manager.preview_switch):
        with pytest.raises(QueueError) as caught:
            await call(kind, {**wrong, "patience_seconds": 0.1})
        assert "s3cret" not in f"{caught.value!r}"
    assert await places.setting("old") == before
    assert (await manager.get_queue("q").get_stats()).unclaimed == 1


async def test_two_switches_at_once(started: Started, places: Places) -> None:
    """B6: they end on one backend, and the second is refused or follows."""
    first, second = [await started(places.url("old")) for _ in range(2)]
    await first.get_queue("q").enqueue_many(range(300))
    answers = await asyncio.gather(
        first.set_active_backend(places.kind, places.config("one")),
        second.set_active_backend(places.kind, places.config("two")),
        return_exceptions=True,
    )
    assert [each for each in answers if not isinstance(each, BackendSwitchError)]
    assert not [e for e in answers if isinstance(e, Exception) and not isinstance(e, BackendSwitchError)]
    for manager in (first, second):
        await manager.get_queue("q").enqueue(0)
    for manager in (first, second):
        assert (await manager.get_queue("q").get_stats()).unclaimed == 302
    assert first.get_active_config() == second.get_active_config()


async def test_handler_may_switch(started: Started, places: Places) -> None:
    """B2: nothing waits for it."""
    manager = await started(places.url("old"))
    done: list[str] = []

    async def handle(job: Job[Any]) -> None:
        await manager.set_active_backend(places.kind, places.config("new"))
        done.append(job.id)

    queue = manager.get_queue("q")
    await queue.consume(handle, consumer_group="g")
    await queue.enqueue(1, job_id="a")
    await wait_until(lambda: done == ["a"], description="it is done")
    await queue.stop()
    assert (await manager.get_queue("q").get_stats()).completed == 1
