"""A switch, step by step, between two stores (B1, B2, B3, B6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.plugin import QueuePluginRegistry
from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.errors import BackendSwitchError, BackendUnavailableError
from checkmate_queue.core.model import GroupJoin, NewJob
from checkmate_queue.moving import MovableStore
from checkmate_queue.store import FencedError
from checkmate_queue.switching.document import Document, StoredConfig
from checkmate_queue.switching.mover import Mover, Progress
from checkmate_queue.switching.settings import BACKEND_KEY, BackendSettings
from tests.servers.redis_storage import RedisStorage

OLD, NEW, HOME = (StoredConfig(name, 1, {}) for name in ("old", "new", "home"))
NAMES = [f"{number}" for number in range(2500)]


class Killed(BaseException):
    """The process ends here: nothing of it runs any more."""


class Counting:
    """A store whose nth call is the last thing that its process does, or the first that it does not."""

    def __init__(self, store: object, world: World) -> None:
        self._store = store
        self._world = world

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        async def call(*args: Any) -> Any:
            self._world.count(name, before=True)
            answer = await verb(*args)
            self._world.count(name, before=False)
            return answer

        return call


class World:
    """Two backends and the settings, as several processes see them."""

    def __init__(self, old: MovableStore, new: MovableStore) -> None:
        self.stores = {"old": old, "new": new}
        self.settings_store = MemoryStore()
        self.settings = BackendSettings(self.settings_store, QueuePluginRegistry())
        self.kill_at = -1
        self.done: list[str] = []

    def count(self, name: str, *, before: bool) -> None:
        """Called before and after each call of a process that may be killed."""
        if len(self.done) == self.kill_at:
            raise Killed
        self.done.append(f"{'before' if before else 'after'} {name}")

    def mover(self, *, mortal: bool = False, report: Callable[[Progress], None] | None = None) -> Mover:
        """A process that switches."""

        @asynccontextmanager
        async def opened(config: StoredConfig) -> AsyncIterator[Any]:
            store = self.stores[config.plugin]
            yield Counting(store, self) if mortal else store

        settings = self.settings
        if mortal:
            counted: Any = Counting(self.settings_store, self)
            settings = BackendSettings(counted, QueuePluginRegistry())
        return Mover(settings, opened, HOME, report or (lambda progress: None))

    async def document(self) -> Document:
        """What is stored."""
        return await self.settings.load_document()

    async def accepting(self, *names: str) -> list[str]:
        """Which backends, of these or all, take a job in a known queue, or a queue that is new."""
        found = []
        for name in names or self.stores:
            store = self.stores[name]
            for queue in ("q", "another"):
                try:
                    await store.register(queue)
                    await store.add(queue, [[NewJob("probe", b"")]])
                except FencedError:
                    continue
                found.append(f"{name} {queue}")
                await store.cancel(queue, "probe")
        return found


@pytest.fixture(
    params=["memory to sqlite", "sqlite to memory", "sqlite to sqlite", "sqlite to redis", "redis to memory"]
)
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, redis_storage: RedisStorage
) -> AsyncIterator[World]:
    def make(engine: str, name: str) -> MovableStore:
        match engine:
            case "memory":
                return MemoryStore()
            case "sqlite":
                return SqliteStore(tmp_path / f"{name}.db")
            case _:
                return RedisStore(redis_storage.url, prefix=f"{redis_storage.prefix}:{name}")

    first, _, second = request.param.split()
    made = World(make(first, "old"), make(second, "new"))
    for store in made.stores.values():
        await store.open()
    await made.settings.save(Document(1, OLD), await made.settings.load())
    yield made
    for store in made.stores.values():
        await store.close()


async def fill(store: MovableStore, names: list[str] = NAMES) -> None:
    await store.register("q")
    await store.join("q", "w", [GroupJoin("g")], 60_000)
    await store.add("q", [[NewJob(name, b"{}") for name in names]])


async def drained(store: MovableStore) -> list[str]:
    epoch = await store.join("q", "v", [GroupJoin("g")], 60_000)
    found: list[str] = []
    for n in range(1, 100):
        claims = (await store.exchange(epoch, "g", n, (), 1000)).claims
        found += [claim.job_id for claim in claims]
        if not claims:
            return found
    raise AssertionError("there is no end")


async def test_everything_moves_in_order(world: World) -> None:
    """B2, B7: progress is told, the pointer names the new backend, and the old one is fenced and empty."""
    await fill(world.stores["old"])
    told: list[Progress] = []
    progress = await world.mover(report=told.append).switch(NEW, None)
    assert (progress.jobs, progress.total) == (2500, 2500)
    assert [each.jobs for each in told] == sorted(each.jobs for each in told)
    assert [each.step for each in told][-2:] == ["copy", "finish"]
    assert await world.document() == Document(2, NEW, configs={"old": OLD}, moves=1)
    assert await world.accepting() == ["new q", "new another"]
    assert await drained(world.stores["new"]) == NAMES
    assert await world.stores["old"].is_vacant()


async def test_there_and_back(world: World) -> None:
    """B1: what was switched away from counts as empty."""
    await fill(world.stores["old"])
    await world.mover().switch(NEW, None)
    await world.mover().switch(OLD, None)
    assert await world.accepting() == ["old q", "old another"]
    assert await drained(world.stores["old"]) == NAMES


async def test_refusals_change_nothing(world: World) -> None:
    """B1: byte for byte, and the old backend goes on."""
    await fill(world.stores["old"])
    before = await world.settings_store.load_setting(BACKEND_KEY)
    with pytest.raises(BackendSwitchError, match=r"holds 2500 jobs, .* max_queue_size is 2499"):
        await world.mover().switch(NEW, 2499)
    await world.stores["new"].register("q")
    with pytest.raises(BackendSwitchError, match="not empty"):
        await world.mover().switch(NEW, 2500)
    assert await world.settings_store.load_setting(BACKEND_KEY) == before
    assert await drained(world.stores["old"]) == NAMES
    assert await world.stores["new"].queues() == ["q"]


async def test_second_switch_is_refused(world: World) -> None:
    """B6: while the first is under way."""
    await fill(world.stores["old"])
    refusals: list[str] = []
    first = world.mover(mortal=True)
    world.kill_at = 20
    with pytest.raises(Killed):
        await first.switch(NEW, None)
    try:
        await world.mover().switch(NEW, None)
    except BackendSwitchError as error:
        refusals.append(str(error))
    assert refusals == ["A switch to 'new' is under way already; wait until it has ended"]


async def test_failure_on_the_way_is_undone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """B6: the old backend goes on with everything, and the new one is empty."""
    await fill(world.stores["old"])

    async def fail(*args: Any) -> None:
        raise ValueError("no space left")

    monkeypatch.setattr(world.stores["new"], "restore", fail)
    with pytest.raises(ValueError, match="no space"):
        await world.mover().switch(NEW, None)
    assert await world.document() == Document(1, OLD, configs={"new": NEW})
    assert await drained(world.stores["old"]) == NAMES
    assert await world.stores["new"].is_vacant()
    await world.stores["new"].register("q")


@pytest.mark.parametrize("queue", ["q", None])
async def test_fence_of_another_switch_is_no_fence_of_this_one(
    queue: str | None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: two settings stores that know nothing of each other must not each move everything."""
    old, new = world.stores["old"], world.stores["new"]
    await fill(old)
    restore = new.restore

    async def meanwhile(*args: Any) -> None:
        await old.fence(queue, "another")
        await restore(*args)

    monkeypatch.setattr(new, "restore", meanwhile)
    with pytest.raises(BackendSwitchError, match="another switch"):
        await world.mover().switch(NEW, None)
    assert (await world.document()).active == OLD
    assert await new.queues() == []
    with pytest.raises(FencedError) as fence:
        await old.register(queue or "new")
    assert fence.value.successor == "another"


async def test_unreachable_target_is_named(world: World) -> None:
    """B1: and nothing has changed."""
    await fill(world.stores["old"], ["a"])
    before = await world.settings_store.load_setting(BACKEND_KEY)

    async def away() -> bool:
        raise BackendUnavailableError("nobody answers at host:1")

    world.stores["new"].is_vacant = away  # type: ignore[method-assign]
    with pytest.raises(BackendUnavailableError, match="host:1"):
        await world.mover().switch(NEW, None)
    assert await world.settings_store.load_setting(BACKEND_KEY) == before


async def test_killed_at_every_step(tmp_path: Path) -> None:
    """B6: whoever comes next finishes or undoes it; one backend accepts, and has everything in order."""
    outcomes: list[str] = []
    for kill_at in range(1000):
        world = World(SqliteStore(tmp_path / f"{kill_at}.db"), MemoryStore())
        async with opened_all(world):
            await fill(world.stores["old"], NAMES[:1200])
            world.kill_at = kill_at
            with suppress(Killed):
                await world.mover(mortal=True).switch(NEW, None)
                break
            await at_most_one_accepts(world)
            document = await world.document()
            if document.undertaking is not None:
                await world.mover().resume(document)
            document = await world.document()
            assert document.phase == "active"
            await at_most_one_accepts(world)
            assert await drained(world.stores[document.active.plugin]) == NAMES[:1200]
            outcomes.append(document.active.plugin)
    assert len(outcomes) > 30
    assert outcomes == sorted(outcomes, reverse=True), "once it was finished, it is never undone"
    assert set(outcomes) == {"old", "new"}


async def at_most_one_accepts(world: World) -> None:
    """Not both of them have anything in them and take more."""
    full = [name for name, store in world.stores.items() if not await store.is_vacant()]
    assert full, "nobody has anything"
    assert len({name.split()[0] for name in await world.accepting(*full)}) <= 1


@asynccontextmanager
async def opened_all(world: World) -> AsyncIterator[None]:
    for store in world.stores.values():
        await store.open()
    await world.settings.save(Document(1, OLD), await world.settings.load())
    try:
        yield
    finally:
        for store in world.stores.values():
            await store.close()


async def test_mover_that_was_given_up_does_no_harm(world: World) -> None:
    """B6: it stood still, another process undid its switch, and it wakes up."""
    await fill(world.stores["old"])
    stale = world.mover(mortal=True)
    world.kill_at = 24
    with pytest.raises(Killed):
        await stale.switch(NEW, None)
    document = await world.document()
    assert document.phase == "moving"
    await world.mover().resume(document)
    world.kill_at = -1
    with pytest.raises(BackendSwitchError, match="Another process"):
        await stale._copy_or_give_up((document.undertaking or pytest.fail("none")).id)
    assert await world.document() == Document(1, OLD, configs={"new": NEW})
    assert await drained(world.stores["old"]) == NAMES


@pytest.mark.parametrize("took_effect", [True, False])
async def test_lost_answer_to_the_flip(
    world: World, took_effect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: whether the pointer names the new backend is looked up, and never guessed."""
    await fill(world.stores["old"])
    save = world.settings_store.save_setting

    async def lose(key: str, value: str, expected_version: int) -> bool:
        if '"phase": "clearing"' not in value:
            return await save(key, value, expected_version)
        monkeypatch.undo()
        if took_effect:
            await save(key, value, expected_version)
        raise BackendUnavailableError("the answer was lost")

    monkeypatch.setattr(world.settings_store, "save_setting", lose)
    if took_effect:
        await world.mover().switch(NEW, None)
    else:
        with pytest.raises(BackendUnavailableError):
            await world.mover().switch(NEW, None)
    active = (await world.document()).active
    assert active == (NEW if took_effect else OLD)
    assert (await world.document()).phase == "active"
    assert not await world.stores[active.plugin].is_vacant()
    await at_most_one_accepts(world)
    assert await drained(world.stores[active.plugin]) == NAMES
