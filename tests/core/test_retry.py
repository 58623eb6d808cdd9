"""The delay before a retry (F2, F3, L9): policies, `Retry`, and a user's own function."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkmate_queue.core.durations import MAX_SECONDS
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.retry import (
    DEFAULT_BACKOFF,
    Backoff,
    Discard,
    Exponential,
    Fixed,
    Retry,
    retry_delay_ms,
)

ERROR = RuntimeError("boom")


def test_the_default_doubles_from_two_seconds_to_an_hour() -> None:
    delays = [retry_delay_ms(DEFAULT_BACKOFF, k, ERROR) for k in range(1, 15)]
    assert delays[:4] == [2_000, 4_000, 8_000, 16_000]
    assert delays[10:] == [2_048_000, 3_600_000, 3_600_000, 3_600_000]


@pytest.mark.parametrize("retry_number", [1_100, 10**6, 10**400], ids=excerpt)
@pytest.mark.parametrize("base", [2, 1.5, 1e9, 10**9])
def test_exponential_never_overflows(base: float, retry_number: int) -> None:
    assert Exponential(base=base)(retry_number, ERROR) == 3600


def test_exponential_keeps_to_base_and_cap() -> None:
    assert [Exponential(base=3, cap=20)(k, ERROR) for k in (1, 2, 3)] == [3, 9, 20]
    assert Exponential(base=1)(10**9, ERROR) == 1


@given(st.floats(0, 1), st.integers(1, 60))
def test_jitter_spreads_below_the_delay(jitter: float, retry_number: int) -> None:
    delay = min(3600, 2**retry_number)
    spread = Exponential(jitter=jitter)(retry_number, ERROR)
    assert delay * (1 - jitter) - 1e-6 <= spread <= delay


def test_jitter_differs_from_call_to_call() -> None:
    assert len({Exponential(jitter=1)(5, ERROR) for _ in range(20)}) > 1


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "5", None, 10**30], ids=repr)
def test_a_wrong_policy_is_refused_with_its_value(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Fixed\(seconds\) is .*must be a number from 0"):
        Fixed(value)
    for option in ("base", "cap", "jitter"):
        with pytest.raises(InvalidArgumentError, match=rf"Exponential\({option}\) is "):
            Exponential(**{option: value})


def test_a_base_below_one_or_a_jitter_above_one_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"Exponential\(base\) is 0\.5; .*from 1 to"):
        Exponential(base=0.5)
    with pytest.raises(InvalidArgumentError, match=r"Exponential\(jitter\) is 1\.1; .*from 0 to 1"):
        Exponential(jitter=1.1)


def test_policies_are_values() -> None:
    assert Exponential() == DEFAULT_BACKOFF
    assert hash(Fixed(3)) == hash(Fixed(3))
    with pytest.raises(AttributeError):
        Fixed(3).seconds = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("delay", "millis"), [(0, 0), (1.5, 1_500), (timedelta(minutes=2), 120_000), (0.0001, 1)]
)
def test_retry_chooses_the_delay(delay: float | timedelta, millis: int) -> None:
    assert retry_delay_ms(Fixed(99), 1, Retry(delay)) == millis


def test_retry_without_delay_takes_the_policy() -> None:
    assert retry_delay_ms(Fixed(99), 1, Retry()) == 99_000
    assert retry_delay_ms(Fixed(99), 1, Retry(message="busy")) == 99_000


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), timedelta(-1), True, "5"], ids=repr)
def test_retry_checks_its_delay(delay: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Retry\(delay\) is "):
        Retry(delay)


def test_messages_must_be_text() -> None:
    wrong: Any = 5
    with pytest.raises(InvalidArgumentError, match=r"Retry\(message\) is 5; it must be a str"):
        Retry(1, wrong)
    with pytest.raises(InvalidArgumentError, match=r"Discard\(reason\) is 5; it must be a str"):
        Discard(wrong)


def test_what_a_handler_raises_reads_well_and_copies() -> None:
    assert str(Retry(5, "rate limited")) == "rate limited"
    assert str(Retry(5)) == "retry after 5"
    assert str(Retry()) == "retry"
    assert str(Discard("no such user")) == Discard("no such user").reason == "no such user"
    copied = copy.copy(Retry(5, "rate limited"))
    assert (copied.delay, copied.message) == (5, "rate limited")


def test_the_multiplier_scales_everything_but_a_users_function() -> None:
    assert retry_delay_ms(Fixed(10), 1, ERROR, 0.01) == 100
    assert retry_delay_ms(DEFAULT_BACKOFF, 3, ERROR, 0.01) == 80
    assert retry_delay_ms(Fixed(10), 1, Retry(timedelta(seconds=20)), 0.01) == 200
    assert retry_delay_ms(lambda k, error: 10 * k, 2, ERROR, 0.01) == 20_000


def test_a_delay_is_rounded_up() -> None:
    assert retry_delay_ms(lambda k, error: 0.0101, 1, ERROR) == 11
    assert retry_delay_ms(Fixed(0.0001), 1, ERROR) == 1


def test_a_users_function_sees_number_and_error() -> None:
    seen: list[tuple[int, BaseException]] = []

    def policy(retry_number: int, error: BaseException) -> float:
        seen.append((retry_number, error))
        return 1

    assert retry_delay_ms(policy, 7, ERROR) == 1_000
    assert seen == [(7, ERROR)]


@pytest.mark.parametrize("result", [None, "5", -1, float("nan"), float("inf"), True, 1e300, 1j], ids=repr)
def test_a_users_function_with_a_useless_answer_costs_no_job(result: Any) -> None:
    assert retry_delay_ms(lambda k, error: result, 3, ERROR) == 8_000


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit, GeneratorExit])
def test_a_users_function_that_raises_costs_no_job(raised: type[BaseException]) -> None:
    def policy(retry_number: int, error: BaseException) -> float:
        raise raised

    assert retry_delay_ms(policy, 2, ERROR, 0.5) == 2_000


def test_a_keyboard_interrupt_is_not_swallowed() -> None:
    def policy(retry_number: int, error: BaseException) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_delay_ms(policy, 2, ERROR)


def test_no_delay_is_longer_than_a_hundred_years() -> None:
    backoff: Backoff = Fixed(MAX_SECONDS)
    assert retry_delay_ms(backoff, 1, ERROR, 1e300) == MAX_SECONDS * 1000
