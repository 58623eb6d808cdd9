"""Spans of time: rounded up to the millisecond, checked, and named in the error."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkmate_queue.core.durations import MAX_SECONDS, to_millis
from checkmate_queue.core.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("value", "millis"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (60, 60_000),
        (0.5, 500),
        (16.1, 16_100),
        (0.0001, 1),
        (5e-324, 1),
        (1.0005, 1_001),
        (timedelta(minutes=1), 60_000),
        (timedelta(microseconds=1), 1),
        (timedelta(), 0),
        (MAX_SECONDS, MAX_SECONDS * 1000),
        (timedelta(days=36_525), MAX_SECONDS * 1000),
    ],
)
def test_a_span_is_rounded_up_to_the_millisecond(value: float | timedelta, millis: int) -> None:
    assert to_millis(value, name="start_delay") == millis


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1e-9,
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        "5",
        None,
        Fraction(1, 2),
        1e300,
        10**5_000,
        timedelta(microseconds=-1),
        timedelta.max,
        MAX_SECONDS + 1,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_span_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"start_delay is .*from 0 to 100 years"):
        to_millis(value, name="start_delay")


def test_the_error_shows_the_value_and_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"start_delay is -2\.5; it must be"):
        to_millis(-2.5, name="start_delay")


@given(st.integers(0, MAX_SECONDS * 1000))
def test_milliseconds_written_as_float_seconds_come_back(millis: int) -> None:
    assert to_millis(millis / 1000, name="delay") == millis


@given(st.floats(0, MAX_SECONDS))
def test_nothing_is_early(seconds: float) -> None:
    exact = Fraction(seconds) * 1000
    millis = to_millis(seconds, name="delay")
    assert millis / 1000 >= seconds
    assert millis < exact + 1
