"""The script that stores what moves here (B2)."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, assert_never

from checkmate_queue.backends.redis import moving
from checkmate_queue.backends.redis.job_records import pack_job
from checkmate_queue.backends.redis.records import pack_failure, pack_id, pack_payload, pack_schedule
from checkmate_queue.core.model import RECORD_FORMAT
from checkmate_queue.core.moving import (
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
from checkmate_queue.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import Outcome

_MOST_PARTS = 2**20


async def restore(connection: Connection, token: str, queue: str, n: int, records: Sequence[Moved]) -> None:
    """begin_batch.lua, restore.lua: store records in parts, each once."""
    keys = connection.keys
    generation, successor = await moving.heed(
        connection, "begin_batch", [keys.queues, keys.reception], token, n, queue
    )
    for part, first in enumerate(range(0, max(1, len(records)), BATCH)):
        blocks = _pack(records[first : first + BATCH])
        place = n * _MOST_PARTS + part
        await moving.run(connection, "restore", queue, generation, place, successor, RECORD_FORMAT, *blocks)


def _pack(records: Sequence[Moved]) -> list[Argument]:
    """The records as the blocks of restore.lua."""
    blocks: list[Argument] = []
    for kind, run in groupby(records, type):
        if kind is MovedJob:
            _pack_jobs([record for record in run if isinstance(record, MovedJob)], blocks)
        elif kind is MovedReady:
            _pack_ready([record for record in run if isinstance(record, MovedReady)], blocks)
        else:
            for record in run:
                blocks += _block(record)
    return blocks


def _pack_jobs(jobs: Sequence[MovedJob], blocks: list[Argument]) -> None:
    keys: list[str] = []
    plain: list[bytes] = []
    for job in jobs:
        job_id, record, apart = pack_job(job)
        if apart is None and _is_plain(job):
            keys.append(str(job.key))
            plain.append(record)
            continue
        blocks += ("job", job.key, job_id, record, int(apart is not None), apart or b"")
        blocks += (_or_empty(job.due_at), _or_empty(job.expires_at), job.schedule_id or "")
    if plain:
        blocks += ("jobs", ",".join(keys), *plain)


def _is_plain(job: MovedJob) -> bool:
    rare = (job.due_at, job.expires_at, job.schedule_id)
    return rare == (None, None, None) and job.record_format == RECORD_FORMAT


def _pack_ready(deliveries: Sequence[MovedReady], blocks: list[Argument]) -> None:
    for (group, is_fresh), run in groupby(deliveries, lambda each: (each.group, _is_fresh(each))):
        if is_fresh:
            blocks += ("fresh", group, ",".join([f"{each.key}:{each.since}" for each in run]))
        else:
            for each in run:
                blocks += ("started", group, each.key, each.attempts, each.stalls)
                blocks += (each.since, each.claim, int(each.front))


def _is_fresh(each: MovedReady) -> bool:
    return not (each.claim or each.front or each.attempts or each.stalls)


def _block(record: Moved) -> Iterator[Argument]:
    match record:
        case MovedQueue() | MovedGroup() | MovedEpoch() | MovedSchedule():
            yield from _frame(record)
        case MovedUnclaimed(key, since):
            yield from ("unclaimed", key, since)
        case MovedRetry(key, group, attempts, stalls, due_at):
            yield from ("retry", group, key, attempts, stalls, due_at)
        case MovedClaim(key, group, attempts, stalls, since, claim):
            yield from ("claim", group, key, attempts, stalls, since, claim)
            yield from (record.worker, record.exchange, int(record.cancelled), int(record.lapsed))
        case MovedFailure(key):
            is_users = record.schedule_id is None
            yield from ("failure", key, pack_id(record.job_id) if is_users else record.job_id)
            yield from (int(not is_users), record.group, record.priority, record.attempts, record.failed_at)
            yield from (int(record.unclaimed == "drop"), *pack_failure(record.failure))
            yield from (pack_payload(record.data, record.metadata), record.enqueued_at)
        case MovedJob() | MovedReady():
            raise AssertionError(f"{type(record).__name__} comes in runs")
        case _:
            assert_never(record)


def _frame(record: MovedQueue | MovedGroup | MovedEpoch | MovedSchedule) -> Iterator[Argument]:
    match record:
        case MovedQueue(paused, last_key, last_claim, last_revision, ended):
            yield from ("queue", int(paused), last_key, last_claim, last_revision)
            yield from _counts(ended)
        case MovedGroup(name, ephemeral, max_stalls, registered_at, unattended_ms, warned_at, ended):
            yield from ("group", name, int(ephemeral), max_stalls, registered_at, unattended_ms)
            yield warned_at or 0
            yield from _counts(ended)
        case MovedEpoch(worker, lease_ms, alive, exchanges, report):
            yield from ("epoch", worker, lease_ms, int(alive), report, len(exchanges))
            for name, number in exchanges.items():
                yield name
                yield number
        case MovedSchedule(stored):
            yield from ("schedule", *pack_schedule(stored.spec), stored.revision, stored.anchor)
            yield from (_or_empty(stored.next_at), _or_empty(stored.last_run_at), stored.last_outcome or "")
        case _:
            assert_never(record)


def _counts(ended: Mapping[Outcome, int]) -> Iterator[int]:
    outcomes: tuple[Outcome, ...] = ("completed", "failed", "expired", "cancelled")
    for outcome in outcomes:
        yield ended.get(outcome, 0)


def _or_empty(at: int | None) -> Argument:
    return "" if at is None else at
