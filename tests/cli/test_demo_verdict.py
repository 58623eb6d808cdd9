"""The demo's verdict can fail: ledgers of a good run, each spoilt in one way, are found to be spoilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from checkmate_queue.cli.demo.history import Delivery, History
from checkmate_queue.cli.demo.ledger import Entry
from checkmate_queue.cli.demo.patterns import exports, health, permissions, reminders, syncs, webhooks
from checkmate_queue.cli.demo.verdict import Verdict, judge
from tests.cli.good_run import AFTER_LEASE, CUT, KILLED_AT, START, Book, good_run

Spoil = Callable[[list[Entry]], list[Entry]]

HEALTH, BROADCAST, AUDIT, EXPORTS, REMINDERS, WEBHOOKS, SYNCS = range(7)
FIRST_CHECK = f"check:0:{round((START + 0.504) * 1000)}"
CACHE_2 = permissions.group_of("worker-2")


def verdict_on(entries: list[Entry], *, kill_wanted: bool = True) -> Verdict:
    return judge(History(entries), kill_wanted=kill_wanted)


def without(**fields: object) -> Spoil:
    """All entries but those that have these fields; at least one must go."""

    def spoil(entries: list[Entry]) -> list[Entry]:
        kept = [e for e in entries if any(getattr(e, name) != value for name, value in fields.items())]
        assert len(kept) < len(entries)
        return kept

    return spoil


def changed(change: Callable[[Entry], Entry], **fields: object) -> Spoil:
    """Those entries that have these fields are changed; there must be one."""

    def spoil(entries: list[Entry]) -> list[Entry]:
        hit = [e for e in entries if all(getattr(e, name) == value for name, value in fields.items())]
        assert hit
        return [change(e) if e in hit else e for e in entries]

    return spoil


def moved(seconds: float, **fields: object) -> Spoil:
    return changed(lambda e: replace(e, at=e.at + seconds), **fields)


def with_facts(facts: dict[str, object], **fields: object) -> Spoil:
    return changed(lambda e: replace(e, facts={**e.facts, **facts}), **fields)


def and_run(
    queue: str, group: str, job: str, at: float, process: str = "worker-3", attempt: int = 0
) -> Spoil:
    """One more run, on another worker."""

    def spoil(entries: list[Entry]) -> list[Entry]:
        book = Book()
        book.run(queue, group, job, at, process=process, attempt=attempt)
        return entries + book.entries

    return spoil


def and_effect(queue: str, job: str) -> Spoil:
    """Its effect is seen once more."""

    def spoil(entries: list[Entry]) -> list[Entry]:
        seen = next(e for e in entries if (e.kind, e.queue, e.job) == ("effect", queue, job))
        return [*entries, replace(seen, at=seen.at + 1)]

    return spoil


def swapped(queue: str, group: str, one: str, other: str) -> Spoil:
    """Two deliveries run in each other's place."""

    def spoil(entries: list[Entry]) -> list[Entry]:
        names = {one: other, other: one}
        return [
            replace(e, job=names[e.job])
            if (e.queue, e.group) == (queue, group) and e.job in names and e.kind in ("started", "finished")
            else e
            for e in entries
        ]

    return spoil


def test_a_good_run_is_good() -> None:
    verdict = verdict_on(good_run())
    assert verdict.ok, [*verdict.general, *(row.problems for row in verdict.rows)]
    assert [row.expected for row in verdict.rows] == [12, 18 + 40 + 15, 40, 7, 3, 3, 2]
    assert all(row.seen == row.expected for row in verdict.rows)
    assert [row.again for row in verdict.rows] == [0, 0, 0, 1, 1, 0, 0]


LOST: list[tuple[str, int, Spoil]] = [
    ("a check that never ran", HEALTH, lambda es: [e for e in es if e.job != FIRST_CHECK]),
    ("a check that never ended", HEALTH, without(kind="finished", job=FIRST_CHECK)),
    ("a change that one process missed", BROADCAST, without(job="change:7", group=CACHE_2)),
    ("a process that never joined", BROADCAST, without(kind="joined", process="worker-2")),
    ("a hole in what the killed process saw", BROADCAST, without(job="change:20", process="worker-1")),
    ("a change that the audit missed", AUDIT, without(kind="finished", job="change:7", group="audit")),
    ("an export that never came", EXPORTS, without(kind="finished", job="routine-0-04")),
    (
        "an export that the killed worker had begun and nobody went on with",
        EXPORTS,
        without(process="worker-2", job="routine-0-01"),
    ),
    ("a reminder that never came", REMINDERS, without(kind="finished", job="reminder:2")),
    ("a delivery that was refused and forgotten", WEBHOOKS, without(kind="finished", job="event:2")),
    ("a sync that never came", SYNCS, without(kind="finished", job="sync:user-1")),
]

TWICE: list[tuple[str, int, Spoil]] = [
    ("a check on two workers", HEALTH, and_run(health.QUEUE, health.GROUP, FIRST_CHECK, START + 0.6)),
    ("a check that asked twice", HEALTH, and_effect(health.QUEUE, FIRST_CHECK)),
    (
        "one due time, two occurrences",
        HEALTH,
        and_run(health.QUEUE, health.GROUP, f"check:0:{round((START + 0.505) * 1000)}", START + 0.6),
    ),
    (
        "a change twice in one process",
        BROADCAST,
        and_run(permissions.QUEUE, CACHE_2, "change:39", CUT, "worker-2"),
    ),
    ("a change twice in the audit", AUDIT, and_run(permissions.QUEUE, permissions.AUDIT, "change:3", CUT)),
    ("an export on two workers", EXPORTS, and_run(exports.QUEUE, exports.GROUP, "routine-0-05", CUT)),
    (
        "an export that the killed worker had in hand, on two others",
        EXPORTS,
        and_run(exports.QUEUE, exports.GROUP, "routine-0-01", CUT),
    ),
    (
        "an export that the killed worker had settled before",
        EXPORTS,
        lambda es: and_run(exports.QUEUE, exports.GROUP, "routine-0-00", AFTER_LEASE)(
            changed(lambda e: replace(e, process="worker-1"), process="worker-2", job="routine-0-00")(es)
        ),
    ),
    ("a reminder on two workers", REMINDERS, and_run(reminders.QUEUE, reminders.GROUP, "reminder:1", CUT)),
    ("a mail that came twice", REMINDERS, and_effect(reminders.QUEUE, "reminder:1")),
    ("a third mail for one kill", REMINDERS, and_effect(reminders.QUEUE, "reminder:0")),
    ("an event that was accepted twice", WEBHOOKS, and_effect(webhooks.QUEUE, "event:0")),
    (
        "a retry after the end",
        WEBHOOKS,
        and_run(webhooks.QUEUE, webhooks.GROUP, "event:0", CUT, attempt=1),
    ),
    ("two syncs of one user", SYNCS, and_run(syncs.QUEUE, syncs.GROUP, "sync:user-0", CUT)),
    ("two jobs for one user", SYNCS, with_facts({"created": True}, kind="sent", job="sync:user-0")),
]

EARLY: list[tuple[str, int, Spoil]] = [
    ("a check before its due time", HEALTH, moved(-0.01, kind="started", job=FIRST_CHECK)),
    ("a reminder before it was due", REMINDERS, moved(-0.1, kind="started", job="reminder:1")),
    ("a mail before it was due", REMINDERS, moved(-0.1, kind="effect", job="reminder:2")),
    (
        "a retry before its delay was over",
        WEBHOOKS,
        moved(-0.2, kind="started", job="event:1", attempt=1),
    ),
    ("a sync before its delay was over", SYNCS, moved(-0.1, kind="started", job="sync:user-0")),
]

DISORDER: list[tuple[str, int, Spoil]] = [
    (
        "a routine export before one that a user waits for",
        EXPORTS,
        swapped(exports.QUEUE, exports.GROUP, "waited-for-0-00", "routine-0-03"),
    ),
    (
        "two routine exports in the wrong order",
        EXPORTS,
        swapped(exports.QUEUE, exports.GROUP, "routine-0-02", "routine-0-05"),
    ),
    (
        "two changes in the wrong order",
        BROADCAST,
        swapped(permissions.QUEUE, CACHE_2, "change:3", "change:9"),
    ),
]

WRONG: list[tuple[str, int, Spoil]] = [
    (
        "a check off its grid",
        HEALTH,
        and_run(health.QUEUE, health.GROUP, f"check:0:{round((START + 8) * 1000)}", START + 8.1),
    ),
    ("a check that nobody scheduled", HEALTH, and_run(health.QUEUE, health.GROUP, "check:9:1", START)),
    ("a check that the target did not see", HEALTH, without(kind="effect", job=FIRST_CHECK)),
    (
        "a change from before the group was there",
        BROADCAST,
        and_run(permissions.QUEUE, permissions.group_of("worker-3"), "change:3", CUT, "worker-3"),
    ),
    ("a cache that is wrong", BROADCAST, with_facts({"roles": {}}, kind="left", process="worker-3")),
    ("a worker that went without a word", BROADCAST, without(kind="left", process="worker-3")),
    ("an export with rows missing", EXPORTS, with_facts({"rows": 799}, kind="effect", job="routine-0-02")),
    ("an export without a file", EXPORTS, without(kind="effect", job="routine-0-02")),
    ("an export that nobody asked for", EXPORTS, and_run(exports.QUEUE, exports.GROUP, "alien", CUT)),
    ("a mail with another text", REMINDERS, with_facts({"text": "?"}, kind="effect", job="reminder:1")),
    ("a mail to another user", REMINDERS, with_facts({"to": []}, kind="effect", job="reminder:1")),
    ("a mail that never arrived", REMINDERS, without(kind="effect", job="reminder:1")),
    ("an event that was never accepted", WEBHOOKS, without(kind="effect", job="event:0")),
    ("no overtaking", EXPORTS, moved(20.0, kind="started", queue=exports.QUEUE, job="waited-for-0-00")),
    ("nothing to show", SYNCS, without(queue=syncs.QUEUE)),
]


def cases(kind: str, table: list[tuple[str, int, Spoil]]) -> list[object]:
    return [pytest.param(kind, row, spoil, id=f"{kind}: {name}") for name, row, spoil in table]


@pytest.mark.parametrize(
    ("kind", "number", "spoil"),
    [
        *cases("lost", LOST),
        *cases("twice", TWICE),
        *cases("early", EARLY),
        *cases("disorder", DISORDER),
        *cases("wrong", WRONG),
    ],
)
def test_a_spoilt_run_is_found_out(kind: str, number: int, spoil: Spoil) -> None:
    verdict = verdict_on(spoil(good_run()))
    assert not verdict.ok
    assert getattr(verdict.rows[number], kind), [row.problems for row in verdict.rows]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without(kind="killed"), "no worker was killed"),
        (without(kind="frozen"), "no worker was killed"),
        (without(process="worker-1", job="routine-0-01", kind="started"), None),
        (without(kind="sent", job="event:1"), "never answered"),
        (without(kind="ready", process="worker-2"), "worker-2 is process"),
        (
            lambda es: [*es, Entry("remnant", CUT, "producer", "syncs", job="x", facts={"state": "pending"})],
            "x is still in syncs, pending",
        ),
        (
            lambda es: [*es, Entry("lease-lost", CUT, "worker-2", "exports")],
            "worker-2 lost its lease on exports",
        ),
    ],
)
def test_what_is_wrong_with_the_run_as_a_whole_is_said(spoil: Spoil, said: str | None) -> None:
    general = verdict_on(spoil(good_run())).general
    assert (not general) if said is None else any(said in problem for problem in general), general


def test_a_worker_killed_with_nothing_in_hand_shows_nothing() -> None:
    spoilt = without(process="worker-1", job="routine-0-01")(good_run())
    spoilt = without(process="worker-1", job="reminder:0")(spoilt)
    assert any("had nothing in hand" in problem for problem in verdict_on(spoilt).general)


def test_without_a_kill_nothing_may_run_twice() -> None:
    spared = [e for e in good_run() if e.kind not in ("frozen", "killed")]
    verdict = verdict_on(spared, kill_wanted=False)
    assert verdict.rows[EXPORTS].twice
    assert verdict.rows[REMINDERS].twice
    assert not verdict.general


def test_what_was_in_hand_at_the_kill_is_known_from_ledger_and_backend() -> None:
    history = History(good_run())
    (kill,) = history.kills
    export = Delivery(exports.QUEUE, exports.GROUP, "routine-0-01")
    reminder = Delivery(reminders.QUEUE, reminders.GROUP, "reminder:0")
    assert set(history.in_hand(kill)) == {export, reminder}
    assert history.interrupted(export, 0)
    assert not history.interrupted(export, 1)
    assert not history.interrupted(Delivery(exports.QUEUE, exports.GROUP, "routine-0-00"), 0)


def test_an_export_that_was_claimed_but_not_begun_at_the_kill_may_start_late() -> None:
    waiting = Delivery(exports.QUEUE, exports.GROUP, "routine-0-02")
    late = moved(AFTER_LEASE + 3 - START, queue=exports.QUEUE, job="routine-0-02", process="worker-2")(
        good_run()
    )
    assert verdict_on(late).rows[EXPORTS].disorder
    frozen = next(e for e in late if e.kind == "frozen")
    claimed = with_facts({"processing": [*frozen.facts["processing"], list(waiting)]}, kind="frozen")(late)
    assert not verdict_on(claimed).rows[EXPORTS].disorder
    assert KILLED_AT < AFTER_LEASE
