"""THE SEAM: what an engine must do, and the only thing that the core knows of one.

A store applies; it never decides. Every verb does one atomic thing to a batch, on the engine's clock. The
conformance suite (`checkmate_queue.testing.conformance`) proves a store against this contract.

Rules that hold for all verbs:

*Clock.* An engine reads its own clock; one that is given a `Clock` at construction reads that instead
(tests travel in time). Callers never pass the present in.

*Contact and gaps (G12).* Every writing verb on a queue first compares the engine's time with the queue's
last contact, which it then renews (a resolution of 100 ms is enough). Where the difference is more than
half an epoch's lease, or the clock went back by more than 1 s, that epoch's lease is moved on by the
difference, and so are the times since which groups are unattended (G4).

*Life of an epoch (G7, G8).* An epoch lives while its lease has not run out. `exchange` and `heartbeat`
renew it. A verb that is called for a dead or unknown epoch raises `LeaseLostError` and changes nothing
else. Once an epoch is dead it never comes back.

*Live groups (G1, G4).* A job is fanned out to every registered durable group, and to those ephemeral groups
of which at least one member epoch lives.

*Order (J5).* Within a group the ready delivery of highest priority comes first; at one priority those that
were given back or lapsed, in the order of their claims, then the others in the order in which the engine
made them ready. `add` and `fire` make undelayed jobs ready in the order given. Due jobs and retries become
ready in the order of their due times (equal times: of the jobs' keys), whenever a verb *promotes*; every
verb that says so promotes everything that is due: a delayed job goes to the groups that were registered at
its due time, and where there were none it becomes unclaimed. An engine that must bound a step repeats it
until nothing is due before it goes on.

*Unclaimed (G2).* A job that becomes ready for no live group is kept as unclaimed, or ends at once as
`expired` where it was added with `unclaimed="drop"`. It expires after `StoreLimits.unclaimed_retention_ms`.

*Expiry (J9).* A delivery that was never claimed ends as `expired` once its job's expiry has passed: it is
never claimed afterwards, and its id is free from that moment on, swept or not.

*Ends.* When the last delivery of a job ends, its record is removed and its id is free (J7). Lifetime counts
never decrease; those of a group that goes stay in the queue's.

*Cancelled claims (L12).* A claim that `cancel` has signalled ends as `cancelled` whichever settlement it
gets, and when its lease lapses.

*Fence (B3).* On a fenced queue every writing verb raises `FencedError` and changes nothing.

*Lost answers.* Every verb may be repeated after its answer was lost, at once and with the same arguments,
without harm: nothing is lost, applied twice, or held by nobody.

*Failure of the engine.* A verb that can't reach or use its engine raises `BackendUnavailableError`; whether
it took effect is then unknown. Storage that can't be read as ours, or is of a newer format, raises
`ConfigError` from `open` (U1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from checkmate_queue.core.errors import QueueError
from checkmate_queue.core.model import (
    Added,
    CancelResult,
    Claim,
    Epoch,
    Exchange,
    FailedRecord,
    Firing,
    GroupJoin,
    GroupRecord,
    JobRecord,
    JobState,
    LapseSettlement,
    Millis,
    NewJob,
    NewSchedule,
    Orders,
    QueueFull,
    QueueStats,
    Schedule,
    Settlement,
    Tick,
    WorkerRecord,
)

__all__ = [
    "BATCH",
    "Claim",
    "Clock",
    "Consumption",
    "FencedError",
    "Fencing",
    "Ingestion",
    "Inspector",
    "LeaseLostError",
    "Lifecycle",
    "News",
    "Repair",
    "Scheduling",
    "Setting",
    "SettingsStore",
    "Store",
    "UnknownQueueError",
    "wall_clock",
]

BATCH = 1000
"""About how many records one atomic step may touch, and how many `tick` hands out at once."""

Clock: TypeAlias = Callable[[], Millis]
News: TypeAlias = Callable[[str], None]


def wall_clock() -> Millis:
    """The clock of engines that live on this machine: whole milliseconds, cut."""
    return time.time_ns() // 1_000_000


class LeaseLostError(QueueError):
    """The worker's lease has run out; its claims belong to others now."""


class FencedError(QueueError):
    """The queue has moved to another backend. `successor` is the text that `fence` left."""

    def __init__(self, successor: str) -> None:
        super().__init__()
        self.successor = successor


class UnknownQueueError(QueueError):
    """The queue was never registered with this backend."""


class Lifecycle(Protocol):
    """Opening, closing and naming."""

    async def open(self) -> None:
        """Connect, and create or migrate the storage. Idempotent. Binds the store to the running loop."""

    async def close(self) -> None:
        """Release connections, threads and sockets. Idempotent; never fails for an unreachable engine."""

    async def ping(self) -> Millis:
        """Prove that the engine answers, and return its time."""

    async def register(self, queue: str) -> None:
        """Make the queue known. Idempotent. Other verbs on an unknown queue raise `UnknownQueueError`."""

    def listen(self, on_news: News) -> None:
        """Have `on_news(queue)` called on the loop when sleepers of the queue have something to do.

        News are a hint, best effort: something became ready, or due earlier than all before, or a queue was
        resumed, or a running delivery was cancelled, by this process or another. A store without a wake-up
        of its own may never call it; the runtime looks at least every second.
        """


class Ingestion(Protocol):
    """The way in."""

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """Store new jobs. Each unit is one caller's and all or nothing; units don't affect each other.

        One transaction for all units. For each unit, in order:

        1. A job whose id lives in the queue, or came earlier in the unit, is a duplicate: nothing of it is
           stored, and the answer is `Added(id, False)`, or `Added(id, True)` where the living job carries
           the same non-empty token (J7, J10).
        2. If the start-delayed and unclaimed jobs, plus the ready deliveries of the fullest group, plus the
           unit's new jobs would exceed `StoreLimits.max_queue_size`, the unit is refused: `QueueFull` (J8).
           A unit of duplicates alone is never refused.
        3. The others are stored: delayed where `delay_ms` > 0, else made ready (or unclaimed).

        Does not promote. Wakes sleepers where something became ready or due earlier than all before.
        """


class Consumption(Protocol):
    """The way out."""

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Register a worker and its groups in one step. `worker` is unique for each life of a lease.

        1. Promotes.
        2. A `worker` that is unknown gets a new epoch, whose lease starts now; one whose epoch lives keeps
           it, its lease renewed, and adds these groups to those it has (same names: no effect beyond step
           3). One whose epoch is dead gets a new epoch.
        3. Groups that are new are registered; of known ones `ephemeral` and `max_stalls` become as given.
        4. If any of `groups` is durable, all unclaimed jobs are made ready, in order, for those of `groups`
           that are durable.
        5. A new group with `start_from="earliest"` gets a delivery of every other job that is ready,
           running or waiting for a retry in some group, in the order of the jobs' keys; an engine may fill
           it in batches, by later verbs, what finishes meanwhile may be missed (G3).
        """

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """End the epoch's membership in these groups; with its last group the epoch ends.

        1. Promotes. 2. Claims of this epoch in these groups are given back. 3. An ephemeral group that has
           no live member any more is dropped, and with `unregister` a durable one too (G4). A dead or
           unknown epoch, or a group it has not joined, is no error.
        """

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """Settle, promote, claim and renew, in one step. The hot path.

        `n` counts the exchanges of (epoch, group) from 1. A repeated n settles and claims nothing: it
        returns the claims of the first call. n + 1 confirms n. Any other n raises `ValueError`.

        1. Renews the lease. 2. Applies the settlements to claims of this epoch and group; keys of others
           are `refused`, without error. `Done` and `Cancelled` end a delivery. `RetryLater` counts an
           attempt and waits. `Fail` ends it, counted as failed, and keeps a failed entry (attempts so far,
           plus 1 where `attempt`). `GiveBack` makes it ready at the front of its priority. The end of a
           schedule's delivery becomes the schedule's `last_outcome`.
        3. Promotes. 4. Claims the first `want` ready deliveries (none while paused) and returns them in
           order.
        5. Where it claims nothing although `want` > 0, the caller is registered as a sleeper.
        """

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """Renew the lease, keep the report for `workers`, and tell which running deliveries were cancelled.

        May be called from another thread's event loop than the one that opened the store.
        """

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Do what time has made due, on behalf of the whole queue. Does not renew the lease.

        1. Applies `settled` to lapsed claims that this epoch holds; others are passed over.
        2. Promotes. 3. Ends what has expired: deliveries (J9), unclaimed jobs and failed entries past their
           retention.
        4. Epochs whose lease has run out die, each in one step: their claims pass to this epoch as lapsed
           claims, each with one more stall (one that was lapsed already: no further stall); ephemeral
           groups without a live member are dropped. Claims that were cancelled end instead.
        5. Drops durable groups that were unattended for `group_retention_ms` while another group of the
           queue had a live member (time adds up over interruptions); never the last durable one. Their
           deliveries end as `expired`. From the first day on, `abandoned` names such a group at most once a
           day, whoever ticks.
        6. Returns all lapsed claims that this epoch holds (at most `BATCH`), and schedules that are due (at
           most `BATCH`).

        With nothing due it costs one read. `next_at` covers delayed jobs, retries, schedules, expiries
        and leases of others. Registers the caller as a sleeper.
        """


class Scheduling(Protocol):
    """Recurring jobs."""

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """Create or replace a schedule (R4), and return it as it is stored now.

        An equal `definition` changes nothing. With equal `timing`, anchor and next due time stay; else both
        become `first_at`. A replacement gets a new revision, and jobs that were never claimed end as
        `cancelled`, or `expired` where they had expired before. Wakes sleepers where it is due earlier than
        all before.
        """

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """Remove a schedule; False if unknown (R7).

        Its jobs that were never claimed end as `cancelled`, or `expired` where they had expired before.
        """

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """Read schedules ordered by id: those of `ids`, or the first `limit` with an id above `after`."""

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """Advance schedules by compare-and-set, and make their jobs; True for each that took effect.

        A firing takes effect if the schedule has this revision and next due time. For each time in `due`,
        in order, a job is made: id `occurrence_id(...)`, in a name space apart from users' ids, with data,
        priority and `unclaimed` of the schedule, ready at once. It never fails for a full queue. With
        misfire "all" and overlap it goes to all live groups. Else it goes to those live groups in which no
        earlier delivery of the schedule still waits that was never claimed, or, without `overlap`, in which
        none exists at all (R5, R6). Where groups exist and that leaves none, or where none exists and a job
        of the schedule is unclaimed already, no job is made. `last_run_at` becomes the due time of a job
        that was made. Does not promote.
        """


class Fencing(Protocol):
    """Closing a queue for a switch."""

    async def fence(self, queue: str | None, successor: str) -> None:
        """Refuse every later writing verb on the queue with `FencedError(successor)` (B3).

        Idempotent; the last successor stays.
        None fences the registry: queues that are not known yet are refused by `register`. Waits for writers
        under way: what they did is in the store when it returns.

        Raises `BackendSwitchError`, and has changed nothing, where callers' transactions that have added
        jobs (`Transactional`) stay open for longer than the engine's patience.
        """


class Repair(Protocol):
    """What people do to jobs and groups."""

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """Remove what waits (delayed, unclaimed, ready, or for a retry) and signal what runs (L12).

        The id is that of a user's job or, where none has it, of a schedule's. Signalling twice counts
        twice.
        """

    async def set_paused(self, queue: str, paused: bool) -> None:
        """While paused, nothing is claimed; all else goes on (L11)."""

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """Make the newest failed entries of the id ready again; return how many.

        Of the newest job that failed under this id, the entries of `group`, or of every group that is
        registered, become one job with attempts and stalls at 0, ready in those groups alone (F4). Entries
        whose group is gone stay. Raises `JobExistsError` where a job of that id lives.
        """

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """Remove failed entries, of that id and group where given; return how many."""

    async def drop_group(self, queue: str, group: str) -> bool:
        """Remove a group after promoting; its deliveries end as `expired`. False if unknown.

        A group with live members raises `InvalidArgumentError`.
        """

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """Rename a group with all its deliveries and failed entries.

        Raises `InvalidArgumentError` where `old` is unknown or has live members, or `new` exists.
        """


class Inspector(Protocol):
    """What people look at. Reads only; works on a fenced queue too; an unknown queue reads as empty."""

    async def queues(self) -> list[str]:
        """All registered names, sorted."""

    async def paused(self, queue: str) -> bool:
        """Whether the queue is paused."""

    async def stats(self, queue: str) -> QueueStats:
        """The exact numbers, read in one step (L3).

        Promotes nothing: what is due but was not made ready yet is still `delayed`.
        """

    async def job(self, queue: str, job_id: str) -> JobRecord | None:
        """The living job of that id; an occurrence of a schedule where no user's job has it."""

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """Living jobs, of that state in at least one group where given, in key order from above `after`."""

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """Failed entries, the newest first; `after` is the `entry_id` of the last one of the page before.

        Raises `InvalidArgumentError` for an `after` that no entry could have.
        """

    async def groups(self, queue: str) -> list[GroupRecord]:
        """Registered groups by name."""

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """Living epochs by number."""


class Setting(NamedTuple):
    """A stored setting; versions count from 1."""

    value: str
    version: int


class SettingsStore(Protocol):
    """Small shared values under compare-and-set."""

    async def load_setting(self, key: str) -> Setting | None:
        """Read a setting."""

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """Write it if its version is as expected (0: does not exist); False if it is not."""


class Store(
    Lifecycle,
    Ingestion,
    Consumption,
    Scheduling,
    Fencing,
    Repair,
    Inspector,
    SettingsStore,
    Protocol,
):
    """A whole backend."""
