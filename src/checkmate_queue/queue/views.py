"""From stored records to the plain data that users read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from checkmate_queue.core.details import (
    FailedJob,
    GroupDetails,
    JobDetails,
    RecurringJobDetails,
    WorkerDetails,
)
from checkmate_queue.core.errors import PayloadError
from checkmate_queue.core.job import NO_METADATA, as_datetime
from checkmate_queue.core.model import (
    FailedRecord,
    GroupRecord,
    GroupStats,
    JobRecord,
    QueueStats,
    Schedule,
    WorkerRecord,
)
from checkmate_queue.core.payload import PayloadCodec
from checkmate_queue.runtime.attempt import decode_metadata


def job_details(record: JobRecord, codec: PayloadCodec[Any]) -> JobDetails:
    return JobDetails(
        id=record.id,
        data=_readable(codec, record.data),
        state=record.state,
        priority=record.priority,
        timestamp=as_datetime(record.enqueued_at),
        metadata=_readable_metadata(record.metadata),
        groups=dict(record.groups),
    )


def failed_job(record: FailedRecord, codec: PayloadCodec[Any]) -> FailedJob:
    return FailedJob(
        entry_id=record.entry_id,
        job_id=record.job_id,
        consumer_group=record.group,
        data=_readable(codec, record.data),
        error_type=record.failure.error_type,
        message=record.failure.message,
        traceback=record.failure.traceback,
        attempts=record.attempts,
        failed_at=as_datetime(record.failed_at),
    )


def group_details(record: GroupRecord) -> GroupDetails:
    return GroupDetails(
        name=record.name,
        ephemeral=record.ephemeral,
        max_stalls=record.max_stalls,
        workers=record.workers,
        registered_at=as_datetime(record.registered_at),
    )


def worker_details(record: WorkerRecord) -> WorkerDetails:
    return WorkerDetails(
        worker=record.worker,
        consumer_groups=record.groups,
        lease_expires_at=as_datetime(record.expires_at),
        processing=record.processing,
        report=_report(record.report),
    )


def recurring_details(schedule: Schedule, codec: PayloadCodec[Any]) -> RecurringJobDetails:
    spec = schedule.spec
    return RecurringJobDetails(
        job_id=spec.id,
        data=_readable(codec, spec.data),
        interval_seconds=spec.interval_seconds,
        cron_pattern=spec.cron_pattern,
        timezone=spec.timezone,
        priority=spec.priority,
        misfire=spec.misfire,
        overlap=spec.overlap,
        next_run_at=None if schedule.next_at is None else as_datetime(schedule.next_at),
        last_run_at=None if schedule.last_run_at is None else as_datetime(schedule.last_run_at),
        last_outcome=schedule.last_outcome,
    )


def aggregate(stats: dict[str, QueueStats]) -> QueueStats:
    """The sum over queues; `groups` are named `<queue>/<group>`."""
    groups: dict[str, GroupStats] = {
        f"{queue}/{group}": numbers for queue, each in stats.items() for group, numbers in each.groups.items()
    }
    oldest = [s.oldest_pending_seconds for s in stats.values() if s.oldest_pending_seconds is not None]
    each = stats.values()
    return QueueStats(
        pending=sum(s.pending for s in each),
        delayed=sum(s.delayed for s in each),
        unclaimed=sum(s.unclaimed for s in each),
        processing=sum(s.processing for s in each),
        completed=sum(s.completed for s in each),
        failed=sum(s.failed for s in each),
        expired=sum(s.expired for s in each),
        cancelled=sum(s.cancelled for s in each),
        consumer_groups=sum(s.consumer_groups for s in each),
        oldest_pending_seconds=max(oldest, default=None),
        groups=groups,
    )


def _report(raw: bytes) -> Mapping[str, Any]:
    try:
        report = json.loads(raw)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _readable_metadata(raw: bytes) -> Mapping[str, str]:
    try:
        return decode_metadata(raw)
    except PayloadError:
        return NO_METADATA


def _readable(codec: PayloadCodec[Any], raw: bytes) -> Any:
    """The payload, or None where it can't be read (X3)."""
    try:
        return codec.decode(raw)
    except PayloadError:
        return None
