"""Storing what moves here, closed to all until it is admitted (B2, B3, B6)."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

from checkmate_queue.backends.sqlite.leases import renew
from checkmate_queue.backends.sqlite.marks import (
    CANCELLED,
    DELAYED,
    FRONT,
    LAPSED,
    MOVED,
    OPEN,
    SCHEDULES,
    STARTED,
    USERS,
)
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.backends.sqlite.transaction import Unfinished
from checkmate_queue.core.moving import (
    HeldClaim,
    Moved,
    MovedClaim,
    MovedEpoch,
    MovedFailure,
    MovedGroup,
    MovedJob,
    MovedQueue,
    MovedReady,
    MovedRetry,
    MovedSchedule,
    MovedUnclaimed,
)
from checkmate_queue.moving import MoveLostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.core.model import Epoch

_KEY: Final = "receiving"
_BEFORE: Final = "closed before receiving"
_EMPTIED_AT_ONCE: Final = 5000
_TABLES: Final = (
    *("ready", "claimed", "waiting", "failure", "job", "schedule"),
    *("member", "epoch", "sleeper", "consumer_group", "queue"),
)


class Reception(NamedTuple):
    """A move into this store, as it is noted among the settings."""

    token: str
    successor: str
    batches: int = 0
    admitted: bool = False


def _reception(tx: Transaction, token: str) -> Reception:
    reception = _noted(tx)
    if reception is None or reception.token != token:
        raise MoveLostError
    return reception


def _noted(tx: Transaction) -> Reception | None:
    row = tx.one("setting", (_KEY,))
    return None if row is None or not row[0] else Reception(*json.loads(row[0]))


def _note(tx: Transaction, reception: Reception | None) -> None:
    tx.run("put_setting", (_KEY, json.dumps(reception) if reception else ""))


def _fence(tx: Transaction) -> str:
    """What the registry's fence says, if there is one."""
    row = tx.one("registry")
    return (row and row[0]) or ""


def _empty(tx: Transaction) -> None:
    """Remove all queues, a part in each transaction."""
    for table in _TABLES:
        if tx.run(f"empty_{table}", (_EMPTIED_AT_ONCE,)):
            raise Unfinished


# -- the verbs -----------------------------------------------------------------------------------


def is_vacant(tx: Transaction) -> bool:
    """See `Moving.is_vacant`."""
    reception = _noted(tx)
    return (reception is not None and not reception.admitted) or not tx.all("queue_names")


def receive(tx: Transaction, token: str, successor: str) -> bool:
    """See `Moving.receive`."""
    if not is_vacant(tx):
        return False
    reception = _noted(tx)
    if reception is None or reception.admitted:
        tx.run("put_setting", (_BEFORE, _fence(tx)))
    tx.run("fence_registry", (successor,))
    _note(tx, Reception(token, successor))
    _empty(tx)
    return True


def restore(tx: Transaction, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
    """See `Moving.restore`."""
    reception = _reception(tx, token)
    if reception.admitted:
        raise MoveLostError
    if n == reception.batches:
        return
    if n != reception.batches + 1:
        raise ValueError(f"batch {n} is neither {reception.batches} again nor the next")
    row = tx.one("queue", (queue,))
    if row is None:
        tx.run("insert_queue", (queue, tx.clock()))
        row = tx.one("queue", (queue,))
        assert row is not None
        tx.run("fence_queue", (row[0], reception.successor))
    _Restorer(Session(tx, queue, row)).restore(records)
    _note(tx, reception._replace(batches=n))


def admit(tx: Transaction, token: str) -> None:
    """See `Moving.admit`."""
    reception = _reception(tx, token)
    if not reception.admitted:
        now = tx.clock()
        tx.run("admit_epochs", (now,))
        tx.run("admit_queues", (now,))
        tx.run("admit_registry")
        tx.run("put_setting", (_BEFORE, ""))
        _note(tx, reception._replace(admitted=True))


def reopen(tx: Transaction, successor: str) -> None:
    """See `Moving.reopen`."""
    tx.run("reopen_queues", (successor,))
    if _fence(tx) == successor:
        before = tx.one("setting", (_BEFORE,))
        tx.run("fence_registry", (before[0] or None if before else None,))
        tx.run("put_setting", (_BEFORE, ""))


def clear(tx: Transaction, successor: str) -> None:
    """See `Moving.clear`."""
    if _fence(tx) == successor:
        _note(tx, None)
        _empty(tx)


def held(tx: Transaction, epoch: Epoch) -> list[HeldClaim]:
    """See `Moving.held`."""
    session = Session.enter(tx, epoch.queue)
    renew(session, epoch)
    session.save()
    rows = session.all("held_in_order", (epoch.number,))
    return [
        HeldClaim(group, key, job_id, exchange, bool(cancelled))
        for group, key, job_id, exchange, cancelled in rows
    ]


# -- records -------------------------------------------------------------------------------------


class _Restorer:
    """Stores records of one queue."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def restore(self, records: Sequence[Moved]) -> None:
        """Store records in their order."""
        for kind, run in groupby(records, type):
            same = list(run)
            if kind is MovedJob:
                self._jobs([record for record in same if isinstance(record, MovedJob)])
            elif kind is MovedReady:
                self._ready([record for record in same if isinstance(record, MovedReady)])
            else:
                for record in same:
                    self._restore(record)
        self._session.save()

    def _restore(self, record: Moved) -> None:
        match record:
            case MovedQueue() | MovedGroup() | MovedEpoch() | MovedSchedule():
                self._frame(record)
            case MovedJob():
                self._jobs([record])
            case MovedUnclaimed():
                session = self._session
                until = record.since + session.tx.limits.unclaimed_retention_ms
                session.run("restore_unclaimed", (self._key(record.key), session.draw(), until))
                session.unclaimed += 1
            case MovedReady():
                self._ready([record])
            case MovedRetry():
                self._retry(record)
            case MovedClaim():
                self._claim(record)
            case MovedFailure():
                self._failure(record)
            case _:
                assert_never(record)

    def _key(self, ordinal: int) -> int:
        return (self._session.id << 42) + ordinal

    def _group(self, name: str) -> int:
        group = self._session.group(name)
        assert group is not None
        return group.id

    def _frame(self, record: MovedQueue | MovedGroup | MovedEpoch | MovedSchedule) -> None:
        session = self._session
        match record:
            case MovedQueue():
                session.paused, session.last_key = int(record.paused), self._key(record.last_key)
                session.last_claim, session.last_revision = record.last_claim, record.last_revision
                for outcome, count in record.ended.items():
                    session.ended.end(outcome, count)
            case MovedGroup():
                ended = record.ended
                session.run(
                    "restore_group",
                    (
                        session.id, record.name, record.ephemeral, record.max_stalls, record.registered_at,
                        record.unattended_ms, record.warned_at, ended.get("completed", 0),
                        ended.get("failed", 0), ended.get("expired", 0), ended.get("cancelled", 0),
                    ),
                )  # fmt: skip
                session.forget_groups()
            case MovedEpoch():
                self._epoch(record)
            case MovedSchedule():
                self._schedule(record)
            case _:
                assert_never(record)

    def _epoch(self, record: MovedEpoch) -> None:
        session = self._session
        row = session.one("insert_epoch", (session.id, record.worker, record.lease_ms, 0))
        assert row is not None
        session.run("restore_report", (row[0], record.report, int(record.alive)))
        session.run_many(
            "restore_member", [(row[0], session.id, name, n) for name, n in record.exchanges.items()]
        )

    def _schedule(self, record: MovedSchedule) -> None:
        stored = record.schedule
        spec = stored.spec
        self._session.run(
            "put_schedule",
            (
                self._session.id, spec.id, spec.data, spec.definition, spec.timing, spec.first_at,
                spec.interval_seconds, spec.cron_pattern, spec.timezone, spec.priority, spec.misfire,
                spec.overlap, spec.unclaimed, stored.revision, stored.anchor, stored.next_at,
                stored.last_run_at, stored.last_outcome,
            ),
        )  # fmt: skip

    def _jobs(self, records: Iterable[MovedJob]) -> None:
        rows: list[tuple[Any, ...]] = []
        for job in records:
            self._session.delayed += job.due_at is not None
            rows.append(
                (
                    self._key(job.key), self._session.id, USERS if job.schedule_id is None else SCHEDULES,
                    OPEN if job.due_at is None else DELAYED, job.priority, job.enqueued_at, job.due_at,
                    job.expires_at, job.unclaimed == "drop", job.record_format, job.id, job.schedule_id,
                    job.token, job.metadata, job.data,
                )
            )  # fmt: skip
        self._session.run_many("restore_job", rows)

    def _ready(self, records: Iterable[MovedReady]) -> None:
        session = self._session
        rows = []
        for each in records:
            group = self._group(each.group)
            session.tallies[group].pending += 1
            rows.append(
                (
                    group, each.claim - FRONT if each.front else session.draw(), self._key(each.key),
                    STARTED if each.claim else MOVED, each.attempts, each.stalls, each.since,
                )
            )  # fmt: skip
        session.run_many("restore_ready", rows)
        session.run_many("add_holder", [(row[2],) for row in rows])

    def _retry(self, record: MovedRetry) -> None:
        group, key = self._group(record.group), self._key(record.key)
        self._session.run("restore_waiting", (group, key, record.due_at, record.attempts, record.stalls))
        self._session.run("add_holder", (key,))
        self._session.tallies[group].retrying += 1

    def _claim(self, record: MovedClaim) -> None:
        group, key = self._group(record.group), self._key(record.key)
        flags = CANCELLED * record.cancelled + LAPSED * record.lapsed
        self._session.run(
            "restore_claim",
            (
                group, key, self._session.id, record.worker, record.exchange, record.claim,
                record.attempts, record.stalls, record.since, flags,
            ),
        )  # fmt: skip
        self._session.run("add_holder", (key,))
        self._session.tallies[group].processing += 1

    def _failure(self, record: MovedFailure) -> None:
        session, failure = self._session, record.failure
        session.run(
            "restore_failure",
            (
                session.id, self._key(record.key), record.job_id,
                USERS if record.schedule_id is None else SCHEDULES, record.schedule_id, record.group,
                record.priority, record.enqueued_at, record.unclaimed == "drop", record.record_format,
                record.failed_at, record.attempts, failure.error_type, failure.message,
                failure.traceback, record.metadata, record.data,
            ),
        )  # fmt: skip
        session.failures += 1
