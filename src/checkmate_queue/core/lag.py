"""When the lag of a queue changes its severity (L4)."""

from __future__ import annotations

from dataclasses import dataclass

from checkmate_queue.core.details import LagThresholds, Severity
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Millis

FALL_AFTER_MS = 30_000
FALL_AT_ONCE_BELOW = 0.9

_RANK: dict[Severity, int] = {"none": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class LagState:
    """The severity that was signalled last, and since when the numbers have said a lower one."""

    severity: Severity = "none"
    below_since: Millis | None = None


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


def check_state(severity: object, below_since: object) -> LagState:
    """Return the state as it was stored; raise `ValueError` where it is none."""
    known = next((name for name in _RANK if name == severity), None)
    if known is None or not (below_since is None or type(below_since) is int):
        raise ValueError(f"no state of a lag: {severity!r}, {below_since!r}")
    return LagState(known, below_since)


def severity_of(pending: int, thresholds: LagThresholds) -> Severity:
    """The severity that the number alone says."""
    if pending >= thresholds.critical:
        return "critical"
    return "warning" if pending >= thresholds.warning else "none"


def next_lag(state: LagState, pending: int, thresholds: LagThresholds, now: Millis) -> LagState:
    """Rise at once; fall after 30 s below the threshold, or at once under 90 % of it (L4)."""
    measured = severity_of(pending, thresholds)
    if _RANK[measured] >= _RANK[state.severity]:
        return LagState(measured)
    threshold = thresholds.critical if state.severity == "critical" else thresholds.warning
    since = now if state.below_since is None else state.below_since
    if pending < FALL_AT_ONCE_BELOW * threshold or now - since >= FALL_AFTER_MS:
        return LagState(measured)
    return LagState(state.severity, since)
