"""Several versions of the library on one server, and a server that forgets scripts (U2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from hashlib import sha1
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from checkmate_queue.backends.redis import connection as connections
from checkmate_queue.backends.redis.scripts import Script, load_script
from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.core.model import Done, GroupJoin, NewJob, StoreLimits
from checkmate_queue.store import Clock
from checkmate_queue.testing.conformance import ALL_VERBS, MOVING_VERBS, Conformance
from tests.servers.redis_storage import RedisStorage

if TYPE_CHECKING:
    from checkmate_queue.testing.conformance import Storage

pytest_plugins = ["tests.servers.valkey"]

QUEUE = "queue"
LEASE = 30_000
VERBS = ("register", "establish", "join", "add", "exchange")


def other_version(name: str) -> Script:
    """A script as another release has it: its text differs, and so does its hash."""
    text = f"-- of another release\n{load_script(name).text}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@pytest.fixture
async def client(redis_storage: RedisStorage) -> AsyncIterator[Redis]:
    """A client of the test's own."""
    async with Redis.from_url(redis_storage.driver_url) as client:
        yield client


async def test_two_versions_work_on_one_queue(
    redis_storage: RedisStorage, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U2: in turns; neither overwrites what the other one has loaded."""

    def use(version: Callable[[str], Script]) -> None:
        monkeypatch.setattr(connections, "load_script", version)

    older, newer = await redis_storage.connect(), await redis_storage.connect()
    done: list[str] = []
    for round_number in range(2):
        use(other_version)
        await older.open()
        await older.register(QUEUE)
        epoch = await older.join(QUEUE, "older", [GroupJoin("g")], LEASE)
        await older.add(QUEUE, [[NewJob(f"a {round_number}", b"1")]])
        use(load_script)
        await newer.open()
        await newer.register(QUEUE)
        successor = await newer.join(QUEUE, "newer", [GroupJoin("g")], LEASE)
        await newer.add(QUEUE, [[NewJob(f"b {round_number}", b"1")]])
        n = 2 * round_number + 1
        (mine,) = (await newer.exchange(successor, "g", n, [], 1)).claims
        use(other_version)
        (theirs,) = (await older.exchange(epoch, "g", n, [], 1)).claims
        assert (await older.exchange(epoch, "g", n + 1, [Done(theirs.key)], 0)).refused == []
        use(load_script)
        assert (await newer.exchange(successor, "g", n + 1, [Done(mine.key)], 0)).refused == []
        done += [mine.job_id, theirs.job_id]
    assert done == ["a 0", "b 0", "a 1", "b 1"]
    hashes = [script.sha for verb in VERBS for script in (load_script(verb), other_version(verb))]
    assert len(set(hashes)) == 2 * len(VERBS)
    assert all(await client.script_exists(*hashes))
    for store in (older, newer):
        await store.close()


class ForgetfulStorage(RedisStorage):
    """Its server forgets all scripts before each step of a verb."""

    async def connect(self, clock: Clock | None = None, limits: StoreLimits | None = None) -> RedisStore:
        """A store, not opened yet."""
        store = await super().connect(clock, limits)
        connection: Any = store._connection
        evaluate = connection.evaluate

        async def forget_and_evaluate(*arguments: Any) -> Any:
            await connection.ask("SCRIPT", "FLUSH")
            return await evaluate(*arguments)

        connection.evaluate = forget_and_evaluate
        return store


@pytest.mark.full
class TestForgetfulRedis(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """Every rule, with `SCRIPT FLUSH` between all scripts."""

    @pytest.fixture
    def storage(self, redis_storage: RedisStorage) -> Storage:
        """An empty storage."""
        return ForgetfulStorage(redis_storage.url, redis_storage.prefix)
