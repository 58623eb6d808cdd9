"""The store that a process works with: the active backend's, whichever that is, now and after a switch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from checkmate_queue.core.errors import BackendUnavailableError, ConfigError, QueueError
from checkmate_queue.core.model import (
    Added,
    CancelResult,
    Epoch,
    Exchange,
    FailedRecord,
    Firing,
    GroupJoin,
    GroupRecord,
    JobRecord,
    JobState,
    LapseSettlement,
    Millis,
    NewJob,
    NewSchedule,
    Orders,
    QueueFull,
    QueueStats,
    Schedule,
    Settlement,
    Tick,
    WorkerRecord,
)
from checkmate_queue.examining import Examinable
from checkmate_queue.moving import MovableStore
from checkmate_queue.store import BATCH, FencedError, LeaseLostError, News, Setting, SettingsStore
from checkmate_queue.switching.generations import Follow, Generation, Look, OvertakenError
from checkmate_queue.switching.parts import BITS, Part, marked

T = TypeVar("T")

AddWithin: TypeAlias = Callable[[object, str, Sequence[NewJob]], Awaitable[QueueFull | None]]


def _as_it_is(_part: Part, answer: T) -> T:
    return answer


class SwitchableStore:
    """Every verb goes to the active backend; one that meets a fence waits for the switch, and goes again.

    Epochs and keys stay for the worker what they were. Settings are those of `settings`, and never move.
    """

    def __init__(
        self,
        store: MovableStore,
        settings: SettingsStore,
        follow: Follow,
        kept: bool,
        backend: str = "",
        look: Look | None = None,
    ) -> None:
        self._current = Generation(0, store, kept=kept, backend=backend)
        self._settings = settings
        self._follow = follow
        self._look = look
        self._listeners: list[News] = []
        self._parts: dict[Epoch, Part] = {}
        self._workers: dict[tuple[str, str], Part] = {}
        self._closing: set[asyncio.Task[None]] = set()

    # -- switching -------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Counts the switches that were followed here."""
        return self._current.number

    @property
    def active(self) -> MovableStore:
        """The active backend's store."""
        return self._current.store

    def switch_to(self, store: MovableStore, kept: bool, backend: str = "") -> None:
        """Work with another store from now on; `kept` says that it is not ours to close."""
        number = self._current.number + 1
        old, self._current = self._current, Generation(number, store, kept=kept, backend=backend)
        for on_news in self._listeners:
            store.listen(on_news)
        old.retired = True
        self._close_if_done(old)

    def keep_settings_in(self, settings: SettingsStore, closing: MovableStore | None) -> None:
        """Read and write settings there from now on; `closing` is the store of those before, if of no use."""
        self._settings = settings
        if closing is not None:
            self._close(closing)
        else:
            self._current.kept = False

    def _close(self, store: MovableStore) -> None:
        task = asyncio.get_running_loop().create_task(store.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _close_if_done(self, generation: Generation) -> None:
        if generation.retired and not generation.calls and not generation.kept:
            generation.kept = True
            self._close(generation.store)

    async def _call(self, verb: Callable[[MovableStore], Awaitable[T]]) -> T:
        while True:
            generation = self._current
            generation.calls += 1
            successor: str | None = None
            try:
                return await verb(generation.store)
            except FencedError as fence:
                successor = fence.successor
            except OvertakenError:
                continue
            except BackendUnavailableError:
                # A backend that was switched away from may go, whatever is still asked of it.
                if not await self._has_moved(generation):
                    raise
            finally:
                generation.calls -= 1
                if generation.retired:
                    self._close_if_done(generation)
            if successor is not None:
                await self._follow(generation.number, successor)

    async def _has_moved(self, generation: Generation) -> bool:
        try:
            if generation is not self._current:
                return True
            return self._look is not None and await self._look(generation.number)
        except QueueError:
            return False  # Nor can the settings be read.

    async def _read(self, verb: Callable[[MovableStore], Awaitable[T]]) -> T:
        """A read is stopped by no fence, so what it found is looked for again where a switch came first."""
        while True:
            generation = self._current
            answer = await self._call(verb)
            if not await self._has_moved(generation):
                return answer

    async def _call_for(
        self,
        epoch: Epoch,
        verb: Callable[[MovableStore, Part], Awaitable[T]],
        note: Callable[[Part, T], T] = _as_it_is,
    ) -> T:
        """Call for a worker; `note` makes of the engine's answer the worker's."""
        part = self._part(epoch)

        async def call(store: MovableStore) -> T:
            current = self._current
            generation = current.number
            if part.generation != generation:
                await self._resume(part)
            if part.generation != generation:
                raise OvertakenError
            try:
                answer = await verb(store, part)
            except LeaseLostError:
                # Or all has moved away and back meanwhile, and its epoch has another number here.
                if not await self._has_moved(current):
                    raise
                raise OvertakenError from None
            if part.generation != generation:
                raise OvertakenError
            return note(part, answer)

        return await self._call(call)

    async def _resume(self, part: Part) -> None:
        """Find a worker's epoch again after a switch; raises `LeaseLostError` if it died meanwhile."""
        async with part.resuming:
            generation = self._current
            if part.generation == generation.number:
                return
            queue = part.known.queue
            # A write meets the fence of a store that does not accept yet, where every epoch reads as dead.
            await generation.store.register(queue)
            workers = await generation.store.workers(queue)
            numbers = [each.epoch for each in workers if each.worker == part.worker]
            if not numbers:
                self._forget(part)
                raise LeaseLostError
            real = Epoch(queue, numbers[-1])
            part.resume(real, generation.number, await generation.store.held(real))

    def _part(self, epoch: Epoch) -> Part:
        part = self._parts.get(epoch)
        if part is None:
            generation = self._current.number
            if epoch.number >> BITS != generation:
                raise LeaseLostError
            # One that did not join through here is good until the next switch.
            part = Part(epoch, "", Epoch(epoch.queue, epoch.number - (generation << BITS)), generation)
        return part

    def _forget(self, part: Part) -> None:
        self._parts.pop(part.known, None)
        self._workers.pop((part.known.queue, part.worker), None)

    # -- lifecycle -------------------------------------------------------------------------------

    async def open(self) -> None:
        """See the contract."""
        await self._current.store.open()

    async def close(self) -> None:
        """See the contract."""
        if self._closing:
            await asyncio.wait(self._closing)
        if not self._current.kept:
            await self._current.store.close()

    async def ping(self) -> Millis:
        """See the contract."""
        return await self._current.store.ping()

    async def dangers(self) -> Sequence[str]:
        """See `Examinable`; none where the active store has no such verb."""
        store = self._current.store
        return await store.dangers() if isinstance(store, Examinable) else ()

    async def register(self, queue: str) -> None:
        """See the contract."""
        await self._call(lambda store: store.register(queue))

    def listen(self, on_news: News) -> None:
        """See the contract."""
        self._listeners.append(on_news)
        self._current.store.listen(on_news)

    # -- ingestion -------------------------------------------------------------------------------

    async def add(self, queue: str, units: Sequence[Sequence[NewJob]]) -> list[list[Added] | QueueFull]:
        """See the contract."""
        return await self._call(lambda store: store.add(queue, units))

    async def add_within(self, connection: object, queue: str, unit: Sequence[NewJob]) -> QueueFull | None:
        """See the contract. Raises `ConfigError` where the active backend can't do it."""
        return await self._call(partial(self._add_within, connection, queue, unit))

    async def _add_within(
        self, connection: object, queue: str, unit: Sequence[NewJob], store: MovableStore
    ) -> QueueFull | None:
        add_within: AddWithin | None = getattr(store, "add_within", None)
        if add_within is None:
            raise ConfigError(
                f"The backend {self._current.backend!r} can't enqueue within a transaction of yours: that "
                "takes one in the same database, such as 'postgres'. Leave `connection` out, and enqueue "
                "after the commit."
            )
        return await add_within(connection, queue, unit)

    # -- consumption -----------------------------------------------------------------------------

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """See the contract."""
        return await self._call(partial(self._join, queue, worker, groups, lease_ms))

    async def _join(
        self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int, store: MovableStore
    ) -> Epoch:
        part = self._workers.get((queue, worker))
        if part is not None and part.generation != self._current.number:
            try:
                await self._resume(part)
            except LeaseLostError:
                part = None
        generation = self._current.number
        real = await store.join(queue, worker, groups, lease_ms)
        if part is None or part.real != real:
            if part is not None:
                self._forget(part)
            part = Part(Epoch(queue, marked(real.number, generation)), worker, real, generation)
            self._parts[part.known] = self._workers[queue, worker] = part
        part.groups.update(each.name for each in groups)
        return part.known

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """See the contract."""
        with suppress(LeaseLostError):
            await self._call_for(epoch, lambda store, part: store.leave(part.real, groups, unregister))
        if (part := self._parts.get(epoch)) is not None:
            part.groups.difference_update(groups)
            if not part.groups:
                self._forget(part)

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """See the contract."""

        return await self._call_for(
            epoch,
            lambda store, part: store.exchange(
                part.real, group, n, part.settlements(group, settlements), want
            ),
            lambda part, answer: part.exchanged(group, n, settlements, answer),
        )

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """See the contract. During a switch nothing is renewed: leases start anew with it."""
        part, generation = self._part(epoch), self._current
        if part.generation != generation.number:
            return Orders([])
        try:
            orders = await generation.store.heartbeat(part.real, report)
        except FencedError:
            return Orders([])
        return part.ordered(orders) if part.generation == generation.number else Orders([])

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """See the contract."""

        return await self._call_for(
            epoch, lambda store, part: store.tick(part.real, part.lapse_settlements(settled)), Part.ticked
        )

    # -- scheduling ------------------------------------------------------------------------------

    async def put_schedule(self, queue: str, spec: NewSchedule) -> Schedule:
        """See the contract."""
        return await self._call(lambda store: store.put_schedule(queue, spec))

    async def drop_schedule(self, queue: str, schedule_id: str) -> bool:
        """See the contract."""
        return await self._call(lambda store: store.drop_schedule(queue, schedule_id))

    async def schedules(
        self, queue: str, ids: Sequence[str] | None = None, after: str = "", limit: int = BATCH
    ) -> list[Schedule]:
        """See the contract."""
        return await self._read(lambda store: store.schedules(queue, ids, after, limit))

    async def fire(self, queue: str, firings: Sequence[Firing]) -> list[bool]:
        """See the contract."""
        return await self._call(lambda store: store.fire(queue, firings))

    async def fence(self, queue: str | None, successor: str) -> None:
        """See the contract."""
        await self._call(lambda store: store.fence(queue, successor))

    # -- repair ----------------------------------------------------------------------------------

    async def cancel(self, queue: str, job_id: str) -> CancelResult:
        """See the contract."""
        return await self._call(lambda store: store.cancel(queue, job_id))

    async def set_paused(self, queue: str, paused: bool) -> None:
        """See the contract."""
        await self._call(lambda store: store.set_paused(queue, paused))

    async def retry_failed(self, queue: str, job_id: str, group: str | None = None) -> int:
        """See the contract."""
        return await self._call(lambda store: store.retry_failed(queue, job_id, group))

    async def discard_failed(self, queue: str, job_id: str | None = None, group: str | None = None) -> int:
        """See the contract."""
        return await self._call(lambda store: store.discard_failed(queue, job_id, group))

    async def drop_group(self, queue: str, group: str) -> bool:
        """See the contract."""
        return await self._call(lambda store: store.drop_group(queue, group))

    async def rename_group(self, queue: str, old: str, new: str) -> None:
        """See the contract."""
        await self._call(lambda store: store.rename_group(queue, old, new))

    # -- inspection ------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """See the contract."""
        return await self._read(lambda store: store.queues())

    async def paused(self, queue: str) -> bool:
        """See the contract."""
        return await self._read(lambda store: store.paused(queue))

    async def stats(self, queue: str) -> QueueStats:
        """See the contract."""
        return await self._read(lambda store: store.stats(queue))

    async def job(self, queue: str, job_id: str) -> JobRecord | None:
        """See the contract."""
        return await self._read(lambda store: store.job(queue, job_id))

    async def jobs(
        self, queue: str, state: JobState | None = None, after: int = 0, limit: int = 100
    ) -> list[JobRecord]:
        """See the contract."""
        return await self._read(lambda store: store.jobs(queue, state, after, limit))

    async def failed(
        self, queue: str, group: str | None = None, after: str = "", limit: int = 100
    ) -> list[FailedRecord]:
        """See the contract."""
        return await self._read(lambda store: store.failed(queue, group, after, limit))

    async def groups(self, queue: str) -> list[GroupRecord]:
        """See the contract."""
        return await self._read(lambda store: store.groups(queue))

    async def workers(self, queue: str) -> list[WorkerRecord]:
        """See the contract."""
        records = await self._read(lambda store: store.workers(queue))
        return [replace(record, epoch=self._known_number(queue, record)) for record in records]

    def _known_number(self, queue: str, record: WorkerRecord) -> int:
        part = self._workers.get((queue, record.worker))
        return marked(record.epoch, self._current.number) if part is None else part.known.number

    # -- settings --------------------------------------------------------------------------------

    async def load_setting(self, key: str) -> Setting | None:
        """See the contract."""
        return await self._settings.load_setting(key)

    async def save_setting(self, key: str, value: str, expected_version: int) -> bool:
        """See the contract."""
        return await self._settings.save_setting(key, value, expected_version)
