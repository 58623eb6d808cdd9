"""Recurring jobs, as users see them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from checkmate_queue.core.details import RecurringJobDetails
from checkmate_queue.core.durations import ceil_millis, to_millis
from checkmate_queue.core.errors import PayloadError
from checkmate_queue.core.model import Misfire, Unclaimed
from checkmate_queue.core.payload import PayloadCodec
from checkmate_queue.core.recurrence import first_due
from checkmate_queue.queue.orders import new_schedule, timing_from
from checkmate_queue.queue.views import recurring_details
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.store import BATCH, Store


class Recurring:
    """The schedules of one queue."""

    def __init__(
        self,
        store: Store,
        queue: str,
        codec: PayloadCodec[Any],
        unclaimed: Unclaimed,
        multiplier: float,
        patience: float,
    ) -> None:
        self._store = store
        self._queue = queue
        self._codec = codec
        self._unclaimed = unclaimed
        self._multiplier = multiplier
        self._patience = patience

    async def put(
        self,
        schedule_id: str,
        data: object,
        *,
        interval_seconds: float | None,
        cron_pattern: str | None,
        timezone: str,
        start_delay: float | timedelta,
        priority: int,
        misfire: Misfire,
        overlap: bool,
    ) -> str:
        timing = timing_from(interval_seconds, cron_pattern, timezone)
        delay_ms = ceil_millis(to_millis(start_delay, name="start_delay") * self._multiplier / 1000)
        raw = await self._as_stored(schedule_id, self._codec.encode(data))
        now = await persevere(self._store.ping, self._patience)
        spec = new_schedule(
            schedule_id,
            raw,
            timing,
            first_due(timing, now + delay_ms),
            timezone=timezone,
            priority=priority,
            misfire=misfire,
            overlap=overlap,
            unclaimed=self._unclaimed,
        )
        await persevere(lambda: self._store.put_schedule(self._queue, spec), self._patience)
        return schedule_id

    async def _as_stored(self, schedule_id: str, raw: bytes) -> bytes:
        """The JSON that the schedule has already, where it means the same.

        The same set makes different JSON in each process, which must not look like a new definition (R4).
        """
        page = await persevere(lambda: self._store.schedules(self._queue, [schedule_id]), self._patience)
        if not page:
            return raw
        try:
            same = self._codec.decode(page[0].spec.data) == self._codec.decode(raw)
        except PayloadError:
            return raw
        return page[0].spec.data if same is True else raw

    async def cancel(self, schedule_id: str) -> bool:
        return await persevere(lambda: self._store.drop_schedule(self._queue, schedule_id), self._patience)

    async def ids(self) -> list[str]:
        found: list[str] = []
        while True:
            after = found[-1] if found else ""
            page = await persevere(partial(self._store.schedules, self._queue, None, after), self._patience)
            found += [schedule.spec.id for schedule in page]
            if len(page) < BATCH:
                return found

    async def details(self, schedule_id: str) -> RecurringJobDetails | None:
        page = await persevere(lambda: self._store.schedules(self._queue, [schedule_id]), self._patience)
        return recurring_details(page[0], self._codec) if page else None
