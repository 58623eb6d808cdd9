"""The store that follows a switch keeps the contract, before one and after one (B3, B4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.backends.plugin import QueuePluginRegistry
from checkmate_queue.backends.redis.store import RedisStore
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import (
    Done,
    Exchange,
    Fail,
    Failure,
    GiveBack,
    GroupJoin,
    LapseSettlement,
    NewJob,
    RetryLater,
    Settlement,
    StoreLimits,
)
from checkmate_queue.moving import MovableStore
from checkmate_queue.store import Clock, FencedError, LeaseLostError
from checkmate_queue.switching.document import Document, StoredConfig
from checkmate_queue.switching.mover import Mover
from checkmate_queue.switching.proxy import SwitchableStore
from checkmate_queue.switching.settings import BackendSettings
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.conformance import ALL_VERBS, Conformance
from tests.servers.redis_storage import RedisStorage

OLD, NEW, HOME = (StoredConfig(name, 1, {}) for name in ("old", "new", "home"))


class ProxyStorage:
    """Proxies over one memory store, which have followed some switches already."""

    def __init__(self, switches: int) -> None:
        self._switches = switches
        self._store: MemoryStore | None = None

    async def connect(self, clock: Clock, limits: StoreLimits) -> SwitchableStore:
        """Another proxy over the same store."""
        store = self._store = self._store or MemoryStore(limits, clock)

        async def follow(generation: int, successor: str) -> None:
            raise FencedError(successor)

        proxy = SwitchableStore(store, store, follow, kept=True)
        for _ in range(self._switches):
            proxy.switch_to(store, kept=True)
        return proxy

    async def destroy(self) -> None:
        """Let it go."""
        self._store = None


class ProxyConformance(Conformance, verbs=ALL_VERBS):
    """Every rule but one: a heartbeat that meets a fence says nothing, since leases start anew."""

    test_every_core_verb_is_refused = None  # type: ignore[assignment]

    __test__ = False


@pytest.mark.full
class TestBeforeASwitch(ProxyConformance):
    """Before the first switch."""

    __test__ = True

    @pytest.fixture
    def storage(self) -> ProxyStorage:
        return ProxyStorage(0)


class TestAfterSwitches(ProxyConformance):
    """With keys and epochs that are apart from those before."""

    __test__ = True

    @pytest.fixture
    def storage(self) -> ProxyStorage:
        return ProxyStorage(2)


class Scene:
    """A process before its backend, which is switched."""

    def __init__(self, old: MovableStore, new: MovableStore, clock: TravellingClock) -> None:
        self.stores = {"old": old, "new": new}
        self.clock = clock
        self.home = MemoryStore()
        self.settings = BackendSettings(self.home, QueuePluginRegistry())
        self.followed = 0
        self.proxy = SwitchableStore(old, self.home, self.follow, kept=True)

    async def follow(self, generation: int, successor: str) -> None:
        """What a manager does, without waiting: the switch is through."""
        if generation == self.proxy.generation:
            self.followed += 1
            document = await self.settings.load_document()
            self.proxy.switch_to(self.stores[document.active.plugin], kept=True)

    async def switch(self, target: StoredConfig = NEW) -> None:
        """Another process switches."""

        @asynccontextmanager
        async def opened(config: StoredConfig) -> AsyncIterator[MovableStore]:
            yield self.stores[config.plugin]

        def ignore(progress: object) -> None:
            """Nobody looks."""

        await Mover(self.settings, opened, HOME, ignore).switch(target, None)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def scene(
    request: pytest.FixtureRequest, tmp_path: Path, redis_storage: RedisStorage
) -> AsyncIterator[Scene]:
    clock = TravellingClock()

    def make(name: str) -> MovableStore:
        match request.param:
            case "memory":
                return MemoryStore(clock=clock)
            case "sqlite":
                return SqliteStore(tmp_path / f"{name}.db", clock=clock)
            case _:
                prefix = f"{redis_storage.prefix}:{name}"
                return RedisStore(redis_storage.url, prefix=prefix, clock=clock)

    stores = [make(name) for name in ("old", "new")]
    for store in stores:
        await store.open()
    made = Scene(stores[0], stores[1], clock)
    await made.settings.save(Document(1, OLD), await made.settings.load())
    await made.proxy.register("q")
    yield made
    for store in stores:
        await store.close()


async def add(scene: Scene, *names: str) -> None:
    await scene.proxy.add("q", [[NewJob(name, b"{}") for name in names]])


async def test_claims_are_settled_on_the_new_backend(scene: Scene) -> None:
    """B2, B4: under the epoch and the keys that the worker knows."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    await add(scene, "done", "retried", "failed", "back", "waits")
    claims = (await scene.proxy.exchange(epoch, "g", 1, (), 4)).claims
    keys = {claim.job_id: claim.key for claim in claims}
    await scene.switch()
    settlements: list[Settlement] = [
        Done(keys["done"]), RetryLater(keys["retried"], 0),
        Fail(keys["failed"], Failure("T", "m")), GiveBack(keys["back"]),
    ]  # fmt: skip
    answer = await scene.proxy.exchange(epoch, "g", 2, settlements, 9)
    assert answer.refused == []
    assert [claim.job_id for claim in answer.claims] == ["back", "waits", "retried"]
    assert [entry.job_id for entry in await scene.proxy.failed("q")] == ["failed"]
    last = await scene.proxy.exchange(epoch, "g", 3, [Done(claim.key) for claim in answer.claims], 9)
    assert (last.refused, last.claims) == ([], [])
    assert (await scene.proxy.stats("q")).completed == 4
    assert scene.followed == 1


async def test_settled_keys_are_refused_after_the_switch(scene: Scene) -> None:
    """G8: a key that was settled before means nothing, whatever the new engine calls its claims."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    await add(scene, "a", "b", "c")
    first = (await scene.proxy.exchange(epoch, "g", 1, (), 1)).claims[0]
    await scene.proxy.exchange(epoch, "g", 2, [Done(first.key)], 0)
    await scene.switch()
    answer = await scene.proxy.exchange(epoch, "g", 3, [Done(first.key)], 2)
    assert answer.refused == [first.key]
    assert [claim.job_id for claim in answer.claims] == ["b", "c"]
    assert (await scene.proxy.stats("q")).processing == 2


async def test_orders_and_lapses_reach_the_worker(scene: Scene) -> None:
    """L12, G7: under the keys that it knows; a lapse of the old backend is settled on the new one."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    other = await scene.proxy.join("q", "dead", [GroupJoin("g")], 30_000)
    await add(scene, "lapsed", "cancelled")
    await scene.proxy.exchange(other, "g", 1, (), 1)
    claim = (await scene.proxy.exchange(epoch, "g", 1, (), 1)).claims[0]
    for _ in range(4):
        scene.clock.advance(10)
        await scene.proxy.heartbeat(epoch)
    (before,) = (await scene.proxy.tick(epoch)).lapsed
    await scene.switch()
    (after,) = (await scene.proxy.tick(epoch, [LapseSettlement("g", GiveBack(before.claim.key))])).lapsed
    assert after.claim.job_id == "lapsed"
    await scene.proxy.cancel("q", "cancelled")
    assert (await scene.proxy.heartbeat(epoch)).cancelled == [("g", claim.key)]
    await scene.proxy.tick(epoch, [LapseSettlement("g", GiveBack(after.claim.key))])
    answer = await scene.proxy.exchange(epoch, "g", 2, [Done(claim.key)], 5)
    assert [claim.job_id for claim in answer.claims] == ["lapsed"]
    assert answer.refused == []


async def test_worker_that_comes_too_late_has_lost_its_lease(scene: Scene) -> None:
    """G8: as ever, and joins again under a new life."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 1000)
    awake = await scene.proxy.join("q", "v", [GroupJoin("g")], 30_000)
    await add(scene, "a")
    await scene.proxy.exchange(epoch, "g", 1, (), 1)
    await scene.switch()
    for _ in range(4):
        scene.clock.advance(0.4)
        await scene.proxy.tick(awake)
    with pytest.raises(LeaseLostError):
        await scene.proxy.exchange(epoch, "g", 2, (), 1)
    again = await scene.proxy.join("q", "w2", [GroupJoin("g")], 1000)
    assert again not in (epoch, awake)
    await scene.proxy.leave(epoch, ["g"])


async def test_several_switches(scene: Scene) -> None:
    """B4: there and back, and there again, with one delivery that runs all the time."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    await add(scene, "long", "a", "b", "c")
    (long,) = (await scene.proxy.exchange(epoch, "g", 1, (), 1)).claims
    n = 1
    for target in (NEW, OLD, NEW):
        await scene.switch(target)
        n += 1
        claims = (await scene.proxy.exchange(epoch, "g", n, (), 1)).claims
        assert len(claims) == 1
        n += 1
        assert (await scene.proxy.exchange(epoch, "g", n, [Done(claims[0].key)], 0)).refused == []
    assert (await scene.proxy.exchange(epoch, "g", n + 1, [Done(long.key)], 1)).refused == []
    stats = await scene.proxy.stats("q")
    assert (stats.completed, stats.pending, stats.processing) == (4, 0, 0)
    assert scene.followed == 3


async def test_moves_away_and_back_that_nobody_here_saw(scene: Scene) -> None:
    """B2, G8: the worker's epoch has another number there now; its lease is not lost for that."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    await add(scene, "a", "b")
    (claim,) = (await scene.proxy.exchange(epoch, "g", 1, (), 1)).claims
    await scene.switch(NEW)
    await scene.switch(OLD)

    async def look(generation: int) -> bool:
        await scene.follow(generation, "")
        return True

    scene.proxy._look = look
    with pytest.raises(LeaseLostError):
        await scene.proxy.heartbeat(epoch)  # It can't look; the worker then has its keeper do so.
    answer = await scene.proxy.exchange(epoch, "g", 2, [Done(claim.key)], 1)
    assert answer.refused == []
    assert [each.job_id for each in answer.claims] == ["b"]


async def test_everything_at_once(scene: Scene) -> None:
    """B3: many callers meet the fence together, and none sees it."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g"), GroupJoin("h")], 30_000)
    await add(scene, "a")
    await scene.switch()
    await asyncio.gather(
        *(add(scene, f"{number}") for number in range(50)),
        *(scene.proxy.exchange(epoch, group, 1, (), 0) for group in ("g", "h")),
        scene.proxy.tick(epoch),
        scene.proxy.heartbeat(epoch),
        scene.proxy.register("other"),
    )
    assert (await scene.proxy.stats("q")).pending == 2 * 51
    assert await scene.proxy.queues() == ["other", "q"]
    assert scene.followed == 1


async def test_new_backend_that_does_not_accept_yet_costs_no_lease(scene: Scene) -> None:
    """B2: between the flip and the moment at which the new backend accepts, a worker waits."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    await add(scene, "a")
    (claim,) = (await scene.proxy.exchange(epoch, "g", 1, (), 1)).claims
    old, new = scene.stores["old"], scene.stores["new"]
    await old.fence("q", "there")
    records = (await old.export("q")).records
    await new.receive("t", "there")
    await new.restore("t", "q", 1, records)
    waited: list[int] = []

    async def follow(generation: int, successor: str) -> None:
        waited.append(generation)
        if generation == 0:
            scene.proxy.switch_to(new, kept=True)
        else:
            await new.admit("t")

    scene.proxy._follow = follow
    answer = await scene.proxy.exchange(epoch, "g", 2, [Done(claim.key)], 1)
    assert answer.refused == []
    assert waited == [0, 1]


class Slow:
    """A store whose exchanges are answered when the test lets them be."""

    def __init__(self, store: MovableStore) -> None:
        self._store = store
        self.answered = asyncio.Event()
        self.applied = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def exchange(self, *args: Any) -> Exchange:
        answer = await self._store.exchange(*args)
        self.applied.set()
        await self.answered.wait()
        return answer


async def test_answer_that_a_switch_overtook_is_asked_for_again(scene: Scene) -> None:
    """B2: its keys are those of the old engine, which mean other jobs to the new one."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g"), GroupJoin("h")], 30_000)
    await add(scene, "ended", "a", "b", "c")
    old = scene.stores["old"]
    for group in ("g", "h"):
        (first,) = (await scene.proxy.exchange(epoch, group, 1, (), 1)).claims
        await scene.proxy.exchange(epoch, group, 2, [Done(first.key)], 0)
    slow: Any = Slow(old)
    scene.proxy._current.store = slow
    late = asyncio.create_task(scene.proxy.exchange(epoch, "g", 3, (), 2))
    await slow.applied.wait()
    await scene.switch()
    (other,) = (await scene.proxy.exchange(epoch, "h", 3, (), 1)).claims
    assert other.job_id == "a"
    slow.answered.set()
    claims = (await late).claims
    assert [claim.job_id for claim in claims] == ["a", "b"]
    answer = await scene.proxy.exchange(epoch, "g", 4, [Done(claim.key) for claim in claims], 5)
    assert answer.refused == []
    assert [claim.job_id for claim in answer.claims] == ["c"]
    assert (await scene.proxy.stats("q")).groups["g"].completed == 3


class Gone:
    """The store of an engine that has died."""

    async def refuse(self, *_args: Any) -> Any:
        raise BackendUnavailableError("it is gone")

    add = exchange = stats = refuse


async def test_old_engine_may_die_after_the_flip(scene: Scene) -> None:
    """B3: a call that can't reach it goes on on the new one, since the settings name that."""
    epoch = await scene.proxy.join("q", "w", [GroupJoin("g")], 30_000)
    await add(scene, "a")
    await scene.switch()
    gone: Any = Gone()
    scene.proxy._current.store = gone
    with pytest.raises(BackendUnavailableError):
        await add(scene, "b")

    async def look(generation: int) -> bool:
        await scene.follow(generation, "")
        return True

    scene.proxy._look = look
    (claim,) = (await scene.proxy.exchange(epoch, "g", 1, (), 1)).claims
    assert claim.job_id == "a"
    await add(scene, "b")
    assert scene.followed == 1
