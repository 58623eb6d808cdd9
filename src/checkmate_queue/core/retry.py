"""When a failed delivery is tried again: backoff policies, and what a handler may raise to choose."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from checkmate_queue.core.durations import MAX_SECONDS, ceil_millis, is_number, to_millis
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt

if TYPE_CHECKING:
    from checkmate_queue.core.model import Millis

Backoff: TypeAlias = Callable[[int, BaseException], float]
"""A policy: from the number of the retry (from 1) and the error to the seconds to wait (F2)."""


def _text(value: str, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} is {excerpt(value)}; it must be a str")
    return value


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not is_number(value, low, high):
        raise InvalidArgumentError(
            f"{name} is {excerpt(value)}; it must be a number from {low:,} to {high:,}"
        )


class Retry(Exception):
    """Raised by a handler to be tried again after `delay`; None takes the policy's delay (F3).

    `delay` is in seconds (int or float) or a `timedelta`; a negative, NaN or infinite one raises
    `InvalidArgumentError`. The attempt counts.
    """

    def __init__(self, delay: float | timedelta | None = None, message: str = "") -> None:
        if delay is not None:
            to_millis(delay, name="Retry(delay)")
        super().__init__(delay, _text(message, "Retry(message)"))
        self.delay = delay
        self.message = message

    def __str__(self) -> str:
        return self.message or ("retry" if self.delay is None else f"retry after {self.delay}")


class Discard(Exception):
    """Raised by a handler to fail the delivery at once, whatever tries are left (F3)."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(_text(reason, "Discard(reason)"))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same delay, in seconds, before each retry."""

    seconds: float

    def __post_init__(self) -> None:
        _check_number("Fixed(seconds)", self.seconds, 0, MAX_SECONDS)

    def __call__(self, _retry_number: int, _error: BaseException) -> float:
        """The delay in seconds."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Exponential:
    """`base ** k` seconds before retry k, at most `cap` (F2).

    `jitter`, from 0 to 1, is the part of the delay that is left to chance: the result is spread evenly
    over `[delay * (1 - jitter), delay]`, so `cap` holds with it, too.
    """

    base: float = 2
    cap: float = 3600
    jitter: float = 0

    def __post_init__(self) -> None:
        _check_number("Exponential(base)", self.base, 1, MAX_SECONDS)
        _check_number("Exponential(cap)", self.cap, 0, MAX_SECONDS)
        _check_number("Exponential(jitter)", self.jitter, 0, 1)

    def __call__(self, retry_number: int, _error: BaseException) -> float:
        """The delay in seconds."""
        try:
            delay = min(float(self.cap), float(self.base) ** retry_number)
        except OverflowError:
            delay = float(self.cap)
        return delay - delay * self.jitter * random.random() if self.jitter else delay


DEFAULT_BACKOFF = Exponential()


def retry_delay_ms(
    backoff: Backoff, retry_number: int, error: BaseException, multiplier: float = 1.0
) -> Millis:
    """How long retry `retry_number` (from 1) waits, in milliseconds rounded up.

    A `Retry` with a delay decides; otherwise `backoff` does. `multiplier` scales `Retry`, `Fixed` and
    `Exponential`, and no function of the user's (L9). Such a function that raises, or returns anything but
    a finite number of seconds from 0 to 100 years, costs nobody a job: `DEFAULT_BACKOFF` steps in.
    """
    if isinstance(error, Retry) and error.delay is not None:
        return _scaled(to_millis(error.delay, name="Retry(delay)") / 1000, multiplier)
    if isinstance(backoff, Fixed | Exponential):
        return _scaled(backoff(retry_number, error), multiplier)
    try:
        return to_millis(backoff(retry_number, error), name="backoff")
    except KeyboardInterrupt:
        raise
    except BaseException:
        return _scaled(DEFAULT_BACKOFF(retry_number, error), multiplier)


def _scaled(seconds: float, multiplier: float) -> Millis:
    return ceil_millis(min(seconds * multiplier, MAX_SECONDS))
