"""What can be seen of a queue, from a store and from the model, and whether the two agree.

Engines choose their own keys, epoch numbers and revisions: `Names` learns which of them means which of the
model's.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.model import (
    Added,
    Claim,
    Epoch,
    FailedRecord,
    GroupRecord,
    GroupStats,
    JobRecord,
    JobState,
    QueueFull,
    QueueStats,
    Schedule,
    WorkerRecord,
)
from checkmate_queue.store import Store
from tests.model.records import Claimed, Entry, Job, Plan
from tests.model.reference import FULL, Model, Outcome

ENDS = ("completed", "failed", "expired", "cancelled")


class Names:
    """The model's numbers and the engine's, one to one; engine numbers rise as the model's do."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.keys: dict[int, int] = {}
        self.epochs: dict[int, Epoch] = {}
        self.revisions: dict[int, int] = {}

    def key(self, model: int, store: int) -> None:
        """Learn or check the key of a job."""
        _learn(self.keys, model, store, "key")

    def revision(self, model: int, store: int) -> None:
        """Learn or check the revision of a schedule."""
        _learn(self.revisions, model, store, "revision")

    def epoch(self, model: int, store: Epoch) -> None:
        """Learn or check an epoch."""
        known = self.epochs.setdefault(model, store)
        assert known == store, f"epoch {store} where {known} still lives"
        numbers = [self.epochs[number].number for number in sorted(self.epochs)]
        assert numbers == sorted(set(numbers)), f"epoch numbers do not rise: {numbers}"

    def model_key(self, store: int) -> int:
        """What the model calls this job; 0 if it never heard of it."""
        return next((model for model, known in self.keys.items() if known == store), 0)


def _learn(known: dict[int, int], model: int, store: int, what: str) -> None:
    if model in known:
        assert known[model] == store, f"{what} {store} where {known[model]} was known"
        return
    for other, number in known.items():
        assert (other < model) == (number < store), f"{what} {store} does not rise: {known}"
    known[model] = store


def same_added(seen: Sequence[list[Added] | QueueFull], expected: Sequence[Outcome]) -> None:
    """The same units were stored or refused; for twins in one unit it is open whose is the job."""
    for theirs, mine in zip(seen, expected, strict=True):
        if isinstance(theirs, QueueFull) or isinstance(mine, str):
            assert (isinstance(theirs, QueueFull), mine) == (True, FULL), f"{theirs}, not {mine}"
            continue
        assert [added.id for added in theirs] == [job_id for job_id, _ in mine]
        created = [(added.created, new) for added, (_, new) in zip(theirs, mine, strict=True)]
        assert all(their == my for their, my in created if my is not None), f"{theirs}, not {mine}"


def same_claims(names: Names, expected: Sequence[Claimed], seen: Sequence[Claim]) -> None:
    """The same deliveries in the same order."""
    plain = [Claimed(*claim[:8]) for claim in seen]
    assert [claim.job_id for claim in plain] == [claim.job_id for claim in expected], "order of claims"
    for mine, theirs in zip(expected, plain, strict=True):
        names.key(mine.key, theirs.key)
        assert theirs._replace(key=mine.key) == mine


def same_jobs(names: Names, model: Model, seen: Sequence[JobRecord]) -> None:
    """The same living jobs in key order, with their states; overdue ones may still be shown."""
    living = sorted(model.jobs, key=lambda job: job.key)
    shown = [(record, states) for record in seen if (states := _states(names, model, record)) is not None]
    assert [record.id for record, _ in shown] == [job.new.id for job in living], "living jobs"
    for job, (record, states) in zip(living, shown, strict=True):
        names.key(job.key, record.key)
        assert _of_record(record, states) == _of_job(job), record.id
        assert record.state in ({job.waits} if job.waits else set(record.groups.values()))


def _states(names: Names, model: Model, record: JobRecord) -> dict[str, str] | None:
    """The states per group without what is overdue; None where nothing is left."""
    key = names.model_key(record.key)
    states: dict[str, str] = {
        group: state
        for group, state in record.groups.items()
        if not (state == "pending" and (key, group) in model.overdue)
    }
    gone = (key, None) in model.overdue or (record.groups and not states)
    return None if gone else states


def _of_record(record: JobRecord, states: dict[str, str]) -> tuple[object, ...]:
    own = (record.id, record.data, record.priority, record.enqueued_at, record.metadata)
    waits = record.state if not record.groups else ""
    return (*own, record.due_at, record.expires_at, waits, states)


def _of_job(job: Job) -> tuple[object, ...]:
    new = job.new
    due_at = job.due_at if job.waits == "delayed" else None
    states = {
        delivery.group: "processing" if delivery.held else delivery.state for delivery in job.deliveries
    }
    own = (new.id, new.data, new.priority, job.enqueued_at, new.metadata)
    return (*own, due_at, job.expires_at, job.waits, states)


def same_stats(model: Model, seen: QueueStats) -> None:
    """The same numbers; what is overdue may still count as waiting instead of expired."""
    expected = stats(model)
    overdue = Counter(group for _, group in model.overdue)
    assert sorted(seen.groups) == sorted(expected.groups)
    late = 0
    for name, group in seen.groups.items():
        mine = expected.groups[name]
        if model.expired_is_open:
            mine = replace(mine, expired=group.expired + group.pending - mine.pending)
        late += _same_group(group, mine, overdue[name], overdue[None])
        if not overdue[name]:
            _same_age(group.oldest_pending_seconds, model.ages(name))
    groupless = seen.unclaimed + seen.delayed - expected.unclaimed - expected.delayed
    assert 0 <= groupless <= overdue[None], f"unclaimed and delayed: {seen}, not {expected}"
    assert groupless or (seen.unclaimed, seen.delayed) == (expected.unclaimed, expected.delayed)
    assert seen.pending == sum(group.pending for group in seen.groups.values())
    for name in ("processing", "consumer_groups", "completed", "failed", "cancelled"):
        assert getattr(seen, name) == getattr(expected, name), f"{name} of the queue"
    if not model.expired_is_open:
        assert 0 <= expected.expired - late - seen.expired <= overdue[None], "expired of the queue"
    ages = [group.oldest_pending_seconds for group in seen.groups.values()]
    assert seen.oldest_pending_seconds == max((age for age in ages if age is not None), default=None)


def _same_group(seen: GroupStats, expected: GroupStats, overdue: int, overdue_groupless: int) -> int:
    """How many of the expired ones are not counted as such yet."""
    waiting = seen.pending - expected.pending
    late = expected.expired - seen.expired
    assert 0 <= waiting <= overdue, f"pending: {seen}, not {expected}"
    assert waiting <= late <= waiting + overdue_groupless, f"expired: {seen}, not {expected}"
    adjusted = replace(
        seen, pending=seen.pending - waiting, expired=seen.expired + late, oldest_pending_seconds=None
    )
    assert adjusted == expected, f"{seen}, not {expected}"
    return late


def _same_age(seen: float | None, expected: tuple[int, int] | None) -> None:
    if seen is None or expected is None:
        assert (seen, expected) == (None, None), f"oldest: {seen}, not {expected}"
    else:
        assert expected[0] <= round(seen * 1000) <= expected[1], f"oldest: {seen}, not {expected}"


def stats(model: Model) -> QueueStats:
    """The model's numbers, without the ages."""
    groups = {name: _group_stats(model, name) for name in model.groups}
    waits = Counter(job.waits for job in model.jobs)
    sums = {
        name: sum(getattr(group, name) for group in groups.values())
        for name in ("pending", "processing", "delayed", *ENDS)
    }
    sums["delayed"] += waits["delayed"]
    for end in ENDS:
        sums[end] += model.counts[end]
    return QueueStats(
        unclaimed=waits["unclaimed"],
        consumer_groups=len(groups),
        groups=groups,
        **sums,
    )


def _group_stats(model: Model, name: str) -> GroupStats:
    own = [delivery for job in model.jobs if (delivery := job.of(name))]
    return GroupStats(
        pending=sum(delivery.state == "pending" for delivery in own),
        delayed=sum(delivery.state == "retrying" for delivery in own),
        processing=sum(delivery.held for delivery in own),
        **{end: model.groups[name].counts[end] for end in ENDS},
    )


def same_groups(model: Model, seen: Sequence[GroupRecord]) -> None:
    """The same registered groups; who lives in them only where no gap is pending."""
    known = not model.gap_pending()
    expected = [
        (group.name, group.ephemeral, group.max_stalls, group.registered_at)
        for group in sorted(model.groups.values(), key=lambda group: group.name)
    ]
    assert [
        (group.name, group.ephemeral, group.max_stalls, group.registered_at) for group in seen
    ] == expected
    if known:
        workers = {group.name: group.workers for group in seen}
        assert workers == {name: len(model.members(name)) for name in model.groups}


def same_workers(names: Names, model: Model, seen: Sequence[WorkerRecord]) -> None:
    """The same living epochs, where no gap is pending."""
    if model.gap_pending():
        return
    living = [life for life in model.lives if model.is_alive(life)]
    assert [record.worker for record in seen] == [life.worker for life in living]
    for life, record in zip(living, seen, strict=True):
        names.epoch(life.number, Epoch(names.queue, record.epoch))
        assert (sorted(record.groups), record.expires_at, record.report) == (
            sorted(life.groups),
            life.expires_at,
            life.report,
        ), f"worker {life.worker}"


def same_failed(model: Model, seen: Sequence[FailedRecord]) -> None:
    """The same failed entries, newest first; those past retention may be gone already."""
    ids = [record.entry_id for record in seen]
    assert len(set(ids)) == len(ids)
    shown = [
        (
            record.job_id,
            record.group,
            record.data,
            (record.failure.error_type, record.failure.message, record.failure.traceback),
            record.attempts,
            record.failed_at,
        )
        for record in seen
    ]
    kept = [entry for entry in reversed(model.entries) if _of_entry(entry) in shown]
    assert shown == [_of_entry(entry) for entry in kept], "failed entries"
    gone = [entry for entry in model.entries if entry not in kept]
    assert gone == [entry for entry in gone if model.is_past_retention(entry)], "failed entries were lost"
    model.entries = list(reversed(kept))


def _of_entry(entry: Entry) -> tuple[object, ...]:
    return (
        entry.job.new.id,
        entry.group,
        entry.job.new.data,
        entry.failure,
        entry.attempts,
        entry.failed_at,
    )


def same_schedules(names: Names, model: Model, seen: Sequence[Schedule]) -> None:
    """The same schedules by id."""
    plans = [model.plans[schedule_id] for schedule_id in sorted(model.plans)]
    assert [schedule.spec.id for schedule in seen] == [plan.spec.id for plan in plans]
    for plan, schedule in zip(plans, seen, strict=True):
        same_schedule(names, plan, schedule)


def same_schedule(names: Names, plan: Plan, schedule: Schedule) -> None:
    """The same definition, times and outcome."""
    names.revision(plan.revision, schedule.revision)
    assert schedule.spec == plan.spec
    seen = (schedule.anchor, schedule.next_at, schedule.last_run_at)
    assert seen == (plan.anchor, plan.next_at, plan.last_run_at), plan.spec.id
    assert plan.outcome_is_open or schedule.last_outcome == plan.last_outcome, plan.spec.id


async def same_selections(store: Store, queue: str, state: JobState, group: str, size: int) -> None:
    """What a store selects, and what it shows page by page, is part of the whole that it lists."""
    jobs = await store.jobs(queue, limit=1000)
    chosen = [job for job in jobs if state == job.state or state in job.groups.values()]
    assert await store.jobs(queue, state, limit=1000) == chosen
    assert await store.jobs(queue, state, limit=size) == chosen[:size]
    assert await store.jobs(queue, after=jobs[0].key if jobs else 0, limit=size) == jobs[1 : size + 1]
    for job in jobs:
        found = await store.job(queue, job.id)
        assert found is not None and found.id == job.id
    failed = await store.failed(queue, limit=1000)
    assert await store.failed(queue, group, limit=1000) == [entry for entry in failed if entry.group == group]
    for before, entry in itertools.pairwise(failed):
        assert await store.failed(queue, after=before.entry_id, limit=1) == [entry]
    schedules = await store.schedules(queue)
    ids = [schedule.spec.id for schedule in schedules]
    assert await store.schedules(queue, ids[:size]) == schedules[:size]
    assert await store.schedules(queue, after=ids[0], limit=size) == schedules[1 : size + 1]
