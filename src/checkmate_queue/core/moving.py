"""The records that a queue is moved in, from one backend to another (B2): all that a store knows of it.

Keys count from 1 within a queue, in the order in which its jobs were stored. Times stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from checkmate_queue.core.model import RECORD_FORMAT, Failure, Millis, Outcome, Schedule, Unclaimed


class MovedQueue(NamedTuple):
    """The queue itself. Its counters go on; `ended` are those that belong to no group.

    `last_key` is the highest key ever drawn, `last_claim` and `last_revision` likewise.
    """

    paused: bool
    last_key: int
    last_claim: int
    last_revision: int
    ended: Mapping[Outcome, int]


class MovedGroup(NamedTuple):
    """A registered consumer group."""

    name: str
    ephemeral: bool
    max_stalls: int
    registered_at: Millis
    unattended_ms: Millis
    warned_at: Millis | None
    ended: Mapping[Outcome, int]


class MovedEpoch(NamedTuple):
    """A worker's lease: `exchanges` are its last number in each group that it is in.

    One that is not `alive` never lives again, but what it had claimed is still to be handed on. `worker` is
    told of no two epochs: where one came back under its name, its dead epoch comes under another.
    """

    worker: str
    lease_ms: Millis
    alive: bool
    exchanges: Mapping[str, int]
    report: bytes = b""


class MovedSchedule(NamedTuple):
    """A schedule as it is stored."""

    schedule: Schedule


class MovedJob(NamedTuple):
    """A living job. It is delayed where `due_at` is set; else its deliveries follow, or that it is unclaimed.

    `schedule_id` is set for an occurrence, whose id has a name space of its own.
    """

    key: int
    id: str
    schedule_id: str | None
    data: bytes
    metadata: bytes
    priority: int
    enqueued_at: Millis
    due_at: Millis | None
    expires_at: Millis | None
    unclaimed: Unclaimed
    token: str
    record_format: int = RECORD_FORMAT


class MovedUnclaimed(NamedTuple):
    """The job waits for a first group."""

    key: int
    since: Millis


class MovedReady(NamedTuple):
    """A delivery that is ready. `claim` is 0 where it was never claimed.

    `front`: it came back, and sorts before all others of its priority by its last claim's number.
    """

    key: int
    group: str
    attempts: int
    stalls: int
    since: Millis
    claim: int
    front: bool


class MovedRetry(NamedTuple):
    """A delivery that waits for a retry."""

    key: int
    group: str
    attempts: int
    stalls: int
    due_at: Millis


class MovedClaim(NamedTuple):
    """A delivery that a worker's epoch holds: claimed in its exchange of this number, or `lapsed`."""

    key: int
    group: str
    attempts: int
    stalls: int
    since: Millis
    claim: int
    worker: str
    exchange: int
    cancelled: bool
    lapsed: bool


class MovedFailure(NamedTuple):
    """A kept failed entry. Entries of one job have one `key`."""

    key: int
    job_id: str
    schedule_id: str | None
    group: str
    data: bytes
    metadata: bytes
    priority: int
    enqueued_at: Millis
    unclaimed: Unclaimed
    failure: Failure
    attempts: int
    failed_at: Millis
    record_format: int = RECORD_FORMAT


Moved: TypeAlias = (
    MovedQueue
    | MovedGroup
    | MovedEpoch
    | MovedSchedule
    | MovedJob
    | MovedUnclaimed
    | MovedReady
    | MovedRetry
    | MovedClaim
    | MovedFailure
)


class Export(NamedTuple):
    """A batch of records; `cursor` asks for the next one, None says that there is none."""

    records: list[Moved]
    cursor: str | None


class HeldClaim(NamedTuple):
    """A claim as its worker finds it again after a move, under another key (B2)."""

    group: str
    key: int
    job_id: str
    exchange: int
    cancelled: bool
