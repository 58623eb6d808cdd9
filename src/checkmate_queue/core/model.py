"""The values that cross the seam between policy and engines: all immutable.

Times are integer milliseconds since the Unix epoch on the engine's clock (`Millis`). Payloads and
metadata are opaque JSON bytes below the seam.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

Millis: TypeAlias = int
Unclaimed: TypeAlias = Literal["hold", "drop"]
StartFrom: TypeAlias = Literal["now", "earliest"]
Misfire: TypeAlias = Literal["coalesce", "skip", "all"]
JobState: TypeAlias = Literal["delayed", "unclaimed", "pending", "processing", "retrying"]
Outcome: TypeAlias = Literal["completed", "failed", "expired", "cancelled"]

RECORD_FORMAT = 1
"""The format number that every stored record carries (SPEC U1)."""

MIN_PRIORITY = -(2**31)
MAX_PRIORITY = 2**31 - 1


# -- jobs on their way in ------------------------------------------------------------------------


class NewJob(NamedTuple):
    """A job as `enqueue` hands it over; the engine's clock turns the two spans into times."""

    id: str
    data: bytes
    priority: int = 0
    metadata: bytes = b""
    delay_ms: int = 0
    expires_ms: int | None = None
    unclaimed: Unclaimed = "hold"
    token: str = ""
    """Tells a repeated call from another caller's duplicate (J10); empty for generated ids."""


class Added(NamedTuple):
    """What became of one `NewJob`: `created` is False for a duplicate (J7)."""

    id: str
    created: bool


@dataclass(frozen=True, slots=True)
class QueueFull:
    """A unit was refused whole, since the queue may hold at most `limit` (J8)."""

    limit: int


# -- workers and groups --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GroupJoin:
    """A consumer group as its consumer wants it registered.

    `start_from` matters only when the group is new (G3). `max_stalls` is kept with the group, so that
    whoever finds a lapsed lease settles it by the group's own rule (G9).
    """

    name: str
    ephemeral: bool = False
    start_from: StartFrom = "now"
    max_stalls: int = 3


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of a worker's lease on one queue: the fencing token of its claims (G7, G8)."""

    queue: str
    number: int


class Claim(NamedTuple):
    """A delivery that a worker holds. `key` is the engine's handle of the job within its queue."""

    key: int
    job_id: str
    data: bytes
    priority: int
    enqueued_at: Millis
    attempts: int
    stalls: int
    metadata: bytes
    record_format: int = RECORD_FORMAT


@dataclass(frozen=True, slots=True)
class LapsedClaim:
    """A delivery whose worker died, handed to the worker that ticked; `claim.stalls` counts this lapse."""

    group: str
    max_stalls: int
    claim: Claim


# -- settlements: what a claim turns into --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a delivery failed, as it is kept with the failed entry (F4)."""

    error_type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The handler returned."""

    key: int


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The attempt failed and counts; the delivery is ready again after `delay_ms`."""

    key: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Fail:
    """The delivery has used its tries: it ends and is kept as a failed entry.

    `attempt` says whether an attempt of a handler failed with it (a stall is none).
    """

    key: int
    failure: Failure
    attempt: bool = True


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Back to the front of its priority, no attempt counted (L1, G7)."""

    key: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The delivery ends as cancelled (L12)."""

    key: int


Settlement: TypeAlias = Done | RetryLater | Fail | GiveBack | Cancelled


@dataclass(frozen=True, slots=True)
class LapseSettlement:
    """The settlement of a `LapsedClaim`."""

    group: str
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Exchange:
    """The answer to `Store.exchange`.

    `claims` are in starting order (J5). `refused` are the keys of settlements that found no claim of this
    epoch. `cancelled` are the keys this epoch and group still runs and should stop (L12). `next_at` is
    when a delayed job, a retry or a schedule of the queue is due next, or None.
    """

    now: Millis
    claims: list[Claim]
    refused: list[int]
    cancelled: list[int]
    next_at: Millis | None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """The answer to a heartbeat: running deliveries, as (group, key), that were cancelled (L12)."""

    cancelled: list[tuple[str, int]]


# -- schedules -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A recurring job as `schedule_recurring` hands it over.

    `definition` and `timing` are canonical texts that are compared, never parsed, by engines (R4): an
    equal definition changes nothing; an equal timing keeps anchor and next due time.
    """

    id: str
    data: bytes
    definition: str
    timing: str
    first_at: Millis
    interval_seconds: float | None = None
    cron_pattern: str | None = None
    timezone: str = "UTC"
    priority: int = 0
    misfire: Misfire = "coalesce"
    overlap: bool = True
    unclaimed: Unclaimed = "hold"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A stored recurring job. `revision` comes from one counter per queue and never restarts."""

    spec: NewSchedule
    revision: int
    anchor: Millis
    next_at: Millis | None
    last_run_at: Millis | None = None
    last_outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """Moves a schedule from `expected_at` to `next_at` and makes one job for each of `due` (R3, R5, R6).

    It takes effect only while revision and next due time are as expected. `next_at` None: never again.
    """

    schedule_id: str
    revision: int
    expected_at: Millis
    next_at: Millis | None
    due: tuple[Millis, ...]


def occurrence_id(schedule_id: str, due: Millis) -> str:
    """The id of a schedule's job (R3); it lives in a name space apart from users' ids."""
    return f"{schedule_id}:{due}"


# -- ticks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AbandonedGroup:
    """A durable group that nobody consumes while others of its queue work (G4); dropped at `drop_at`."""

    name: str
    drop_at: Millis


@dataclass(frozen=True, slots=True)
class Tick:
    """The answer to `Store.tick`.

    `lapsed`: every lapsed claim that this epoch holds for settlement. `due`: schedules to fire, the
    earliest first. `readied`: deliveries that this call made ready. `abandoned`: groups to warn of now.
    `dropped`: groups that this call dropped. `more`: a batch was full, come again at once.
    """

    now: Millis
    next_at: Millis | None
    lapsed: list[LapsedClaim]
    due: list[Schedule]
    readied: int
    abandoned: list[AbandonedGroup]
    dropped: list[str]
    pending: int
    more: bool


# -- inspection and repair -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CancelResult:
    """How many deliveries `cancel` removed, and how many running ones it told; falsy when both are 0."""

    removed: int
    signalled: int

    def __bool__(self) -> bool:
        return bool(self.removed or self.signalled)


@dataclass(frozen=True, slots=True)
class GroupStats:
    """The numbers of one consumer group, in deliveries (L3)."""

    pending: int = 0
    delayed: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    oldest_pending_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The numbers of a queue (L3): deliveries, but jobs for `unclaimed` and the start-delayed ones.

    `oldest_pending_seconds` is the age of the delivery that has been ready longest, None when none is.
    """

    pending: int = 0
    delayed: int = 0
    unclaimed: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    consumer_groups: int = 0
    oldest_pending_seconds: float | None = None
    groups: Mapping[str, GroupStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A stored job with its state per group; `due_at` while it waits for its start delay."""

    key: int
    id: str
    data: bytes
    state: JobState
    priority: int
    enqueued_at: Millis
    metadata: bytes
    due_at: Millis | None
    expires_at: Millis | None
    groups: Mapping[str, JobState]


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A kept failed delivery (F4)."""

    entry_id: str
    job_id: str
    group: str
    data: bytes
    failure: Failure
    attempts: int
    failed_at: Millis


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A registered consumer group; `workers` counts those under a live lease."""

    name: str
    ephemeral: bool
    max_stalls: int
    workers: int
    registered_at: Millis


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker of a queue with its lease and the report of its last heartbeat."""

    worker: str
    epoch: int
    groups: tuple[str, ...]
    expires_at: Millis
    processing: int
    report: bytes


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """The settings that an engine applies by itself; every plugin's config carries them."""

    max_queue_size: int | None = None
    failed_retention_count: int = 10_000
    failed_retention_ms: int = 7 * 86_400_000
    group_retention_ms: int = 7 * 86_400_000
    unclaimed_retention_ms: int = 7 * 86_400_000
