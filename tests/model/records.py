"""What the reference model keeps: plain records, one per thing of the contract."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from checkmate_queue.core.model import NewJob, NewSchedule


class Refused(Exception):
    """The verb raises; the text says which of the contract's errors."""


class Claimed(NamedTuple):
    """A delivery as a claim shows it."""

    key: int
    job_id: str
    data: bytes
    priority: int
    enqueued_at: int
    attempts: int
    stalls: int
    metadata: bytes


@dataclass
class Delivery:
    """One job as one group sees it: pending, processing, lapsed or retrying."""

    group: str
    turn: int
    ready_at: int
    state: str = "pending"
    front: int | None = None
    filled: bool = False
    started: bool = False
    attempts: int = 0
    stalls: int = 0
    due_at: int = 0
    holder: int = 0
    claim_number: int = 0
    cancelled: bool = False

    @property
    def held(self) -> bool:
        return self.state in {"processing", "lapsed"}


@dataclass
class Job:
    """A living job: delayed or unclaimed while it has no deliveries."""

    key: int
    new: NewJob
    enqueued_at: int
    expires_at: int | None = None
    schedule: str | None = None
    waits: str = ""
    turn: int = 0
    due_at: int = 0
    deliveries: list[Delivery] = field(default_factory=list)

    def of(self, group: str) -> Delivery | None:
        return next((delivery for delivery in self.deliveries if delivery.group == group), None)


@dataclass
class Group:
    """A registered group with its lifetime counts."""

    name: str
    ephemeral: bool
    max_stalls: int
    registered_at: int
    surely_unattended: int = 0
    unattended_since: int = 0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Member:
    """What an epoch's group remembers of the last exchange."""

    n: int = 0
    claims: list[Claimed] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


@dataclass
class Life:
    """An epoch."""

    number: int
    worker: str
    lease_ms: int
    expires_at: int
    groups: dict[str, Member] = field(default_factory=dict)
    report: bytes = b""
    reaped: bool = False


@dataclass
class Plan:
    """A schedule."""

    spec: NewSchedule
    revision: int
    anchor: int
    next_at: int | None
    last_run_at: int | None = None
    last_outcome: str | None = None
    outcome_is_open: bool = False


@dataclass
class Entry:
    """A failed delivery that is kept."""

    job: Job
    group: str
    failure: tuple[str, str, str]
    attempts: int
    failed_at: int
