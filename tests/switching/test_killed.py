"""The process that switches is killed with SIGKILL at every step: another one ends the switch (B6)."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from checkmate_queue import Enqueue, Job, QueueManager
from checkmate_queue.core.model import NewJob
from checkmate_queue.store import FencedError, Store
from checkmate_queue.testing.waiting import wait_until
from tests.servers.postgres import PostgresStorage
from tests.servers.redis_storage import RedisStorage

REPOSITORY = Path(__file__).parents[2]
ENDED_WITHIN = 30.0
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Place:
    """An empty backend."""

    plugin: str
    url: str
    config: dict[str, Any]

    def store(self) -> Store:
        """A store on it, not opened."""
        plugin = QueueManager(self.url).registry.get_plugin(self.plugin)
        return plugin.create_store(plugin.validate(self.config))


class Ground:
    """Makes places, and removes them."""

    def __init__(self, tmp_path: Path, postgres_url: str, redis: RedisStorage) -> None:
        self._path = tmp_path
        self._postgres = postgres_url
        self._redis = redis
        self._schemas: list[PostgresStorage] = []

    def place(self, engine: str) -> Place:
        """A new one of this engine."""
        name = f"killed_{uuid4().hex[:12]}"
        match engine:
            case "sqlite":
                path = str(self._path / f"{name}.db")
                return Place(engine, f"sqlite:///{path}", {"path": path})
            case "redis":
                config = {"url": self._redis.url, "prefix": f"{self._redis.prefix}:{name}"}
                return Place(engine, f"{config['url']}?prefix={config['prefix']}", config)
            case _:
                schema = PostgresStorage(self._postgres, name)
                self._schemas.append(schema)
                return Place(engine, schema.manager_url, {"url": self._postgres, "schema": name})

    async def destroy(self) -> None:
        """What the schemas' counters say is what their tables hold."""
        for schema in self._schemas:
            await schema.destroy()


@pytest.fixture
async def ground(tmp_path: Path, postgres_url: str, redis_storage: RedisStorage) -> AsyncIterator[Ground]:
    made = Ground(tmp_path, postgres_url, redis_storage)
    yield made
    await made.destroy()


async def switch(old: Place, new: Place, step: int) -> tuple[int, list[str]]:
    """Have a process switch that dies at a step; how it ended, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.switching.doomed", old.url, new.plugin, json.dumps(new.config)),
        f"{step}",
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode().split("\n")[:-1]


class Survivor:
    """Another process's part: it has put work there, runs a delivery meanwhile, and looks now and then."""

    def __init__(self, old: Place, new: Place) -> None:
        self.places = (old, new)
        self.manager = QueueManager(old.url)
        self.done: Counter[str] = Counter()
        self.running = asyncio.Event()
        self.go_on = asyncio.Event()

    async def handle(self, job: Job[Any]) -> None:
        """The first one goes on for as long as all this takes."""
        if job.id == "long":
            self.running.set()
            await self.go_on.wait()
        self.done[job.id] += 1

    async def begin(self) -> None:
        """Something of everything, and one delivery that runs."""
        await self.manager.start()
        queue = self.manager.get_queue("q")
        self.consumer = await queue.consume(self.handle, consumer_group="g", concurrency=1)
        await queue.enqueue("long", job_id="long")
        await self.running.wait()
        await queue.enqueue_many([Enqueue(number, job_id=f"{number}") for number in range(40)])
        await queue.enqueue("late", job_id="late", start_delay=1)
        await queue.schedule_recurring("s", {}, interval_seconds=3600, start_delay=3600)
        await self.manager.get_queue("other").enqueue("waits", job_id="waits")
        self.manager.start_polling(0.5)

    async def ends_it(self) -> None:
        """The switch is finished or undone, and a call that met the fence goes on."""
        adding = asyncio.create_task(self.manager.get_queue("q").enqueue("more", job_id="more"))

        async def has_ended() -> bool:
            return (await self.manager.get_backend_status()).phase == "active"

        await wait_until(has_ended, description="nothing is under way", timeout=ENDED_WITHIN)
        await adding

    async def accepting(self) -> list[str]:
        """The backends that take a job, in a queue that is known or one that is new, or have anything."""
        found = []
        for place in self.places:
            store = place.store()
            await store.open()
            if place is self.places[1] and not self.is_on_new() and await store.queues() == []:
                await store.close()
                continue  # It is as it was found: empty, and nobody's.
            for queue in ("q", f"new {uuid4().hex}"):
                try:
                    await store.register(queue)
                    await store.add(queue, [[NewJob("probe", b"{}")]])
                except FencedError:
                    continue
                await store.cancel(queue, "probe")
                found.append(place.url)
            await store.close()
        return found

    def is_on_new(self) -> bool:
        """Which of the two is active."""
        config = self.places[1].config
        name = {key: config[key] for key in ("path", "schema", "prefix") if key in config}
        return name.items() <= self.manager.get_active_config().items()

    async def everything_is_there(self) -> None:
        """It is handled, once, and what is not due yet waits."""
        assert await self.accepting() == [self.places[self.is_on_new()].url] * 2
        self.go_on.set()
        await wait_until(lambda: len(self.done) == 43, description="everything is done", timeout=20)
        assert set(self.done.values()) == {1}

        async def all_is_settled() -> bool:
            stats = await self.manager.get_queue("q").get_stats()
            return (stats.pending, stats.processing, stats.delayed, stats.completed) == (0, 0, 0, 43)

        await wait_until(all_is_settled, description="all is settled")
        assert await self.manager.get_queue("q").list_recurring_jobs() == ["s"]
        assert (await self.manager.get_queue("other").get_stats()).unclaimed == 1


async def walk(ground: Ground, first: str, second: str) -> None:
    """Each step on backends of its own, all at the same time."""
    survivor = Survivor(ground.place(first), ground.place(second))
    await survivor.begin()
    status, steps = await switch(*survivor.places, 0)
    assert status == 0
    await survivor.ends_it()
    await survivor.everything_is_there()
    await survivor.manager.shutdown()
    assert steps[0] == steps[-1] == "save_setting"
    assert {"receive", "fence", "export", "restore", "admit", "clear"} < set(steps)
    ended: Counter[str] = Counter()
    few = asyncio.Semaphore(AT_ONCE)

    async def die_at(step: int) -> None:
        survivor = Survivor(ground.place(first), ground.place(second))
        try:
            async with few:
                await survivor.begin()
                status, _ = await switch(*survivor.places, step)
            assert status == -signal.SIGKILL
            await survivor.ends_it()
            await survivor.everything_is_there()
            ended["new" if survivor.is_on_new() else "old"] += 1
        except BaseException as error:
            error.add_note(f"killed after {steps[step - 1]} (step {step} of {len(steps)})")
            raise
        finally:
            await survivor.manager.shutdown(timeout=1)

    answers = await asyncio.gather(*map(die_at, range(1, len(steps) + 1)), return_exceptions=True)
    if errors := [each for each in answers if isinstance(each, Exception)]:
        raise ExceptionGroup("steps that went wrong", errors)
    print(f"{first} to {second}: killed at each of {len(steps)} steps, ended on {dict(ended)}")


@pytest.mark.full
@pytest.mark.parametrize(
    ("first", "second"),
    [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "redis"), ("redis", "sqlite")],
)
async def test_kill_at_every_step(first: str, second: str, ground: Ground) -> None:
    """B6: finished or undone within 30 s; one backend accepts, and everything is in it."""
    await walk(ground, first, second)
