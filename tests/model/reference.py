"""One queue as the contract describes it: the verbs.

The histories of `machine.py` run through a real store and through this model, and every answer is compared.
It has nothing in common with the engines or the core but the values that callers hand in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from checkmate_queue.core.model import (
    Cancelled,
    Firing,
    GiveBack,
    GroupJoin,
    LapseSettlement,
    NewJob,
    NewSchedule,
    Settlement,
)
from tests.model.foundation import Foundation
from tests.model.records import Claimed, Delivery, Group, Job, Life, Member, Plan, Refused

FULL = "full"
Outcome: TypeAlias = str | list[tuple[str, bool | None]]
"""What became of a unit: `FULL`, or for each job whether it was created, None where that is open."""


class Model(Foundation):
    """The verbs of one queue, with plain answers."""

    # -- ingestion -------------------------------------------------------------------------------

    def add(self, units: Sequence[Sequence[NewJob]], seen_full: Sequence[bool]) -> list[Outcome]:
        """`seen_full` decides where overdue deliveries leave it open whether the queue is full."""
        self.contact()
        return [self.add_unit(unit, full) for unit, full in zip(units, seen_full, strict=True)]

    def add_unit(self, unit: Sequence[NewJob], seen_full: bool) -> Outcome:
        answers: list[tuple[str, bool | None]] = []
        fresh: list[NewJob] = []
        for new in unit:
            living = self.find(new.id)
            if living:
                answers.append((new.id, bool(new.token) and living.new.token == new.token))
            elif earlier := [other for other in fresh if other.id == new.id]:
                open_whether = new.token and new.token == earlier[0].token
                answers.append((new.id, None if open_whether else False))
            else:
                answers.append((new.id, True))
                fresh.append(new)
        limit = self.limits.max_queue_size
        if fresh and limit is not None:
            size = self.size() + len(fresh)
            if size > limit or (seen_full and size + len(self.overdue) > limit):
                return FULL
        for new in fresh:
            self.keys += 1
            expires_at = None if new.expires_ms is None else self.now + new.expires_ms
            job = Job(self.keys, new, self.now, expires_at)
            self.jobs.append(job)
            if new.delay_ms > 0:
                job.waits, job.due_at = "delayed", self.now + new.delay_ms
            else:
                self.fan_out(job, self.live_groups())
        return answers

    # -- consumption -----------------------------------------------------------------------------

    def join(self, worker: str, joins: Sequence[GroupJoin], lease_ms: int) -> int:
        self.contact()
        self.promote()
        life = next((old for old in self.lives if old.worker == worker and self.is_alive(old)), None)
        if life is None:
            life = Life(len(self.lives) + 1, worker, lease_ms, 0)
            self.lives.append(life)
        life.expires_at = self.now + lease_ms
        fill = [join.name for join in joins if join.name not in self.groups and join.start_from == "earliest"]
        for join in joins:
            group = self.groups.setdefault(join.name, Group(join.name, False, 0, self.now))
            group.ephemeral, group.max_stalls = join.ephemeral, join.max_stalls
            group.surely_unattended, group.unattended_since = 0, self.now
            life.groups.setdefault(join.name, Member())
        durable = [join.name for join in joins if not join.ephemeral]
        others = [
            job
            for job in self.jobs
            if job.deliveries and (job.expires_at is None or job.expires_at > self.now)
        ]
        if durable:
            unclaimed = [job for job in self.jobs if job.waits == "unclaimed"]
            for job in sorted(unclaimed, key=lambda job: job.turn):
                self.fan_out(job, durable)
        for job in others:
            self.deliver(job, fill, filled=True)
        return life.number

    def leave(self, number: int, names: Sequence[str], unregister: bool) -> None:
        self.contact()
        self.promote()
        try:
            life = self.life(number)
        except Refused:
            return
        left = [name for name in names if life.groups.pop(name, None)]
        for job in list(self.jobs):
            for delivery in list(job.deliveries):
                if (delivery.state, delivery.holder) == ("processing", number) and delivery.group in left:
                    self.settle(job, delivery, GiveBack(job.key))
        for name in left:
            if not self.members(name) and (unregister or self.groups[name].ephemeral):
                self.drop(name)
        if not life.groups:
            life.expires_at = self.now

    def exchange(
        self,
        number: int,
        group: str,
        n: int,
        settlements: Sequence[Settlement],
        want: int,
        seen: Sequence[str],
    ) -> dict[str, Any]:
        self.contact()
        life = self.life(number)
        member = life.groups[group]
        if n not in {member.n, member.n + 1} or n < 1:
            raise Refused("wrong n")
        life.expires_at = self.now + life.lease_ms
        if n > member.n:
            member.refused = []
            for settlement in settlements:
                if held := self.held_by(life, group, settlement.key, "processing"):
                    self.settle(*held, settlement)
                else:
                    member.refused.append(settlement.key)
            self.promote()
            member.n = n
            member.claims = [] if self.paused else self.claim(life, group, want, seen)
        return {
            "now": self.now,
            "claims": member.claims,
            "refused": member.refused,
            "cancelled": sorted(key for name, key in self.told(number) if name == group),
            "paused": self.paused,
        }

    def claim(self, life: Life, group: str, want: int, seen: Sequence[str]) -> list[Claimed]:
        """`seen` decides where the order is open."""
        claims: list[Claimed] = []
        while len(claims) < want and (heads := self.heads(group)):
            job, delivery = heads[0]
            for other, its in heads[1:]:
                if other.new.id in seen[len(claims) : len(claims) + 1]:
                    job, delivery = other, its
            self.claim_numbers += 1
            delivery.state, delivery.started, delivery.holder = "processing", True, life.number
            delivery.claim_number = self.claim_numbers
            claims.append(self.claimed(job, delivery))
        return claims

    def heads(self, group: str) -> list[tuple[Job, Delivery]]:
        """What may come next: two where a group got what was there before it, whose place is open."""
        ready = [(job, own) for job, own in self.deliveries("pending") if own.group == group]
        highest = max((job.new.priority for job, _ in ready), default=0)
        line = [(job, own) for job, own in ready if job.new.priority == highest]
        line.sort(key=lambda pair: (pair[1].front is None, pair[1].front or pair[1].turn))
        if line and line[0][1].front is not None:
            return line[:1]
        filled = [pair for pair in line if pair[1].filled]
        others = [pair for pair in line if not pair[1].filled]
        return filled[:1] + others[:1]

    def heartbeat(self, number: int, report: bytes) -> list[tuple[str, int]]:
        self.contact()
        life = self.life(number)
        life.expires_at, life.report = self.now + life.lease_ms, report
        return sorted(self.told(number))

    def tick(
        self, number: int, settled: Sequence[LapseSettlement], seen_dropped: Sequence[str]
    ) -> dict[str, Any]:
        """`seen_dropped` decides which unattended groups go while that is open."""
        self.contact()
        life = self.life(number)
        before = self.readied
        for lapse in settled:
            if held := self.held_by(life, lapse.group, lapse.settlement.key, "lapsed"):
                self.settle(*held, lapse.settlement)
        self.promote()
        self.forget_failed()
        for other in self.lives:
            if not other.reaped and not self.is_alive(other):
                self.reap(other, life)
        dropped = [name for name, group in self.groups.items() if group.ephemeral and not self.members(name)]
        dropped += self.unattended(seen_dropped)
        for name in dropped:
            self.drop(name)
        readied, late = self.readied - before, len(self.overdue) * len(self.groups)
        self.overdue.clear()
        lapsed = [
            (delivery.group, self.groups[delivery.group].max_stalls, self.claimed(job, delivery))
            for job, delivery in self.deliveries("lapsed")
            if delivery.holder == number
        ]
        due = [plan for plan in self.plans.values() if plan.next_at is not None and plan.next_at <= self.now]
        return {
            "now": self.now,
            "lapsed": sorted(lapsed),
            "due": [plan.spec.id for plan in sorted(due, key=lambda plan: (plan.next_at, plan.spec.id))],
            "readied": (readied, readied + late),
            "dropped": sorted(dropped),
            "pending": len(self.deliveries("pending")),
        }

    def unattended(self, seen_dropped: Sequence[str]) -> list[str]:
        durable = [group for group in self.groups.values() if not group.ephemeral]
        alone = [group for group in durable if not self.members(group.name)]
        retention = self.limits.group_retention_ms
        may = [group.name for group in alone if self.now - group.unattended_since >= retention]
        must = [group.name for group in alone if group.surely_unattended >= retention]
        chosen = [name for name in may if name in seen_dropped][: len(durable) - 1]
        return chosen if len(chosen) == len(durable) - 1 else sorted({*chosen, *must})

    def forget_failed(self) -> None:
        kept = [
            entry for entry in self.entries if entry.failed_at + self.limits.failed_retention_ms > self.now
        ]
        self.entries = kept[-self.limits.failed_retention_count :]

    def reap(self, dead: Life, heir: Life) -> None:
        dead.reaped = True
        for job in list(self.jobs):
            for delivery in list(job.deliveries):
                if not delivery.held or delivery.holder != dead.number:
                    continue
                if delivery.cancelled:
                    self.settle(job, delivery, Cancelled(job.key))
                    continue
                delivery.stalls += delivery.state == "processing"
                delivery.state, delivery.holder = "lapsed", heir.number

    # -- schedules -------------------------------------------------------------------------------

    def put_schedule(self, spec: NewSchedule) -> Plan:
        self.contact()
        old = self.plans.get(spec.id)
        if old and old.spec.definition == spec.definition:
            return old
        self.revisions += 1
        new = Plan(spec, self.revisions, spec.first_at, spec.first_at)
        if old:
            self.cancel_unstarted(spec.id)
            new.last_run_at, new.last_outcome = old.last_run_at, old.last_outcome
            if old.spec.timing == spec.timing:
                new.anchor, new.next_at = old.anchor, old.next_at
        self.plans[spec.id] = new
        return new

    def drop_schedule(self, schedule_id: str) -> bool:
        self.contact()
        if schedule_id not in self.plans:
            return False
        del self.plans[schedule_id]
        self.cancel_unstarted(schedule_id)
        return True

    def cancel_unstarted(self, schedule_id: str) -> None:
        for job in list(self.jobs):
            if job.schedule != schedule_id:
                continue
            if job.waits:
                self.end_job(job, "cancelled")
            for delivery in list(job.deliveries):
                if not delivery.started:
                    self.end(job, delivery, "cancelled")

    def fire(self, firings: Sequence[Firing]) -> list[bool]:
        self.contact()
        return [self.fire_one(firing) for firing in firings]

    def fire_one(self, firing: Firing) -> bool:
        plan = self.plans.get(firing.schedule_id)
        if plan is None or (plan.revision, plan.next_at) != (firing.revision, firing.expected_at):
            return False
        plan.next_at = firing.next_at
        for due in firing.due:
            self.occur(plan, due)
        return True

    def occur(self, plan: Plan, due: int) -> None:
        spec = plan.spec
        earlier = [job for job in self.jobs if job.schedule == spec.id]
        always = spec.misfire == "all" and spec.overlap
        groups = [
            name
            for name in self.live_groups()
            if always or not any(self.blocks(job, name, spec.overlap) for job in earlier)
        ]
        if self.live_groups() and not groups:
            return
        if not groups and not always and any(job.waits == "unclaimed" for job in earlier):
            return
        job_id = f"{spec.id}:{due}"
        if self.find(job_id, occurrence=True):
            return
        self.keys += 1
        new = NewJob(job_id, spec.data, spec.priority, unclaimed=spec.unclaimed)
        job = Job(self.keys, new, self.now, schedule=spec.id)
        self.jobs.append(job)
        self.fan_out(job, groups)
        plan.last_run_at = due

    def blocks(self, job: Job, group: str, overlap: bool) -> bool:
        delivery = job.of(group)
        return delivery is not None and not (overlap and delivery.started)

    # -- repair ----------------------------------------------------------------------------------

    def cancel(self, job_id: str) -> tuple[int, int]:
        self.contact()
        job = self.find(job_id) or self.find(job_id, occurrence=True)
        if job is None:
            return 0, 0
        if job.waits:
            self.end_job(job, "cancelled")
            return 1, 0
        held = [delivery for delivery in job.deliveries if delivery.held]
        for delivery in held:
            delivery.cancelled = True
        others = [delivery for delivery in job.deliveries if not delivery.held]
        for delivery in others:
            self.end(job, delivery, "cancelled")
        return len(others), len(held)

    def set_paused(self, paused: bool) -> None:
        self.contact()
        self.paused = paused

    def retry_failed(self, job_id: str, group: str | None) -> int:
        self.contact()
        failed = [entry for entry in self.entries if entry.job.new.id == job_id]
        if self.find(job_id, occurrence=bool(failed) and failed[-1].job.schedule is not None):
            raise Refused("exists")
        chosen = [
            entry
            for entry in failed
            if entry.job is failed[-1].job and entry.group in self.groups and group in {None, entry.group}
        ]
        if chosen:
            old = chosen[0].job
            self.keys += 1
            job = Job(self.keys, old.new._replace(token=""), old.enqueued_at, schedule=old.schedule)
            self.jobs.append(job)
            self.fan_out(job, [entry.group for entry in chosen])
            self.entries = [entry for entry in self.entries if entry not in chosen]
        return len(chosen)

    def discard_failed(self, job_id: str | None, group: str | None) -> int:
        self.contact()
        before = len(self.entries)
        self.entries = [
            entry
            for entry in self.entries
            if job_id not in {None, entry.job.new.id} or group not in {None, entry.group}
        ]
        return before - len(self.entries)

    def drop_group(self, name: str) -> bool:
        self.contact()
        if self.members(name):
            raise Refused("invalid")
        self.promote()
        if name not in self.groups:
            return False
        self.drop(name)
        return True

    def rename_group(self, old: str, new: str) -> None:
        self.contact()
        if old not in self.groups or self.members(old) or new in self.groups:
            raise Refused("invalid")
        group = self.groups[new] = self.groups.pop(old)
        group.name = new
        for job in self.jobs:
            if delivery := job.of(old):
                delivery.group = new
        for entry in self.entries:
            entry.group = new if entry.group == old else entry.group
        self.overdue = [(key, new if name == old else name) for key, name in self.overdue]

    def fence(self) -> None:
        self.fenced = True
