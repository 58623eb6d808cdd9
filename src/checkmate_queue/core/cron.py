"""Cron patterns in a time zone: from one match to the next, across changes of the clocks (R2).

All times here are whole seconds since the epoch: `second` in UTC, `wall` as the clocks of the zone
show it. The zone is a row of segments of constant offset, found by sampling it once a day.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from checkmate_queue.core.errors import ScheduleError
from checkmate_queue.core.excerpt import excerpt

_DAY = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_YEAR = 9990
_LAST_SECOND = (date(_LAST_YEAR, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY
_PERIOD = 366 * _DAY
# The calendar of weekdays repeats after 28 years, or 40 around a year like 2100.
_MAX_MONTHS = 50 * 12
_MAX_PATTERN_LENGTH = 500

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EVERY_HOUR = re.compile(r"\*(/[0-9]+)?")
_ZONE_NAME = re.compile(r"(?!posix|right/|localtime$)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


@dataclass(frozen=True, slots=True)
class Cron:
    """The times that match `pattern` in the IANA zone `timezone` (R2).

    Five fields (minute, hour, day of month, month, day of week), or six with seconds first; names, ranges,
    steps, `L`, `LW` and `#`, or `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and
    `@annually`. If neither day field starts with `*`, a day matches that matches one of them. A pattern
    that is wrong or never matches, or an unknown zone, raises `ScheduleError` (R8).
    """

    pattern: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise _bad_pattern(self.pattern, "it is not a str")
        if not isinstance(self.timezone, str):
            raise _bad_zone(self.timezone)
        _parse(self.pattern)
        _zone(self.timezone)

    def next_second(self, after: int) -> int | None:
        """The first match later than `after`, both in seconds since the epoch; None from the year 9990 on.

        With an hour of `*` or `*/n` a match is an instant whose local time matches. With fixed hours each
        local time that matches counts once: where clocks skip it, at the end of the gap; where they show
        it twice, at the first.
        """
        fields, second = _parse(self.pattern), after + 1
        start = wall = 0
        found = False
        while second < _LAST_SECOND:
            begin, end, before, offset = _segment(self.timezone, second)
            # With fixed hours a segment owns the walls that its gap skipped, and none shown twice.
            owned = begin + (offset if fields.real_time else before)
            earliest = owned if second == begin else max(second + offset, owned)
            if not (found and start <= earliest <= wall):
                start, wall = earliest, fields.next_wall(earliest)
                found = True
            if wall < end + offset:
                return max(begin, wall - offset)
            second = end
        return None


@dataclass(frozen=True, slots=True)
class _Fields:
    seconds_of_minute: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: str
    weekdays: str
    real_time: bool

    def next_wall(self, wall: int) -> int:
        day, time_of_day = divmod(wall, _DAY)
        found = self.next_time_of_day(time_of_day)
        matching = self.next_day(day if found is not None else day + 1)
        if matching is None:
            return _LAST_SECOND * 2
        if found is None or matching > day:
            found = self.hours[0] * 3600 + self.minutes[0] * 60 + self.seconds_of_minute[0]
        return matching * _DAY + found

    def next_time_of_day(self, time_of_day: int) -> int | None:
        hour, rest = divmod(time_of_day, 3600)
        minute, second = divmod(rest, 60)
        hours, minutes, seconds = self.hours, self.minutes, self.seconds_of_minute
        at = bisect_left(hours, hour)
        if at < len(hours) and hours[at] == hour:
            found = bisect_left(minutes, minute)
            if found < len(minutes) and minutes[found] == minute:
                index = bisect_left(seconds, second)
                if index < len(seconds):
                    return hour * 3600 + minute * 60 + seconds[index]
                found += 1
            if found < len(minutes):
                return hour * 3600 + minutes[found] * 60 + seconds[0]
            at += 1
        if at < len(hours):
            return hours[at] * 3600 + minutes[0] * 60 + seconds[0]
        return None

    def next_day(self, day: int) -> int | None:
        start = date.fromordinal(day + _EPOCH_ORDINAL)
        year, month, day_of_month = start.year, start.month, start.day
        for _ in range(_MAX_MONTHS):
            if month in self.months:
                days = _days_of_month(self.days, self.weekdays, year, month)
                at = bisect_left(days, day_of_month)
                if at < len(days):
                    return date(year, month, days[at]).toordinal() - _EPOCH_ORDINAL
            year, month, day_of_month = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
            if year > _LAST_YEAR:
                break
        return None


class _Segment(NamedTuple):
    begin: int
    end: int
    before: int
    offset: int


@lru_cache(maxsize=16_384)
def _parse(pattern: str) -> _Fields:
    if len(pattern) > _MAX_PATTERN_LENGTH:
        raise _bad_pattern(pattern, f"it is longer than {_MAX_PATTERN_LENGTH} characters")
    text = pattern.strip()
    text = _ALIASES.get(text.lower(), text)
    try:
        parsed = CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise _bad_pattern(pattern, str(error)) from None
    parts = parsed.parts
    fields = _Fields(
        tuple(sorted(parsed.seconds)),
        tuple(sorted(parsed.minutes)),
        tuple(sorted(parsed.hours)),
        frozenset(parsed.months),
        parts[3],
        parts[5],
        _EVERY_HOUR.fullmatch(parts[2]) is not None,
    )
    if fields.next_day(0) is None:
        raise _bad_pattern(pattern, "it never matches")
    return fields


@lru_cache(maxsize=8_192)
def _days_of_month(days: str, weekdays: str, year: int, month: int) -> tuple[int, ...]:
    matcher = _day_matcher(days, weekdays)
    length = monthrange(year, month)[1]
    return tuple(day for day in range(1, length + 1) if matcher.match_day(date(year, month, day)))


@lru_cache(maxsize=1_024)
def _day_matcher(days: str, weekdays: str) -> CronSim:
    return CronSim(f"0 0 {days} * {weekdays}", datetime(2000, 1, 1, tzinfo=UTC))


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo:
    if _ZONE_NAME.fullmatch(name) is None:
        raise _bad_zone(name)
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise _bad_zone(name) from None


def _segment(zone: str, second: int) -> _Segment:
    segments = _segments(zone, second // _PERIOD)
    return segments[bisect_right(segments, second, key=_begin) - 1]


def _begin(segment: _Segment) -> int:
    return segment.begin


@lru_cache(maxsize=4_096)
def _segments(zone: str, period: int) -> tuple[_Segment, ...]:
    first, end = period * _PERIOD, (period + 1) * _PERIOD
    begin, before = first, _offset(zone, first - 1)
    offset = _offset(zone, first)
    found = []
    for sample in range(first, end, _DAY):
        probe = sample + _DAY - 1
        while _offset(zone, probe) != offset:
            change = _change(zone, max(begin, sample), probe, offset)
            found.append(_Segment(begin, change, before, offset))
            begin, before, offset = change, offset, _offset(zone, change)
    return (*found, _Segment(begin, end, before, offset))


def _change(zone: str, low: int, high: int, offset: int) -> int:
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _offset(zone, middle) == offset else (low, middle)
    return low


def _offset(zone: str, second: int) -> int:
    offset = datetime.fromtimestamp(second, _zone(zone)).utcoffset()
    return 0 if offset is None else offset.days * _DAY + offset.seconds


def _bad_pattern(pattern: object, reason: str) -> ScheduleError:
    return ScheduleError(
        f"cron_pattern is {excerpt(pattern)}: {reason}; it must have 5 fields, "
        "such as '*/15 8-18 * * MON-FRI', 6 with seconds first, or be '@daily' or the like"
    )


def _bad_zone(name: object) -> ScheduleError:
    return ScheduleError(
        f"timezone is {excerpt(name)}; it must be the name of an IANA time zone, "
        "such as 'Europe/Berlin' or 'UTC'"
    )
