"""The store's verbs: each enters its queue, and applies one rule of the contract under one lock."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from checkmate_queue.backends.memory import (
    consumption,
    groups,
    ingestion,
    inspect,
    leases,
    moving,
    repair,
    schedules,
    ticks,
)
from checkmate_queue.backends.memory.deliveries import expire
from checkmate_queue.backends.memory.state import QueueState
from checkmate_queue.core.model import QueueStats, StoreLimits
from checkmate_queue.moving import EXPORT_BYTES, MoveLostError
from checkmate_queue.store import BATCH, FencedError, Setting, UnknownQueueError, wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from checkmate_queue.core.model import (
        Added,
        CancelResult,
        Epoch,
        Exchange,
        FailedRecord,
        Firing,
        GroupJoin,
        GroupRecord,
        JobRecord,
        JobState,
        LapseSettlement,
        Millis,
        NewJob,
        NewSchedule,
        Orders,
        QueueFull,
        Schedule,
        Settlement,
        Tick,
        WorkerRecord,
    )
    from checkmate_queue.core.moving import Export, HeldClaim, Moved
    from checkmate_queue.store import Clock, News


class MemoryStore:
    """Jobs in this process's memory: the executable form of the contract, and as fast as Python goes.

    Each store is a world of its own. All verbs belong to the event loop's thread but `heartbeat`, which may
    come from any; a lock keeps that one apart from the others.
    """

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        self._limits = limits or StoreLimits()
        self._clock = clock or wall_clock
        self._lock = RLock()
        self._queues: dict[str, QueueState] = {}
        self._settings: dict[str, Setting] = {}
        self._listeners: list[News] = []
        self._epochs = itertools.count(1)
        self._registry_successor: str | None = None
        self._reception: moving.Reception | None = None
        self._before: str | None = None  # What the registry's fence said before `receive`.

    # -- lifecycle -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to release; what is stored stays while the store does."""

    async def ping(self) -> Millis:
        """See the contract."""
        return self._clock()

    async def register(self, queue: str) -> None:
        """See the contract."""
        with self._lock:
            if queue in self._queues:
                self._refuse_fenced(self._queues[queue].successor)
                return
            self._refuse_fenced(self._registry_successor)
            now = self._clock()
            self._queues[queue] = QueueState(queue, self._limits, self._announce, now, now, self._epochs)

    def limit(self, limits: StoreLimits) -> None:
        """See `Limitable`."""
        with self._lock:
            self._limits = limits
            for queue in self._queues.values():
                queue.limits = queue.failed.limits = limits

    def listen(self, on_news: News) -> None:
        """See the contract."""
        self._listeners.append(on_news)

    # -- ingestion -------------------------------------------------------------------------------

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """See the contract."""
        with self._writing(queue) as (state, now):
            expire(state, now)
            live = leases.live_groups(state, now)
            return [ingestion.add_unit(state, unit, live, now) for unit in units]

    # -- consumption -----------------------------------------------------------------------------

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """See the contract."""
        with self._writing(queue) as (state, now):
            return consumption.join(state, worker, groups, lease_ms, now)

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """See the contract."""
        with self._writing(epoch.queue) as (state, now):
            consumption.leave(state, epoch, groups, unregister, now)

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """See the contract."""
        with self._writing(epoch.queue) as (state, now):
            return consumption.exchange(state, epoch, group, n=n, settlements=settlements, want=want, now=now)

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """See the contract."""
        with self._writing(epoch.queue) as (state, now):
            return consumption.heartbeat(state, epoch, report, now)

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """See the contract."""
        with self._writing(epoch.queue) as (state, now):
            return ticks.tick(state, consumption.live_epoch(state, epoch, now), settled, now)

    # -- scheduling ------------------------------------------------------------------------------

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """See the contract."""
        with self._writing(queue) as (state, now):
            expire(state, now)
            return schedules.put_schedule(state, spec)

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """See the contract."""
        with self._writing(queue) as (state, now):
            expire(state, now)
            return schedules.drop_schedule(state, schedule_id)

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """See the contract."""
        with self._lock:
            return schedules.select_schedules(self._known(queue), ids, after, limit)

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """See the contract."""
        with self._writing(queue) as (state, now):
            expire(state, now)
            return [schedules.fire(state, firing, now) for firing in firings]

    # -- fencing ---------------------------------------------------------------------------------

    async def fence(self, queue: str | None, successor: str) -> None:
        """See the contract."""
        with self._lock:
            if queue is None:
                self._registry_successor = successor
            else:
                self._known(queue).successor = successor

    # -- moving ----------------------------------------------------------------------------------

    async def export(self, queue: str, cursor: str = "", limit: int = BATCH) -> Export:
        """See the contract."""
        with self._lock:
            return moving.export(self._known(queue), cursor, limit, EXPORT_BYTES, self._clock())

    async def is_vacant(self) -> bool:
        """See the contract."""
        with self._lock:
            return not self._queues or (self._reception is not None and not self._reception.admitted)

    async def receive(self, token: str, successor: str) -> bool:
        """See the contract."""
        with self._lock:
            if not await self.is_vacant():
                return False
            self._queues.clear()
            if self._reception is None or self._reception.admitted:
                self._before = self._registry_successor
            self._reception = moving.Reception(token, successor)
            self._registry_successor = successor
            return True

    async def restore(self, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
        """See the contract."""
        with self._lock:
            reception = self._receiving(token)
            if reception.admitted:
                raise MoveLostError
            if n == reception.batches:
                return
            if n != reception.batches + 1:
                raise ValueError(f"batch {n} is neither {reception.batches} again nor the next")
            if queue not in self._queues:
                now = self._clock()
                self._queues[queue] = QueueState(queue, self._limits, self._announce, now, now, self._epochs)
                self._queues[queue].successor = reception.successor
            for record in records:
                moving.restore(self._queues[queue], record)
            reception.batches = n

    async def admit(self, token: str) -> None:
        """See the contract."""
        with self._lock:
            reception = self._receiving(token)
            if not reception.admitted:
                reception.admitted = True
                self._registry_successor = self._before = None
                for queue in self._queues.values():
                    moving.admit(queue, self._clock())

    async def reopen(self, successor: str) -> None:
        """See the contract."""
        with self._lock:
            if self._registry_successor == successor:
                self._registry_successor, self._before = self._before, None
            for queue in self._queues.values():
                if queue.successor == successor:
                    queue.successor = None

    async def clear(self, successor: str) -> None:
        """See the contract."""
        with self._lock:
            if self._registry_successor == successor:
                self._reception = None
                self._queues.clear()

    async def held(self, epoch: Epoch) -> list[HeldClaim]:
        """See the contract."""
        with self._writing(epoch.queue) as (state, now):
            return moving.held(consumption.live_epoch(state, epoch, now), now)

    def _receiving(self, token: str) -> moving.Reception:
        if self._reception is None or self._reception.token != token:
            raise MoveLostError
        return self._reception

    # -- repair ----------------------------------------------------------------------------------

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """See the contract."""
        with self._writing(queue) as (state, now):
            expire(state, now)
            return repair.cancel(state, job_id)

    async def set_paused(self, queue: str, paused: bool) -> None:
        """See the contract."""
        with self._writing(queue) as (state, _):
            state.paused = paused
            if not paused:
                state.wake()

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """See the contract."""
        with self._writing(queue) as (state, now):
            expire(state, now)
            return repair.retry_failed(state, job_id, group, now)

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """See the contract."""
        with self._writing(queue) as (state, _):
            return repair.discard_failed(state, job_id, group)

    async def drop_group(self, queue: str, group: str) -> bool:
        """See the contract."""
        with self._writing(queue) as (state, now):
            return groups.drop_group(state, group, now)

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """See the contract."""
        with self._writing(queue) as (state, now):
            groups.rename_group(state, old, new, now)

    # -- inspection ------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """See the contract."""
        with self._lock:
            return sorted(self._queues)

    async def paused(self, queue: str) -> bool:
        """See the contract."""
        with self._reading(queue) as (state, _):
            return state is not None and state.paused

    async def stats(self, queue: str) -> QueueStats:
        """See the contract."""
        with self._reading(queue) as (state, now):
            return QueueStats() if state is None else inspect.stats_of(state, now)

    async def job(self, queue: str, job_id: str) -> JobRecord | None:
        """See the contract."""
        with self._reading(queue) as (state, now):
            return None if state is None else inspect.find_job(state, job_id, now)

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """See the contract."""
        with self._reading(queue) as (found, now):
            return [] if found is None else inspect.select_jobs(found, state, after, limit, now)

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """See the contract."""
        with self._reading(queue) as (state, _):
            return [] if state is None else inspect.select_failed(state, group, after, limit)

    async def groups(self, queue: str) -> list[GroupRecord]:
        """See the contract."""
        with self._reading(queue) as (state, now):
            return [] if state is None else inspect.group_records(state, now)

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """See the contract."""
        with self._reading(queue) as (state, now):
            return [] if state is None else inspect.worker_records(state, now)

    # -- settings --------------------------------------------------------------------------------

    async def load_setting(self, key: str) -> Setting | None:
        """See the contract."""
        with self._lock:
            return self._settings.get(key)

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """See the contract."""
        with self._lock:
            stored = self._settings.get(key)
            if (stored.version if stored else 0) != expected_version:
                return False
            self._settings[key] = Setting(value, expected_version + 1)
            return True

    # -- entering a queue ------------------------------------------------------------------------

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[QueueState, Millis]]:
        with self._lock:
            if name not in self._queues:
                self._refuse_fenced(self._registry_successor)
            queue = self._known(name)
            self._refuse_fenced(queue.successor)
            now = self._clock()
            leases.contact(queue, now)
            yield queue, now

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[QueueState | None, Millis]]:
        with self._lock:
            yield self._queues.get(name), self._clock()

    def _known(self, name: str) -> QueueState:
        if name not in self._queues:
            raise UnknownQueueError(f"Queue {name!r} was never registered with this backend.")
        return self._queues[name]

    def _refuse_fenced(self, successor: str | None) -> None:
        if successor is not None:
            raise FencedError(successor)

    def _announce(self, queue: str) -> None:
        loop = asyncio.get_running_loop()
        for on_news in self._listeners:
            loop.call_soon(on_news, queue)
