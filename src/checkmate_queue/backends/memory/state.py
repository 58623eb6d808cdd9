"""What the memory backend holds: plain records, to which the other modules apply the rules."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from checkmate_queue.backends.memory.agenda import Agenda
from checkmate_queue.backends.memory.failed import FailedLog
from checkmate_queue.backends.memory.ready import ReadyLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkmate_queue.core.model import Claim, Millis, NewSchedule, Outcome, StoreLimits, Unclaimed

DeliveryState: TypeAlias = Literal["pending", "processing", "retrying", "ended"]


@dataclass(slots=True, eq=False)
class Job:
    """A living job: delayed (`due_at` is set), unclaimed, or with open deliveries, which its groups hold."""

    key: int
    id: str
    data: bytes
    priority: int
    metadata: bytes
    enqueued_at: Millis
    expires_at: Millis | None = None
    unclaimed: Unclaimed = "hold"
    token: str = ""
    series: Series | None = None
    due_at: Millis | None = None
    unclaimed_at: Millis | None = None
    open_deliveries: int = 0


@dataclass(slots=True, eq=False)
class Delivery:
    """One job as one group sees it. Its claims are numbered; 0 says that it has never been claimed.

    While it is processed it is held by an epoch, as a claim or as a lapsed claim.
    """

    job: Job
    group: Group
    ready_at: Millis
    state: DeliveryState = "pending"
    attempts: int = 0
    stalls: int = 0
    claim_number: int = 0
    holder: WorkerEpoch | None = None
    lapsed: bool = False
    cancelled: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """A registered consumer group with the numbers that `stats` tells.

    `members` holds dead epochs too, until they are reaped.
    """

    name: str
    ephemeral: bool
    max_stalls: int
    registered_at: Millis
    members: set[WorkerEpoch] = field(default_factory=set)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    ready: ReadyLine = field(default_factory=ReadyLine)
    processing: int = 0
    retrying: int = 0
    ended: Counter[Outcome] = field(default_factory=Counter)
    unattended_ms: Millis = 0
    warned_at: Millis | None = None


@dataclass(slots=True, eq=False)
class Membership:
    """An epoch's part in a group: its claims, and its last exchange, which it may repeat."""

    claims: dict[int, Delivery] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    exchanges: int = 0
    last_claims: list[Claim] = field(default_factory=list)
    last_refused: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class WorkerEpoch:
    """One life of a worker's lease."""

    number: int
    worker: str
    lease_ms: Millis
    expires_at: Millis
    memberships: dict[Group, Membership] = field(default_factory=dict)
    lapsed: dict[tuple[Group, int], Delivery] = field(default_factory=dict)
    report: bytes = b""


@dataclass(slots=True, eq=False)
class Recurring:
    """A stored schedule."""

    spec: NewSchedule
    revision: int
    anchor: Millis
    next_at: Millis | None
    last_run_at: Millis | None = None
    last_outcome: Outcome | None = None


@dataclass(slots=True, eq=False)
class Series:
    """The living jobs of one schedule id, whether or not the schedule still exists.

    Per group: how many deliveries wait that were never claimed, and how many exist at all.
    """

    schedule_id: str
    jobs: dict[int, Job] = field(default_factory=dict)
    unclaimed: int = 0
    waiting: Counter[Group] = field(default_factory=Counter)
    existing: Counter[Group] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class QueueState:
    """All that is known of one queue.

    `jobs` is in key order, as keys only grow. Users' jobs and schedules' jobs have name spaces of their own.
    `due` holds delayed jobs and deliveries that wait for a retry; `recurring` holds schedules.
    `epoch_numbers` are the store's: after a move away and back, too, none is given again.
    """

    name: str
    limits: StoreLimits
    on_news: Callable[[str], None]
    contact_at: Millis
    attended_at: Millis
    epoch_numbers: Iterator[int]
    successor: str | None = None
    paused: bool = False
    sleeping: bool = False

    jobs: dict[int, Job] = field(default_factory=dict)
    user_jobs: dict[str, Job] = field(default_factory=dict)
    schedule_jobs: dict[str, Job] = field(default_factory=dict)
    unclaimed: OrderedDict[int, Job] = field(default_factory=OrderedDict)
    delayed: int = 0
    due: Agenda[Job | Delivery] = field(default_factory=Agenda)
    expiring: Agenda[Job] = field(default_factory=Agenda)
    failed: FailedLog = field(init=False)
    ended: Counter[Outcome] = field(default_factory=Counter)

    groups: dict[str, Group] = field(default_factory=dict)
    epochs: dict[int, WorkerEpoch] = field(default_factory=dict)
    workers: dict[str, WorkerEpoch] = field(default_factory=dict)
    shortest_lease_ms: Millis = 0

    schedules: dict[str, Recurring] = field(default_factory=dict)
    recurring: Agenda[Recurring] = field(default_factory=Agenda)
    series: dict[str, Series] = field(default_factory=dict)

    last_key: int = 0
    last_claim: int = 0
    last_revision: int = 0
    readied: int = 0

    def __post_init__(self) -> None:
        self.failed = FailedLog(self.limits)

    def deliveries_of(self, job: Job) -> list[Delivery]:
        """The open deliveries of a job."""
        if not job.open_deliveries:
            return []
        return [group.deliveries[job.key] for group in self.groups.values() if job.key in group.deliveries]

    def wake(self) -> None:
        """Call the sleepers, once for each sleep."""
        if self.sleeping:
            self.sleeping = False
            self.on_news(self.name)
