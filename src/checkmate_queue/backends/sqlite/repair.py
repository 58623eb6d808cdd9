"""What people do to jobs: cancel, and retry or discard what failed, and pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.endings import (
    Job,
    deliveries_of,
    end_deliveries,
    end_job,
    find_job,
    is_over,
    sweep,
)
from checkmate_queue.backends.sqlite.marks import OPEN
from checkmate_queue.backends.sqlite.promotion import hand_over, make_ready
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.core.errors import JobExistsError
from checkmate_queue.core.model import CancelResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkmate_queue.backends.sqlite.session import Group
    from checkmate_queue.backends.sqlite.transaction import Row, Transaction


def set_paused(tx: Transaction, queue: str, paused: bool) -> None:
    """See `Repair.set_paused`."""
    session = Session.enter(tx, queue)
    session.paused = int(paused)
    if not paused:
        session.wake()
    session.save()


def cancel(tx: Transaction, queue: str, job_id: str) -> CancelResult:
    """See `Repair.cancel`."""
    session = Session.enter(tx, queue)
    hand_over(session)
    sweep(session)
    job = find_job(session, job_id)
    result = CancelResult(0, 0)
    if job is not None and not is_over(session, job):
        result = _cancel(session, job)
    session.save()
    return result


def _cancel(session: Session, job: Job) -> CancelResult:
    if job.state != OPEN:
        end_job(session, job, "cancelled")
        return CancelResult(1, 0)
    deliveries = deliveries_of(session, job.key)
    running = [delivery for delivery in deliveries if delivery.place == "claimed"]
    waiting = [delivery for delivery in deliveries if delivery.place != "claimed"]
    session.run_many("cancel_claim", [(delivery.grp, job.key) for delivery in running])
    if running:
        session.wake()
    return CancelResult(end_deliveries(session, job, waiting, "cancelled"), len(running))


# -- failed entries ------------------------------------------------------------------------------


def retry_failed(tx: Transaction, queue: str, job_id: str, group: str | None) -> int:
    """See `Repair.retry_failed`."""
    session = Session.enter(tx, queue)
    sweep(session)
    entries = session.all("newest_failures", (session.id, job_id))
    _refuse_living(session, job_id, entries[0][3] if entries else 0)
    groups = {row.name: row for row in session.groups() if group in (None, row.name)}
    retried = {entry[1]: entry[0] for entry in entries if entry[1] in groups}
    if retried:
        _make_again(session, entries[0], retried.values(), [groups[name] for name in retried])
    session.save()
    return len(retried)


def _refuse_living(session: Session, job_id: str, namespace: int) -> None:
    row = session.one("job_in_namespace", (session.id, job_id, namespace))
    if row is not None and not is_over(session, Job(*row)):
        raise JobExistsError(
            f"A job {job_id!r} is still in queue {session.name!r}; it can be retried when that one has ended."
        )


def _make_again(session: Session, entry: Row, numbers: Iterable[int], groups: Sequence[Group]) -> None:
    key = session.draw()
    session.run("restore_failed_job", (key, entry[0]))
    job = Job(key, OPEN, entry[5], None, entry[4], entry[6], "", None)
    make_ready(session, [(key, job)], groups)
    session.failures -= session.run_many("delete_failure", [(number,) for number in numbers])


def discard_failed(tx: Transaction, queue: str, job_id: str | None, group: str | None) -> int:
    """See `Repair.discard_failed`."""
    session = Session.enter(tx, queue)
    removed = session.run("discard_failures", (session.id, job_id, group))
    session.failures -= removed
    session.save()
    return removed
