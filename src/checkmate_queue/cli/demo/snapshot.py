"""What a screen shows at one moment."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checkmate_queue import GroupStats, Queue, QueueManager, QueueStats
from checkmate_queue.cli.demo.ledger import Entry
from checkmate_queue.cli.demo.patterns import exports, health, permissions, reminders, syncs, webhooks

NO_GROUP = "-"
GONE_GROUPS = "(gone)"
"""What groups that were dropped had done."""

_PATTERNS = (health, permissions, exports, reminders, webhooks, syncs)


@dataclass(frozen=True, slots=True)
class Spread:
    """Latency in seconds, from ready to started: half of all, and all but a hundredth, were faster."""

    median: float | None = None
    slowest: float | None = None


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A consumer group of a queue."""

    queue: str
    group: str
    stats: GroupStats
    schedules: int
    latency: Spread


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A process that consumes."""

    name: str
    pid: int
    state: str
    in_hand: int
    remark: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the demo."""

    elapsed: float
    phase: str
    groups: Sequence[GroupLine]
    workers: Sequence[WorkerLine]


class Latencies:
    """How long deliveries waited, by queue and group, as their handlers noted it."""

    def __init__(self) -> None:
        self._waits: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.kind == "started" and "waited" in entry.facts:
                insort(self._waits[entry.queue, entry.group], entry.facts["waited"])

    def of(self, queue: str, group: str) -> Spread:
        return _spread(self._waits.get((queue, group), []))


def _spread(waits: list[float]) -> Spread:
    if not waits:
        return Spread()
    return Spread(waits[len(waits) // 2], waits[min(len(waits) - 1, len(waits) * 99 // 100)])


def queues_of(manager: QueueManager) -> list[Queue[Any]]:
    """The queues of all patterns."""
    return [pattern.queue_of(manager) for pattern in _PATTERNS]


async def group_lines(manager: QueueManager, latencies: Latencies) -> list[GroupLine]:
    """All groups of all queues, with the numbers that the backend gives."""
    queues = queues_of(manager)
    stats = await asyncio.gather(*(queue.get_stats() for queue in queues))
    schedules = await manager.list_all_recurring_jobs()
    lines: list[GroupLine] = []
    for queue, numbers in zip(queues, stats, strict=True):
        name = queue.name
        count = len(schedules.get(name, ()))
        for position, (group, each) in enumerate(_groups(numbers)):
            own = count if position == 0 else 0
            lines.append(GroupLine(name, group, each, own, latencies.of(name, group)))
    return lines


def _groups(numbers: QueueStats) -> list[tuple[str, GroupStats]]:
    """The groups by name. The first also shows what waits for its start delay, which is in no group."""
    groups = sorted(numbers.groups.items()) or [(NO_GROUP, GroupStats())]
    delayed = numbers.delayed - sum(group.delayed for _, group in groups)
    (name, first), *others = groups
    gone = GroupStats(
        completed=numbers.completed - sum(group.completed for _, group in groups),
        failed=numbers.failed - sum(group.failed for _, group in groups),
    )
    last = [(GONE_GROUPS, gone)] if gone.completed or gone.failed else []
    return [(name, replace(first, delayed=first.delayed + delayed)), *others, *last]
