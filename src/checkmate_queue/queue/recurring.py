"""Recurring jobs, as users see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

from checkmate_queue.core.details import RecurringJobDetails
from checkmate_queue.core.durations import ceil_millis, to_millis
from checkmate_queue.core.errors import PayloadError, ScheduleError
from checkmate_queue.core.model import Firing, Millis, Misfire, Schedule, occurrence_id
from checkmate_queue.core.payload import canonical_json
from checkmate_queue.core.recurrence import first_due
from checkmate_queue.core.validation import MAX_SCHEDULE_ID_BYTES, check_name
from checkmate_queue.queue.base import QueueBase
from checkmate_queue.queue.orders import new_schedule, timing_from
from checkmate_queue.queue.views import recurring_details
from checkmate_queue.runtime.runtime import Runtime
from checkmate_queue.store import BATCH, Store, UnknownQueueError

T = TypeVar("T")


class Recurring(QueueBase[T]):
    """The schedules of the queue."""

    async def schedule_recurring(
        self,
        job_id: str,
        data: T,
        *,
        interval_seconds: float | None = None,
        cron_pattern: str | None = None,
        timezone: str = "UTC",
        start_delay: float | timedelta = 0,
        priority: int = 0,
        misfire: Misfire = "coalesce",
        overlap: bool = True,
    ) -> str:
        """Make a job again and again, and return `job_id`; the same definition again changes nothing (R4).

        Exactly one of `interval_seconds` (R1) and `cron_pattern` (5 fields, or 6 with seconds first, in the
        IANA `timezone`, R2). `start_delay` places the first run; `misfire` and `overlap` say what becomes
        of due times that were missed or overtaken (R5, R6).

        Raises `ScheduleError`, `PayloadError`, `InvalidArgumentError`; an old schedule then stays (R8).
        """
        settings = (await self._open_for_work()).runtime.settings
        job_id = check_name("job_id", job_id, MAX_SCHEDULE_ID_BYTES)
        timing = timing_from(interval_seconds, cron_pattern, timezone)
        delay_ms = ceil_millis(to_millis(start_delay, name="start_delay") * settings.delay_multiplier / 1000)
        make = partial(
            new_schedule,
            job_id,
            timing=timing,
            timezone=timezone,
            priority=priority,
            misfire=misfire,
            overlap=overlap,
            unclaimed=self.unclaimed,
        )
        raw = self._codec.encode(data)
        now = await self._ask(lambda runtime: runtime.store.ping())
        spec = make(data=await self._as_stored(job_id, raw), first_at=first_due(timing, now + delay_ms))
        await self._ask(lambda runtime: runtime.store.put_schedule(self.name, spec))
        return job_id

    async def _as_stored(self, schedule_id: str, raw: bytes) -> bytes:
        """The JSON that the schedule has already, where it means the same.

        The same set makes different JSON in each process, which must not look like a new definition (R4).
        """
        stored = await self._schedule(schedule_id)
        if stored is None:
            return raw
        try:
            # `==` alone takes 1 for True, and does not see fields that a class leaves out of it.
            alike = canonical_json(stored.spec.data, ordered=False) == canonical_json(raw, ordered=False)
            same = alike and self._codec.decode(stored.spec.data) == self._codec.decode(raw)
        except PayloadError:
            return raw
        return stored.spec.data if same is True else raw

    async def cancel_recurring(self, job_id: str) -> bool:
        """Remove the schedule and its jobs that have not started; False for an unknown id (R7)."""
        check_name("job_id", job_id)
        return await self._ask(lambda runtime: runtime.store.drop_schedule(self.name, job_id))

    async def run_recurring_now(self, job_id: str) -> str | None:
        """Make one more job of the schedule at once, off its grid; return the job's id.

        It is an occurrence like others: None where the schedule's `misfire` or `overlap` hold it back, since
        an earlier one has not started or still runs (R5, R6). The next due time stays. Raises
        `ScheduleError` for an unknown id, and where the pattern never matches again.
        """
        self._check_open()
        check_name("job_id", job_id)
        now = await self._ask(lambda runtime: runtime.store.ping())
        schedule = await self._schedule(job_id)
        # A time of its own, so that what was made by this call can be told from what was made before.
        due = now if schedule is None else max(now, (schedule.last_run_at or 0) + 1)
        made = None
        while made is None:
            made = await self._ask(lambda runtime: self._fire_off_grid(runtime.store, job_id, due))
        return occurrence_id(job_id, due) if made else None

    async def _fire_off_grid(self, store: Store, schedule_id: str, due: Millis) -> bool | None:
        """Whether a job was made; None where the schedule moved on meanwhile."""
        schedule = await _stored(store, self.name, schedule_id)
        if schedule is None or schedule.next_at is None:
            raise ScheduleError(
                f"Queue {self.name!r} has no recurring job {schedule_id!r} that would run again"
            )
        if schedule.last_run_at == due:
            return True  # An answer was lost.
        firing = Firing(schedule_id, schedule.revision, schedule.next_at, schedule.next_at, (due,))
        if not (await store.fire(self.name, [firing]))[0]:
            return None
        schedule = await _stored(store, self.name, schedule_id)
        return schedule is not None and schedule.last_run_at == due

    async def list_recurring_jobs(self) -> list[str]:
        """The ids of all schedules, sorted."""
        found: list[str] = []
        while True:

            async def page(runtime: Runtime, after: str = found[-1] if found else "") -> list[Schedule]:
                return await _schedules(runtime.store, self.name, after=after)

            schedules = await self._look(page)
            found += [schedule.spec.id for schedule in schedules]
            if len(schedules) < BATCH:
                return found

    async def get_recurring_job_details(self, job_id: str) -> RecurringJobDetails | None:
        """The schedule of this id, or None."""
        check_name("job_id", job_id)
        stored = await self._schedule(job_id)
        return None if stored is None else recurring_details(stored, self._codec)

    async def _schedule(self, schedule_id: str) -> Schedule | None:
        return await self._look(lambda runtime: _stored(runtime.store, self.name, schedule_id))


async def _stored(store: Store, queue: str, schedule_id: str) -> Schedule | None:
    found = await _schedules(store, queue, [schedule_id])
    return found[0] if found else None


async def _schedules(
    store: Store, queue: str, ids: Sequence[str] | None = None, *, after: str = ""
) -> list[Schedule]:
    try:
        return await store.schedules(queue, ids, after=after)
    except UnknownQueueError:
        return []  # Nobody has put anything into it yet.
