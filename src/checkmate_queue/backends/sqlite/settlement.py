"""What claims turn into."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, NamedTuple, assert_never

from checkmate_queue.backends.sqlite.endings import note_outcomes, release
from checkmate_queue.backends.sqlite.marks import CANCELLED, FRONT, STARTED
from checkmate_queue.core.model import Cancelled, Done, Fail, GiveBack, RetryLater

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.sqlite.session import Group, Session
    from checkmate_queue.core.model import Outcome, Settlement


class Held(NamedTuple):
    """A claim that was taken from its holder to be settled."""

    key: int
    flags: int
    schedule: str | None
    number: int
    rank: int
    attempts: int
    stalls: int
    ready_at: int


class Settling:
    """Settles claims of one group that their holder has given up."""

    def __init__(self, session: Session, group: Group) -> None:
        self._session = session
        self._group = group
        self._tally = session.tallies[group.id]
        self._ended: dict[Outcome, list[Held]] = {}
        self._given_back: list[Held] = []

    def settle(self, held: Held, settlement: Settlement) -> None:
        """Apply a settlement to a claim."""
        if held.flags & CANCELLED:
            self._end(held, "cancelled")
            return
        match settlement:
            case Done():
                self._end(held, "completed")
            case RetryLater():
                self._wait(held, settlement)
            case Fail():
                keep_failure(self._session, self._group, held, settlement)
                self._end(held, "failed")
            case GiveBack():
                self._given_back.append(held)
            case Cancelled():
                self._end(held, "cancelled")
            case _:
                assert_never(settlement)

    def give_back(self, held: Held) -> None:
        """Make a claim ready again at the front of its priority; a cancelled one ends."""
        self.settle(held, GiveBack(held.key))

    def finish(self) -> None:
        """Write what was settled."""
        session, tally = self._session, self._tally
        for outcome, ended in self._ended.items():
            release(session, [held.key for held in ended])
            note_outcomes(session, (held.schedule for held in ended), outcome)
            tally.end(outcome, len(ended))
            tally.processing -= len(ended)
        back = self._given_back
        if not back:
            return
        session.run_many(
            "insert_ready",
            [
                (self._group.id, held.rank, held.number - FRONT, held.key, STARTED,
                 held.attempts, held.stalls, held.ready_at)
                for held in back
            ],
        )  # fmt: skip
        tally.processing -= len(back)
        tally.pending += len(back)
        session.readied += len(back)

    def _end(self, held: Held, outcome: Outcome) -> None:
        self._ended.setdefault(outcome, []).append(held)

    def _wait(self, held: Held, settlement: RetryLater) -> None:
        session = self._session
        due_at = session.now + settlement.delay_ms
        session.run(
            "insert_waiting",
            (
                self._group.id, held.key, session.id, due_at, held.rank, held.attempts + 1, held.stalls,
            ),
        )  # fmt: skip
        self._tally.processing -= 1
        self._tally.retrying += 1
        session.expect_retry(due_at)


def settle_claims(session: Session, group: Group, epoch: int, settlements: Sequence[Settlement]) -> list[int]:
    """Settle claims of an epoch; returns the keys of settlements that found none."""
    return _settle(session, group, "claims", epoch, settlements) if settlements else []


def settle_lapsed(session: Session, group: Group, epoch: int, settlements: Sequence[Settlement]) -> None:
    """Settle lapsed claims that an epoch holds; others are passed over."""
    _settle(session, group, "lapsed", epoch, settlements)


def _settle(
    session: Session,
    group: Group,
    which: Literal["claims", "lapsed"],
    epoch: int,
    settlements: Sequence[Settlement],
) -> list[int]:
    keys = json.dumps([settlement.key for settlement in settlements])
    rows = session.all(f"held_{which}", (group.id, epoch, keys))
    session.run_many("delete_claimed", [(group.id, row[0]) for row in rows])
    taken = {row[0]: Held(*row) for row in rows}
    settling = Settling(session, group)
    refused = []
    for settlement in settlements:
        held = taken.pop(settlement.key, None)
        if held is None:
            refused.append(settlement.key)
        else:
            settling.settle(held, settlement)
    settling.finish()
    return refused


def keep_failure(session: Session, group: Group, held: Held, fail: Fail) -> None:
    """Keep a failed entry; the oldest one goes where there are too many (F4)."""
    attempts = held.attempts + fail.attempt
    failure = fail.failure
    session.run(
        "keep_failure",
        (
            held.key, group.name, session.now, attempts,
            failure.error_type, failure.message, failure.traceback,
        ),
    )  # fmt: skip
    session.failures += 1
    excess = session.failures - session.tx.limits.failed_retention_count
    if excess > 0:
        session.failures -= session.run("drop_oldest_failures", (session.id, excess))
