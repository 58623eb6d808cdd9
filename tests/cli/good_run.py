"""The ledgers of a small run of the demo in which all went well, to be spoilt by tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkmate_queue.cli.demo.ledger import Entry, Kind
from checkmate_queue.cli.demo.patterns import exports, health, permissions, reminders, syncs, webhooks

START = 1_000_000.0
CUT = START + 20.0
KILLED_AT = START + 10.0
AFTER_LEASE = START + 12.0
CHANGES = 40
SECOND_WORKER = "worker-2"


class Book:
    """Writes entries as producers, handlers and servers do."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(
        self,
        kind: Kind,
        at: float,
        process: str = "producer",
        *,
        queue: str = "",
        group: str = "",
        job: str = "",
        attempt: int = 0,
        before: float = 0.0,
        delay: float = 0.0,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.entries.append(
            Entry(kind, at, process, queue, group, job, attempt, before, delay, dict(facts or {}))
        )

    def sent(self, queue: str, job: str, before: float, *, delay: float = 0.0, **facts: Any) -> None:
        self.add("intent", before, queue=queue, job=job)
        self.add("sent", before + 0.01, queue=queue, job=job, before=before, delay=delay, facts=facts)

    def run(
        self,
        queue: str,
        group: str,
        job: str,
        started: float,
        *,
        process: str = SECOND_WORKER,
        attempt: int = 0,
        outcome: Kind | None = "finished",
        delay: float = 0.0,
        effect: Mapping[str, Any] | None = None,
    ) -> None:
        self.add("started", started, process, queue=queue, group=group, job=job, attempt=attempt)
        if effect is not None:
            self.add("effect", started + 0.02, queue=queue, job=job, facts=effect)
        if outcome is not None:
            self.add(
                outcome,
                started + 0.05,
                process,
                queue=queue,
                group=group,
                job=job,
                attempt=attempt,
                delay=delay,
            )


def good_run() -> list[Entry]:
    """Two workers; one is killed with an export begun and a reminder not settled; a third replaces it."""
    book = Book()
    _workers(book)
    _health(book)
    _permissions(book)
    _exports(book)
    _reminders(book)
    _webhooks(book)
    _syncs(book)
    return book.entries


def _workers(book: Book) -> None:
    for number, at in ((1, START - 1), (2, START - 1), (3, KILLED_AT + 1)):
        name, group = f"worker-{number}", permissions.group_of(f"worker-{number}")
        book.add("hired", at, job=name, facts={"pid": 100 + number})
        book.add("joined", at + 0.4, name, queue=permissions.QUEUE, group=group, before=at + 0.3)
        book.add("ready", at + 0.5, name, facts={"pid": 100 + number})
    in_hand = [
        [exports.QUEUE, exports.GROUP, "routine-0-01"],
        [reminders.QUEUE, reminders.GROUP, "reminder:0"],
    ]
    book.add("frozen", KILLED_AT, job="worker-1", facts={"pid": 101, "processing": in_hand})
    book.add("killed", KILLED_AT + 0.01, job="worker-1")
    book.add("cut", CUT)


def _health(book: Book) -> None:
    for target in range(3):
        name, first = f"check:{target}", START + 0.5 + target
        book.add(
            "scheduled",
            START + 0.01,
            queue=health.QUEUE,
            job=name,
            before=START,
            delay=0.5 + target,
            facts={"interval": 5.0},
        )
        for turn in range(4):
            due = first + 0.004 + 5 * turn
            job = f"{name}:{round(due * 1000)}"
            book.run(health.QUEUE, health.GROUP, job, due + 0.003, effect={"status": 200})


def _permissions(book: Book) -> None:
    roles: dict[str, str] = {}
    for number in range(CHANGES):
        at, job = START + 0.2 + number * 0.45, f"change:{number}"
        roles[f"user-{number % 5}"] = permissions.ROLES[number % 4]
        book.sent(
            permissions.QUEUE,
            job,
            at,
            number=number,
            user=f"user-{number % 5}",
            role=permissions.ROLES[number % 4],
        )
        book.run(permissions.QUEUE, permissions.AUDIT, job, at + 0.02)
        for worker, begins, ends in (
            (1, START, KILLED_AT),
            (2, START, CUT),
            (3, KILLED_AT + 1.3, CUT),
        ):
            if begins <= at < ends:
                name = f"worker-{worker}"
                book.run(permissions.QUEUE, permissions.group_of(name), job, at + 0.02, process=name)
    for name in ("worker-2", "worker-3"):
        group = permissions.group_of(name)
        book.add("left", CUT + 1, name, queue=permissions.QUEUE, group=group, facts={"roles": roles})


def _exports(book: Book) -> None:
    sums = {"rows": 800, "cents": 123_456}
    for place in range(6):
        book.sent(exports.QUEUE, f"routine-0-{place:02}", START + 9, priority=0, place=place, **sums)
    book.sent(exports.QUEUE, "waited-for-0-00", START + 9.2, priority=100, place=0, **sums)
    # One at a time; the second has begun when its worker is killed, and runs again after the lease.
    turns = [
        "routine-0-00",
        "waited-for-0-00",
        "routine-0-02",
        "routine-0-03",
        "routine-0-04",
        "routine-0-05",
    ]
    for turn, job in enumerate(turns):
        book.run(exports.QUEUE, exports.GROUP, job, START + 9.1 + turn, effect=sums)
    book.run(exports.QUEUE, exports.GROUP, "routine-0-01", KILLED_AT - 0.05, process="worker-1", outcome=None)
    book.run(exports.QUEUE, exports.GROUP, "routine-0-01", AFTER_LEASE, effect=sums)


def _reminders(book: Book) -> None:
    for number in range(3):
        job, mail = f"reminder:{number}", {"to": [f"user-{number}@example.org"], "text": f"number {number}"}
        book.sent(reminders.QUEUE, job, START + 1, delay=8.9 + number, **mail)
    due = START + 9.9
    for process, started in (("worker-1", due + 0.01), ("worker-2", AFTER_LEASE)):
        book.run(
            reminders.QUEUE,
            reminders.GROUP,
            "reminder:0",
            started,
            process=process,
            effect={"to": ["user-0@example.org"], "text": "number 0"},
        )
    for number in (1, 2):
        mail = {"to": [f"user-{number}@example.org"], "text": f"number {number}"}
        job = f"reminder:{number}"
        book.run(reminders.QUEUE, reminders.GROUP, job, due + number + 0.02, effect=mail)


def _webhooks(book: Book) -> None:
    for event in range(3):
        job, at = f"event:{event}", START + 2
        book.sent(webhooks.QUEUE, job, at)
        for attempt in range(event):
            book.run(
                webhooks.QUEUE,
                webhooks.GROUP,
                job,
                at + 0.1 + attempt * 1.2,
                attempt=attempt,
                outcome="postponed",
                delay=1.0,
                effect={"status": 429},
            )
        book.run(
            webhooks.QUEUE,
            webhooks.GROUP,
            job,
            at + 0.1 + event * 1.2,
            attempt=event,
            effect={"status": 204},
        )


def _syncs(book: Book) -> None:
    for user in range(2):
        job, at = f"sync:user-{user}", START + 3 + user
        for request in range(10):
            book.sent(syncs.QUEUE, job, at + request * 0.001, delay=1.0, created=request == 0)
        book.run(syncs.QUEUE, syncs.GROUP, job, at + 1.01, effect={"status": 200})
