"""A store on a fresh storage, and a small language to talk to it in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from checkmate_queue.core.model import (
    Added,
    Claim,
    Done,
    Epoch,
    Exchange,
    GroupJoin,
    LapseSettlement,
    Millis,
    NewJob,
    Orders,
    QueueFull,
    Settlement,
    StoreLimits,
    Tick,
)
from checkmate_queue.store import Clock, LeaseLostError, Lifecycle, Store
from checkmate_queue.testing.clock import TravellingClock
from checkmate_queue.testing.conformance.audit import audit

MANY = 10_000
"""More jobs than any test adds to one queue."""

LEASE = 30.0
"""Seconds of a lease where a test says nothing else."""


class Storage(Protocol):
    """A place for one test's jobs, empty at first; a backend that is to be proven provides it."""

    async def connect(self, clock: Clock, limits: StoreLimits) -> Lifecycle:
        """Make a store on this storage, not opened yet.

        Called more than once it gives further stores on the same storage; an engine that lives inside one
        object gives that object again.
        """

    async def destroy(self) -> None:
        """Remove the storage; its stores are closed by then."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of a queue; counts its exchanges by itself."""

    harness: Harness
    store: Store
    name: str
    epoch: Epoch
    groups: tuple[str, ...]
    lease: float
    counts: dict[str, int] = field(default_factory=dict)

    async def exchange(
        self, *settlements: Settlement, want: int = 0, group: str | None = None, n: int | None = None
    ) -> Exchange:
        """One exchange with the next `n` of its group (the worker's only one if none is named)."""
        name = group or self._only_group()
        number = n or self.counts.get(name, 0) + 1
        answer = await self.store.exchange(self.epoch, name, number, settlements, want)
        self.counts[name] = number
        return answer

    async def claim(self, want: int = 1, group: str | None = None) -> list[Claim]:
        """Claim up to `want` deliveries."""
        return (await self.exchange(want=want, group=group)).claims

    async def one(self, group: str | None = None) -> Claim:
        """Claim the next delivery, which must be there."""
        claims = await self.claim(1, group)
        assert len(claims) == 1, f"{self.name} got {len(claims)} deliveries instead of one"
        return claims[0]

    async def ids(self, want: int = 100, group: str | None = None) -> list[str]:
        """Claim up to `want` deliveries and return their jobs' ids."""
        return [claim.job_id for claim in await self.claim(want, group)]

    async def settle(self, *settlements: Settlement, group: str | None = None) -> list[int]:
        """Settle without claiming; returns the refused keys."""
        return (await self.exchange(*settlements, group=group)).refused

    async def complete(self, *claims: Claim, group: str | None = None) -> None:
        """Settle claims as done, none of which may be refused."""
        assert await self.settle(*(Done(claim.key) for claim in claims), group=group) == []

    async def drain(self, group: str | None = None, batch: int = 500) -> list[str]:
        """Claim and complete until nothing is ready; returns the jobs' ids in starting order."""
        done: list[str] = []
        claims = await self.claim(batch, group)
        while claims:
            assert len(done) < MANY, f"{self.name} gets more and more deliveries"
            done += [claim.job_id for claim in claims]
            answer = await self.exchange(*(Done(claim.key) for claim in claims), want=batch, group=group)
            assert answer.refused == []
            claims = answer.claims
        return done

    async def heartbeat(self, report: bytes = b"") -> Orders:
        """Renew the lease."""
        return await self.store.heartbeat(self.epoch, report)

    async def tick(self, *settled: LapseSettlement) -> Tick:
        """Tick once."""
        return await self.store.tick(self.epoch, settled)

    async def sweep(self) -> list[Tick]:
        """Tick until there is no more to do."""
        ticks = [await self.tick()]
        while ticks[-1].more:
            assert len(ticks) < 100, "tick has had more to do for 100 times"
            ticks.append(await self.tick())
        return ticks

    async def leave(self, *groups: str, unregister: bool = False) -> None:
        """Leave these groups, or all."""
        await self.store.leave(self.epoch, groups or self.groups, unregister)

    async def rejoin(self, *groups: str | GroupJoin) -> Worker:
        """Join again under the same name, the same groups unless others are given."""
        return await self.harness.worker(
            self.name, *(groups or self.groups), lease=self.lease, store=self.store
        )

    async def is_dead(self) -> bool:
        """Whether a heartbeat is refused."""
        try:
            await self.heartbeat()
        except LeaseLostError:
            return True
        return False

    def _only_group(self) -> str:
        assert len(self.groups) == 1, f"{self.name} has several groups: say which"
        return self.groups[0]


@dataclass(frozen=True, slots=True)
class Harness:
    """One queue of a store under test, with a clock that travels."""

    storage: Storage
    store: Store
    clock: TravellingClock
    limits: StoreLimits
    queue: str = "queue"
    opened: list[Store] = field(default_factory=list)

    @property
    def now(self) -> Millis:
        """The engine's time."""
        return self.clock()

    async def second_store(self) -> Store:
        """Open another store on the same storage, as another process would."""
        return await _open(self.storage, self.clock, self.limits, self.opened)

    async def on(self, queue: str) -> Harness:
        """The same store with another queue."""
        await self.store.register(queue)
        return replace(self, queue=queue)

    def through(self, store: Store) -> Harness:
        """The same queue through another store."""
        return replace(self, store=store)

    async def add(self, *jobs: str | NewJob, **fields: Any) -> list[Added]:
        """Add one unit of jobs, plain ids being turned into jobs with these fields."""
        (answer,) = await self.store.add(self.queue, [unit(*jobs, **fields)])
        assert not isinstance(answer, QueueFull), f"the queue says that it is full: {answer}"
        return answer

    async def offer(self, *jobs: str | NewJob, **fields: Any) -> list[Added] | QueueFull:
        """Add one unit of jobs that may be refused."""
        (answer,) = await self.store.add(self.queue, [unit(*jobs, **fields)])
        return answer

    async def accepts(self, job_id: str) -> bool:
        """Whether this id is free; adds a job if it is."""
        (added,) = await self.add(job_id)
        return added.created

    async def worker(
        self, name: str, *groups: str | GroupJoin, lease: float = LEASE, store: Store | None = None
    ) -> Worker:
        """Join a worker with these groups."""
        through = store or self.store
        joins = [GroupJoin(group) if isinstance(group, str) else group for group in groups]
        epoch = await through.join(self.queue, name, joins, round(lease * 1000))
        return Worker(self, through, name, epoch, tuple(join.name for join in joins), lease)

    async def travel(self, seconds: float, *alive: Worker) -> None:
        """Let time pass while these workers renew their leases: no gap, but others' leases run out."""
        assert alive, "without a worker that renews its lease this is a gap: use clock.advance"
        step = min(worker.lease for worker in alive) / 3
        end = self.now + round(seconds * 1000)
        while self.now < end:
            self.clock.advance(min(step, (end - self.now) / 1000))
            for worker in alive:
                await worker.heartbeat()


def unit(*jobs: str | NewJob, **fields: Any) -> list[NewJob]:
    """Jobs of one caller; a plain id becomes a job whose data is the id as JSON."""
    return [NewJob(job, data_of(job), **fields) if isinstance(job, str) else job for job in jobs]


def data_of(job_id: str) -> bytes:
    """The payload that `unit` gives to a plain id."""
    return b'"' + job_id.encode() + b'"'


def ids(claims: Sequence[Claim]) -> list[str]:
    """The ids of claimed jobs."""
    return [claim.job_id for claim in claims]


@asynccontextmanager
async def harness(
    storage: Storage, limits: StoreLimits, verbs: frozenset[str], queue: str = "queue"
) -> AsyncIterator[Harness]:
    """A registered queue on a fresh storage; audits what the test left, closes every store, clears up."""
    clock = TravellingClock()
    opened: list[Store] = []
    try:
        store = await _open(storage, clock, limits, opened)
        await store.register(queue)
        yield Harness(storage, store, clock, limits, queue, opened)
        await audit(store, verbs)
    finally:
        for store in reversed(opened):
            await store.close()
        await storage.destroy()


async def _open(storage: Storage, clock: Clock, limits: StoreLimits, opened: list[Store]) -> Store:
    store = cast("Store", await storage.connect(clock, limits))
    await store.open()
    if not any(store is known for known in opened):
        opened.append(store)
    return store
