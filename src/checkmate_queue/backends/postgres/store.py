"""The verbs of the seam, each a call of the function that has its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.postgres.arguments import (
    Settlements,
    claims_of,
    job_columns,
    schedule_of,
    split_done,
)
from checkmate_queue.backends.postgres.cleaner import Cleaner
from checkmate_queue.backends.postgres.connection import Connections
from checkmate_queue.backends.postgres.dangers import dangers_of
from checkmate_queue.backends.postgres.export import Exporting
from checkmate_queue.backends.postgres.inspection import Inspection
from checkmate_queue.backends.postgres.repair import Repair
from checkmate_queue.backends.postgres.restore import Restoring
from checkmate_queue.backends.postgres.server import Server
from checkmate_queue.backends.postgres.statements import call, statement
from checkmate_queue.backends.postgres.transactions import Transactions
from checkmate_queue.backends.postgres.waker import Waker
from checkmate_queue.core.model import (
    AbandonedGroup,
    Added,
    Epoch,
    Exchange,
    LapsedClaim,
    Orders,
    QueueFull,
    StoreLimits,
    Tick,
    occurrence_id,
)
from checkmate_queue.store import BATCH, LeaseLostError, Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.core.model import (
        Firing,
        GroupJoin,
        LapseSettlement,
        Millis,
        NewJob,
        NewSchedule,
        Schedule,
        Settlement,
    )
    from checkmate_queue.store import Clock, News

_DEFAULT_LIMITS = StoreLimits()


class PostgresStore(Transactions, Inspection, Repair, Exporting, Restoring):
    """A store in one schema of a PostgreSQL database."""

    def __init__(
        self,
        dsn: str,
        *,
        password: str | None = None,
        schema: str = "checkmate_queue",
        limits: StoreLimits = _DEFAULT_LIMITS,
        clock: Clock | None = None,
        patience_ms: Millis = 5000,
        max_connections: int = 10,
        migrate: bool = True,
    ) -> None:
        patience = patience_ms / 1000
        server = Server(dsn, password, max(patience, 1.0))
        connections = Connections(server, schema, patience, max_connections, migrate)
        super().__init__(connections, schema, limits, clock, patience_ms)
        self._waker = Waker(server, schema)
        self._cleaner = Cleaner(server, schema)

    # -- lifecycle -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """See `Lifecycle.open`."""
        self._slot = await self._connections.open()

    async def close(self) -> None:
        """See `Lifecycle.close`."""
        await self._waker.stop()
        await self._cleaner.stop()
        await self._connections.close()

    async def ping(self) -> Millis:
        """See `Lifecycle.ping`."""
        return await self._engine_time()

    async def dangers(self) -> list[str]:
        """See `Examinable`."""
        row = await self._connections.row(statement("dangers", self._schema))
        return list(dangers_of(dict(row)))

    async def register(self, queue: str) -> None:
        """See `Lifecycle.register`."""
        await self._call("register", queue, self._now())

    def listen(self, on_news: News) -> None:
        """See `Lifecycle.listen`."""
        self._waker.start(on_news)

    # -- the way in ----------------------------------------------------------------------------------

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """See `Ingestion.add`."""
        limit = self._limits.max_queue_size
        numbers = [number for number, unit in enumerate(units, 1) for _ in unit]
        jobs = [job for unit in units for job in unit]
        row = await self._until_ready(
            "add",
            *(queue, self._now(), self._slot, self._unclaimed, limit, numbers),
            *job_columns(jobs),
        )
        if row["o_status"] == "more":
            await self._catch_up(queue)
        created = iter(row["o_created"] or ())
        answers: list[list[Added] | QueueFull] = []
        for unit in units:
            flags = [(job.id, next(created)) for job in unit]
            refused = any(flag is None for _, flag in flags)
            answers.append(QueueFull(limit or 0) if refused else [Added(*flag) for flag in flags])
        return answers

    # -- the way out ---------------------------------------------------------------------------------

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """See `Consumption.join`."""
        row = await self._until_ready(
            "join",
            *(queue, self._now(), self._slot, self._unclaimed, worker, lease_ms),
            [group.name for group in groups],
            [group.ephemeral for group in groups],
            [group.start_from == "earliest" for group in groups],
            [group.max_stalls for group in groups],
        )
        if row["o_status"] == "more":
            await self._repeat("pay", queue)
        return Epoch(queue, row["o_epoch"])

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """See `Consumption.leave`."""
        row = await self._until_ready(
            "leave",
            *(epoch.queue, self._now(), self._slot, self._unclaimed),
            *(epoch.number, list(groups), unregister),
        )
        if row["o_status"] == "more":
            await self._repeat("purge", epoch.queue)

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """See `Consumption.exchange`."""
        done, others = split_done(settlements)
        row = await self._until_ready(
            "exchange",
            *(epoch.queue, self._now(), self._slot, self._unclaimed),
            *(self._limits.failed_retention_count, self._limits.failed_retention_ms),
            *(epoch.number, group, n, want, done, *others.columns()),
        )
        if row["o_status"] == "lost":
            raise LeaseLostError
        if row["o_status"] == "wrong":
            raise ValueError(f"exchange {n} of {group!r} is neither {row['o_next']} again nor the next")
        self._cleaner.note(len(settlements))
        return Exchange(
            now=row["o_now"],
            claims=await self._claims(epoch.queue, row),
            refused=row["o_refused"],
            cancelled=row["o_cancelled"],
            next_at=row["o_next"],
            paused=row["o_paused"],
        )

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """See `Consumption.heartbeat`."""
        query = call("heartbeat", 4, self._schema)
        row = await self._connections.row_anywhere(query, epoch.queue, self._now(), epoch.number, report)
        if row["o_status"] == "lost":
            raise LeaseLostError
        return Orders(list(zip(row["o_groups"] or (), row["o_keys"] or (), strict=True)))

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """See `Consumption.tick`."""
        limits = self._limits
        row = await self._call(
            "tick",
            *(epoch.queue, self._now(), self._slot, self._unclaimed),
            *(limits.failed_retention_count, limits.failed_retention_ms, limits.group_retention_ms),
            *(epoch.number, [lapse.group for lapse in settled]),
            *Settlements.of(lapse.settlement for lapse in settled).columns(),
        )
        if row["o_status"] == "lost":
            raise LeaseLostError
        found = await self.schedules(epoch.queue, row["o_due"]) if row["o_due"] else []
        due = {schedule.spec.id: schedule for schedule in found}
        return Tick(
            now=row["o_now"],
            next_at=row["o_next"],
            lapsed=_lapsed(row),
            due=[due[name] for name in row["o_due"] if name in due],
            readied=row["o_readied"],
            abandoned=[
                AbandonedGroup(*found) for found in zip(row["o_abandoned"], row["o_drop_at"], strict=True)
            ],
            dropped=row["o_dropped"],
            pending=row["o_pending"],
            more=row["o_more"],
        )

    # -- recurring jobs ------------------------------------------------------------------------------

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """See `Scheduling.put_schedule`."""
        row = await self._call(
            "put_schedule",
            *(
                queue,
                self._now(),
                self._slot,
                self._unclaimed,
                spec.id,
                spec.data,
                spec.definition,
                spec.timing,
                spec.first_at,
            ),
            *(spec.interval_seconds, spec.cron_pattern, spec.timezone, spec.priority, spec.misfire),
            *(spec.overlap, spec.unclaimed == "drop"),
        )
        return schedule_of(row)

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """See `Scheduling.drop_schedule`."""
        arguments = (queue, self._now(), self._slot, self._unclaimed, schedule_id)
        return bool((await self._call("drop_schedule", *arguments))["o_known"])

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """See `Scheduling.schedules`."""
        wanted = None if ids is None else list(ids)
        found: list[Schedule] = []
        while rows := await self._call_for_rows("schedules", queue, wanted, after, limit - len(found)):
            found += map(schedule_of, rows)
            after = rows[-1]["id"]
            if len(found) >= (limit if wanted is None else len(wanted)):
                break
        return found

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """See `Scheduling.fire`."""
        fired = await self._fire(queue, firings)
        while len(fired) < len(firings):
            fired += await self._fire(queue, firings[len(fired) :])
        return fired

    async def _fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """As many as one step may make jobs of."""
        dues = [
            (number, firing.schedule_id, due)
            for number, firing in enumerate(firings, 1)
            for due in firing.due
        ]
        row = await self._call(
            "fire",
            *(queue, self._now(), self._slot, self._unclaimed),
            [firing.schedule_id for firing in firings],
            [firing.revision for firing in firings],
            [firing.expected_at for firing in firings],
            [firing.next_at for firing in firings],
            [number for number, _, _ in dues],
            [due for _, _, due in dues],
            [occurrence_id(schedule, due) for _, schedule, due in dues],
        )
        fired: list[bool] = row["o_fired"]
        return fired

    # -- settings ------------------------------------------------------------------------------------

    async def load_setting(self, key: str) -> Setting | None:
        """See `SettingsStore.load_setting`."""
        rows = await self._connections.rows(statement("load_setting", self._schema), key)
        return Setting(rows[0]["value"], rows[0]["version"]) if rows else None

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """See `SettingsStore.save_setting`."""
        arguments: tuple[str | int, ...]
        if expected_version == 0:
            query, arguments = "insert_setting", (key, value)
        else:
            query, arguments = "update_setting", (key, value, expected_version)
        return bool(await self._connections.rows(statement(query, self._schema), *arguments))


def _lapsed(row: Row) -> list[LapsedClaim]:
    claims = claims_of(row, "o_claim_attempts")
    groups = zip(row["o_groups"] or (), row["o_max_stalls"] or (), claims, strict=True)
    return [LapsedClaim(*values) for values in groups]
