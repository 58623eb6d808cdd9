"""The rules that all verbs of the reference model share: leases, readiness, order, ends.

Lists and linear scans, to be read against the prose of the contract. The model does everything at its
moment where an engine may wait until somebody comes by; `overdue` is what an engine may still show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from checkmate_queue.core.model import (
    Cancelled,
    Done,
    Fail,
    GiveBack,
    RetryLater,
    Settlement,
    StoreLimits,
)
from tests.model.records import Claimed, Delivery, Entry, Group, Job, Life, Plan, Refused


class Foundation:
    """The state of one queue; `now` is set from outside before each verb."""

    def __init__(self, now: int, limits: StoreLimits) -> None:
        self.now = now
        self.limits = limits
        self.last_contact = now
        self.keys = self.turns = self.claim_numbers = self.revisions = self.readied = 0
        self.jobs: list[Job] = []
        self.groups: dict[str, Group] = {}
        self.lives: list[Life] = []
        self.plans: dict[str, Plan] = {}
        self.entries: list[Entry] = []
        self.counts: Counter[str] = Counter()
        self.overdue: list[tuple[int, str | None]] = []
        self.expired_is_open = False
        self.paused = False
        self.fenced = False

    # -- what every verb does first --------------------------------------------------------------

    def contact(self) -> None:
        if self.fenced:
            raise Refused("fenced")
        self.attend()
        difference = self.now - self.last_contact
        for life in self.lives:
            if self.is_gap(life):
                life.expires_at += difference
        self.last_contact = self.now
        self.expire()

    def is_gap(self, life: Life) -> bool:
        difference = self.now - self.last_contact
        return difference > life.lease_ms / 2 or difference < -1000

    def is_open(self) -> bool:
        """Whether a job expired while it was delayed; the next contact says where."""
        return any(
            job.waits == "delayed" and job.expires_at is not None and job.expires_at <= self.now
            for job in self.jobs
        )

    def expiring(self) -> bool:
        return any((until := self.expiry(job)) is not None and until <= self.now for job in self.jobs)

    def gap_pending(self) -> bool:
        return any(self.is_gap(life) for life in self.lives)

    def expire(self) -> None:
        for job in list(self.jobs):
            until = self.expiry(job)
            if until is None or until > self.now:
                continue
            if job.waits:
                self.overdue.append((job.key, None))
            if job.waits == "delayed":
                # Of ephemeral groups it depends on who comes by when.
                self.expired_is_open |= any(group.ephemeral for group in self.groups.values())
                self.fan_out(job, self.live_groups())
            if job.waits:
                self.end_job(job, "expired")
            if job.schedule in self.plans:
                self.plans[job.schedule].outcome_is_open = True
            for delivery in list(job.deliveries):
                if not delivery.started:
                    self.overdue.append((job.key, delivery.group))
                    self.end(job, delivery, "expired")

    def expiry(self, job: Job) -> int | None:
        if job.waits != "unclaimed":
            return job.expires_at
        kept_until = job.due_at + self.limits.unclaimed_retention_ms
        return kept_until if job.expires_at is None else min(kept_until, job.expires_at)

    def is_alive(self, life: Life) -> bool:
        return not life.reaped and life.expires_at > self.now

    def life(self, number: int) -> Life:
        for life in self.lives:
            if life.number == number and self.is_alive(life):
                return life
        raise Refused("lease lost")

    def members(self, group: str) -> list[Life]:
        return [life for life in self.lives if group in life.groups and self.is_alive(life)]

    def live_groups(self) -> list[str]:
        return [name for name, group in self.groups.items() if not group.ephemeral or self.members(name)]

    def attend(self) -> None:
        """Add up for how long each group was surely, and at most, without a member (G4)."""
        span, gap = self.now - self.last_contact, self.gap_pending()
        for name, group in self.groups.items():
            group.unattended_since += min(span, 0)
            members = [life for life in self.lives if name in life.groups and not life.reaped]
            if any(life.expires_at > self.last_contact for life in members):
                group.surely_unattended = 0
                if self.members(name) or gap:
                    group.unattended_since = self.now
            elif not gap and any(self.is_alive(life) and life.groups for life in self.lives):
                group.surely_unattended += span

    # -- readiness and ends ----------------------------------------------------------------------

    def next_turn(self) -> int:
        self.turns += 1
        return self.turns

    def fan_out(self, job: Job, groups: Sequence[str]) -> None:
        job.waits = ""
        self.deliver(job, groups)
        if groups:
            return
        if job.new.unclaimed == "drop":
            self.end_job(job, "expired")
        else:
            job.waits, job.due_at, job.turn = "unclaimed", self.now, self.next_turn()

    def deliver(self, job: Job, groups: Sequence[str], *, filled: bool = False) -> None:
        job.deliveries += [Delivery(group, self.next_turn(), self.now, filled=filled) for group in groups]
        self.readied += len(groups)

    def promote(self) -> None:
        due: list[tuple[int, int, Job, Delivery | None]] = []
        for job in self.jobs:
            if job.waits == "delayed" and job.due_at <= self.now:
                due.append((job.due_at, job.key, job, None))
            due += [
                (delivery.due_at, job.key, job, delivery)
                for delivery in job.deliveries
                if delivery.state == "retrying" and delivery.due_at <= self.now
            ]
        for _, _, job, delivery in sorted(due, key=lambda item: item[:2]):
            if delivery is None:
                self.fan_out(job, self.live_groups())
            else:
                delivery.state, delivery.turn, delivery.ready_at = "pending", self.next_turn(), self.now
                self.readied += 1

    def end(self, job: Job, delivery: Delivery, outcome: str) -> None:
        self.groups[delivery.group].counts[outcome] += 1
        job.deliveries.remove(delivery)
        self.note_outcome(job, outcome)
        if not job.deliveries:
            self.jobs.remove(job)

    def end_job(self, job: Job, outcome: str) -> None:
        self.counts[outcome] += 1
        self.note_outcome(job, outcome)
        self.jobs.remove(job)

    def note_outcome(self, job: Job, outcome: str) -> None:
        if job.schedule in self.plans:
            plan = self.plans[job.schedule]
            plan.last_outcome = outcome
            plan.outcome_is_open = plan.outcome_is_open and bool(self.overdue)

    def settle(self, job: Job, delivery: Delivery, settlement: Settlement) -> None:
        outcome = ""
        match settlement:
            case _ if delivery.cancelled:
                outcome = "cancelled"
            case Done():
                outcome = "completed"
            case Cancelled():
                outcome = "cancelled"
            case GiveBack():
                delivery.state, delivery.front = "pending", delivery.claim_number
                self.readied += 1
            case RetryLater(delay_ms=delay_ms):
                delivery.state, delivery.front, delivery.filled = "retrying", None, False
                delivery.attempts, delivery.due_at = delivery.attempts + 1, self.now + delay_ms
            case Fail(failure=failure, attempt=attempt):
                outcome = "failed"
                kept = (failure.error_type, failure.message, failure.traceback)
                self.entries.append(Entry(job, delivery.group, kept, delivery.attempts + attempt, self.now))
        if outcome:
            self.end(job, delivery, outcome)

    def find(self, job_id: str, *, occurrence: bool = False) -> Job | None:
        for job in self.jobs:
            if job.new.id == job_id and (job.schedule is not None) == occurrence:
                return job
        return None

    def held_by(self, life: Life, group: str, key: int, state: str) -> tuple[Job, Delivery] | None:
        for job in self.jobs:
            delivery = job.of(group)
            if job.key == key and delivery and delivery.state == state and delivery.holder == life.number:
                return job, delivery
        return None

    def drop(self, name: str) -> None:
        for job in list(self.jobs):
            if delivery := job.of(name):
                self.end(job, delivery, "cancelled" if delivery.cancelled else "expired")
        self.counts += self.groups.pop(name).counts
        for life in self.lives:
            life.groups.pop(name, None)

    # -- finding and counting -------------------------------------------------------------------

    def size(self) -> int:
        ready = Counter(
            delivery.group for job in self.jobs for delivery in job.deliveries if delivery.state == "pending"
        )
        return sum(1 for job in self.jobs if job.waits) + max(ready.values(), default=0)

    def claimed(self, job: Job, delivery: Delivery) -> Claimed:
        new = job.new
        return Claimed(
            job.key, new.id, new.data, new.priority, job.enqueued_at,
            delivery.attempts, delivery.stalls, new.metadata,
        )  # fmt: skip

    def told(self, number: int) -> list[tuple[str, int]]:
        return [
            (delivery.group, job.key)
            for job in self.jobs
            for delivery in job.deliveries
            if delivery.state == "processing" and delivery.holder == number and delivery.cancelled
        ]

    def deliveries(self, state: str) -> list[tuple[Job, Delivery]]:
        return [
            (job, delivery) for job in self.jobs for delivery in job.deliveries if delivery.state == state
        ]

    # -- what an engine may do early or late -----------------------------------------------------

    def is_past_retention(self, entry: Entry) -> bool:
        newer = len(self.entries) - 1 - self.entries.index(entry)
        too_many = newer >= self.limits.failed_retention_count
        return too_many or entry.failed_at + self.limits.failed_retention_ms <= self.now

    def due_times(self) -> list[int]:
        """When the next delayed job, retry or schedule is due."""
        times = [job.due_at for job in self.jobs if job.waits == "delayed"]
        times += [
            delivery.due_at
            for job in self.jobs
            for delivery in job.deliveries
            if delivery.state == "retrying"
        ]
        return times + [plan.next_at for plan in self.plans.values() if plan.next_at is not None]

    def end_times(self, number: int) -> list[int]:
        """When the next unstarted delivery expires, or the lease of another than this epoch runs out."""
        times = [
            until
            for job in self.jobs
            if (until := self.expiry(job)) is not None
            and (job.waits or not all(delivery.started for delivery in job.deliveries))
        ]
        return times + [
            life.expires_at for life in self.lives if life.number != number and self.is_alive(life)
        ]

    def ages(self, group: str) -> tuple[int, int] | None:
        """How old the oldest ready delivery is at least, as engines look at heads only, and at most."""
        ready = [(job, own) for job, own in self.deliveries("pending") if own.group == group]
        if not ready:
            return None
        heads: dict[tuple[int, bool, bool], tuple[int, int]] = {}
        for job, own in ready:
            line = (job.new.priority, own.front is None, own.filled)
            heads[line] = min(heads.get(line, (2**62, 0)), (own.front or own.turn, own.ready_at))
        firsts = [
            max(ready_at for (other, _, _), (_, ready_at) in heads.items() if other == priority)
            for priority, _, _ in heads
        ]
        oldest = min(own.ready_at for _, own in ready)
        return max(0, self.now - min(firsts)), max(0, self.now - oldest)
