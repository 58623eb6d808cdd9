"""What worker processes of the chaos tests did, in files that outlive a kill -9."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


class Ledger:
    """Appends one line per event with one write, so that what was said before a kill is there after it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = os.open(folder / f"{name}.ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


def read(folder: Path, name: str) -> list[list[str]]:
    """The events of one ledger; none if nothing was ever said."""
    path = folder / f"{name}.ledger"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class WorkerStory:
    """What one worker process did in one group; starts with their times on the machine's monotonic clock."""

    starts: list[tuple[str, int]] = field(default_factory=list)
    ends: set[str] = field(default_factory=set)

    @property
    def in_hand(self) -> set[str]:
        return {job for job, _ in self.starts} - self.ends


@dataclass
class Stories:
    """What all worker processes did: by process, then by group; and who lost a lease while it lived."""

    by_worker: dict[str, dict[str, WorkerStory]]
    lost_leases: set[str]

    @classmethod
    def read(cls, folder: Path, workers: Iterable[str]) -> Stories:
        stories: dict[str, dict[str, WorkerStory]] = {}
        lost: set[str] = set()
        for worker in workers:
            groups: dict[str, WorkerStory] = defaultdict(WorkerStory)
            for event, group, job, at in read(folder, worker):
                if event == "start":
                    groups[group].starts.append((job, int(at)))
                elif event == "end":
                    groups[group].ends.add(job)
                elif event == "lost":
                    lost.add(worker)
            stories[worker] = dict(groups)
        return cls(stories, lost)

    def of(self, worker: str, group: str) -> WorkerStory:
        return self.by_worker[worker].get(group, WorkerStory())

    def ended(self, group: str) -> set[str]:
        return set().union(*(g[group].ends for g in self.by_worker.values() if group in g))

    def repeated(self, group: str) -> dict[str, set[str]]:
        """By worker, the jobs that it started and that were started again after that."""
        starts = [
            (job, at, worker)
            for worker, groups in self.by_worker.items()
            for job, at in groups.get(group, WorkerStory()).starts
        ]
        last = {job: at for job, at, _ in sorted(starts, key=lambda start: start[1])}
        repeated: dict[str, set[str]] = defaultdict(set)
        for job, at, worker in starts:
            if at < last[job]:
                repeated[worker].add(job)
        return repeated

    def in_hand(self, worker: str) -> int:
        return sum(len(story.in_hand) for story in self.by_worker[worker].values())
