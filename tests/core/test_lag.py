"""When lag changes its severity (L4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkmate_queue.core.details import LagThresholds, Severity
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.lag import (
    FALL_AFTER_MS,
    LagState,
    check_state,
    check_thresholds,
    next_lag,
    severity_of,
)

DEFAULT = LagThresholds()


@pytest.mark.parametrize(
    ("pending", "severity"),
    [(0, "none"), (99, "none"), (100, "warning"), (499, "warning"), (500, "critical"), (10**9, "critical")],
)
def test_the_number_says_a_severity(pending: int, severity: Severity) -> None:
    assert severity_of(pending, DEFAULT) == severity


@pytest.mark.parametrize(
    ("before", "pending", "after"),
    [
        ("none", 100, "warning"),
        ("none", 500, "critical"),
        ("warning", 500, "critical"),
        ("warning", 89, "none"),
        ("critical", 449, "warning"),
        ("critical", 89, "none"),
    ],
)
def test_it_rises_at_once_and_falls_at_once_well_below(
    before: Severity, pending: int, after: Severity
) -> None:
    """L4: under 90 % of the threshold."""
    assert next_lag(LagState(before), pending, DEFAULT, 1_000) == LagState(after)


def test_a_number_that_comes_late_does_not_undo_a_newer_one() -> None:
    """L4: an instance that stood still between its look at the numbers and the change signals nothing."""
    state = next_lag(LagState(), 100, DEFAULT, 1_000)
    assert next_lag(state, 0, DEFAULT, 999) == state
    assert next_lag(state, 500, DEFAULT, 999) == state
    assert next_lag(state, 0, DEFAULT, 1_000) == LagState("none")


def test_after_the_clock_was_set_back_numbers_count_again() -> None:
    state = next_lag(LagState(), 100, DEFAULT, 4_000_000)
    assert next_lag(state, 0, DEFAULT, 400_000) == LagState("none")


@pytest.mark.parametrize(
    ("before", "pending", "after"), [("warning", 90, "none"), ("critical", 450, "warning")]
)
def test_it_falls_after_30_seconds_just_below(before: Severity, pending: int, after: Severity) -> None:
    state = next_lag(LagState(before), pending, DEFAULT, 1_000)
    assert state == LagState(before, 1_000)
    assert next_lag(state, pending, DEFAULT, 1_000 + FALL_AFTER_MS - 1) == state
    assert next_lag(state, pending, DEFAULT, 1_000 + FALL_AFTER_MS) == LagState(after)


def test_reaching_the_threshold_again_starts_anew() -> None:
    state = next_lag(LagState("warning"), 95, DEFAULT, 0)
    state = next_lag(state, 100, DEFAULT, 29_000)
    assert state == LagState("warning")
    state = next_lag(state, 95, DEFAULT, 30_000)
    assert next_lag(state, 95, DEFAULT, 59_999).severity == "warning"
    assert next_lag(state, 95, DEFAULT, 60_000).severity == "none"


@given(
    st.sampled_from(["none", "warning", "critical"]),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 40_000)), max_size=20),
)
def test_it_never_says_less_than_the_number_and_comes_to_rest(
    severity: Severity, steps: list[tuple[int, int]]
) -> None:
    rank = {"none": 0, "warning": 1, "critical": 2}
    state, now = LagState(severity), 0
    for pending, pause in steps:
        now += pause
        state = next_lag(state, pending, DEFAULT, now)
        assert rank[state.severity] >= rank[severity_of(pending, DEFAULT)]
        assert next_lag(state, pending, DEFAULT, now) == state
    for _ in range(3):
        now += FALL_AFTER_MS
        state = next_lag(state, 50, DEFAULT, now)
    assert state == LagState("none")


@pytest.mark.parametrize(
    ("warning", "critical"),
    [(0, 1), (1, 1), (2, 1), (-5, 5), (1.0, 2), ("1", 2), (None, 2), (True, 2), (1, [])],
)
def test_wrong_thresholds_are_refused(warning: Any, critical: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="threshold"):
        check_thresholds(warning, critical)


def test_right_thresholds_pass() -> None:
    assert check_thresholds(1, 2) == LagThresholds(1, 2)


@pytest.mark.parametrize(
    ("severity", "since"), [("panic", None), (None, None), ([], 1), ("none", "x"), ("none", 1.5)]
)
def test_a_state_that_is_none_is_refused(severity: Any, since: Any) -> None:
    """X3."""
    with pytest.raises(ValueError, match="state"):
        check_state(severity, since)


def test_a_state_comes_back() -> None:
    state = check_state("warning", 5, 7)
    assert (state, state.measured_at) == (LagState("warning", 5), 7)
    assert check_state("warning", 5) == LagState("warning", 5)
