"""Spans of time as users give them, turned into the whole milliseconds of the engines."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt

if TYPE_CHECKING:
    from checkmate_queue.core.model import Millis

MAX_SECONDS = 36_525 * 86_400
"""The longest span that the library takes: 100 years."""

_LONGEST = timedelta(seconds=MAX_SECONDS)
_MILLISECOND = timedelta(milliseconds=1)


def to_millis(value: float | timedelta, *, name: str) -> Millis:
    """The span, in seconds or as a `timedelta`, in milliseconds rounded up, so that nothing is early (J6).

    A negative, NaN, infinite or longer than 100 years one, or another type (bool included), raises
    `InvalidArgumentError` that says `name`.
    """
    if isinstance(value, timedelta):
        if timedelta() <= value <= _LONGEST:
            return -(-value // _MILLISECOND)
    elif is_number(value, 0, MAX_SECONDS):
        return ceil_millis(value)
    raise InvalidArgumentError(
        f"{name} is {excerpt(value)}; it must be a number of seconds or a timedelta, from 0 to 100 years"
    )


def seconds_or_none(value: float | timedelta | None, *, name: str) -> float | None:
    """The span in seconds, None for None; as `to_millis`."""
    return None if value is None else to_millis(value, name=name) / 1000


def ceil_millis(seconds: float) -> Millis:
    """Finite seconds in milliseconds, rounded up, yet 16.1 s are 16,100 ms despite binary fractions."""
    scaled = seconds * 1000
    nearest = round(scaled)
    return nearest if nearest / 1000 == seconds else math.ceil(scaled)


def is_number(value: object, low: float, high: float) -> bool:
    """Whether `value` is an int or float, no bool and no NaN, from `low` to `high`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
