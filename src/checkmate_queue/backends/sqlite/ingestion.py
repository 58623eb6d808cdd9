"""The way in: each unit is stored whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.endings import Job, is_over, sweep
from checkmate_queue.backends.sqlite.marks import DELAYED, OPEN, UNCLAIMED
from checkmate_queue.backends.sqlite.promotion import expire
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.core.model import RECORD_FORMAT, Added, QueueFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.sqlite.transaction import Transaction, Values
    from checkmate_queue.core.model import Millis, NewJob


def add(tx: Transaction, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
    """See `Ingestion.add`."""
    session = Session.enter(tx, queue)
    if tx.limits.max_queue_size is None:
        sweep(session)
    else:
        expire(session)
    answers = Intake(session).take(units)
    session.save()
    return answers


class Intake:
    """Stores the units of one call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._groups = session.live_groups()
        self._first_due: Millis | None = None

    def take(self, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """Store what can be stored, and wake sleepers for it."""
        session = self._session
        due_before = session.next_due() if any(new.delay_ms > 0 for unit in units for new in unit) else 0
        limit = session.tx.limits.max_queue_size
        if limit is None or self._size() + sum(map(len, units)) <= limit:
            # What nobody is registered for may end at once, and so frees its id for the units after it.
            ends = not self._groups and any(new.unclaimed == "drop" for unit in units for new in unit)
            answers = [self._store([unit])[0] for unit in units] if ends else self._store(units)
        else:
            answers = [self._take_counted(unit, limit) for unit in units]
        if self._first_due is not None and (due_before is None or self._first_due < due_before):
            session.wake()
        return answers

    def _size(self) -> int:
        session = self._session
        fullest = max(
            (group.pending + session.tallies[group.id].pending for group in session.groups()), default=0
        )
        return session.delayed + session.unclaimed + fullest

    def _take_counted(self, unit: Sequence[NewJob], limit: int) -> list[Added] | QueueFull:
        fresh = {new.id for new in unit if self._living(new) is None}
        if fresh and self._size() + len(fresh) > limit:
            return QueueFull(limit)
        (answer,) = self._store([unit])
        return answer

    def _living(self, new: NewJob) -> Job | None:
        row = self._session.one("living_job", (self._session.id, new.id))
        if row is None:
            return None
        job = Job(*row)
        return None if is_over(self._session, job) else job

    # -- storing ---------------------------------------------------------------------------------

    def _store(self, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """Store all that is new of some units: in one go, as most often nothing of them is a duplicate."""
        session = self._session
        flat = [new for unit in units for new in unit]
        first = session.last_key + 1
        inserted = session.run_many("insert_job", map(self._row, range(first, first + len(flat)), flat))
        session.last_key += len(flat)
        session.tx.payload += sum(len(new.data) for new in flat)
        if inserted == len(flat):
            self._place(first, flat)
            return [[Added(new.id, True) for new in unit] for unit in units]
        stored = {row[0] for row in session.all("keys_between", (first, session.last_key))}
        answers: list[list[Added] | QueueFull] = []
        key = first
        for unit in units:
            answers.append(self._check_unit(unit, key, stored))
            key += len(unit)
        self._place(first, [new for key, new in enumerate(flat, first) if key in stored])
        return answers

    def _check_unit(self, unit: Sequence[NewJob], first: int, stored: set[int]) -> list[Added]:
        return [
            Added(new.id, True) if key in stored else self._store_again(first, key, new, stored)
            for key, new in enumerate(unit, first)
        ]

    def _store_again(self, first: int, key: int, new: NewJob, stored: set[int]) -> Added:
        """A job lives under this id, or lived until now (J9); `first` is the first key of the unit."""
        living = self._living(new)
        if living is None:
            self._session.run("insert_job", self._row(key, new))
            stored.add(key)
            return Added(new.id, True)
        return Added(new.id, living.key < first and new.token != "" and living.token == new.token)

    def _row(self, key: int, new: NewJob) -> Values:
        now = self._session.now
        expires_at = None if new.expires_ms is None else now + new.expires_ms
        sweep_at, due_at = expires_at, None
        if new.delay_ms > 0:
            state, holders, due_at = DELAYED, 1, now + new.delay_ms
        elif self._groups:
            state, holders = OPEN, len(self._groups) + 1
        else:
            state, holders = UNCLAIMED, 1
            until = now + self._session.tx.limits.unclaimed_retention_ms
            sweep_at = until if expires_at is None else min(until, expires_at)
        return (
            key, self._session.id, state, holders, new.priority, now, due_at, expires_at, sweep_at,
            new.unclaimed == "drop", RECORD_FORMAT, new.id, new.token, new.metadata, new.data,
        )  # fmt: skip

    def _place(self, first: int, stored: Sequence[NewJob]) -> None:
        """Fan out what was stored from the key `first` on, and count it."""
        session = self._session
        delays = [new.delay_ms for new in stored if new.delay_ms > 0]
        if delays:
            session.delayed += len(delays)
            first_due = session.now + min(delays)
            self._first_due = min(first_due, self._first_due or first_due)
        ready = len(stored) - len(delays)
        if not ready:
            return
        for group in self._groups:
            session.run("fan_out", (group.id, session.now, first, session.last_key))
            session.tallies[group.id].pending += ready
        if self._groups:
            session.readied += ready
        else:
            dropped = session.run("drop_unclaimed", (first, session.last_key))
            session.ended.end("expired", dropped)
            session.unclaimed += ready - dropped
