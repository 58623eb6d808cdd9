"""Expected against seen: the verdict on a run of the demo, by its ledgers alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from checkmate_queue.cli.demo.history import History, Kill, describe
from checkmate_queue.cli.demo.judges import (
    judge_audit,
    judge_broadcast,
    judge_exports,
    judge_health,
    judge_reminders,
    judge_syncs,
    judge_webhooks,
)
from checkmate_queue.cli.demo.rules import Row


@dataclass(frozen=True, slots=True)
class Verdict:
    """All rows, and what is wrong with the run as a whole."""

    rows: Sequence[Row]
    general: Sequence[str]
    notes: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        return not self.general and all(row.ok for row in self.rows)

    @property
    def missing(self) -> int:
        """How many deliveries have not been seen yet."""
        return sum(len(row.lost) for row in self.rows)


def judge(history: History, *, kill_wanted: bool) -> Verdict:
    """The verdict on a run; `kill_wanted` says that a worker had to be killed with work in hand."""
    rules: tuple[Callable[[History], Row], ...] = (
        judge_health,
        judge_broadcast,
        judge_audit,
        judge_exports,
        judge_reminders,
        judge_webhooks,
        judge_syncs,
    )
    rows = [rule(history) for rule in rules]
    for row in rows:
        if not row.expected:
            row.wrong.append(f"{row.pattern}: nothing was expected, so nothing was shown")
    return Verdict(rows, _general(history, kill_wanted), [_recovery(history, kill) for kill in history.kills])


def _general(history: History, kill_wanted: bool) -> list[str]:
    problems = [
        f"the call that sent {job} to {queue} was never answered"
        for (queue, job), count in history.unanswered.items()
        if count > 0
    ]
    for entry in history.noted["hired"]:
        if history.ready[entry.job] != [entry.facts["pid"]]:
            problems.append(
                f"{entry.job} is process {entry.facts['pid']}, but ready was {history.ready[entry.job]}"
            )
    for entry in history.noted["lease-lost"]:
        problems.append(
            f"{entry.process} lost its lease on {entry.queue} though it lived: was this machine overloaded?"
        )
    for entry in history.noted["remnant"]:
        problems.append(f"{entry.job} is still in {entry.queue}, {entry.facts['state']}, after all was done")
    if kill_wanted:
        killed = [kill for kill in history.kills if kill.process in history.killed]
        if not killed:
            problems.append("no worker was killed")
        problems += [
            f"{kill.process} had nothing in hand when it was killed"
            for kill in killed
            if not history.in_hand(kill)
        ]
    return problems


def _recovery(history: History, kill: Kill) -> str:
    """What became of the deliveries that a killed worker had in hand."""
    in_hand = history.in_hand(kill)
    waits = [
        later[0] - kill.at
        for delivery in in_hand
        if (later := [run.started for run in history.runs[delivery] if run.started > kill.at])
    ]
    after = f", the last of them {max(waits):.1f} s later" if waits else ""
    return (
        f"{kill.process} (pid {kill.pid}) was frozen with {len(in_hand):,} in hand ({describe(in_hand)}), "
        f"and killed; {len(waits):,} began again elsewhere{after}"
    )
