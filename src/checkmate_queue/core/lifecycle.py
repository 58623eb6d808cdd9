"""The states of a delivery, and the one place that decides how an attempt's end settles it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, assert_never

from checkmate_queue.core.errors import PayloadError
from checkmate_queue.core.model import (
    Cancelled,
    Claim,
    Done,
    Fail,
    Failure,
    GiveBack,
    JobState,
    LapsedClaim,
    Outcome,
    RetryLater,
    Settlement,
)
from checkmate_queue.core.retry import DEFAULT_BACKOFF, Backoff, Discard, retry_delay_ms

State: TypeAlias = JobState | Outcome

MAX_MESSAGE = 10_000
MAX_TRACEBACK = 50_000


class Transition(NamedTuple):
    """From one state of a delivery (or of a job that has none yet) to another."""

    source: State | Literal["enqueued"]
    event: str
    target: State


TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition("enqueued", "start delay", "delayed"),
    Transition("enqueued", "a group is registered", "pending"),
    Transition("enqueued", "no group is registered", "unclaimed"),
    Transition("delayed", "due", "pending"),
    Transition("delayed", "due, no group", "unclaimed"),
    Transition("delayed", "cancel", "cancelled"),
    Transition("unclaimed", "first durable group joins", "pending"),
    Transition("unclaimed", "retention or expiry", "expired"),
    Transition("unclaimed", "cancel", "cancelled"),
    Transition("pending", "claim", "processing"),
    Transition("pending", "expiry", "expired"),
    Transition("pending", "cancel", "cancelled"),
    Transition("processing", "handler returns", "completed"),
    Transition("processing", "attempt fails, tries left", "retrying"),
    Transition("processing", "attempt fails, no tries left", "failed"),
    Transition("processing", "lease lapses, or stop", "pending"),
    Transition("processing", "max_stalls lapses", "failed"),
    Transition("processing", "cancel", "cancelled"),
    Transition("retrying", "due", "pending"),
    Transition("retrying", "cancel", "cancelled"),
    Transition("failed", "retry_failed", "pending"),
)
"""The whole state machine, as data."""


# -- what can happen to an attempt ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The handler exceeded the consumer's timeout."""

    seconds: float

    @property
    def error(self) -> TimeoutError:
        """What that counts as."""
        return TimeoutError(f"The handler exceeded its timeout of {self.seconds:g} s")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The stored payload is not what the queue's payload type takes (X3)."""

    error: PayloadError


@dataclass(frozen=True, slots=True)
class StoppedEarly:
    """The consumer stopped before the handler was done."""


@dataclass(frozen=True, slots=True)
class CancelledByRequest:
    """Somebody called `cancel` (L12)."""


Happened: TypeAlias = Completed | Raised | TimedOut | Unreadable | StoppedEarly | CancelledByRequest

COMPLETED: Final = Completed()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a consumer retries: `max_retries` after the first attempt (F1), with this backoff (F2).

    `multiplier` is the config's `delay_multiplier` (L9).
    """

    max_retries: int = 3
    backoff: Backoff = DEFAULT_BACKOFF
    multiplier: float = 1.0


def decide(claim: Claim, happened: Happened, policy: RetryPolicy) -> Settlement:
    """Turn the end of an attempt into a settlement (F1 to F4, L1, L12, X3). Pure."""
    match happened:
        case Completed():
            return Done(claim.key)
        case Raised(error):
            return _retry_or_fail(claim, error, policy)
        case TimedOut():
            return _retry_or_fail(claim, happened.error, policy)
        case Unreadable(error):
            return Fail(claim.key, Failure("payload", _clean(str(error), MAX_MESSAGE)), attempt=False)
        case StoppedEarly():
            return GiveBack(claim.key)
        case CancelledByRequest():
            return Cancelled(claim.key)
        case _:
            assert_never(happened)


def decide_lapse(lapsed: LapsedClaim) -> Settlement:
    """Settle a delivery whose worker lost its lease: back to the front, or failed as stalled (G7, G9)."""
    claim = lapsed.claim
    if claim.stalls < lapsed.max_stalls:
        return GiveBack(claim.key)
    message = (
        f"The worker lost its lease {claim.stalls} times while it ran this delivery "
        f"(max_stalls={lapsed.max_stalls}): it died, or was stopped or blocked for longer than its lease"
    )
    return Fail(claim.key, Failure("stalled", message), attempt=False)


def _retry_or_fail(claim: Claim, error: BaseException, policy: RetryPolicy) -> Settlement:
    retry_number = claim.attempts + 1
    if isinstance(error, Discard) or retry_number > policy.max_retries:
        return Fail(claim.key, describe(error))
    return RetryLater(claim.key, retry_delay_ms(policy.backoff, retry_number, error, policy.multiplier))


def describe(error: BaseException) -> Failure:
    """Say what an error was, in text that every engine can hold, whatever its `__str__` does."""
    try:
        message = str(error)
    except BaseException as broken:
        message = f"<its message can't be shown: {type(broken).__name__}>"
    try:
        lines = "".join(traceback.format_exception(error))
    except BaseException as broken:
        lines = f"<its traceback can't be shown: {type(broken).__name__}>"
    return Failure(
        _clean(type(error).__qualname__, MAX_MESSAGE),
        _clean(message, MAX_MESSAGE),
        _clean(lines, MAX_TRACEBACK),
    )


def _clean(text: str, limit: int) -> str:
    if len(text) > limit:
        # The end of a traceback says most.
        text = f"{text[: limit // 4]}\n…\n{text[-(limit // 4 * 3) :]}"
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
