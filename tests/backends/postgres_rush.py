"""One of several processes that add and consume the same jobs at once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import Claim, Done, Epoch, GiveBack, GroupJoin, NewJob, RetryLater, Settlement

GROUPS = ("g1", "g2")
IDS = 400


@dataclass(slots=True)
class Report:
    """How many jobs a process created, and the keys of those it completed."""

    created: int = 0
    completed: dict[str, list[int]] = field(default_factory=lambda: {group: [] for group in GROUPS})


def run_rush(url: str, schema: str, seed: int) -> Report:
    """Add the ids that all processes add, in an order of one's own, and consume until nothing is left."""
    return asyncio.run(_rush(PostgresStore(url, schema=schema), random.Random(seed), f"rusher {seed}"))


async def _rush(store: PostgresStore, chance: random.Random, worker: str) -> Report:
    report = Report()
    await store.open()
    epoch = await store.join("q", worker, [GroupJoin(group) for group in GROUPS], 30_000)
    adding = asyncio.create_task(_add(store, chance, report))
    await asyncio.gather(*(_consume(store, epoch, group, chance, report, adding) for group in GROUPS))
    await adding
    await store.leave(epoch, GROUPS)
    await store.close()
    return report


async def _add(store: PostgresStore, chance: random.Random, report: Report) -> None:
    ids = [f"job {number}" for number in range(IDS)]
    chance.shuffle(ids)
    for start in range(0, IDS, 8):
        jobs = [
            NewJob(job_id, b"{}", chance.randint(0, 2), delay_ms=chance.choice((0, 0, 5)))
            for job_id in ids[start : start + 8]
        ]
        for unit in await store.add("q", [jobs[:4], jobs[4:]]):
            assert isinstance(unit, list)
            report.created += sum(added.created for added in unit)


async def _consume(
    store: PostgresStore,
    epoch: Epoch,
    group: str,
    chance: random.Random,
    report: Report,
    adding: asyncio.Task[None],
) -> None:
    settlements: list[Settlement] = []
    n = 0
    while True:
        n += 1
        finished = adding.done()
        answer = await store.exchange(epoch, group, n, settlements, chance.randint(1, 12))
        assert answer.refused == []
        settlements = [_settle(claim, chance) for claim in answer.claims]
        report.completed[group] += [done.key for done in settlements if isinstance(done, Done)]
        idle = finished and not settlements and answer.next_at is None
        if idle and not (await store.tick(epoch)).pending:
            return


def _settle(claim: Claim, chance: random.Random) -> Settlement:
    fate = chance.random()
    if fate < 0.1:
        return RetryLater(claim.key, chance.randint(0, 20))
    return GiveBack(claim.key) if fate < 0.2 else Done(claim.key)
