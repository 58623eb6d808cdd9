"""The store's verbs on Redis 6.2 or newer, and on Valkey.

Each verb is one Lua script. A script that would touch more than about `BATCH` records does part of the work
and asks to be run again. What a verb itself decides happens at once, in its last run; what that leaves to be
done in batches is done by whichever verb comes next, before its own work. So nobody sees anything half done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis import (
    consumption,
    dangers,
    export,
    ingestion,
    inspection,
    lifecycle,
    moving,
    repair,
    restore,
    scheduling,
    settings,
)
from checkmate_queue.backends.redis.connection import Connection
from checkmate_queue.backends.redis.endpoint import Security, parse_endpoint
from checkmate_queue.backends.redis.keys import Keyspace
from checkmate_queue.backends.redis.news import Newsreader
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.core.model import RECORD_FORMAT, StoreLimits
from checkmate_queue.store import BATCH, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        QueueStats,
        Schedule,
        Settlement,
        Tick,
        WorkerRecord,
    )
    from checkmate_queue.core.moving import Export, HeldClaim, Moved
    from checkmate_queue.store import Clock, News, Setting

_OLDEST = (6, 2)


class RedisStore:
    """Jobs on a Redis or Valkey server; any number of processes share it."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "checkmate",
        security: Security | None = None,
        limits: StoreLimits | None = None,
        clock: Clock | None = None,
        patience_ms: int = 5000,
    ) -> None:
        self._keys = Keyspace(prefix)
        self._clock = clock
        self._connection = Connection(
            parse_endpoint(url),
            security or Security(),
            self._keys,
            limits=limits or StoreLimits(),
            clock=clock,
            patience_ms=patience_ms,
        )
        self._news = Newsreader(self._connection)
        self._indexes: export.Indexes = {}

    # -- lifecycle -------------------------------------------------------------------------------

    async def open(self) -> None:
        """See the contract."""

        self._connection.open()
        version = str((await self._connection.ask("INFO", "server"))["redis_version"])
        found = await self._connection.ask("GET", self._keys.format)
        if found is None:  # only then: a full server refuses to write
            await self._connection.ask("SET", self._keys.format, RECORD_FORMAT, "NX")
            found = await self._connection.ask("GET", self._keys.format)
        stored = int(found) if found is not None and found.isdigit() else None
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise ConfigError(f"Redis {version} is too old; 6.2 or newer is needed.")
        if stored is None or stored > RECORD_FORMAT:
            kind = "no format that can be read" if stored is None else f"format {stored}"
            raise ConfigError(
                f"What is stored under {self._keys.format!r} has {kind}, and this version reads up to "
                f"{RECORD_FORMAT}; use a newer version of the library, or another prefix."
            )

    async def close(self) -> None:
        """See the contract."""
        await self._news.close()
        await self._connection.close()

    async def ping(self) -> Millis:
        """See the contract."""

        seconds, micros = await self._connection.ask("TIME")
        now: Millis = int(seconds) * 1000 + int(micros) // 1000
        return now if self._clock is None else self._clock()

    async def dangers(self) -> list[str]:
        """See `Examinable`."""
        return await dangers.find(self._connection)

    async def register(self, queue: str) -> None:
        """See the contract."""
        await lifecycle.register(self._connection, queue)

    def listen(self, on_news: News) -> None:
        """See the contract."""
        self._news.listen(on_news)

    # -- ingestion -------------------------------------------------------------------------------

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """See the contract."""
        return await ingestion.add(self._connection, queue, units)

    # -- consumption -----------------------------------------------------------------------------

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """See the contract."""
        epoch = await consumption.join(self._connection, queue, worker, groups, lease_ms)
        await self._news.follow(queue)
        return epoch

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """See the contract."""
        await consumption.leave(self._connection, epoch, groups, unregister)

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """See the contract."""
        return await consumption.exchange(self._connection, epoch, group, n, settlements, want)

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """See the contract."""
        return await consumption.heartbeat(self._connection, epoch, report)

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """See the contract."""
        return await consumption.tick(self._connection, epoch, settled)

    # -- scheduling ------------------------------------------------------------------------------

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """See the contract."""
        return await scheduling.put_schedule(self._connection, queue, spec)

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """See the contract."""
        return await scheduling.drop_schedule(self._connection, queue, schedule_id)

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """See the contract."""
        return await scheduling.schedules(self._connection, queue, ids, after, limit)

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """See the contract."""
        return await scheduling.fire(self._connection, queue, firings)

    # -- fencing ---------------------------------------------------------------------------------

    async def fence(self, queue: str | None, successor: str) -> None:
        """See the contract."""
        if queue is None:
            await lifecycle.fence_registry(self._connection, successor)
            return
        if not await self._connection.ask("SISMEMBER", self._keys.queues, queue):
            raise UnknownQueueError(f"Queue {queue!r} was never registered with this backend.")
        await lifecycle.fence(self._connection, queue, successor)

    # -- moving ----------------------------------------------------------------------------------

    async def export(self, queue: str, cursor: str = "", limit: int = BATCH) -> Export:
        """See the contract."""
        return await export.export(self._connection, self._indexes, queue, cursor, limit)

    async def is_vacant(self) -> bool:
        """See the contract."""
        return await moving.is_vacant(self._connection)

    async def receive(self, token: str, successor: str) -> bool:
        """See the contract."""
        return await moving.receive(self._connection, token, successor)

    async def restore(self, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
        """See the contract."""
        await restore.restore(self._connection, token, queue, n, records)

    async def admit(self, token: str) -> None:
        """See the contract."""
        await moving.admit(self._connection, token)

    async def reopen(self, successor: str) -> None:
        """See the contract."""
        await moving.reopen(self._connection, successor)

    async def clear(self, successor: str) -> None:
        """See the contract."""
        await moving.clear(self._connection, successor)

    async def held(self, epoch: Epoch) -> list[HeldClaim]:
        """See the contract."""
        return await moving.held(self._connection, epoch)

    # -- repair ----------------------------------------------------------------------------------

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """See the contract."""
        return await repair.cancel(self._connection, queue, job_id)

    async def set_paused(self, queue: str, paused: bool) -> None:
        """See the contract."""
        await repair.set_paused(self._connection, queue, paused)

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """See the contract."""
        return await repair.retry_failed(self._connection, queue, job_id, group)

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """See the contract."""
        return await repair.discard_failed(self._connection, queue, job_id, group)

    async def drop_group(self, queue: str, group: str) -> bool:
        """See the contract."""
        return await repair.drop_group(self._connection, queue, group)

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """See the contract."""
        await repair.rename_group(self._connection, queue, old, new)

    # -- inspection ------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """See the contract."""
        return await inspection.queues(self._connection)

    async def paused(self, queue: str) -> bool:
        """See the contract."""
        return await inspection.paused(self._connection, queue)

    async def stats(self, queue: str) -> QueueStats:
        """See the contract."""
        return await inspection.stats(self._connection, queue)

    async def job(self, queue: str, job_id: str) -> JobRecord | None:
        """See the contract."""
        return await inspection.job(self._connection, queue, job_id)

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """See the contract."""
        return await inspection.jobs(self._connection, queue, state, after, limit)

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """See the contract."""
        return await inspection.failed(self._connection, queue, group, after, limit)

    async def groups(self, queue: str) -> list[GroupRecord]:
        """See the contract."""
        return await inspection.groups(self._connection, queue)

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """See the contract."""
        return await inspection.workers(self._connection, queue)

    # -- settings --------------------------------------------------------------------------------

    async def load_setting(self, key: str) -> Setting | None:
        """See the contract."""
        return await settings.load_setting(self._connection, key)

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """See the contract."""
        return await settings.save_setting(self._connection, key, value, expected_version)
