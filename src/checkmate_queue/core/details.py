"""What inspection and administration return to users: frozen plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from checkmate_queue.core.model import JobState, Misfire, Outcome

Severity: TypeAlias = Literal["none", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class RecurringJobDetails:
    """A recurring job: exactly one of `interval_seconds` and `cron_pattern` is set.

    `next_run_at` is None where a cron pattern never matches again; `last_run_at` is the due time of the
    last job it made, and `last_outcome` how the last finished delivery of one ended.
    """

    job_id: str
    data: Any
    interval_seconds: float | None
    cron_pattern: str | None
    timezone: str
    priority: int
    misfire: Misfire
    overlap: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class JobDetails:
    """A job in the queue. `state` is its most advanced one; `groups` has that of each delivery."""

    id: str
    data: Any
    state: JobState
    priority: int
    timestamp: datetime
    metadata: Mapping[str, str]
    groups: dict[str, str]


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A delivery that used its tries (F4). `data` is None where the payload can't be read (X3)."""

    entry_id: str
    job_id: str
    consumer_group: str
    data: Any
    error_type: str
    message: str
    traceback: str
    attempts: int
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class GroupDetails:
    """A registered consumer group; `workers` counts those under a live lease."""

    name: str
    ephemeral: bool
    max_stalls: int
    workers: int
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class WorkerDetails:
    """A process that consumes the queue, named `<host>:<pid>:<life>`.

    `report` is what it said with its last heartbeat, empty where it can't be read; `processing` counts the
    deliveries that it holds.
    """

    worker: str
    consumer_groups: tuple[str, ...]
    lease_expires_at: datetime
    processing: int
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BackendProbe:
    """The backend answered: its time, after how long, and how far its clock is before this machine's.

    `dangers` says what about the server may cost jobs: one sentence each.
    """

    time: datetime
    round_trip_seconds: float
    clock_offset_seconds: float
    dangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LagThresholds:
    """At how many pending deliveries a queue's lag becomes a warning, and critical (L4)."""

    warning: int = 100
    critical: int = 500


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a queue is behind (L4)."""

    severity: Severity
    pending: int
    thresholds: LagThresholds


@dataclass(frozen=True, slots=True)
class SwitchPreview:
    """What a switch of the backend would move (B7). `warnings` are for people."""

    migrated_jobs: int
    migrated_recurring_jobs: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """What a switch of the backend moved (B7). `warnings` are for people."""

    success: bool
    migrated_jobs: int
    migrated_recurring_jobs: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """Which backend is active; `other_plugin` while a switch is under way, `phase` is then not "active"."""

    plugin: str
    version: int
    phase: str
    other_plugin: str | None = None
