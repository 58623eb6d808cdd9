"""Random histories: every answer of a store, and all that can be seen of it, must be the model's.

A machine runs its verbs through a real store under a travelling clock and through the model. Which rules it
draws follows from the verbs that the store has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import hypothesis.strategies as st
from hypothesis.stateful import initialize, rule

from checkmate_queue.core.model import (
    Done,
    Epoch,
    Exchange,
    Firing,
    GroupJoin,
    JobState,
    LapseSettlement,
    NewJob,
    StoreLimits,
    Tick,
)
from tests.model import strategies, views
from tests.model.drawing import (
    anyway,
    drawn_as,
    one_of,
    some_clients,
    some_failed,
    some_groups,
    some_ids,
    some_plans,
    when,
)
from tests.model.outcomes import settlement_of, verdict_on, which_are_full
from tests.model.world import UNKNOWN_KEY, Client, World


class QueueMachine(World):
    """One queue, a few workers, and time."""

    @initialize(
        limits=strategies.limits,
        joins=st.dictionaries(strategies.roles, strategies.joins, max_size=2),
        jobs=st.lists(strategies.jobs(), max_size=5),
    )
    def begin(self, limits: StoreLimits, joins: dict[str, list[GroupJoin]], jobs: list[NewJob]) -> None:
        self.create(limits)
        for role, groups in joins.items():
            self.join(role, groups)
        for job in jobs:
            self.add([[job]])

    def answers_of_each_call(self, seen: object) -> list[object]:
        """What the store answered, once for each time that it performed the verb."""
        return [seen]

    # -- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """A fenced queue refuses what writes, and shows what it showed."""
        self.run(self.store.fence(self.queue, "elsewhere"))
        self.model.fenced = True
        self.add([[NewJob("late", b"0")]])
        for role in self.clients:
            self.heartbeat(role, b"late")
            self.tick(role, [])
        for role, group in self.members():
            self.exchange((role, group), 1, ["done"])
        self.everything_is_the_same()

    # -- time ------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.25, 1.0, 1.0, 4.0, 4.0, 6.0, 16.0, 61.0, -3.0)))
    def wait(self, seconds: float) -> None:
        """Time passes without contact, which may be a gap; or somebody sets the engine's clock back."""
        if seconds > 0:
            self.clock.advance(seconds)
        elif self.is_swept():
            self.clock.back(-seconds)
            self.touch()

    @when(some_clients)
    @rule(role=one_of(some_clients), seconds=st.sampled_from((12, 32)), ticks=st.booleans())
    def live_on(self, role: str, seconds: int, ticks: bool) -> None:
        """Time passes in contact: the leases of the others run out."""
        for _ in range(0, seconds, 4):
            self.clock.advance(4)
            if role in self.clients:
                self.heartbeat(role, b"")
            if ticks and role in self.clients:
                self.tick(role, ["policy"] * 9)

    # -- the way in ------------------------------------------------------------------------------

    @rule(units=strategies.units)
    def add(self, units: list[list[NewJob]]) -> None:
        seen = self.ask(lambda: self.store.add(self.queue, units))
        performed = iter(self.answers_of_each_call(seen))
        if answers := self.agree(seen, lambda: self.model.add(units, which_are_full(next(performed), units))):
            views.same_added(*answers)

    @rule(units=st.lists(st.lists(strategies.jobs(), min_size=1, max_size=1), min_size=1, max_size=4))
    @drawn_as("add")
    def add_singly(self, units: list[list[NewJob]]) -> None:
        self.add(units)

    # -- the way out -----------------------------------------------------------------------------

    @rule(role=strategies.roles, joins=strategies.joins)
    def join(self, role: str, joins: list[GroupJoin]) -> None:
        client = self.clients.get(role)
        worker = client.worker if client else f"{role}.{self.crashes}"
        lease = strategies.LEASES[role]
        seen = self.ask(lambda: self.store.join(self.queue, worker, joins, lease), role)
        if answers := self.agree(seen, lambda: self.model.join(worker, joins, lease)):
            epoch, number = answers
            self.names.epoch(number, epoch)
            if client is None or client.number != number:
                client = self.clients[role] = Client(worker, epoch, number)
            for join in joins:
                client.counts.setdefault(join.name, 0)

    @rule(role=strategies.roles, joins=st.lists(strategies.group_joins, min_size=1, max_size=1))
    @drawn_as("join")
    def join_one_group(self, role: str, joins: list[GroupJoin]) -> None:
        self.join(role, joins)

    @when(some_clients)
    @rule(
        role=one_of(some_clients),
        groups=strategies.some_groups,
        unregister=st.sampled_from((False, False, True)),
    )
    def leave(self, role: str, groups: list[str], unregister: bool) -> None:
        client = self.clients[role]
        seen = self.ask(lambda: self.store.leave(client.epoch, groups, unregister), role)
        self.same(seen, lambda: self.model.leave(client.number, groups, unregister))
        for group in groups:
            client.counts.pop(group, None)
            client.held.pop(group, None)

    @when(World.members)
    @rule(
        member=one_of(World.members),
        outcomes=strategies.outcomes,
        want=st.sampled_from((1, 2, 5, 0)),
        n=st.sampled_from(("next", "next", "next", "repeat", "wrong")),
    )
    def exchange(
        self,
        member: tuple[str, str],
        want: int,
        outcomes: Sequence[str] = (),
        n: Literal["next", "repeat", "wrong"] = "next",
    ) -> None:
        role, group = member
        client = self.clients[role]
        last = client.counts[group]
        if n == "repeat" and last and self.is_due():
            return  # whether a repeated exchange promotes is open
        number = {"next": last + 1, "repeat": last or 1, "wrong": last + 2}[n]
        held = client.held.get(group, [])
        settlements = [
            settlement
            for outcome, claim in zip(outcomes, held, strict=False)
            if (settlement := settlement_of(outcome, claim.key))
        ]
        if "alien" in outcomes:
            settlements.append(Done(UNKNOWN_KEY))
        translated = [self.translated(settlement) for settlement in settlements]
        seen = self.ask(lambda: self.store.exchange(client.epoch, group, number, translated, want), role)
        ids = [claim.job_id for claim in seen.claims] if isinstance(seen, Exchange) else []
        answers = self.agree(
            seen, lambda: self.model.exchange(client.number, group, number, settlements, want, ids)
        )
        if answers is None:
            return
        self.same_exchange(*answers)
        client.counts[group] = number
        if number > last:
            gone = {settlement.key for settlement in settlements}
            client.held[group] = [claim for claim in held if claim.key not in gone] + answers[1]["claims"]

    @rule(
        role=strategies.roles,
        group=strategies.groups,
        want=st.sampled_from((1, 2, 5)),
        outcomes=strategies.some_outcomes,
    )
    def work(self, role: str, group: str, want: int, outcomes: Sequence[str] = ()) -> None:
        """Settle and claim, as a member."""
        if (role, group) not in self.members():
            self.join(role, [GroupJoin(group)])
        if (role, group) in self.members():
            self.exchange((role, group), want, outcomes)

    @rule(
        role=strategies.roles,
        group=strategies.groups,
        jobs=st.lists(strategies.jobs(), min_size=1, max_size=3),
        want=st.sampled_from((1, 2, 5)),
    )
    def work_on(self, role: str, group: str, jobs: list[NewJob], want: int) -> None:
        """Claim where there is something to claim."""
        self.work(role, group, 0)
        self.add([jobs])
        self.work(role, group, want)

    @when(World.members)
    @rule(member=one_of(World.members), want=st.sampled_from((1, 2, 5)))
    @drawn_as("exchange")
    def claim(self, member: tuple[str, str], want: int) -> None:
        self.exchange(member, want)

    @when(World.holders)
    @rule(member=one_of(World.holders), want=st.sampled_from((0, 1)), outcomes=strategies.some_outcomes)
    @drawn_as("exchange")
    def settle(self, member: tuple[str, str], want: int, outcomes: list[str]) -> None:
        self.exchange(member, want, outcomes)

    def same_exchange(self, seen: Exchange, expected: dict[str, Any]) -> None:
        views.same_claims(self.names, expected["claims"], seen.claims)
        key = {UNKNOWN_KEY: UNKNOWN_KEY} | {store: model for model, store in self.names.keys.items()}
        assert sorted(key[each] for each in seen.refused) == sorted(expected["refused"]), "refused"
        assert sorted(key[each] for each in seen.cancelled) == expected["cancelled"], "cancelled"
        assert (seen.now, seen.paused) == (expected["now"], expected["paused"])
        if not self.model.overdue:
            self.check_next_at(seen.next_at, self.model.due_times())

    def check_next_at(self, next_at: int | None, times: list[int]) -> None:
        """Nobody who sleeps until then oversleeps, nor wakes up at once for nothing."""
        now, earliest = self.model.now, min(times, default=None)
        if earliest is not None:
            assert next_at is not None and next_at <= earliest, f"next_at {next_at}, {earliest} is due"
        if next_at is not None and next_at <= now:
            assert earliest is not None and earliest <= now, (
                f"next_at {next_at} where nothing is due at {now}"
            )

    @when(some_clients)
    @rule(role=one_of(some_clients), report=st.sampled_from((b"", b"r1", b"r2")))
    def heartbeat(self, role: str, report: bytes) -> None:
        client = self.clients[role]
        seen = self.ask(lambda: self.store.heartbeat(client.epoch, report), role)
        if answers := self.agree(seen, lambda: self.model.heartbeat(client.number, report)):
            told = sorted((group, self.names.model_key(key)) for group, key in answers[0].cancelled)
            assert told == answers[1]

    @when(some_clients)
    @rule(
        role=one_of(some_clients),
        verdicts=st.lists(st.sampled_from(("policy", "policy", "done", "keep")), max_size=3),
    )
    def tick(self, role: str, verdicts: list[str]) -> None:
        client = self.clients[role]
        settled = [
            LapseSettlement(group, settlement)
            for verdict, (group, max_stalls, claim) in zip(verdicts, client.lapsed, strict=False)
            if (settlement := verdict_on(verdict, max_stalls, claim))
        ]
        translated = [LapseSettlement(lapse.group, self.translated(lapse.settlement)) for lapse in settled]
        seen = self.ask(lambda: self.store.tick(client.epoch, translated), role)
        if isinstance(seen, Tick):
            seen = self.whole_tick(client.epoch, seen)
        dropped = self.gone_groups(seen)
        if answers := self.agree(seen, lambda: self.model.tick(client.number, settled, dropped)):
            self.same_tick(*answers, client)

    def whole_tick(self, epoch: Epoch, tick: Tick) -> Tick:
        """What an engine does in batches, taken together."""
        for _ in range(99):
            if not tick.more:
                break
            more = self.run(self.inspector.tick(epoch))
            readied, dropped = tick.readied + more.readied, tick.dropped + more.dropped
            tick = replace(more, readied=readied, dropped=dropped)
        return tick

    def gone_groups(self, seen: Tick | str) -> list[str]:
        """The groups that the model has and the store has not, where that can be seen."""
        if "groups" not in self.verbs:
            return seen.dropped if isinstance(seen, Tick) else []
        left = {group.name for group in self.run(self.inspector.groups(self.queue))}
        return [name for name in self.model.groups if name not in left]

    def same_tick(self, seen: Tick, expected: dict[str, Any], client: Client) -> None:
        client.lapsed = expected["lapsed"]
        theirs = sorted(seen.lapsed, key=lambda lapsed: (lapsed.claim.key, lapsed.group))
        mine = sorted(client.lapsed, key=lambda lapsed: (lapsed[2].key, lapsed[0]))
        views.same_claims(self.names, [lapsed[2] for lapsed in mine], [lapsed.claim for lapsed in theirs])
        assert [(lapsed.group, lapsed.max_stalls) for lapsed in theirs] == [lapsed[:2] for lapsed in mine]
        assert [schedule.spec.id for schedule in seen.due] == expected["due"], "due"
        assert (seen.now, sorted(seen.dropped)) == (expected["now"], expected["dropped"]), "dropped"
        assert seen.pending == expected["pending"], "pending"
        low, high = expected["readied"]
        assert low <= seen.readied <= high, "readied"
        assert (seen.abandoned, seen.more) == ([], False), "abandoned, more"
        self.check_next_at(seen.next_at, self.model.due_times() + self.model.end_times(client.number))

    @when(lambda machine: len(machine.clients) > 1)
    @rule(role=one_of(some_clients))
    def crash(self, role: str) -> None:
        """The process is never heard of again."""
        del self.clients[role]
        self.crashes += 1

    # -- schedules -------------------------------------------------------------------------------

    @when(anyway, "put_schedule")
    @rule(fields=strategies.schedule_specs(), first_in=st.sampled_from((-7.0, 0.0, 5.0)))
    def put_schedule(self, fields: dict[str, Any], first_in: float) -> None:
        spec = strategies.new_schedule(fields, self.clock() + round(first_in * 1000))
        seen = self.ask(lambda: self.store.put_schedule(self.queue, spec))
        if answers := self.agree(seen, lambda: self.model.put_schedule(spec)):
            schedule, plan = answers
            views.same_schedule(self.names, plan, schedule)
            self.seen_plans.append((spec.id, plan.revision, plan.next_at))

    @when(some_plans, "drop_schedule")
    @rule(schedule_id=st.sampled_from(strategies.SCHEDULES))
    def drop_schedule(self, schedule_id: str) -> None:
        seen = self.ask(lambda: self.store.drop_schedule(self.queue, schedule_id))
        self.same(seen, lambda: self.model.drop_schedule(schedule_id))

    @when(some_plans, "fire")
    @rule(plan=one_of(some_plans), times=st.integers(0, 3), goes_on=st.booleans(), twice=st.booleans())
    def fire(self, plan: tuple[str, int, int], times: int, goes_on: bool, twice: bool) -> None:
        """Fire by what was read once, which may be out of date."""
        schedule_id, revision, next_at = plan
        due = tuple(next_at + 5000 * number for number in range(times))
        after = next_at + 5000 * max(times, 1) if goes_on else None
        firing = Firing(schedule_id, revision, next_at, after, due)
        theirs = replace(firing, revision=self.names.revisions[revision])
        number = 1 + twice
        seen = self.ask(lambda: self.store.fire(self.queue, [theirs] * number))
        self.same(seen, lambda: self.model.fire([firing] * number))
        self.seen_plans.append((schedule_id, revision, after))

    # -- inspection ------------------------------------------------------------------------------

    @when(anyway, "job", "jobs", "failed", "schedules")
    @rule(state=strategies.states, group=strategies.groups, size=st.sampled_from((1, 2)))
    def look(self, state: JobState, group: str, size: int) -> None:
        """Selections and pages are of what the whole list shows."""
        self.run(views.same_selections(self.inspector, self.queue, state, group, size))

    # -- repair ----------------------------------------------------------------------------------

    @when(anyway, "set_paused")
    @rule(paused=st.sampled_from((False, False, True)))
    def set_paused(self, paused: bool) -> None:
        seen = self.ask(lambda: self.store.set_paused(self.queue, paused))
        self.same(seen, lambda: self.model.set_paused(paused))

    @when(some_ids, "cancel")
    @rule(job_id=one_of(some_ids))
    def cancel(self, job_id: str) -> None:
        seen = self.ask(lambda: self.store.cancel(self.queue, job_id))
        if answers := self.agree(seen, lambda: self.model.cancel(job_id)):
            assert (answers[0].removed, answers[0].signalled) == answers[1]

    @when(some_failed, "retry_failed")
    @rule(job_id=one_of(some_failed), group=st.none() | strategies.groups)
    def retry_failed(self, job_id: str, group: str | None) -> None:
        seen = self.ask(lambda: self.store.retry_failed(self.queue, job_id, group))
        self.same(seen, lambda: self.model.retry_failed(job_id, group))

    @when(some_failed, "discard_failed")
    @rule(job_id=st.none() | one_of(some_failed), group=st.none() | strategies.groups)
    def discard_failed(self, job_id: str | None, group: str | None) -> None:
        seen = self.ask(lambda: self.store.discard_failed(self.queue, job_id, group))
        self.same(seen, lambda: self.model.discard_failed(job_id, group))

    @when(some_groups, "drop_group")
    @rule(group=strategies.groups)
    def drop_group(self, group: str) -> None:
        someone = any(group in life.groups for life in self.model.lives)
        if someone and self.is_due():
            return  # whether a refused call promotes is open
        seen = self.ask(lambda: self.store.drop_group(self.queue, group))
        self.same(seen, lambda: self.model.drop_group(group))

    @when(some_groups, "rename_group")
    @rule(old=one_of(some_groups), new=strategies.groups)
    def rename_group(self, old: str, new: str) -> None:
        seen = self.ask(lambda: self.store.rename_group(self.queue, old, new))
        self.same(seen, lambda: self.model.rename_group(old, new))
