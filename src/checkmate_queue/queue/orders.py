"""From the arguments of `enqueue` and `schedule_recurring` to the values that cross the seam."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from uuid_utils import uuid7

from checkmate_queue.core.durations import ceil_millis, to_millis
from checkmate_queue.core.errors import InvalidArgumentError, ScheduleError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Millis, Misfire, NewJob, NewSchedule, Unclaimed
from checkmate_queue.core.payload import canonical_json
from checkmate_queue.core.recurrence import Cron, Interval, Timing, check_misfire
from checkmate_queue.core.validation import (
    check_metadata,
    check_name,
    check_priority,
)


def new_job(
    data: bytes,
    *,
    priority: int,
    start_delay: float | timedelta,
    job_id: str | None,
    expires_in: float | timedelta | None,
    metadata: Mapping[str, str] | None,
    unclaimed: Unclaimed,
    multiplier: float,
    clock_step_ms: int,
) -> NewJob:
    """Check the options of one job (J1, J4, J6, J9) and build it.

    Raises `InvalidArgumentError`.
    """
    delay_ms = to_millis(start_delay, name="start_delay")
    expires_ms = None
    if expires_in is not None:
        expires_ms = to_millis(expires_in, name="expires_in")
        if expires_ms <= delay_ms:
            raise InvalidArgumentError(
                f"expires_in ({expires_in!r}) must be longer than start_delay ({start_delay!r}): "
                "the job would expire before it could start"
            )
    waits_ms = delay_ms if multiplier == 1 else ceil_millis(delay_ms * multiplier / 1000)
    if waits_ms:
        # The engine counts from a time that is cut to whole milliseconds, and must not be early (J6).
        waits_ms += clock_step_ms
        expires_ms = None if expires_ms is None else expires_ms + clock_step_ms
    if job_id is None:
        job_id, token = str(uuid7()), ""
    else:
        job_id, token = check_name("job_id", job_id), secrets.token_hex(8)
    return NewJob(
        job_id,
        data,
        check_priority(priority),
        encode_metadata(metadata) if metadata is not None else b"",
        waits_ms,
        expires_ms,
        unclaimed,
        token,
    )


def encode_metadata(metadata: Mapping[str, str]) -> bytes:
    checked = check_metadata(metadata)
    return json.dumps(dict(checked), ensure_ascii=False).encode() if checked else b""


def timing_from(interval_seconds: float | None, cron_pattern: str | None, timezone: str) -> Timing:
    """Exactly one of interval and pattern, or `ScheduleError`."""
    if (interval_seconds is None) == (cron_pattern is None):
        raise ScheduleError(
            "Give exactly one of interval_seconds and cron_pattern, not "
            f"interval_seconds={excerpt(interval_seconds)} and cron_pattern={excerpt(cron_pattern)}"
        )
    if cron_pattern is not None:
        return Cron(cron_pattern, timezone)
    assert interval_seconds is not None
    # An interval has no use for a zone, yet a wrong one is an error all the same (R8).
    Cron("@hourly", timezone)
    return Interval(interval_seconds)


def new_schedule(
    schedule_id: str,
    *,
    data: bytes,
    timing: Timing,
    first_at: Millis,
    timezone: str,
    priority: int,
    misfire: Misfire,
    overlap: bool,
    unclaimed: Unclaimed,
) -> NewSchedule:
    """Check the options of a schedule and build it, with the texts that engines compare (R4)."""
    check_priority(priority)
    check_misfire(misfire)
    if not isinstance(overlap, bool):
        raise ScheduleError(f"overlap must be True or False, not {excerpt(overlap)}")
    interval = float(timing.seconds) if isinstance(timing, Interval) else None
    pattern = timing.pattern if isinstance(timing, Cron) else None
    timed: dict[str, Any] = {"interval": interval, "cron": pattern, "timezone": timezone}
    defined = {
        **timed, "data": canonical_json(data), "priority": priority, "misfire": misfire, "overlap": overlap,
    }  # fmt: skip
    return NewSchedule(
        id=schedule_id,
        data=data,
        definition=json.dumps(defined, sort_keys=True),
        timing=json.dumps(timed, sort_keys=True),
        first_at=first_at,
        interval_seconds=interval,
        cron_pattern=pattern,
        timezone=timezone,
        priority=priority,
        misfire=misfire,
        overlap=overlap,
        unclaimed=unclaimed,
    )
