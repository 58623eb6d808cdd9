"""When the lag of a queue changes its severity (L4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeGuard

from checkmate_queue.core.details import LagThresholds, Severity
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Millis

FALL_AFTER_MS = 30_000
FALL_AT_ONCE_BELOW = 0.9
STALE_MS = 60_000
"""No call lasts longer: a measurement that seems to be older comes from a clock that was set back."""

_RANK: dict[Severity, int] = {"none": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class LagState:
    """The severity that was signalled last, and since when the numbers have said a lower one.

    `measured_at` is the time of the number that made it so.
    """

    severity: Severity = "none"
    below_since: Millis | None = None
    measured_at: Millis | None = field(default=None, compare=False)


def check_thresholds(warning: object, critical: object) -> LagThresholds:
    """Return the thresholds; raise `InvalidArgumentError` unless both are ints and 0 < warning < critical."""
    for name, value in (("warning", warning), ("critical", critical)):
        if type(value) is not int or value < 1:
            raise InvalidArgumentError(
                f"lag threshold {name} must be an int of at least 1, not {excerpt(value)}"
            )
    assert isinstance(warning, int) and isinstance(critical, int)
    if warning >= critical:
        raise InvalidArgumentError(f"lag threshold warning ({warning}) must be below critical ({critical})")
    return LagThresholds(warning, critical)


def check_state(severity: object, below_since: object, measured_at: object = None) -> LagState:
    """Return the state as it was stored; raise `ValueError` where it is none."""
    known = next((name for name in _RANK if name == severity), None)
    if known is None or not (_is_time(below_since) and _is_time(measured_at)):
        raise ValueError(f"no state of a lag: {severity!r}, {below_since!r}, {measured_at!r}")
    return LagState(known, below_since, measured_at)


def _is_time(value: object) -> TypeGuard[Millis | None]:
    return value is None or type(value) is int


def severity_of(pending: int, thresholds: LagThresholds) -> Severity:
    """The severity that the number alone says."""
    if pending >= thresholds.critical:
        return "critical"
    return "warning" if pending >= thresholds.warning else "none"


def next_lag(state: LagState, pending: int, thresholds: LagThresholds, now: Millis) -> LagState:
    """Rise at once; fall after 30 s below the threshold, or at once under 90 % of it (L4).

    A number that was measured at `now`, before the one that made the state, changes nothing.
    """
    if state.measured_at is not None and 0 < state.measured_at - now <= STALE_MS:
        return state
    measured = severity_of(pending, thresholds)
    if _RANK[measured] >= _RANK[state.severity]:
        return LagState(measured, measured_at=now)
    threshold = thresholds.critical if state.severity == "critical" else thresholds.warning
    since = now if state.below_since is None else state.below_since
    if pending < FALL_AT_ONCE_BELOW * threshold or now - since >= FALL_AFTER_MS:
        return LagState(measured, measured_at=now)
    return LagState(state.severity, since, now)
