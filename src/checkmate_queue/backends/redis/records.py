"""Values of the seam to and from what scripts take and return."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, assert_never, cast

from checkmate_queue.core.model import (
    Cancelled,
    Claim,
    Done,
    Fail,
    FailedRecord,
    Failure,
    GiveBack,
    GroupStats,
    JobRecord,
    LapsedClaim,
    NewSchedule,
    QueueStats,
    RetryLater,
    Schedule,
    WorkerRecord,
)
from checkmate_queue.core.statistics import queue_stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkmate_queue.backends.redis.connection import Argument
    from checkmate_queue.core.model import JobState, Misfire, Outcome, Settlement, Unclaimed


_CLAIM_SIZE = 8


_PACKED_UUID = 17


def pack_id(job_id: str) -> bytes:
    """An id as it is stored: the text, or a zero and 16 bytes for a UUID as the library makes them."""
    if len(job_id) == 36 and job_id[14] == "7":
        try:
            packed = b"\0" + bytes.fromhex(job_id.replace("-", ""))
        except ValueError:
            return job_id.encode()
        if unpack_id(packed) == job_id:
            return packed
    return job_id.encode()


def unpack_id(packed: bytes) -> str:
    """The id; raises `ValueError` for what is none. No text of an id contains a zero."""
    if len(packed) == _PACKED_UUID and packed[0] == 0:
        digits = packed[1:].hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return packed.decode()


def readable_id(packed: bytes) -> str:
    """The id, or what can be read of it."""
    try:
        return unpack_id(packed)
    except ValueError:
        return packed.decode(errors="replace")


def pack_payload(data: bytes, metadata: bytes) -> bytes:
    """Payload and metadata in one value."""
    return b"%d:%b%b" % (len(metadata), metadata, data)


def unpack_payload(packed: bytes) -> tuple[bytes, bytes]:
    """Payload and metadata."""
    size, _, rest = packed.partition(b":")
    split = int(size)
    return rest[split:], rest[:split]


def pack_settlements(settlements: Sequence[Settlement]) -> list[Argument]:
    """How many follow, and settlements as the scripts parse them: a run of `Done` as one."""
    packed: list[Argument] = []
    amount = 0
    for kind, run in groupby(settlements, type):
        if kind is Done:
            amount += 1
            packed += ("done", ",".join([str(done.key) for done in run]))
        else:
            for settlement in run:
                amount += 1
                packed += pack_settlement(settlement)
    return [amount, *packed]


def pack_settlement(settlement: Settlement) -> Sequence[Argument]:
    """One settlement."""
    match settlement:
        case Done(key):
            return "done", key
        case RetryLater(key, delay_ms):
            return "retry", key, delay_ms
        case Fail(key, failure, attempt):
            return "fail", key, int(attempt), *pack_failure(failure)
        case GiveBack(key):
            return "back", key
        case Cancelled(key):
            return "cancelled", key
        case _:
            assert_never(settlement)


def unpack_claims(values: list[Any]) -> list[Claim]:
    """Claims, whose values follow each other."""
    fields = iter(values)
    return [_unpack_claim(*claim) for claim in zip(*[fields] * _CLAIM_SIZE, strict=True)]


def _unpack_claim(
    key: bytes,
    job_id: bytes,
    priority: int,
    enqueued_at: int,
    attempts: int,
    stalls: int,
    record_format: int,
    packed: bytes | None,
) -> Claim:
    """A claim; one whose storage can't be read says so by its format number (X3)."""
    try:
        data, metadata = unpack_payload(packed or b"")
        name = unpack_id(job_id)
    except ValueError:
        data, metadata, name, record_format = packed or b"", b"", job_id.decode(errors="replace"), 0
    return Claim(int(key), name, data, priority, enqueued_at, attempts, stalls, metadata, record_format)


def unpack_lapsed(groups: list[Any], values: list[Any]) -> list[LapsedClaim]:
    """Lapsed claims; `groups` has the name and most stalls for each."""
    claims = unpack_claims(values)
    return [
        LapsedClaim(name.decode(), max_stalls, claim)
        for name, max_stalls, claim in zip(groups[::2], groups[1::2], claims, strict=True)
    ]


_GROUP_WIDTH = 9


def names_of_ageless(values: list[Any]) -> list[bytes]:
    """The groups whose oldest delivery the script had no room to look for."""
    *_, rows = _unpack_rows(values)
    return [name for name, *_, since in rows if since == b"later"]


def unpack_stats(values: list[Any], since: Mapping[bytes, Any]) -> QueueStats:
    """The numbers of a queue, with what dropped groups left; `since` is what was asked for later."""
    now, (delayed, unclaimed, completed, failed, expired, cancelled), rows = _unpack_rows(values)
    groups = {
        name.decode(): _unpack_group_stats(now, *numbers, since.get(name, last))
        for name, *numbers, last in rows
    }
    return queue_stats(
        groups,
        delayed=delayed,
        unclaimed=unclaimed,
        completed=completed,
        failed=failed,
        expired=expired,
        cancelled=cancelled,
    )


def _unpack_rows(values: list[Any]) -> tuple[int, list[int], list[tuple[Any, ...]]]:
    return values[0], values[1:7], list(zip(*[iter(values[7:])] * _GROUP_WIDTH, strict=True))


def _unpack_group_stats(now: int, *values: Any) -> GroupStats:
    pending, retrying, processing, completed, failed, expired, cancelled, since = values
    age = None if since == b"" else max(0, now - since) / 1000
    return GroupStats(pending, retrying, processing, completed, failed, expired, cancelled, age)


def unpack_worker(
    worker: bytes, epoch: bytes, groups: list[bytes], expires_at: int, processing: int, report: bytes
) -> WorkerRecord:
    """A living worker."""
    names = tuple(sorted(name.decode() for name in groups))
    return WorkerRecord(worker.decode(), int(epoch), names, expires_at, processing, report)


def unpack_failed(
    number: bytes,
    job_id: bytes,
    group: bytes,
    attempts: int,
    failed_at: int,
    error_type: bytes,
    message: bytes,
    traceback: bytes,
    packed: bytes,
) -> FailedRecord:
    """A failed entry."""
    texts = (text.decode(errors="replace") for text in (error_type, message, traceback))
    name = readable_id(job_id)
    data = readable_payload(packed)[0]
    return FailedRecord(
        f"{int(number):016d}", name, group.decode(), data, Failure(*texts), attempts, failed_at
    )


def unpack_job(
    key: bytes,
    job_id: bytes,
    priority: int,
    enqueued_at: int,
    due_at: int,
    expires_at: int,
    unclaimed: int,
    packed: bytes,
    states: list[bytes],
) -> JobRecord:
    """A living job; its own state is that of the group that is furthest on."""
    data, metadata = readable_payload(packed)
    groups = {
        name.decode(): cast("JobState", state.decode())
        for name, state in zip(states[::2], states[1::2], strict=True)
    }
    return JobRecord(
        key=int(key),
        id=readable_id(job_id),
        data=data,
        state=_overall(unclaimed == 1, groups),
        priority=priority,
        enqueued_at=enqueued_at,
        metadata=metadata,
        due_at=due_at or None,
        expires_at=expires_at or None,
        groups=groups,
    )


def _overall(unclaimed: bool, groups: Mapping[str, JobState]) -> JobState:
    if not groups:
        return "unclaimed" if unclaimed else "delayed"
    order: tuple[JobState, ...] = ("processing", "pending", "retrying")
    return next(state for state in order if state in groups.values())


def readable_payload(packed: bytes) -> tuple[bytes, bytes]:
    """Payload and metadata, or what is stored in their place (X3)."""
    try:
        return unpack_payload(packed)
    except ValueError:
        return packed, b""


def pack_failure(failure: Failure) -> Sequence[Argument]:
    """Why a delivery failed."""
    texts = (failure.error_type, failure.message, failure.traceback)
    return [text.encode(errors="backslashreplace") for text in texts]


def pack_schedule(spec: NewSchedule) -> Sequence[Argument]:
    """A schedule; what scripts never look at travels as one form."""
    form = json.dumps([spec.interval_seconds, spec.cron_pattern, spec.timezone])
    return (
        spec.id,
        pack_payload(spec.data, b""),
        spec.definition,
        spec.timing,
        form,
        spec.priority,
        spec.misfire,
        int(spec.overlap),
        spec.unclaimed,
        spec.first_at,
    )


def unpack_schedule(values: list[Any]) -> Schedule:
    """A stored schedule."""
    schedule_id, packed, definition, timing, form, priority, misfire, overlap, unclaimed, *times = values
    first_at, revision, anchor, next_at, last_run_at, last_outcome = times
    interval_seconds, cron_pattern, timezone = json.loads(form)
    spec = NewSchedule(
        id=schedule_id.decode(),
        data=unpack_payload(packed)[0],
        definition=definition.decode(),
        timing=timing.decode(),
        first_at=int(first_at),
        interval_seconds=interval_seconds,
        cron_pattern=cron_pattern,
        timezone=timezone,
        priority=int(priority),
        misfire=cast("Misfire", misfire.decode()),
        overlap=overlap == b"1",
        unclaimed=cast("Unclaimed", unclaimed.decode()),
    )
    return Schedule(
        spec,
        int(revision),
        int(anchor),
        int(next_at) if next_at else None,
        int(last_run_at) if last_run_at else None,
        cast("Outcome", last_outcome.decode()) if last_outcome else None,
    )
