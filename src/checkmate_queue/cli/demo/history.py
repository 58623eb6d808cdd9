"""What the ledgers tell, put in order: who sent, who ran, who saw, and what a killed worker had in hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from checkmate_queue.cli.demo.ledger import Entry, Kind
from checkmate_queue.cli.demo.plan import LEASE_SECONDS


class Delivery(NamedTuple):
    """A job as one group sees it."""

    queue: str
    group: str
    job: str


def describe(in_hand: Iterable[Delivery]) -> str:
    """How many of these are in which queue."""
    counts = Counter(delivery.queue for delivery in in_hand)
    return ", ".join(f"{count:,} in {queue}" for queue, count in counts.most_common())


@dataclass(slots=True)
class Run:
    """One start of a handler, and how it ended; `outcome` is None if it did not."""

    process: str
    attempt: int
    started: float
    waited: float | None = None
    outcome: Kind | None = None
    ended: float = 0.0
    delay: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was frozen, looked at, and killed with SIGKILL.

    `processing` is what the backend said at that moment to be claimed, by any worker.
    """

    process: str
    pid: int
    at: float
    processing: frozenset[Delivery]


class History:
    """An index of the entries of all ledgers; entries of one process must come in their order."""

    def __init__(self, entries: Iterable[Entry], lease_seconds: float = LEASE_SECONDS) -> None:
        self.lease_seconds = lease_seconds
        self.sent: dict[str, list[Entry]] = defaultdict(list)
        self.noted: dict[Kind, list[Entry]] = defaultdict(list)
        self.unanswered: dict[tuple[str, str], int] = defaultdict(int)
        self.runs: dict[Delivery, list[Run]] = defaultdict(list)
        self.effects: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self.ready: dict[str, list[int]] = defaultdict(list)
        self.left: dict[str, Entry] = {}
        self.kills: list[Kill] = []
        self.killed: set[str] = set()
        self.cut: float | None = None
        for entry in entries:
            self._add(entry)
        for runs in self.runs.values():
            runs.sort(key=lambda run: run.started)
        self._interrupted = {key for kill in self.kills for key in self._in_hand(kill)}

    def _add(self, entry: Entry) -> None:
        match entry.kind:
            case "started" | "finished" | "postponed" | "failed":
                self._add_run(entry)
            case "intent":
                self.unanswered[entry.queue, entry.job] += 1
            case "sent":
                self.unanswered[entry.queue, entry.job] -= 1
                self.sent[entry.queue].append(entry)
            case "effect":
                self.effects[entry.queue, entry.job].append(entry)
            case _:
                self._add_event(entry)

    def _add_run(self, entry: Entry) -> None:
        runs = self.runs[Delivery(entry.queue, entry.group, entry.job)]
        if entry.kind == "started":
            runs.append(Run(entry.process, entry.attempt, entry.at, entry.facts.get("waited")))
            return
        for run in runs:
            if (run.process, run.attempt, run.outcome) == (entry.process, entry.attempt, None):
                run.outcome, run.ended, run.delay = entry.kind, entry.at, entry.delay
                run.facts = dict(entry.facts)
                return

    def _add_event(self, entry: Entry) -> None:
        self.noted[entry.kind].append(entry)
        match entry.kind:
            case "ready":
                self.ready[entry.process].append(int(entry.facts["pid"]))
            case "left":
                self.left[entry.process] = entry
            case "cut":
                self.cut = entry.at
            case "frozen":
                processing = frozenset(Delivery(*each) for each in entry.facts["processing"])
                self.kills.append(Kill(entry.job, int(entry.facts["pid"]), entry.at, processing))
            case "killed":
                self.killed.add(entry.job)
            case _:
                pass

    # -- what was in hand at a kill ----------------------------------------------------------------

    def interrupted(self, delivery: Delivery, attempt: int) -> bool:
        """Whether a worker was killed with this attempt in hand, so that it may have run a second time."""
        return (delivery, attempt) in self._interrupted

    def in_hand(self, kill: Kill) -> list[Delivery]:
        """The deliveries that were running in the killed worker."""
        return [delivery for delivery, _ in self._in_hand(kill)]

    def _in_hand(self, kill: Kill) -> list[tuple[Delivery, int]]:
        """Those it had begun and not ended, and those whose end had not reached the backend yet."""
        found: list[tuple[Delivery, int]] = []
        for delivery, runs in self.runs.items():
            before = [run for run in runs if run.started <= kill.at]
            if not before or before[-1].process != kill.process:
                continue
            last = before[-1]
            if last.outcome is None or delivery in kill.processing:
                found.append((delivery, last.attempt))
        return found

    def claimed_at_kill(self, delivery: Delivery) -> bool:
        """Whether it was claimed at a kill by a worker that had not begun it: its turn can't be told."""
        return any(
            delivery in kill.processing
            and not any(run.started <= kill.at for run in self.runs.get(delivery, ()))
            for kill in self.kills
        )

    # -- what there is of a queue ------------------------------------------------------------------

    def jobs(self, queue: str) -> dict[str, list[Entry]]:
        """What was sent to a queue, by job: several entries where several asked for the same."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.sent.get(queue, ()):
            found[entry.job].append(entry)
        return found

    def ran(self, queue: str, group: str) -> set[str]:
        """The jobs that a group has begun."""
        return {each.job for each in self.runs if (each.queue, each.group) == (queue, group)}

    def finished(self, delivery: Delivery) -> Sequence[Run]:
        return [run for run in self.runs.get(delivery, ()) if run.outcome == "finished"]
