"""What each pattern has promised, judged by the ledgers: pure functions of a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import floor

from checkmate_queue.cli.demo.history import Delivery, History
from checkmate_queue.cli.demo.ledger import Entry
from checkmate_queue.cli.demo.patterns import exports, health, permissions, reminders, syncs, webhooks
from checkmate_queue.cli.demo.rules import (
    CLOCK_STEP,
    Row,
    check_delivery,
    check_due,
    check_known,
    check_once,
    earliest,
)

ORDER_SLACK = 0.25
"""Between a claim and the entry of its start: what is nearer than this can't be put in order."""


# -- 1: recurring health checks ------------------------------------------------------------------


def judge_health(history: History) -> Row:
    """Each due time up to the cut is on the schedule's grid and ran once, not before its time."""
    row = Row("1  recurring health checks")
    occurrences: dict[str, dict[float, str]] = {entry.job: {} for entry in history.noted["scheduled"]}
    for job in history.ran(health.QUEUE, health.GROUP):
        schedule = job.rpartition(":")[0]
        if schedule in occurrences:
            occurrences[schedule][health.due_at(job)] = job
        else:
            row.wrong.append(f"{job} ran, but nobody scheduled it")
    for entry in history.noted["scheduled"]:
        _judge_schedule(history, row, entry, occurrences[entry.job])
    down = sum(
        run.facts.get("up") is False
        for delivery in history.runs
        if delivery.queue == health.QUEUE
        for run in history.finished(delivery)
    )
    row.note = f"{len(history.noted['scheduled']):,} schedules; {down:,} checks found their target down"
    return row


def _judge_schedule(history: History, row: Row, entry: Entry, ran: dict[float, str]) -> None:
    interval = float(entry.facts["interval"])
    first, latest_first = entry.before + entry.delay, entry.at + entry.delay
    cut = history.cut if history.cut is not None else 0.0
    expected = floor((cut - latest_first) / interval) + 1 if cut >= latest_first else 0
    by_turn: dict[int, str] = {}
    for due, job in sorted(ran.items()):
        turn = floor((due - first + CLOCK_STEP) / interval)
        if turn < 0 or due > latest_first + turn * interval + CLOCK_STEP:
            row.wrong.append(f"{job} is not on the grid of its schedule")
        elif turn in by_turn:
            row.twice.append(f"run {turn + 1} of {entry.job} came twice: {by_turn[turn]} and {job}")
        else:
            by_turn[turn] = job
    dues = sorted(ran)
    for one, other in pairwise(dues):
        if abs((other - one) / interval - round((other - one) / interval)) * interval > CLOCK_STEP:
            row.wrong.append(f"{entry.job} left its grid between {one} and {other}")
    for turn in range(max([expected, *(turn + 1 for turn in by_turn)])):
        _judge_turn(history, row, entry, by_turn.get(turn), turn, wanted=turn < expected)


def _judge_turn(
    history: History, row: Row, entry: Entry, job: str | None, turn: int, *, wanted: bool
) -> None:
    if job is None:
        if wanted:
            row.expected += 1
            row.lost.append(f"run {turn + 1} of {entry.job} never came")
        return
    delivery = Delivery(health.QUEUE, health.GROUP, job)
    check_due(history, row, delivery, health.due_at(job))
    if wanted:
        check_delivery(history, row, delivery, len(history.effects[health.QUEUE, job]))
    else:
        check_once(history, row, delivery)


# -- 2: permission changes -----------------------------------------------------------------------


def judge_broadcast(history: History) -> Row:
    """Each process saw each change that was told while its group was registered, in order."""
    row = Row("2a permission changes, each process")
    changes = history.sent.get(permissions.QUEUE, [])
    groups: dict[str, list[Entry]] = {permissions.group_of(entry.job): [] for entry in history.noted["hired"]}
    for entry in history.noted["joined"]:
        groups.setdefault(entry.group, []).append(entry)
    for group, joins in groups.items():
        if joins:
            _judge_process(history, row, group, joins, changes)
        else:
            row.lost.append(f"{group} never joined")
    row.note = f"{len(changes):,} changes, told to each process ({len(groups):,}) while it was there"
    return row


def _judge_process(
    history: History, row: Row, group: str, joins: Sequence[Entry], changes: Sequence[Entry]
) -> None:
    process, begun, joined = joins[0].process, joins[0].before, joins[-1].at
    # What a killed process had not taken yet goes with its group; its lease bounds how much that can be.
    ended = min(
        (kill.at - history.lease_seconds for kill in history.kills if kill.process == process),
        default=float("inf"),
    )
    for change in changes:
        delivery = Delivery(permissions.QUEUE, group, change.job)
        if change.before >= joined and change.at <= ended:
            check_delivery(history, row, delivery)
        elif delivery in history.runs:
            check_once(history, row, delivery)
            if change.at < begun:
                row.wrong.append(f"{change.job} was told to {group}, which was not there yet")
    check_known(history, row, permissions.QUEUE, group, (change.job for change in changes))
    _check_sequence(history, row, group, changes)
    _check_cache(history, row, process, changes)


def _check_sequence(history: History, row: Row, group: str, changes: Sequence[Entry]) -> None:
    """In the order of the numbers, without a hole between the first and the last that was seen."""
    first_runs = {
        change.facts["number"]: runs[0].started
        for change in changes
        if (runs := history.runs.get(Delivery(permissions.QUEUE, group, change.job)))
    }
    by_time = sorted(first_runs, key=lambda number: first_runs[number])
    for one, other in pairwise(by_time):
        if other < one:
            row.disorder.append(f"{group} was told change {other} after change {one}")
        elif other != one + 1:
            row.lost.append(f"{group} was told change {other} right after change {one}")


def _check_cache(history: History, row: Row, process: str, changes: Sequence[Entry]) -> None:
    if process in history.killed or not history.left:
        return
    if (left := history.left.get(process)) is None:
        row.wrong.append(f"{process} did not say at its end what it believes")
        return
    truth = {change.facts["user"]: change.facts["role"] for change in changes}
    believed = left.facts["roles"]
    for user, role in truth.items():
        if believed.get(user) != role:
            row.wrong.append(f"{process} takes {user} for {believed.get(user)}, who is {role}")


def judge_audit(history: History) -> Row:
    """Each change is in the audit trail once."""
    row = Row("2b permission changes, audit trail")
    jobs = history.jobs(permissions.QUEUE)
    for job in jobs:
        check_delivery(history, row, Delivery(permissions.QUEUE, permissions.AUDIT, job))
    check_known(history, row, permissions.QUEUE, permissions.AUDIT, jobs)
    row.note = "one durable group, which all processes share"
    return row


# -- 3: exports ----------------------------------------------------------------------------------


def judge_exports(history: History) -> Row:
    """Each export left one file that adds up, and started when it was its turn."""
    row = Row("3  CSV exports")
    jobs = history.jobs(exports.QUEUE)
    for job, sent in jobs.items():
        delivery = Delivery(exports.QUEUE, exports.GROUP, job)
        files = history.effects[exports.QUEUE, job]
        check_delivery(history, row, delivery, len(files))
        check_due(history, row, delivery, earliest(sent))
        for file in files:
            if (file.facts["rows"], file.facts["cents"]) != (sent[0].facts["rows"], sent[0].facts["cents"]):
                row.wrong.append(f"the file of {job} does not add up to what the database holds")
    check_known(history, row, exports.QUEUE, exports.GROUP, jobs)
    overtaken = _check_turns(history, row, [sent[0] for sent in jobs.values()])
    waited_for = [sent for sent in jobs.values() if sent[0].facts["priority"] == exports.WAITED_FOR]
    if not overtaken:
        row.wrong.append("no export that a user waits for overtook a routine one")
    row.note = f"{len(waited_for):,} that users waited for overtook {overtaken:,} routine ones"
    return row


def _check_turns(history: History, row: Row, sent: Sequence[Entry]) -> int:
    """No job started while one was ready that comes before it; return how many were overtaken."""
    started = {
        entry.job: runs[0].started
        for entry in sent
        if (runs := history.runs.get(delivery := Delivery(exports.QUEUE, exports.GROUP, entry.job)))
        and not history.claimed_at_kill(delivery)
    }
    overtaken: set[str] = set()
    ordered = [entry for entry in sent if entry.job in started]
    for one in ordered:
        for other in ordered:
            if not _comes_before(one, other):
                continue
            first, second = started[one.job], started[other.job]
            if first > second + ORDER_SLACK and second > one.at + ORDER_SLACK:
                row.disorder.append(f"{other.job} started {first - second:.3f} s before {one.job}")
            elif first < second and one.before > other.at:
                overtaken.add(other.job)
    return len(overtaken)


def _comes_before(one: Entry, other: Entry) -> bool:
    if one.facts["priority"] != other.facts["priority"]:
        return bool(one.facts["priority"] > other.facts["priority"])
    if one.before == other.before:
        return bool(one.facts["place"] < other.facts["place"])
    return one.at < other.before


# -- 4: reminders and rate-limited deliveries ----------------------------------------------------


def judge_reminders(history: History) -> Row:
    """Each reminder arrived as one mail, with its text, at its address, not before it was due."""
    row = Row("4a reminders by SMTP")
    jobs = history.jobs(reminders.QUEUE)
    for job, sent in jobs.items():
        delivery = Delivery(reminders.QUEUE, reminders.GROUP, job)
        mails = history.effects[reminders.QUEUE, job]
        check_delivery(history, row, delivery, len(mails))
        check_due(history, row, delivery, earliest(sent))
        for mail in mails:
            if mail.at < earliest(sent) - CLOCK_STEP:
                row.early.append(f"the mail of {job} came {earliest(sent) - mail.at:.3f} s early")
            if any(mail.facts[fact] != sent[0].facts[fact] for fact in ("to", "text")):
                row.wrong.append(f"the mail of {job} is not what was asked for")
    check_known(history, row, reminders.QUEUE, reminders.GROUP, jobs)
    row.note = f"{sum(len(history.effects[reminders.QUEUE, job]) for job in jobs):,} mails arrived"
    return row


def judge_webhooks(history: History) -> Row:
    """Each delivery was accepted once, and came again after a refusal no sooner than it was told to."""
    row = Row("4b rate-limited deliveries")
    jobs = history.jobs(webhooks.QUEUE)
    refused = 0
    for job, sent in jobs.items():
        delivery = Delivery(webhooks.QUEUE, webhooks.GROUP, job)
        answers = Counter(entry.facts["status"] for entry in history.effects[webhooks.QUEUE, job])
        refused += answers[429]
        check_delivery(history, row, delivery, answers[204])
        check_due(history, row, delivery, earliest(sent))
    check_known(history, row, webhooks.QUEUE, webhooks.GROUP, jobs)
    row.note = f"{refused:,} were refused (429) and came again after Retry-After"
    return row


# -- 5: one sync for ten requests ----------------------------------------------------------------


def judge_syncs(history: History) -> Row:
    """Ten requests for a user are one job and one sync."""
    row = Row("5  ten requests, one sync")
    jobs = history.jobs(syncs.QUEUE)
    for job, sent in jobs.items():
        delivery = Delivery(syncs.QUEUE, syncs.GROUP, job)
        check_delivery(history, row, delivery, len(history.effects[syncs.QUEUE, job]))
        check_due(history, row, delivery, earliest(sent))
        made = sum(bool(entry.facts["created"]) for entry in sent)
        if made != 1:
            row.twice.append(f"{len(sent)} requests for {job} were told that they made {made} jobs")
    check_known(history, row, syncs.QUEUE, syncs.GROUP, jobs)
    row.note = f"{sum(len(sent) for sent in jobs.values()):,} requests for {len(jobs):,} users"
    return row
