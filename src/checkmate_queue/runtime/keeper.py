"""Does for a queue what time has made due: ticks, lapsed leases, schedules, lag."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Protocol

from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.job import as_datetime
from checkmate_queue.core.lifecycle import decide_lapse
from checkmate_queue.core.model import Epoch, Fail, LapseSettlement, Millis, Tick
from checkmate_queue.runtime.bell import Bell
from checkmate_queue.runtime.dispatcher import POLL_SECONDS
from checkmate_queue.runtime.events import EventHub, GroupAbandoned, JobFailed
from checkmate_queue.runtime.lag import LagWatch
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.scheduler import Scheduler
from checkmate_queue.runtime.service import Service
from checkmate_queue.store import Consumption, LeaseLostError

log = logging.getLogger("checkmate_queue.keeper")


class Household(Protocol):
    """What a keeper needs of its worker."""

    async def present_epoch(self) -> Epoch | None: ...

    async def lease_lost(self, epoch: Epoch) -> None: ...

    def work_came(self) -> None: ...

    def due_next(self, at: Millis | None) -> None: ...


class Keeper(Service):
    """Every process that consumes a queue keeps it; two keepers at once do no harm."""

    def __init__(
        self,
        store: Consumption,
        household: Household,
        queue: str,
        scheduler: Scheduler,
        lag: LagWatch,
        hub: EventHub,
    ) -> None:
        super().__init__(f"checkmate keeper {queue}")
        self.queue = queue
        self._store = store
        self._household = household
        self._scheduler = scheduler
        self._lag = lag
        self._hub = hub
        self._bell = Bell()
        self._wakes_at = 0.0
        self._settled: list[LapseSettlement] = []
        self._watching: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Tick now."""
        self._bell.ring()

    @property
    def quiet(self) -> bool:
        """Whether the last tick left nothing to do."""
        return self._bell.sleeping

    def due_in(self, seconds: float) -> None:
        """Something is due then: come at that time, should that be earlier than planned."""
        if time.monotonic() + seconds < self._wakes_at:
            self._bell.ring()

    async def _run(self) -> None:
        while (epoch := await self._household.present_epoch()) is not None:
            try:
                tick = await persevere(partial(self._store.tick, epoch, self._settled))
            except LeaseLostError:
                self._settled = []
                await self._household.lease_lost(epoch)
                continue
            self._household.due_next(tick.next_at)
            released = bool(self._settled) or tick.readied > 0
            self._settled = settled = [
                LapseSettlement(lapsed.group, decide_lapse(lapsed)) for lapsed in tick.lapsed
            ]
            self._announce(tick, settled)
            if await self._scheduler.fire(tick) or released:
                self._household.work_came()
            if self._watching is None or self._watching.done():
                # Apart, since it reads settings, and a slow reader must not hold up what is due.
                self._watching = asyncio.create_task(self._watch_lag(tick))
            if not (settled or tick.more or tick.due):
                await self._sleep(tick)

    async def stop(self) -> None:
        """End the loop, and what it has under way."""
        await super().stop()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch_lag(self, tick: Tick) -> None:
        try:
            await self._lag.observe(tick.pending, tick.now)
        except BackendUnavailableError:
            log.debug("%s: the lag could not be stored", self.queue)
        except Exception:
            log.exception("%s: the lag could not be told", self.queue)

    async def _sleep(self, tick: Tick) -> None:
        pause = POLL_SECONDS
        if tick.next_at is not None:
            # Half a millisecond more, since an engine's clock is cut to whole ones.
            pause = min(pause, max(0.0, (tick.next_at - tick.now + 0.5) / 1000))
        self._wakes_at = time.monotonic() + pause
        await self._bell.wait(pause)

    def _announce(self, tick: Tick, settled: list[LapseSettlement]) -> None:
        if settled:
            log.warning("%s: %d deliveries had lost their worker", self.queue, len(settled))
        for lapsed, lapse in zip(tick.lapsed, settled, strict=True):
            match lapse.settlement:
                case Fail(_, failure):
                    job_id = lapsed.claim.job_id
                    log.error(
                        "%s/%s: %s failed for good: %r", self.queue, lapsed.group, job_id, failure.message
                    )
                    self._hub.emit(
                        JobFailed(self.queue, job_id, lapsed.group, failure.error_type, failure.message)
                    )
                case _:
                    log.info(
                        "%s/%s: %s goes to another worker", self.queue, lapsed.group, lapsed.claim.job_id
                    )
        for group in tick.abandoned:
            log.warning(
                "%s: consumer group %r has no consumer while others have; it will be dropped at %s "
                "with all that waits for it. Start a consumer, or drop it.",
                self.queue, group.name, _when(group.drop_at),
            )  # fmt: skip
            self._hub.emit(GroupAbandoned(self.queue, group.name, group.drop_at))
        for name in tick.dropped:
            log.warning("%s: consumer group %r was dropped", self.queue, name)


def _when(at: Millis) -> str:
    return as_datetime(at).isoformat(timespec="minutes")
