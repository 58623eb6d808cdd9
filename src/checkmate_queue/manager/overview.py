"""What a manager tells of all queues of its backend."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import partial
from typing import Any

from checkmate_queue.core.details import BackendProbe, Lag
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.job import as_datetime
from checkmate_queue.core.lag import check_thresholds
from checkmate_queue.core.model import QueueStats
from checkmate_queue.examining import Examinable
from checkmate_queue.queue.queue import Queue
from checkmate_queue.queue.views import aggregate
from checkmate_queue.runtime.lag import save_thresholds
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.runtime import Runtime

PROBE_KEY = "probe"
IMPOSSIBLE_VERSION = 2**31 - 1


class Overview(ABC):
    """The part of a manager that looks at all queues, those of other processes included."""

    @abstractmethod
    async def _open_runtime(self) -> Runtime: ...

    @abstractmethod
    def _view(self, name: str) -> Queue[Any]: ...

    async def list_queues(self) -> list[str]:
        """The names of all queues of the backend, sorted; those of other processes, too."""
        return await self._queue_names(await self._open_runtime())

    async def get_all_stats(self) -> dict[str, QueueStats]:
        """The numbers of each queue of the backend, by name (L3).

        A queue that can't be read raises `BackendUnavailableError` that names it.
        """
        runtime = await self._open_runtime()
        found: dict[str, QueueStats] = {}
        for name in await self._queue_names(runtime):
            try:
                found[name] = await persevere(
                    partial(runtime.store.stats, name), runtime.settings.patience_seconds
                )
            except BackendUnavailableError as error:
                raise BackendUnavailableError(f"Queue {name!r} can't be read: {error}") from error
        return found

    async def get_aggregated_stats(self) -> QueueStats:
        """The sums over all queues of the backend (L3); `groups` are named `<queue>/<group>`.

        A queue that can't be read raises `BackendUnavailableError` that names it.
        """
        return aggregate(await self.get_all_stats())

    async def get_in_flight_job_count(self) -> int:
        """How many deliveries run now, in all processes and queues."""
        return (await self.get_aggregated_stats()).processing

    async def list_all_recurring_jobs(self) -> dict[str, list[str]]:
        """The ids of all schedules, by queue."""
        names = await self.list_queues()
        return {name: ids for name in names if (ids := await self._view(name).list_recurring_jobs())}

    async def get_lag(self) -> dict[str, Lag]:
        """How far each queue is behind (L4)."""
        return {name: await self._view(name).get_lag() for name in await self.list_queues()}

    async def set_lag_thresholds(self, warning: int, critical: int) -> None:
        """Set, for all processes, from how many pending deliveries lag is signalled (L4).

        Raises `InvalidArgumentError` unless 0 < warning < critical.
        """
        thresholds = check_thresholds(warning, critical)
        runtime = await self._open_runtime()
        await persevere(lambda: save_thresholds(runtime.store, thresholds), runtime.settings.patience_seconds)

    async def probe_backend(self) -> BackendProbe:
        """Prove, at once, that the backend answers and may be written to; tell its time and its dangers.

        Nothing is changed. Raises `BackendUnavailableError` without waiting for the patience.
        """
        store = (await self._open_runtime()).store
        began, began_at = time.perf_counter(), time.time()
        now = await store.ping()
        seconds = time.perf_counter() - began
        # A write that can't take effect needs the same rights as one that does.
        await store.save_setting(PROBE_KEY, "", IMPOSSIBLE_VERSION)
        dangers = await store.dangers() if isinstance(store, Examinable) else ()
        return BackendProbe(as_datetime(now), seconds, now / 1000 - (began_at + seconds / 2), tuple(dangers))

    async def _queue_names(self, runtime: Runtime) -> list[str]:
        return await persevere(runtime.store.queues, runtime.settings.patience_seconds)
