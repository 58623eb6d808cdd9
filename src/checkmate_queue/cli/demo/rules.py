"""The rules that hold for every pattern: nothing lost, nothing twice, nothing early, nothing unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from checkmate_queue.cli.demo.history import Delivery, History, Run
from checkmate_queue.cli.demo.ledger import Entry

CLOCK_STEP = 0.001
"""Engines cut their clocks to milliseconds."""


@dataclass(slots=True)
class Row:
    """One line of the final table. The lists hold a sentence for each case."""

    pattern: str
    expected: int = 0
    seen: int = 0
    again: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def problems(self) -> list[str]:
        return [*self.lost, *self.twice, *self.early, *self.disorder, *self.wrong]

    @property
    def ok(self) -> bool:
        return not self.problems


def check_delivery(history: History, row: Row, delivery: Delivery, seen_by: int | None = None) -> None:
    """One expected delivery: run to its end, and once, but for what a killed worker had in hand.

    `seen_by` is how often somebody outside the handler saw its work.
    """
    row.expected += 1
    runs = history.runs.get(delivery, [])
    finished = history.finished(delivery)
    if not finished:
        row.lost.append(f"{delivery.job} was never finished by {delivery.group}: {_so_far(runs)}")
        return
    row.seen += 1
    check_once(history, row, delivery)
    excused = any(history.interrupted(delivery, run.attempt) for run in runs)
    if seen_by == 0:
        row.wrong.append(f"{delivery.job} is said to be done, but nobody has seen it")
    elif seen_by is not None and seen_by > (2 if excused else 1):
        row.twice.append(f"the work of {delivery.job} was seen {seen_by} times")


def _so_far(runs: Sequence[Run]) -> str:
    if not runs:
        return "it never began"
    last = runs[-1]
    how = last.facts.get("error") or last.outcome or "no end"
    return f"it began {len(runs)} time(s), the last time on {last.process}, with {how}"


def check_once(history: History, row: Row, delivery: Delivery) -> None:
    """No attempt ran twice, and none came after the end, unless it was in the hands of a killed worker."""
    runs = history.runs.get(delivery, [])
    for attempt, count in Counter(run.attempt for run in runs).items():
        if count == 1:
            continue
        if count == 2 and history.interrupted(delivery, attempt):
            row.again += 1
        else:
            who = " and ".join(sorted({run.process for run in runs if run.attempt == attempt}))
            row.twice.append(f"{delivery.job} ran {count} times in {delivery.group}, on {who}")
    last = max((run.attempt for run in runs), default=0)
    for run in history.finished(delivery):
        if run.attempt < last and not history.interrupted(delivery, run.attempt):
            row.twice.append(f"{delivery.job} was tried again in {delivery.group} after it had finished")


def check_due(history: History, row: Row, delivery: Delivery, due: float) -> None:
    """No run began before its time, no retry before the delay that was asked for."""
    runs = history.runs.get(delivery, [])
    for run in runs:
        since = due
        if run.attempt:
            asked = [
                before.ended + before.delay
                for before in runs
                if before.attempt == run.attempt - 1 and before.outcome == "postponed"
            ]
            since = min(asked, default=due)
        if run.started < since - CLOCK_STEP:
            row.early.append(
                f"attempt {run.attempt + 1} of {delivery.job} began {since - run.started:.3f} s early"
            )


def check_known(history: History, row: Row, queue: str, group: str, known: Iterable[str]) -> None:
    """Nothing ran that nobody sent."""
    for job in sorted(history.ran(queue, group) - set(known)):
        row.wrong.append(f"{job} ran in {group}, but nobody sent it")


def earliest(sent: Sequence[Entry]) -> float:
    """Before this a job that was sent by these calls can't be due."""
    return min(entry.before + entry.delay for entry in sent)
