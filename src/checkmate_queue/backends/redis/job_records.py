"""The stored form of jobs, as lib/records.lua describes it, for those that move many of them."""

from __future__ import annotations

from struct import Struct
from typing import Final

from checkmate_queue.backends.redis.records import (
    pack_id,
    pack_payload,
    readable_id,
    readable_payload,
)
from checkmate_queue.core.model import RECORD_FORMAT, Millis
from checkmate_queue.core.moving import MovedJob

_HEAD: Final = Struct(">BBBidHHH")
_TIMES: Final = Struct(">dd")
_SMALL: Final = 256
_DELAYED, _READY = 1, 3
_OCCURRENCE, _DROP, _TIMED, _INLINE = 1, 2, 8, 16


def pack_job(job: MovedJob) -> tuple[bytes, bytes, bytes | None]:
    """The id and the record of a job, ready in no group or delayed, and its payload where that lies apart."""
    is_delayed = job.due_at is not None
    job_id = pack_id(job.id) if job.schedule_id is None else job.id.encode()
    if job.record_format != RECORD_FORMAT:
        # Nobody could read it where it was, and nobody can here (X3).
        return job_id, bytes([0]) + job.data, None
    payload = pack_payload(job.data, job.metadata)
    flags = (job.schedule_id is not None) * _OCCURRENCE + (job.unclaimed == "drop") * _DROP
    times = b""
    if job.expires_at is not None:
        flags += _TIMED
        times = _TIMES.pack(job.enqueued_at, job.expires_at)
    apart: bytes | None = payload
    if len(payload) <= _SMALL:
        flags, apart = flags + _INLINE, None
    fan, token = b"" if is_delayed else b",", job.token.encode()
    state = _DELAYED if is_delayed else _READY
    head = _HEAD.pack(
        RECORD_FORMAT, state, flags, job.priority, job.enqueued_at, len(job_id), len(fan), len(token)
    )
    return job_id, head + times + job_id + fan + token + (payload if apart is None else b""), apart


def unpack_job(key: int, record: bytes, apart: bytes, due_at: Millis) -> MovedJob:
    """A job as it is stored; one that can't be read says so by its format number (X3)."""
    if len(record) < _HEAD.size or record[0] != RECORD_FORMAT:
        return MovedJob(key, f"unreadable {key}", None, record, b"", 0, 0, None, None, "hold", "", 0)
    _, _, flags, priority, enqueued_at, id_size, fan_size, token_size = _HEAD.unpack_from(record)
    expires_at, at = 0.0, _HEAD.size
    if flags & _TIMED:
        _, expires_at = _TIMES.unpack_from(record, at)
        at += _TIMES.size
    token_at = at + id_size + fan_size
    payload_at = token_at + token_size
    job_id = readable_id(record[at : at + id_size])
    data, metadata = readable_payload(record[payload_at:] if flags & _INLINE else apart)
    return MovedJob(
        key,
        job_id,
        job_id.rpartition(":")[0] if flags & _OCCURRENCE else None,
        data,
        metadata,
        priority,
        int(enqueued_at),
        due_at or None,
        int(expires_at) or None,
        "drop" if flags & _DROP else "hold",
        record[token_at:payload_at].decode(errors="replace"),
    )
