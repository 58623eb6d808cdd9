"""The store's verbs: each runs in a transaction of the right lane."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from checkmate_queue.backends.sqlite import (
    consumption,
    export,
    groups,
    ingestion,
    inspect,
    lifecycle,
    membership,
    repair,
    restore,
    scheduling,
    settings,
    ticks,
)
from checkmate_queue.backends.sqlite.database import Database, Options
from checkmate_queue.backends.sqlite.threads import in_thread
from checkmate_queue.backends.sqlite.waker import Waker
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import BATCH, wall_clock

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from checkmate_queue.backends.sqlite.connection import Synchronous
    from checkmate_queue.backends.sqlite.transaction import Transaction
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

T = TypeVar("T")

_LIGHT = 250
"""Records up to which a call is light."""

_LIGHT_BYTES = 256 * 1024


class SqliteStore:
    """Jobs in one SQLite file, which any number of processes of one machine may share.

    The file must be on a local disk: SQLite's locks can't be relied upon over a network. `synchronous` says
    when a commit counts: with "NORMAL" it survives the death of any process, with "FULL" also a power cut, at
    the price of a sync to disk each time. `patience_ms` is how long a verb waits for a locked database.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "NORMAL",
        limits: StoreLimits | None = None,
        clock: Clock | None = None,
        patience_ms: int = 5000,
    ) -> None:
        self._options = Options(
            path=path,
            synchronous=synchronous,
            limits=limits or StoreLimits(),
            clock=clock or wall_clock,
            patience=patience_ms / 1000,
        )
        self._opening = asyncio.Lock()
        self._listeners: list[News] = []
        self._waker: Waker | None = None
        self._database: Database | None = None

    # -- lifecycle -------------------------------------------------------------------------------

    async def open(self) -> None:
        """See the contract."""
        async with self._opening:
            if self._database is not None:
                return
            waker = Waker(asyncio.get_running_loop(), self._listeners)
            try:
                self._database = await in_thread(partial(Database, self._options, waker), Database.close)
            except BaseException:
                waker.close()
                raise
            self._waker = waker

    async def close(self) -> None:
        """See the contract."""
        database, waker = self._database, self._waker
        self._database = self._waker = None
        if waker is not None:
            waker.close()
        if database is not None:
            await in_thread(database.close)

    async def ping(self) -> Millis:
        """See the contract."""
        return await self._read(lifecycle.ping)

    async def register(self, queue: str) -> None:
        """See the contract."""
        await self._write(partial(lifecycle.register, queue=queue))

    def listen(self, on_news: News) -> None:
        """See the contract."""
        self._listeners.append(on_news)

    # -- ingestion -------------------------------------------------------------------------------

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """See the contract."""
        count = sum(map(len, units))
        size = sum(len(new.data) for unit in units for new in unit)
        light = count <= _LIGHT and size <= _LIGHT_BYTES
        return await self._write(partial(ingestion.add, queue=queue, units=units), light=light)

    # -- consumption -----------------------------------------------------------------------------

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """See the contract."""
        verb = partial(membership.join, queue=queue, worker=worker, joins=groups, lease_ms=lease_ms)
        return await self._write(verb, light=False)

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """See the contract."""
        verb = partial(membership.leave, epoch=epoch, names=groups, unregister=unregister)
        await self._write(verb, light=False)

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """See the contract."""
        verb = partial(
            consumption.exchange, epoch=epoch, group=group, n=n, settlements=settlements, want=want
        )
        return await self._write(verb, light=len(settlements) + want <= _LIGHT)

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """See the contract."""
        verb = partial(consumption.heartbeat, epoch=epoch, report=report)
        return await self._opened().heartbeats.run(verb)

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """See the contract."""
        verb = partial(ticks.tick, epoch=epoch, settled=settled)
        return await self._write(verb, light=len(settled) <= _LIGHT)

    # -- scheduling ------------------------------------------------------------------------------

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """See the contract."""
        return await self._write(partial(scheduling.put_schedule, queue=queue, spec=spec), light=False)

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """See the contract."""
        verb = partial(scheduling.drop_schedule, queue=queue, schedule_id=schedule_id)
        return await self._write(verb, light=False)

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """See the contract."""
        verb = partial(scheduling.select_schedules, queue=queue, ids=ids, after=after, limit=limit)
        return await self._read(verb)

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """See the contract."""
        answers: list[bool] = []
        for part in scheduling.parts(firings):
            verb = partial(scheduling.fire, queue=queue, firings=part)
            light = sum(map(scheduling.weight, part)) <= _LIGHT // 5
            answers += await self._write(verb, light=light)
        return answers

    # -- fencing ---------------------------------------------------------------------------------

    async def fence(self, queue: str | None, successor: str) -> None:
        """See the contract."""
        await self._write(partial(lifecycle.fence, queue=queue, successor=successor))

    # -- moving ----------------------------------------------------------------------------------

    async def export(self, queue: str, cursor: str = "", limit: int = BATCH) -> Export:
        """See the contract."""
        if not cursor:
            await self._write(partial(export.complete, queue=queue), light=False)
        return await self._read(partial(export.export, queue=queue, cursor=cursor, limit=limit))

    async def is_vacant(self) -> bool:
        """See the contract."""
        return await self._read(restore.is_vacant)

    async def receive(self, token: str, successor: str) -> bool:
        """See the contract."""
        return await self._write(partial(restore.receive, token=token, successor=successor), light=False)

    async def restore(self, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
        """See the contract."""
        verb = partial(restore.restore, token=token, queue=queue, n=n, records=records)
        await self._write(verb, light=False)

    async def admit(self, token: str) -> None:
        """See the contract."""
        await self._write(partial(restore.admit, token=token), light=False)

    async def reopen(self, successor: str) -> None:
        """See the contract."""
        await self._write(partial(restore.reopen, successor=successor), light=False)

    async def clear(self, successor: str) -> None:
        """See the contract."""
        await self._write(partial(restore.clear, successor=successor), light=False)

    async def held(self, epoch: Epoch) -> list[HeldClaim]:
        """See the contract."""
        return await self._write(partial(restore.held, epoch=epoch))

    # -- repair ----------------------------------------------------------------------------------

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """See the contract."""
        return await self._write(partial(repair.cancel, queue=queue, job_id=job_id))

    async def set_paused(self, queue: str, paused: bool) -> None:
        """See the contract."""
        await self._write(partial(repair.set_paused, queue=queue, paused=paused))

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """See the contract."""
        return await self._write(partial(repair.retry_failed, queue=queue, job_id=job_id, group=group))

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """See the contract."""
        verb = partial(repair.discard_failed, queue=queue, job_id=job_id, group=group)
        return await self._write(verb, light=False)

    async def drop_group(self, queue: str, group: str) -> bool:
        """See the contract."""
        return await self._write(partial(groups.drop_group, queue=queue, name=group), light=False)

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """See the contract."""
        await self._write(partial(groups.rename_group, queue=queue, old=old, new=new), light=False)

    # -- inspection ------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """See the contract."""
        return await self._read(inspect.queues)

    async def paused(self, queue: str) -> bool:
        """See the contract."""
        return await self._read(partial(inspect.paused, queue=queue))

    async def stats(self, queue: str) -> QueueStats:
        """See the contract."""
        return await self._read(partial(inspect.stats, queue=queue))

    async def job(self, queue: str, job_id: str) -> JobRecord | None:
        """See the contract."""
        return await self._read(partial(inspect.job, queue=queue, job_id=job_id))

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """See the contract."""
        return await self._read(partial(inspect.jobs, queue=queue, state=state, after=after, limit=limit))

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """See the contract."""
        return await self._read(partial(inspect.failed, queue=queue, group=group, after=after, limit=limit))

    async def groups(self, queue: str) -> list[GroupRecord]:
        """See the contract."""
        return await self._read(partial(inspect.groups, queue=queue))

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """See the contract."""
        return await self._read(partial(inspect.workers, queue=queue))

    # -- settings --------------------------------------------------------------------------------

    async def load_setting(self, key: str) -> Setting | None:
        """See the contract."""
        return await self._read(partial(settings.load_setting, key=key))

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """See the contract."""
        verb = partial(settings.save_setting, key=key, value=value, expected_version=expected_version)
        return await self._write(verb)

    # -- lanes -----------------------------------------------------------------------------------

    async def _write(self, verb: Callable[[Transaction], T], *, light: bool = True) -> T:
        return await self._opened().writing.run(verb, light=light)

    async def _read(self, verb: Callable[[Transaction], T]) -> T:
        return await self._opened().reading.run(verb)

    def _opened(self) -> Database:
        if self._database is None:
            raise BackendUnavailableError(
                f"The store of the SQLite database '{self._options.path}' is not open."
            )
        return self._database
