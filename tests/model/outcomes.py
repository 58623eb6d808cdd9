"""What workers make of claims, by the words that histories are drawn from; and what stores answer."""

from __future__ import annotations

from collections.abc import Sequence

from checkmate_queue.core.model import (
    Cancelled,
    Done,
    Fail,
    Failure,
    GiveBack,
    NewJob,
    QueueFull,
    RetryLater,
    Settlement,
)
from tests.model.records import Claimed
from tests.model.world import UNKNOWN_KEY

BOOM = Failure("Boom", "it broke", "Traceback …")
STALLED = Failure("stalled", "the worker lost its lease")


def settlement_of(outcome: str, key: int) -> Settlement | None:
    """What a worker settles a claim with; None where it keeps it."""
    settlements: dict[str, Settlement] = {
        "done": Done(key),
        "retry": RetryLater(key, 6000),
        "retry now": RetryLater(key, 0),
        "fail": Fail(key, BOOM),
        "discard": Fail(key, BOOM, attempt=False),
        "give back": GiveBack(key),
        "cancelled": Cancelled(key),
        "alien": Done(UNKNOWN_KEY),
    }
    return settlements.get(outcome)


def verdict_on(verdict: str, max_stalls: int, claim: Claimed) -> Settlement | None:
    """What a worker settles a lapsed claim with; None where it leaves it."""
    if verdict == "policy":
        gives_up = claim.stalls >= max_stalls
        return Fail(claim.key, STALLED, attempt=False) if gives_up else GiveBack(claim.key)
    return Done(claim.key) if verdict == "done" else None


def which_are_full(answer: object, units: Sequence[Sequence[NewJob]]) -> list[bool]:
    """Which units a store refused for a full queue."""
    if not isinstance(answer, list):
        return [False] * len(units)
    return [isinstance(each, QueueFull) for each in answer]
