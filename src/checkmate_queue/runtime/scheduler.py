"""Turns due schedules into firings."""

from __future__ import annotations

import logging

from checkmate_queue.core.errors import ScheduleError
from checkmate_queue.core.model import Firing, Millis, NewSchedule, Schedule, Tick
from checkmate_queue.core.recurrence import Cron, Interval, Timing, plan
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.store import Scheduling

log = logging.getLogger("checkmate_queue.scheduler")

BROKEN_RETRY_MS = 60_000


def timing_of(spec: NewSchedule) -> Timing:
    """The timing of a stored schedule; `ScheduleError` where it can't be understood."""
    if spec.interval_seconds is not None:
        return Interval(spec.interval_seconds)
    if spec.cron_pattern is not None:
        return Cron(spec.cron_pattern, spec.timezone)
    raise ScheduleError(f"Schedule {spec.id!r} has neither an interval nor a cron pattern")


class Scheduler:
    """Fires what a tick found due. Any number may run: the engine compares and sets (R3)."""

    def __init__(self, store: Scheduling, queue: str, settings: RuntimeSettings) -> None:
        self._store = store
        self._queue = queue
        self._settings = settings

    async def fire(self, tick: Tick) -> int:
        """Fire the tick's due schedules; return how many took effect."""
        if not tick.due:
            return 0
        firings = [firing for schedule in tick.due if (firing := self._firing(schedule, tick.now))]
        return sum(await persevere(lambda: self._store.fire(self._queue, firings)))

    def _firing(self, schedule: Schedule, now: Millis) -> Firing | None:
        spec, expected_at = schedule.spec, schedule.next_at
        if expected_at is None:
            return None
        try:
            planned = plan(
                timing_of(spec),
                anchor=schedule.anchor,
                expected_at=expected_at,
                now=now,
                misfire=spec.misfire,
                multiplier=self._settings.delay_multiplier,
            )
        except Exception as error:
            # One that a hand has spoilt must not hold up the others (X3).
            log.error("%s: schedule %r can't run: %r", self._queue, spec.id, error)
            return Firing(spec.id, schedule.revision, expected_at, now + BROKEN_RETRY_MS, ())
        return Firing(spec.id, schedule.revision, expected_at, planned.next_at, planned.due)
