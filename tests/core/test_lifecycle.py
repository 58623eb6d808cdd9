"""How the end of an attempt settles a delivery (F1 to F4, G9, L1, L12, X3)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkmate_queue.core.errors import PayloadError
from checkmate_queue.core.lifecycle import (
    COMPLETED,
    MAX_MESSAGE,
    MAX_TRACEBACK,
    TRANSITIONS,
    CancelledByRequest,
    Happened,
    Raised,
    RetryPolicy,
    StoppedEarly,
    TimedOut,
    Unreadable,
    decide,
    decide_lapse,
    describe,
)
from checkmate_queue.core.model import (
    Cancelled,
    Claim,
    Done,
    Fail,
    GiveBack,
    JobState,
    LapsedClaim,
    Outcome,
    RetryLater,
)
from checkmate_queue.core.retry import Discard, Fixed, Retry


def claim(*, attempts: int = 0, stalls: int = 0) -> Claim:
    """A delivery that was claimed."""
    return Claim(7, "job", b"1", 0, 0, attempts, stalls, b"")


@pytest.mark.parametrize(
    ("happened", "kind"),
    [
        (COMPLETED, Done),
        (StoppedEarly(), GiveBack),
        (CancelledByRequest(), Cancelled),
        (Unreadable(PayloadError("alien")), Fail),
        (Raised(ValueError()), RetryLater),
        (TimedOut(3), RetryLater),
        (Raised(Discard("no")), Fail),
        (Raised(Retry(5)), RetryLater),
        (Raised(SystemExit()), RetryLater),
        (Raised(KeyboardInterrupt()), RetryLater),
    ],
)
def test_what_happened_decides(happened: Happened, kind: type) -> None:
    settlement = decide(claim(), happened, RetryPolicy())
    assert type(settlement) is kind
    assert settlement.key == 7


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_delivery_is_tried_once_more_than_it_is_retried(max_retries: int, attempts: int) -> None:
    settlement = decide(claim(attempts=attempts), Raised(ValueError("boom")), RetryPolicy(max_retries))
    if attempts < max_retries:
        assert isinstance(settlement, RetryLater)
    else:
        assert settlement == Fail(7, describe(ValueError("boom")))


@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 9), st.booleans())
def test_stalls_have_a_bound_of_their_own(
    attempts: int, max_stalls: int, stalls: int, last_was_early: bool
) -> None:
    """G9: whatever the attempts were."""
    settlement = decide_lapse(LapsedClaim("g", max_stalls, claim(attempts=attempts, stalls=stalls)))
    if stalls < max_stalls:
        assert settlement == GiveBack(7)
    else:
        assert isinstance(settlement, Fail)
        assert (settlement.failure.error_type, settlement.attempt) == ("stalled", False)
        assert f"max_stalls={max_stalls}" in settlement.failure.message
    assert decide(claim(stalls=stalls), StoppedEarly(), RetryPolicy(0)) == GiveBack(7)


def test_an_unreadable_payload_is_no_attempt() -> None:
    """X3: it fails at once, as type "payload"."""
    settlement = decide(claim(), Unreadable(PayloadError("no Check")), RetryPolicy(99))
    assert isinstance(settlement, Fail)
    assert (settlement.failure.error_type, settlement.failure.message) == ("payload", "no Check")
    assert settlement.attempt is False


def test_a_timeout_says_how_long_it_was() -> None:
    """F1."""
    settlement = decide(claim(), TimedOut(1.5), RetryPolicy(0))
    assert isinstance(settlement, Fail)
    assert settlement.failure.error_type == "TimeoutError"
    assert "1.5 s" in settlement.failure.message


def test_the_policy_gives_the_delay() -> None:
    """F2, F3, L9."""
    policy = RetryPolicy(9, Fixed(4), multiplier=0.5)
    assert decide(claim(), Raised(ValueError()), policy) == RetryLater(7, 2_000)
    assert decide(claim(), Raised(Retry(10)), policy) == RetryLater(7, 5_000)
    numbers: list[int] = []

    def backoff(number: int, error: BaseException) -> float:
        numbers.append(number)
        return 1

    for attempts in range(3):
        decide(claim(attempts=attempts), Raised(ValueError()), RetryPolicy(9, backoff))
    assert numbers == [1, 2, 3]


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raised(error: BaseException) -> BaseException:
    """The error with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        Broken(),
        ValueError("\x00 \ud800 🙂"),
        ValueError("x" * 1_000_000),
        RecursionError("\n" * 100_000),
        ExceptionGroup("many", [ValueError(str(n)) for n in range(50)]),
        SystemExit(3),
        KeyError("missing"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_can_be_described(error: BaseException) -> None:
    """F4: in text that every engine can hold, of bounded length."""
    failure = describe(raised(error))
    assert failure.error_type == type(error).__name__
    assert len(failure.message) <= MAX_MESSAGE + 10
    assert len(failure.traceback) <= MAX_TRACEBACK + 10
    assert "raised" in failure.traceback or len(failure.traceback) >= MAX_TRACEBACK - 10
    for text in (failure.message, failure.traceback):
        assert "\x00" not in text
        text.encode()


@given(st.text(st.characters(exclude_categories=())))
def test_any_message_becomes_storable_text(message: str) -> None:
    failure = describe(ValueError(message))
    failure.message.encode()
    assert "\x00" not in failure.message


def test_a_nested_class_is_named_in_full() -> None:
    class Inner(Exception):
        pass

    assert describe(Inner()).error_type.endswith("<locals>.Inner")


def test_a_cause_is_told() -> None:
    """F4: the traceback has what led to the error."""
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError as caught:
        failure = describe(caught)
    assert "KeyError: 'first'" in failure.traceback
    assert "direct cause" in failure.traceback


STATES = {*get_args(JobState), *get_args(Outcome)}


def test_the_state_machine_is_whole() -> None:
    """Every state is reached, every living one can be left, and what has ended stays so, but for a repair."""
    by_source: dict[str, set[Any]] = defaultdict(set)
    for transition in TRANSITIONS:
        by_source[transition.source].add(transition.target)
    assert {transition.target for transition in TRANSITIONS} == STATES
    assert set(by_source) == {"enqueued", "failed", *get_args(JobState)}
    assert by_source["failed"] == {"pending"}
    assert len(TRANSITIONS) == len({(each.source, each.event) for each in TRANSITIONS})
    for state in get_args(JobState):
        assert "cancelled" in by_source[state]
