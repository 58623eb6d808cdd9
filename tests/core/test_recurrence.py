"""When schedules are due (R1, R2, R5, R8, L9), checked against walking through every minute."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from checkmate_queue.core.errors import ScheduleError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import Misfire
from checkmate_queue.core.recurrence import (
    Cron,
    Interval,
    Timing,
    check_misfire,
    first_due,
    next_due,
    plan,
)

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_790_000_000_000
GRACE = 5_000


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * 1000


def runs(timing: Timing, start: int, end: int, *, anchor: int = 0) -> list[int]:
    found = []
    moment = next_due(timing, anchor, start - 1)
    while moment < end:
        found.append(moment)
        moment = next_due(timing, anchor, moment)
    return found


def local(timing: Cron, start: str, end: str) -> list[str]:
    zone = timing.timezone
    return [
        datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).strftime("%dT%H:%M%z")
        for moment in runs(timing, at(start, zone), at(end, zone))
    ]


# -- intervals -----------------------------------------------------------------------------------


@given(st.floats(0.001, 1e6) | st.integers(1, 10**6), st.integers(0, NOW), st.integers(0, 10**12))
def test_the_grid_of_an_interval_never_drifts(seconds: float, anchor: int, elapsed: int) -> None:
    due = next_due(Interval(seconds), anchor, anchor + elapsed)
    step = Fraction(seconds) * 1000
    k = round((due - anchor) / step)
    assert due > anchor + elapsed
    assert abs(due - anchor - k * step) <= Fraction(1, 2)
    assert anchor + (k - 1) * step - Fraction(1, 2) <= anchor + elapsed


@given(st.floats(0.001, 0.01), st.integers(-(10**6), 10**12))
def test_the_due_times_of_an_interval_increase_strictly(seconds: float, after: int) -> None:
    first = next_due(Interval(seconds), 0, after)
    second = next_due(Interval(seconds), 0, first)
    assert after < first < second
    assert next_due(Interval(seconds), 0, second - 1) == second


def test_thirds_of_a_second_are_as_exact_after_ten_years() -> None:
    ten_years = 3650 * DAY
    assert runs(Interval(1 / 3), ten_years, ten_years + 1000) == [ten_years, ten_years + 333, ten_years + 667]


def test_an_interval_starts_at_its_anchor() -> None:
    assert first_due(Interval(30), 12_345) == 12_345
    assert next_due(Interval(30), 12_345, 0) == 12_345
    assert next_due(Interval(30), 12_345, 12_345) == 42_345
    assert next_due(Interval(30), 12_345, 42_344) == 42_345


def test_the_multiplier_scales_intervals_and_leaves_cron_alone() -> None:
    assert next_due(Interval(30), 0, 0, multiplier=0.01) == 300
    assert next_due(Interval(0.001), 0, 5, multiplier=0.01) == 6
    assert next_due(Cron("* * * * *"), 0, 0, multiplier=0.01) == 60_000


@pytest.mark.parametrize(
    "seconds",
    [0, -1, 0.0009, float("nan"), float("inf"), True, "5", None, timedelta(seconds=5), 10**400, 1e12],
    ids=excerpt,
)
def test_a_wrong_interval_is_refused(seconds: Any) -> None:
    with pytest.raises(ScheduleError, match=r"interval_seconds is .*must be a number from 0\.001"):
        Interval(seconds)


# -- cron patterns -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "* * * * MON#6",
        "0 0 31 2 *",
        "0 0 30 FEB *",
        "0 0 31 4,6,9,11 *",
        "@reboot",
        "@",
        "1" * 5_000 + " * * * *",
        "0," * 5_000 + "0 * * * *",
        "½ * * * *",
        None,
        5,
    ],
    ids=lambda pattern: str(pattern)[:20],
)
def test_a_wrong_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(ScheduleError, match=r"cron_pattern is .*; it must have 5 fields"):
        Cron(pattern)


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Mars/Olympus",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "Europe/",
        "Europe/../Europe/Berlin",
        "localtime",
        "posixrules",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "UTC\0",
        "UTC\n",
        "x" * 1_000,
        None,
        1,
    ],
    ids=lambda zone: str(zone)[:20],
)
def test_an_unknown_zone_is_refused(zone: Any) -> None:
    with pytest.raises(ScheduleError, match=r"timezone is .*IANA time zone"):
        Cron("* * * * *", zone)


@pytest.mark.parametrize(
    "zone", ["Etc/GMT+5", "America/Port-au-Prince", "America/Argentina/Ushuaia", "EST5EDT"]
)
def test_every_shape_of_zone_name_is_known(zone: str) -> None:
    assert Cron("@daily", zone).timezone == zone


@pytest.mark.parametrize(
    ("alias", "pattern"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@Yearly", "0 0 1 1 *"),
        (" @ANNUALLY ", "0 0 1 1 *"),
    ],
)
def test_aliases(alias: str, pattern: str) -> None:
    span = (at("2026-01-01"), at("2028-01-02"))
    assert runs(Cron(alias), *span) == runs(Cron(pattern), *span)


def test_seconds_come_first_of_six_fields() -> None:
    due = next_due(Cron("*/20 5 3 * * *"), 0, at("2026-01-01T03:05:00"))
    assert due == at("2026-01-01T03:05:20")
    assert next_due(Cron("5 3 * * *"), 0, at("2026-01-01")) == at("2026-01-01T03:05:00")


def test_cron_starts_at_the_first_match_from_then_on() -> None:
    pattern = Cron("*/5 * * * *")
    assert first_due(pattern, at("2026-01-01T00:05:00")) == at("2026-01-01T00:05:00")
    assert first_due(pattern, at("2026-01-01T00:05:00") + 1) == at("2026-01-01T00:10:00")
    assert first_due(pattern, at("2026-01-01T00:05:00") - 1) == at("2026-01-01T00:05:00")


@pytest.mark.parametrize(
    "pattern",
    [
        "*/7 * * * *",
        "0 9-17/2 * * MON-FRI",
        "30 4 1,15 * 5",
        "0 0 */2 * MON",
        "0 0 L * *",
        "0 0 LW * *",
        "0 0 * * 5L",
        "0 0 * JAN-MAR,DEC MON#1,FRI#3",
        "0 12 29 2 *",
        "0 0 29 2 1",
        "15 10 * * 7",
        "*/13 7,8 */6 * * *",
        "59 59 23 31 12 *",
        "0 0 29 FEB */7",
    ],
)
def test_in_utc_every_pattern_matches_as_its_parser_says(pattern: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    reference = CronSim(pattern, start - timedelta(seconds=1))
    expected = [int(next(reference).timestamp()) * 1000 for _ in range(300 if "29" not in pattern else 5)]
    assert runs(Cron(pattern), at("2026-01-01"), expected[-1] + 1) == expected


def test_a_pattern_that_matches_once_in_decades_is_found() -> None:
    assert next_due(Cron("0 0 29 2 */7"), 0, at("2026-01-01")) == at("2032-02-29")
    assert next_due(Cron("0 0 29 2 */7"), 0, at("2088-03-01")) == at("2128-02-29")


def test_the_end_of_the_calendar_is_an_error_and_no_due_time() -> None:
    last = at("9991-01-01")
    with pytest.raises(ScheduleError, match="does not match again before the year 9990"):
        next_due(Cron("@daily", "Europe/Berlin"), 0, last)
    assert plan(Cron("@daily"), anchor=0, expected_at=last, now=last, misfire="coalesce").next_at is None


# -- clocks that change (R2) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "zone", "start", "end", "expected"),
    [
        # Fixed hours in a gap: once, right after it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", "2026-03-31",
         "28T02:30+0100 29T03:00+0200 30T02:30+0200"),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29", "2026-03-30", "29T03:00+0200"),
        ("*/15 2-3 * * *", "Europe/Berlin", "2026-03-29", "2026-03-30",
         "29T03:00+0200 29T03:15+0200 29T03:30+0200 29T03:45+0200"),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03", "2018-11-06",
         "03T00:00-0300 04T01:00-0200 05T00:00-0200"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", "2026-10-05", "04T02:30+1100"),
        ("30 1,2 * * *", "Antarctica/Troll", "2026-03-29", "2026-03-30", "29T03:00+0200"),
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00", "2012-01-01",
         "29T12:00-1000 31T00:00+1400 31T12:00+1400"),
        ("50 2 * * *", "Pacific/Chatham", "2026-09-27", "2026-09-28", "27T03:45+1345"),
        ("30 2 * * *", "Africa/Casablanca", "2026-03-22", "2026-03-23", "22T03:00+0100"),
        # Fixed hours that come twice: at the first.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", "2026-10-26", "25T02:30+0200"),
        ("*/30 1,2,3 * * *", "Europe/Berlin", "2026-10-25", "2026-10-26",
         "25T01:00+0200 25T01:30+0200 25T02:00+0200 25T02:30+0200 25T03:00+0100 25T03:30+0100"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", "2026-04-06", "05T01:45+1100"),
        ("30 1,2 * * *", "Antarctica/Troll", "2026-10-25", "2026-10-26", "25T01:30+0200 25T02:30+0200"),
        ("30 23 * * *", "America/Sao_Paulo", "2018-02-17", "2018-02-18", "17T23:30-0200"),
        # Every hour: real time.
        ("30 * * * *", "Europe/Berlin", "2026-03-29T01:00", "2026-03-29T05:00",
         "29T01:30+0100 29T03:30+0200 29T04:30+0200"),
        ("30 * * * *", "Europe/Berlin", "2026-10-25T01:00", "2026-10-25T04:00",
         "25T01:30+0200 25T02:30+0200 25T02:30+0100 25T03:30+0100"),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-29", "2026-03-29T07:00",
         "29T00:00+0100 29T04:00+0200 29T06:00+0200"),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-25", "2026-10-25T05:00",
         "25T00:00+0200 25T02:00+0200 25T02:00+0100 25T04:00+0100"),
        ("0 */3 * * *", "Europe/Berlin", "2026-10-25", "2026-10-25T07:00",
         "25T00:00+0200 25T03:00+0100 25T06:00+0100"),
        ("0 * * * *", "Antarctica/Troll", "2026-03-29", "2026-03-29T05:00",
         "29T00:00+0000 29T03:00+0200 29T04:00+0200"),
        ("0 12 * * *", "Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:01", ""),
        ("0 */12 * * *", "Pacific/Apia", "2011-12-29", "2012-01-01",
         "29T00:00-1000 29T12:00-1000 31T00:00+1400 31T12:00+1400"),
    ],
)  # fmt: skip
def test_known_changes_of_the_clocks(pattern: str, zone: str, start: str, end: str, expected: str) -> None:
    assert local(Cron(pattern, zone), start, end) == expected.split()


# Each zone with a day near a change of its clocks.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Pacific/Apia", "2011-12-30"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Pacific/Chatham", "2026-09-27"),
    ("Asia/Kathmandu", "2026-03-29"),
    ("UTC", "2026-03-29"),
]

MINUTES = st.one_of(
    st.just(("*", frozenset(range(60)))),
    st.sampled_from([5, 7, 20, 30, 45]).map(lambda n: (f"*/{n}", frozenset(range(0, 60, n)))),
    st.frozensets(st.integers(0, 59), min_size=1, max_size=3).map(
        lambda chosen: (",".join(map(str, sorted(chosen))), chosen)
    ),
)
EVERY_HOURS = st.sampled_from([None, 2, 3, 5, 12, 24]).map(
    lambda n: (f"*/{n}", frozenset(range(0, 24, n))) if n else ("*", frozenset(range(24)))
)
FIXED_HOURS = st.one_of(
    st.just(("0-23", frozenset(range(24)))),
    st.frozensets(st.integers(0, 3) | st.integers(0, 23), min_size=1, max_size=4).map(
        lambda chosen: (",".join(map(str, sorted(chosen))), chosen)
    ),
)


def walk_minutes(start: int, end: int, zone: ZoneInfo) -> Iterator[tuple[int, datetime]]:
    for moment in range(start, end, 60_000):
        yield moment, datetime.fromtimestamp(moment // 1000, zone).replace(tzinfo=None)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), MINUTES, EVERY_HOURS)
def test_with_every_hour_all_instants_match_whose_local_time_does(
    change: tuple[str, str], minutes: tuple[str, frozenset[int]], hours: tuple[str, frozenset[int]]
) -> None:
    zone, day = change
    start, end = at(day) - 30 * HOUR, at(day) + 30 * HOUR
    expected = [
        moment
        for moment, wall in walk_minutes(start, end, ZoneInfo(zone))
        if wall.minute in minutes[1] and wall.hour in hours[1]
    ]
    assert runs(Cron(f"{minutes[0]} {hours[0]} * * *", zone), start, end) == expected


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), MINUTES, FIXED_HOURS)
def test_with_fixed_hours_every_local_time_that_matches_counts_once(
    change: tuple[str, str], minutes: tuple[str, frozenset[int]], hours: tuple[str, frozenset[int]]
) -> None:
    zone, day = change
    start, end = at(day) - 30 * HOUR, at(day) + 30 * HOUR
    expected = set()
    latest = None
    for moment, wall in walk_minutes(start - 30 * HOUR, end, ZoneInfo(zone)):
        # What the clocks jumped over is due now, and what they show again was due before.
        new = wall if latest is None else latest + timedelta(minutes=1)
        while new <= wall:
            if new.minute in minutes[1] and new.hour in hours[1]:
                expected.add(moment)
            new += timedelta(minutes=1)
        latest = wall if latest is None else max(latest, wall)
    found = runs(Cron(f"{minutes[0]} {hours[0]} * * *", zone), start, end)
    assert found == sorted(moment for moment in expected if moment >= start)


def test_changes_of_the_clocks_are_found_over_decades() -> None:
    zone = "Europe/Berlin"
    found = runs(Cron("30 2 * * *", zone), at("2020-01-01", zone), at("2060-01-01", zone))
    days = (datetime(2060, 1, 1, tzinfo=UTC) - datetime(2020, 1, 1, tzinfo=UTC)).days
    assert len(found) == days
    odd = [moment for moment in found if datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).hour != 2]
    assert len(odd) == 40


PATTERNS = st.sampled_from(
    [
        Interval(1),
        Interval(1 / 3),
        Interval(86_400),
        Interval(0.001),
        Cron("* * * * *"),
        Cron("*/20 * * * * *"),
        Cron("*/7 3,9 * * *", "Europe/Berlin"),
        Cron("30 2 * * *", "Australia/Lord_Howe"),
        Cron("0 0 * * MON-FRI", "America/Sao_Paulo"),
        Cron("0 0 L * *", "Asia/Tokyo"),
        Cron("* * 0 1 1 *", "Pacific/Apia"),
        Cron("@yearly", "America/New_York"),
    ]
)


@given(PATTERNS, st.integers(0, 3 * NOW))
def test_the_next_due_time_is_the_next_one(timing: Timing, after: int) -> None:
    due = next_due(timing, 12_345, after)
    assert due > after
    assert next_due(timing, 12_345, due) > due
    assert next_due(timing, 12_345, (after + due) // 2 if due - after > 1 else after) == due
    assert next_due(timing, 12_345, due - 1) == due


# -- what to fire (R5) ---------------------------------------------------------------------------

MISFIRES = st.sampled_from(["coalesce", "skip", "all"])


@settings(deadline=None)
@given(PATTERNS, MISFIRES, st.integers(0, NOW), st.integers(0, 10**11) | st.integers(0, 10**6))
def test_a_plan_is_never_early_and_repeats_nothing(
    timing: Timing, misfire: Misfire, start: int, late: int
) -> None:
    anchor = first_due(timing, start)
    now = anchor + late
    found = plan(timing, anchor=anchor, expected_at=anchor, now=now, misfire=misfire)
    assert list(found.due) == sorted(set(found.due))
    assert all(anchor <= moment <= now for moment in found.due)
    assert len(found.due) <= (1_000 if misfire == "all" else 1)
    assert found.next_at == next_due(timing, anchor, now)
    if misfire == "skip":
        assert all(now - moment <= GRACE for moment in found.due)
    else:
        assert next_due(timing, anchor, found.due[-1]) == found.next_at
        assert len(found.due) == 1_000 or misfire == "coalesce" or found.due[0] == anchor
    for earlier, later in itertools.pairwise(found.due):
        assert next_due(timing, anchor, earlier) == later


def test_what_is_not_due_is_not_fired() -> None:
    found = plan(Interval(30), anchor=0, expected_at=60_000, now=59_999, misfire="all")
    assert (found.due, found.next_at) == ((), 60_000)


def test_on_time_every_policy_fires() -> None:
    for misfire in ("coalesce", "skip", "all"):
        found = plan(Interval(30), anchor=0, expected_at=60_000, now=60_004, misfire=check_misfire(misfire))
        assert (found.due, found.next_at) == ((60_000,), 90_000)


def test_coalesce_fires_the_last_due_time_however_late() -> None:
    found = plan(Interval(30), anchor=0, expected_at=60_000, now=149_000, misfire="coalesce")
    assert (found.due, found.next_at) == ((120_000,), 150_000)


def test_skip_fires_only_what_is_not_missed() -> None:
    for late, due in ((5_000, (120_000,)), (5_001, ()), (0, (120_000,))):
        found = plan(Interval(30), anchor=0, expected_at=60_000, now=120_000 + late, misfire="skip")
        assert (found.due, found.next_at) == (due, 150_000)


def test_all_fires_each_of_them_and_at_most_the_latest_thousand() -> None:
    found = plan(Interval(30), anchor=0, expected_at=60_000, now=121_000, misfire="all")
    assert found.due == (60_000, 90_000, 120_000)
    found = plan(Interval(1), anchor=0, expected_at=0, now=3650 * DAY + 1, misfire="all")
    assert found.due == tuple(range(3650 * DAY - 999_000, 3650 * DAY + 1, 1_000))
    assert found.next_at == 3650 * DAY + 1_000


@pytest.mark.parametrize("misfire", ["coalesce", "skip", "all"])
@pytest.mark.parametrize("pattern", ["* * * * * *", "* * * * *", "@hourly", "* * 1 1 *", "*/10 * 0 * * *"])
def test_a_long_gap_is_planned_without_walking_through_it(
    pattern: str, misfire: Misfire, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = Cron.next_second

    def counted(self: Cron, after: int) -> int | None:
        nonlocal calls
        calls += 1
        return original(self, after)

    monkeypatch.setattr(Cron, "next_second", counted)
    timing = Cron(pattern, "Europe/Berlin")
    start = first_due(timing, NOW - 3650 * DAY)
    plan(timing, anchor=start, expected_at=start, now=NOW, misfire=misfire)
    assert calls < (4_000 if misfire == "all" else 100)


def test_a_stored_due_time_off_the_grid_still_counts() -> None:
    for misfire in ("coalesce", "all"):
        found = plan(
            Cron("@daily"), anchor=0, expected_at=NOW + 7, now=NOW + 9, misfire=check_misfire(misfire)
        )
        assert found.due == (NOW + 7,)


def test_a_plan_follows_the_multiplier() -> None:
    found = plan(Interval(30), anchor=0, expected_at=300, now=700, misfire="all", multiplier=0.01)
    assert (found.due, found.next_at) == ((300, 600), 900)


def test_an_unknown_misfire_is_refused() -> None:
    wrong: Any = ["all"]
    for value in ("later", "", wrong):
        with pytest.raises(ScheduleError, match=r"misfire is .*must be 'coalesce', 'skip' or 'all'"):
            check_misfire(value)
