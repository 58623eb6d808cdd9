"""When a recurring job is due: intervals on a fixed grid, and what becomes of missed due times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast, get_args

from checkmate_queue.core.cron import Cron
from checkmate_queue.core.durations import MAX_SECONDS, is_number
from checkmate_queue.core.errors import ScheduleError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Millis, Misfire

__all__ = [
    "Cron",
    "FiringPlan",
    "Interval",
    "Misfire",
    "Timing",
    "check_misfire",
    "first_due",
    "next_due",
    "plan",
]

MISFIRE_GRACE_MS: Millis = 5_000
"""A due time that is fired later than this is missed (R5)."""

MAX_CATCH_UP = 1_000
"""The most jobs that one gap makes with `misfire="all"` (R5)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `seconds`, on a fixed grid without drift (R1); 1 ms to 100 years, else `ScheduleError` (R8)."""

    seconds: float

    def __post_init__(self) -> None:
        if not is_number(self.seconds, 0.001, MAX_SECONDS):
            raise ScheduleError(
                f"interval_seconds is {excerpt(self.seconds)}; it must be a number "
                f"from 0.001 to {MAX_SECONDS:,}"
            )


Timing: TypeAlias = Interval | Cron


@dataclass(frozen=True, slots=True)
class FiringPlan:
    """The due times to make jobs for, the earliest first, and the first due time after now.

    `next_at` is None when the calendar ends (the year 9990) before the pattern matches again.
    """

    due: tuple[Millis, ...]
    next_at: Millis | None


def check_misfire(value: str) -> Misfire:
    """The value itself, or `ScheduleError` if it is no misfire policy (R5)."""
    if value in get_args(Misfire):
        return cast("Misfire", value)
    raise ScheduleError(f"misfire is {excerpt(value)}; it must be 'coalesce', 'skip' or 'all'")


def first_due(timing: Timing, start_at: Millis) -> Millis:
    """The first run of a new schedule: `start_at` itself, or the first match from then on for cron (R2)."""
    return start_at if isinstance(timing, Interval) else next_due(timing, start_at, start_at - 1)


def next_due(timing: Timing, anchor: Millis, after: Millis, *, multiplier: float = 1.0) -> Millis:
    """The first due time strictly after `after`; both in milliseconds since the epoch.

    An interval's due times are `anchor + k * interval`, each rounded to the millisecond by itself, and
    `multiplier` scales the interval (L9). Cron has no anchor and is not scaled; it raises `ScheduleError`
    when the calendar ends (the year 9990).
    """
    found = _next(timing, anchor, after, multiplier)
    if found is None:
        raise ScheduleError(f"Cron pattern {timing} does not match again before the year 9990")
    return found


def plan(
    timing: Timing,
    *,
    anchor: Millis,
    expected_at: Millis,
    now: Millis,
    misfire: Misfire,
    multiplier: float = 1.0,
) -> FiringPlan:
    """What to fire at `now` for a schedule whose stored next due time is `expected_at` (R5).

    Nothing is due before `expected_at`. `coalesce` fires the last due time that has passed, missed or not;
    `skip` the same, unless it is more than 5 s late; `all` the latest 1,000 of them.
    """
    if expected_at > now:
        return FiringPlan((), expected_at)
    grid = _Grid(timing, anchor, multiplier)
    last, next_at = expected_at, grid.after(expected_at)
    if next_at is not None and next_at <= now:
        last = grid.last(next_at, now)
        next_at = grid.after(now)
    if misfire == "all":
        return FiringPlan(tuple(grid.latest(expected_at, last)), next_at)
    missed = now - last > MISFIRE_GRACE_MS
    return FiringPlan(() if misfire == "skip" and missed else (last,), next_at)


def _next(timing: Timing, anchor: Millis, after: Millis, multiplier: float) -> Millis | None:
    if isinstance(timing, Cron):
        second = timing.next_second(after // 1000)
        return None if second is None else second * 1000
    if after < anchor:
        return anchor
    numerator, denominator = (timing.seconds * multiplier).as_integer_ratio()
    # Less than 1 ms would make two due times of one instant; only a multiplier leads there.
    step, unit = max(numerator * 1000, denominator), denominator
    # Due time k is floor(k * step / unit + 1/2); this is the first one over `after`, in whole numbers.
    k = -(-(2 * (after - anchor) + 1) * unit // (2 * step))
    return anchor + (2 * k * step + unit) // (2 * unit)


@dataclass(frozen=True, slots=True)
class _Grid:
    timing: Timing
    anchor: Millis
    multiplier: float

    def after(self, moment: Millis) -> Millis | None:
        return _next(self.timing, self.anchor, moment, self.multiplier)

    def last(self, first: Millis, limit: Millis) -> Millis:
        """The last due time up to `limit`, by bisection between that and the due time `first`."""
        low, high, following = first, limit, self.after(first)
        # A regular pattern has its last one in the last of its gaps.
        guess = low if following is None else limit - (following - low) + 1
        while following is not None and following <= limit:
            low = following
            found = self.after(max(guess, low + 1) - 1)
            if found is None or found > limit:
                high = max(guess, low + 1) - 1
            else:
                low = found
            guess = (low + high + 1) // 2
            following = self.after(low)
        return low

    def latest(self, first: Millis, last: Millis) -> list[Millis]:
        """The last 1,000 due times from `first` to `last`, both due, found in spans from the end."""
        found: list[Millis] = []
        span = MAX_CATCH_UP
        while len(found) < MAX_CATCH_UP:
            start = max(first, last - span)
            if start == first:
                # The stored due time counts even where new zone data have moved the others.
                found[:0] = [first, *self.between(first, last)]
                break
            found[:0] = self.between(start - 1, last)
            last = self.last(first, start - 1)
            # Due times are sparse here: a span twice as long has at most twice what is wanted.
            span *= 2
        return found[-MAX_CATCH_UP:]

    def between(self, after: Millis, last: Millis) -> list[Millis]:
        found: list[Millis] = []
        moment = self.after(after)
        while moment is not None and moment <= last:
            found.append(moment)
            moment = self.after(moment)
        return found
