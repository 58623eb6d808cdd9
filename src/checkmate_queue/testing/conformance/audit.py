"""What must be true of any store at any moment, checked after every test."""

from __future__ import annotations

from collections import Counter

from checkmate_queue.core.model import GroupJoin, GroupStats, JobRecord, QueueStats
from checkmate_queue.store import FencedError, Store

AUDITED_VERBS = frozenset({"queues", "stats", "jobs", "groups", "workers"})


async def audit(store: Store, verbs: frozenset[str]) -> None:
    """Compare the numbers of every queue with a recount, once what is due has been done."""
    if not verbs >= AUDITED_VERBS:
        return
    for queue in await store.queues():
        await _bring_up_to_date(store, queue)
        stats = await store.stats(queue)
        records = await all_jobs(store, queue)
        _check_groups(stats, records)
        _check_sums(stats, records)
        registered = [group.name for group in await store.groups(queue)]
        assert sorted(stats.groups) == registered
        assert stats.consumer_groups == len(registered)
        held = sum(worker.processing for worker in await store.workers(queue))
        assert held <= stats.processing


async def all_jobs(store: Store, queue: str) -> list[JobRecord]:
    """Every living job, page by page."""
    records: list[JobRecord] = []
    while page := await store.jobs(queue, after=records[-1].key if records else 0, limit=500):
        records += page
    return records


async def _bring_up_to_date(store: Store, queue: str) -> None:
    try:
        epoch = await store.join(queue, "auditor", [GroupJoin("auditor", ephemeral=True)], 30_000)
        for _ in range(100):
            if not (await store.tick(epoch)).more:
                return
    except FencedError:
        return
    raise AssertionError("tick has had more to do for 100 times")


def _check_groups(stats: QueueStats, records: list[JobRecord]) -> None:
    recount = Counter((group, state) for job in records for group, state in job.groups.items())
    assert {group for group, _ in recount} <= set(stats.groups)
    for name, group in stats.groups.items():
        found = (
            recount[name, "pending"],
            recount[name, "retrying"],
            recount[name, "processing"],
        )
        assert (group.pending, group.delayed, group.processing) == found, f"group {name!r}"
        assert (group.oldest_pending_seconds is None) == (group.pending == 0), f"group {name!r}"


def _check_sums(stats: QueueStats, records: list[JobRecord]) -> None:
    groupless = Counter(job.state for job in records if not job.groups)
    assert set(groupless) <= {"delayed", "unclaimed"}
    groups = list(stats.groups.values())
    assert stats.unclaimed == groupless["unclaimed"]
    assert stats.delayed == groupless["delayed"] + sum(group.delayed for group in groups)
    assert stats.pending == sum(group.pending for group in groups)
    assert stats.processing == sum(group.processing for group in groups)
    for total, part in zip(_ended(stats), zip(*map(_ended, groups), strict=True), strict=False):
        assert total >= sum(part)


def _ended(stats: QueueStats | GroupStats) -> tuple[int, int, int, int]:
    return stats.completed, stats.failed, stats.expired, stats.cancelled
