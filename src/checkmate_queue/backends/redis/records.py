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
    GiveBack,
    LapsedClaim,
    NewSchedule,
    RetryLater,
    Schedule,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.redis.connection import Argument
    from checkmate_queue.core.model import Misfire, Outcome, Settlement, Unclaimed


_CLAIM_SIZE = 8


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
            texts = (failure.error_type, failure.message, failure.traceback)
            return "fail", key, int(attempt), *(text.encode(errors="backslashreplace") for text in texts)
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
        name = job_id.decode()
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
