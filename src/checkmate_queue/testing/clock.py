"""A clock that stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from checkmate_queue.core.model import Millis

START: Millis = 1_800_000_000_000
"""When a travelling clock begins: 2027-01-15T08:00:00Z, on a full second, minute and hour."""


class TravellingClock:
    """An engine's clock under a test's control; give it to a store as its `clock`."""

    def __init__(self, start: Millis = START) -> None:
        self._now = start
        self._callbacks: list[Callable[[], None]] = []

    def __call__(self) -> Millis:
        return self._now

    def advance(self, span: float | timedelta) -> Millis:
        """Move on by seconds or a `timedelta`, and return the new time."""
        return self._move(_millis(span))

    def back(self, span: float | timedelta) -> Millis:
        """Move backwards, as a machine whose clock was set does."""
        return self._move(-_millis(span))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called after every move."""
        self._callbacks.append(callback)

    def _move(self, millis: Millis) -> Millis:
        self._now += millis
        for callback in self._callbacks:
            callback()
        return self._now


def _millis(span: float | timedelta) -> Millis:
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 0:
        raise ValueError(f"a span of time is not negative, and {seconds!r} s is")
    return round(seconds * 1000)
