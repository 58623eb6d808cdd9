"""Moves out of Redis and into it: each verb is many scripts, on the registry and on queues (B3, B6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.plugin import QueuePluginRegistry
from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import RECORD_FORMAT, Done, GroupJoin, NewJob
from checkmate_queue.core.moving import Moved
from checkmate_queue.moving import MovableStore, MoveLostError
from checkmate_queue.store import FencedError, UnknownQueueError
from checkmate_queue.switching.document import Document, StoredConfig
from checkmate_queue.switching.mover import Mover
from checkmate_queue.switching.settings import BackendSettings
from tests.servers.redis_storage import RedisStorage

OLD, NEW, HOME = (StoredConfig(name, 1, {}) for name in ("old", "new", "home"))
QUEUES = ("one", "two", "three")
NAMES = [f"{number}" for number in range(20)]
MANY = 5000


class Killed(BaseException):
    """The process ends here: nothing of it runs any more."""


class Mortality:
    """Ends a process at the nth command that it sends, before that or once it took effect."""

    def __init__(self, kill_at: int) -> None:
        self._steps = count()
        self._kill_at = kill_at

    def step(self) -> None:
        if next(self._steps) == self._kill_at:
            raise Killed

    def threaten(self, store: RedisStore) -> RedisStore:
        """Let the store's commands count."""
        connection: Any = store._connection
        patiently = connection.patiently

        async def mortal(attempt: Any) -> Any:
            self.step()
            answer = await patiently(attempt)
            self.step()
            return answer

        connection.patiently = mortal
        return store


class World:
    """Two backends on one server, and the settings."""

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage
        self.settings = BackendSettings(MemoryStore(), QueuePluginRegistry())

    async def open(self, name: str) -> RedisStore:
        store = RedisStore(self._storage.url, prefix=f"{self._storage.prefix}:{name}")
        await store.open()
        return store

    def mover(self, mortality: Mortality | None = None) -> Mover:
        @asynccontextmanager
        async def opened(config: StoredConfig) -> AsyncIterator[MovableStore]:
            store = await self.open(config.plugin)
            try:
                yield mortality.threaten(store) if mortality else store
            finally:
                await store.close()

        def ignore(progress: object) -> None:
            """Nobody looks."""

        return Mover(self.settings, opened, HOME, ignore)


async def fill(store: RedisStore) -> None:
    for queue in QUEUES:
        await store.register(queue)
        await store.join(queue, "w", [GroupJoin("g")], 600_000)
        await store.add(queue, [[NewJob(name, b"{}") for name in NAMES]])


async def accepts(store: RedisStore, queue: str) -> bool:
    try:
        await store.register(queue)
        await store.add(queue, [[NewJob("probe", b"")]])
        await store.cancel(queue, "probe")
    except FencedError:
        return False
    return True


async def drained(store: RedisStore, queue: str) -> list[str]:
    epoch = await store.join(queue, "v", [GroupJoin("g")], 60_000)
    return [claim.job_id for claim in (await store.exchange(epoch, "g", 1, [], 100)).claims]


async def one_accepts(world: World) -> None:
    """A queue that a backend has is never open in the other one too."""
    stores = [await world.open(name) for name in ("old", "new")]
    full = [store for store in stores if not await store.is_vacant()]
    assert full
    for queue in QUEUES:
        assert sum([await accepts(store, queue) for store in full]) <= 1
    for store in stores:
        await store.close()


async def killed_at(storage: RedisStorage, kill_at: int) -> str | None:
    """Kill a mover there, let another process end the switch; which backend is active, None at the end."""
    world = World(storage)
    await world.settings.save(Document(1, OLD), await world.settings.load())
    old = await world.open("old")
    await fill(old)
    await old.close()
    with suppress(Killed):
        await world.mover(Mortality(kill_at)).switch(NEW, None)
        return None
    await one_accepts(world)
    document = await world.settings.load_document()
    if document.undertaking is not None:
        await world.mover().resume(document)
    document = await world.settings.load_document()
    assert document.phase == "active"
    await one_accepts(world)
    active = await world.open(document.active.plugin)
    assert await active.queues() == sorted(QUEUES)
    assert [await drained(active, queue) for queue in QUEUES] == [NAMES] * len(QUEUES)
    await active.close()
    return document.active.plugin


@pytest.mark.full
async def test_killed_at_every_command(redis_storage: RedisStorage) -> None:
    """B6: between the scripts of one verb, too."""
    outcomes = []
    for kill_at in range(1000):
        storage = RedisStorage(redis_storage.url, f"{redis_storage.prefix}:{kill_at}")
        active = await killed_at(storage, kill_at)
        await storage.destroy()
        if active is None:
            break
        outcomes.append(active)
    assert len(outcomes) > 100
    assert outcomes == sorted(outcomes, reverse=True), "once it was finished, it is never undone"
    assert set(outcomes) == {"old", "new"}


# -- calls that come late ------------------------------------------------------------------------


@pytest.fixture
async def store(redis_storage: RedisStorage) -> AsyncIterator[RedisStore]:
    """An open store."""
    store = await redis_storage.connect()
    await store.open()
    yield store
    await store.close()


async def records_of(store: RedisStore, queue: str, limit: int = 1000) -> list[Moved]:
    await store.fence(None, "there")
    await store.fence(queue, "there")
    records: list[Moved] = []
    cursor: str | None = ""
    while cursor is not None:
        batch, cursor = await store.export(queue, cursor, limit)
        records += batch
    return records


async def generation_at_registering(store: RedisStore, queue: str) -> int:
    """The first half of registering: the process is suspended then."""
    keys = store._connection.keys
    names = [keys.queues, keys.successor, keys.reception, keys.generation]
    word, generation = await store._connection.evaluate("register", names, queue)
    assert word == b"done"
    return int(generation)


async def test_registration_that_was_suspended_makes_no_queue_in_a_cleared_store(store: RedisStore) -> None:
    """B3: what it would add would be lost."""
    generation = await generation_at_registering(store, "q")
    await records_of(store, "q")
    await store.clear("there")
    answer = await store._connection.evaluate(
        "establish", [store._connection.keys.queue("q")], "", 1000, 0, RECORD_FORMAT, generation
    )
    assert answer == [b"stale"]
    with pytest.raises(FencedError):
        await store.add("q", [[NewJob("a", b"")]])
    with pytest.raises(FencedError):
        await store.register("q")


async def test_registration_after_the_store_is_in_use_again(store: RedisStore) -> None:
    """B1: the mark that clearing leaves is in nobody's way."""
    await store.register("q")
    await records_of(store, "q")
    await store.clear("there")
    await store.receive("t", "back")
    await store.admit("t")
    with pytest.raises(UnknownQueueError):
        await store.add("q", [[NewJob("a", b"")]])
    await store.register("q")
    await store.add("q", [[NewJob("a", b"")]])
    assert (await store.stats("q")).unclaimed == 1


async def test_part_of_a_move_that_was_given_up(store: RedisStore) -> None:
    """B6: it was begun before another move, and is stored by nobody after that."""
    await store.register("q")
    await store.add("q", [[NewJob(name, b"{}") for name in NAMES]])
    records = await records_of(store, "q")
    await store.clear("there")
    await store.receive("first", "back")
    connection, keys = store._connection, store._connection.keys
    _, generation, successor = await connection.evaluate(
        "begin_batch", [keys.queues, keys.reception], "first", 1, "q"
    )
    late = ("", 1000, 0, generation, 2**20, successor, RECORD_FORMAT, "unclaimed", 1, 0)
    await store.receive("second", "back")
    assert await connection.evaluate("restore", [keys.queue("q")], *late) == [b"stale"]
    await store.restore("second", "q", 1, records)
    assert await connection.evaluate("restore", [keys.queue("q")], *late) == [b"stale"]
    await store.admit("second")
    assert await connection.evaluate("restore", [keys.queue("q")], *late) == [b"stale"]
    assert await drained(store, "q") == NAMES


async def test_late_clearing_step_spares_what_came_since(store: RedisStore) -> None:
    """B6: two processes clear, and one of them is suspended while the store comes into use again."""
    await store.register("q")
    records = await records_of(store, "q")
    connection, keys = store._connection, store._connection.keys
    names = [keys.successor, keys.reception, keys.generation]
    _, generation = await connection.evaluate("clear", names, "there")
    await store.clear("there")
    await store.receive("t", "back")
    await store.restore("t", "q", 1, records)
    await store.admit("t")
    common = ("", 1000, 0)
    assert await connection.evaluate("empty", [keys.queue("q")], *common, generation) == [b"stale"]
    forgotten = await connection.evaluate("forget", [keys.queues, keys.generation], "q", generation)
    assert forgotten == [b"stale"]
    assert await store.queues() == ["q"]
    await store.add("q", [[NewJob("a", b"")]])


async def test_move_that_was_given_up_opens_nothing(store: RedisStore) -> None:
    """B6: a queue is opened only by the move that filled it."""
    await store.register("q")
    records = await records_of(store, "q")
    await store.clear("there")
    await store.receive("first", "back")
    await store.receive("second", "back")
    await store.restore("second", "q", 1, records)
    with pytest.raises(MoveLostError):
        await store.admit("first")
    connection, keys = store._connection, store._connection.keys
    assert await connection.evaluate("admit_queue", [keys.queue("q")], "", 1000, 0, 2) == [b"stale"]
    with pytest.raises(FencedError):
        await store.add("q", [[NewJob("a", b"")]])


# -- bounded steps -------------------------------------------------------------------------------


async def test_many_records_take_many_scripts(store: RedisStore, redis_storage: RedisStorage) -> None:
    """B2: none touches more than about a thousand; and nothing is left of what was cleared."""
    await store.register("q")
    epoch = await store.join("q", "w", [GroupJoin("g"), GroupJoin("h", ephemeral=True)], 600_000)
    for first in range(0, MANY, 1000):
        await store.add("q", [[NewJob(f"{first + number}", b"1") for number in range(1000)]])
    claims = (await store.exchange(epoch, "g", 1, [], 1500)).claims
    await store.exchange(epoch, "g", 2, [Done(claim.key) for claim in claims[:100]], 0)
    async with redis_storage.counting_scripts() as scripts:
        records = await records_of(store, "q")
    assert scripts[0] > len(records) // 1000
    await store.clear("there")
    assert await redis_storage.keys() == [
        *("{*}:format", "{*}:generation", "{*}:reception", "{*}:successor"),
        "{q}:queue",
    ]
    await store.receive("t", "back")
    async with redis_storage.counting_scripts() as scripts:
        await store.restore("t", "q", 1, records)
    assert scripts[0] > len(records) // 1000
    await store.admit("t")
    stats = await store.stats("q")
    assert (stats.groups["g"].pending, stats.groups["g"].processing) == (MANY - 1500, 1400)
    assert (stats.groups["g"].completed, stats.groups["h"].pending) == (100, MANY)
    again = await store.join("q", "w", [GroupJoin("g")], 600_000)
    held = [claim.job_id for claim in await store.held(again)]
    assert held == [claim.job_id for claim in claims[100:]]
