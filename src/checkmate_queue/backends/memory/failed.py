"""The failed entries of a queue (F4)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkmate_queue.backends.memory.state import Job
    from checkmate_queue.core.model import Failure, Millis, StoreLimits


@dataclass(slots=True, eq=False)
class FailedEntry:
    """A failed delivery. Its group may be gone, so that it is known by name."""

    number: int
    job: Job
    group: str
    failure: Failure
    attempts: int
    failed_at: Millis


class FailedLog:
    """Failed entries, the oldest first, bounded in number and age."""

    __slots__ = ("_by_job_id", "_entries", "_number", "limits")

    def __init__(self, limits: StoreLimits) -> None:
        self.limits = limits
        self._entries: OrderedDict[int, FailedEntry] = OrderedDict()
        self._by_job_id: dict[str, dict[int, FailedEntry]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, job: Job, group: str, failure: Failure, attempts: int, now: Millis) -> None:
        """Keep an entry; the oldest one goes where there are too many."""
        self._number += 1
        entry = FailedEntry(self._number, job, group, failure, attempts, now)
        self._entries[entry.number] = entry
        self._by_job_id.setdefault(job.id, {})[entry.number] = entry
        if len(self._entries) > self.limits.failed_retention_count:
            self.remove(next(iter(self._entries.values())))

    def remove(self, entry: FailedEntry) -> None:
        """Let an entry go."""
        del self._entries[entry.number]
        siblings = self._by_job_id[entry.job.id]
        del siblings[entry.number]
        if not siblings:
            del self._by_job_id[entry.job.id]

    def expire(self, now: Millis) -> None:
        """Let the entries go that are past their retention."""
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.failed_at + self.limits.failed_retention_ms > now:
                return
            self.remove(oldest)

    def newest_first(self, after: int | None = None) -> Iterator[FailedEntry]:
        """The entries from below the number `after`."""
        for entry in reversed(self._entries.values()):
            if after is None or entry.number < after:
                yield entry

    def select(self, job_id: str | None, group: str | None) -> list[FailedEntry]:
        """The entries of that id and group where given, the oldest first."""
        entries = self._entries if job_id is None else self._by_job_id.get(job_id, {})
        return [entry for entry in entries.values() if group is None or entry.group == group]
