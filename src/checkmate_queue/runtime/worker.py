"""One process's part in one queue: its lease, its groups, and the loops that serve them."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from checkmate_queue.core.errors import BackendUnavailableError, InvalidArgumentError, QueueStoppedError
from checkmate_queue.core.model import Epoch, Exchange, GroupJoin, Millis, Orders
from checkmate_queue.runtime.attempt import Subscriber, inside_handler, stopping
from checkmate_queue.runtime.dispatcher import CANCEL_GRACE_SECONDS, Dispatcher
from checkmate_queue.runtime.events import EventHub, LeaseLost
from checkmate_queue.runtime.heart import Heart
from checkmate_queue.runtime.keeper import Keeper
from checkmate_queue.runtime.lag import LagWatch
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.scheduler import Scheduler
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.runtime.threads import HandlerThreads
from checkmate_queue.store import Store

log = logging.getLogger("checkmate_queue.worker")

BEATS_PER_LEASE = 3
LOOK_AGAIN_SECONDS = 1.0


class Worker:
    """Joins the queue under an epoch, and again under a new one when the lease was lost (G8)."""

    def __init__(
        self,
        store: Store,
        queue: str,
        settings: RuntimeSettings,
        heart: Heart,
        threads: HandlerThreads,
        hub: EventHub,
        lag: LagWatch,
    ) -> None:
        self.queue = queue
        self.last_contact_at: datetime | None = None
        self.next_due_at: Millis | None = None
        self._store = store
        self._settings = settings
        self._lease_seconds = settings.lease_seconds
        self._heart = heart
        self._threads = threads
        self._hub = hub
        self._epoch: Epoch | None = None
        self._dispatchers: dict[str, Dispatcher] = {}
        self._membership = asyncio.Lock()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        scheduler = Scheduler(store, queue, settings)
        self._keeper = Keeper(store, self, queue, scheduler, lag, hub)

    # -- joining and leaving -------------------------------------------------------------------

    async def subscribe(self, subscribers: Sequence[Subscriber]) -> None:
        """Join all their groups in one step (G2) and begin.

        Raises `InvalidArgumentError` where two consumers of a group differ in `ephemeral`, and
        `BackendUnavailableError` after the patience.
        """
        async with self._member_within(self._settings.patience_seconds):
            groups = self._groups(subscribers)
            await self._left_before()
            try:
                await self._join(groups, self._settings.patience_seconds)
            except BaseException:
                # It may have taken effect: a group that nobody serves here must not stay joined.
                new = {subscriber.group for subscriber in subscribers} - self._dispatchers.keys()
                self._leave_later(sorted(new))
                raise
            for subscriber in subscribers:
                dispatcher = self._dispatchers.get(subscriber.group)
                if dispatcher is None:
                    dispatcher = self._dispatchers[subscriber.group] = Dispatcher(
                        self._store, self, self.queue, subscriber.group, self._threads, self._hub
                    )
                dispatcher.add(subscriber)
                dispatcher.start()
            self._keeper.start()
            self._keeper.look()

    async def unsubscribe(self, subscriber: Subscriber, unregister: bool, timeout: float | None) -> None:
        """Stop one consumer; with the last one of a group the process leaves the group."""
        dispatcher = self._dispatchers.get(subscriber.group)
        if dispatcher is None:
            return
        with stopping() as spare:
            await dispatcher.drain(spare, timeout, [subscriber])
            if not dispatcher.subscribers:
                await self._finish([dispatcher], unregister)

    async def stop(self, timeout: float | None = None) -> None:
        """Drain all groups and leave the queue (L1)."""
        self._stopping = True
        async with self._membership:  # A join under way is through, or will find that it is too late.
            dispatchers = list(self._dispatchers.values())
        with stopping() as spare:
            await asyncio.gather(*(dispatcher.drain(spare, timeout) for dispatcher in dispatchers))
            await self._finish(dispatchers, unregister=False)

    @property
    def has_ended(self) -> bool:
        """Whether nothing of a stop is left to be done."""
        return not self._tasks

    async def ended(self) -> None:
        """Wait for what a stop from inside a handler left to be done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _finish(self, dispatchers: Sequence[Dispatcher], unregister: bool) -> None:
        closing = self._close(dispatchers, unregister)
        if inside_handler() and any(dispatcher.running_attempts for dispatcher in dispatchers):
            # A handler can't wait for itself, nor for one that waits for it: the rest is done when they end.
            task = asyncio.create_task(closing)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            await closing

    async def _close(self, dispatchers: Sequence[Dispatcher], unregister: bool) -> None:
        """Write the last outcomes and leave, in bounded time even with the backend away (L2)."""
        while any(dispatcher.running_attempts for dispatcher in dispatchers):
            await asyncio.wait([a.task for d in dispatchers for a in d.running_attempts.values() if a.task])
        loop = asyncio.get_running_loop()
        patience = self._settings.stop_patience_seconds
        deadline = loop.time() + patience
        patience -= min(CANCEL_GRACE_SECONDS, patience / 2)  # The rest is for leaving.
        written = await asyncio.gather(*(dispatcher.drained(patience) for dispatcher in dispatchers))
        if not all(written):
            log.error("%s: stopped with the backend away; what ran is delivered again", self.queue)
        try:
            async with self._member_within(max(0.0, deadline - loop.time())):
                await self._part(dispatchers, unregister, max(0.0, deadline - loop.time()))
        except BackendUnavailableError as error:
            log.error("%s: stopped, but not left yet: %s", self.queue, error)
            self._spawn(self._part_later(dispatchers, unregister))

    async def _part(self, dispatchers: Sequence[Dispatcher], unregister: bool, patience: float) -> None:
        # One that got a new consumer meanwhile stays.
        gone = [dispatcher for dispatcher in dispatchers if not dispatcher.subscribers]
        for dispatcher in gone:
            await dispatcher.stop()
            self._dispatchers.pop(dispatcher.group, None)
        await self._leave([dispatcher.group for dispatcher in gone], unregister, patience)

    async def _part_later(self, dispatchers: Sequence[Dispatcher], unregister: bool) -> None:
        async with self._membership:
            await self._part(dispatchers, unregister, self._settings.stop_patience_seconds)

    @asynccontextmanager
    async def _member_within(self, seconds: float) -> AsyncIterator[None]:
        """Hold the membership; wait no longer for a lost lease, which holds it while the backend is away."""
        while not await self._membership_came(seconds):
            if self._epoch is None and self._dispatchers:
                raise BackendUnavailableError(
                    f"Queue {self.queue!r} has lost its lease and can't join again: the backend is away"
                )
            seconds = LOOK_AGAIN_SECONDS
        try:
            yield
        finally:
            self._membership.release()

    async def _membership_came(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._membership.acquire()
        except TimeoutError:
            return False

    async def _leave(self, groups: Sequence[str], unregister: bool, patience: float) -> None:
        epoch = self._epoch
        if not self._dispatchers:
            await self._keeper.stop()
            self._heart.forget(self)
            self._epoch = None
            await self._end_background()
        if epoch is None:
            return
        try:
            async with asyncio.timeout(patience):  # One call alone may outlast it.
                await persevere(lambda: self._store.leave(epoch, groups, unregister), patience)
        except (BackendUnavailableError, TimeoutError) as error:
            reason = str(error) or "the backend does not answer"
            log.error("%s: could not leave %s yet: %s", self.queue, ", ".join(groups), reason)
            # With other groups left, the lease goes on, and what these had claimed would stay claimed.
            self._leave_later(groups, unregister)

    def _leave_later(self, groups: Sequence[str], unregister: bool = False) -> None:
        """Leave groups when the backend is back; without any group left, the lease runs out instead."""
        if (epoch := self._epoch) is None or not groups:
            return

        async def leave() -> None:
            if epoch == self._epoch:
                await self._store.leave(epoch, groups, unregister)

        leaving = self._spawn(persevere(leave))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _left_before(self) -> None:
        """Wait until groups that are being left have been left, so that they can be joined anew."""
        if self._leaving:
            _, left = await asyncio.wait(self._leaving, timeout=self._settings.patience_seconds)
            if left:
                raise BackendUnavailableError(f"Queue {self.queue!r} can't be reached to leave groups first")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that a stop cancels."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _end_background(self) -> None:
        others = self._background - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=CANCEL_GRACE_SECONDS)

    def _groups(self, added: Sequence[Subscriber]) -> list[GroupJoin]:
        groups: dict[str, GroupJoin] = {}
        for subscriber in [*self.subscribers, *added]:
            options = subscriber.options
            join = GroupJoin(
                subscriber.group, options.ephemeral, options.start_from, self._settings.max_stalls
            )
            known = groups.setdefault(subscriber.group, join)
            if known.ephemeral != join.ephemeral:
                raise InvalidArgumentError(
                    f"Consumers of group {subscriber.group!r} differ: one is ephemeral, the other is not"
                )
        return list(groups.values())

    async def _join(self, groups: Sequence[GroupJoin], patience: float, rejoin: bool = False) -> None:
        lease = self._settings.lease_seconds
        lease_ms = round(lease * 1000)
        self._lease_seconds = min(lease, self._lease_seconds)  # The answer may be lost.
        worker = self._worker_name if self._epoch is not None else self._new_life()

        async def join() -> Epoch:
            if self._stopping or (rejoin and not self.subscribers):
                raise QueueStoppedError(f"Queue {self.queue!r} was stopped")
            return await self._store.join(self.queue, worker, groups, lease_ms)

        epoch = await persevere(join, patience)
        self._lease_seconds = lease
        if self._epoch is not None and epoch != self._epoch:
            # The lease had run out unnoticed, and the join began a new life.
            self._announce_loss(self._renounce())
        if epoch != self._epoch:
            self._epoch = epoch
        self._touched()
        self._heart.watch(self)

    def _new_life(self) -> str:
        self._worker_name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        return self._worker_name

    @property
    def subscribers(self) -> list[Subscriber]:
        """All that consume here now; a copy, so that other threads may look."""
        return [
            subscriber for each in list(self._dispatchers.values()) for subscriber in list(each.subscribers)
        ]

    # -- losing the lease ------------------------------------------------------------------------

    async def present_epoch(self) -> Epoch | None:
        """The present epoch, after a join under way; None once the worker has stopped."""
        if self._epoch is None:
            async with self._membership:
                pass
        return self._epoch

    async def lease_lost(self, epoch: Epoch) -> None:
        """Cancel what runs under a dead epoch, and join again under a new one (G8)."""
        async with self._membership:
            if self._epoch != epoch:
                return
            lost = self._renounce()
            self._epoch = None
            if await self._joined_again():
                for dispatcher in self._dispatchers.values():
                    dispatcher.look()
                self._announce_loss(lost)

    async def _joined_again(self) -> bool:
        """Join under a new life, whatever it takes; False where a stop came first."""
        while not self._stopping and self.subscribers:
            try:
                await self._join(self._groups(()), float("inf"), rejoin=True)
            except QueueStoppedError:
                return False
            except Exception:
                log.exception("%s: could not join again; the next try comes in a second", self.queue)
                await asyncio.sleep(1)
            else:
                return True
        return False

    def _announce_loss(self, lost: int) -> None:
        log.warning(
            "%s: the lease was lost; %d deliveries were cancelled here, others run them", self.queue, lost
        )
        self._hub.emit(LeaseLost(self.queue, lost))
        for subscriber in self.subscribers:
            if subscriber.options.ephemeral:
                # What users do may take its time; the loops of this queue go on meanwhile.
                self._spawn(self._rejoined(subscriber))

    def lease_lost_soon(self, epoch: Epoch) -> None:
        """The heartbeat found the lease lost; the keeper, which sees a switch of the backend too, looks."""
        if epoch == self._epoch:
            self._keeper.look()

    def _renounce(self) -> int:
        return sum(dispatcher.renounce() for dispatcher in self._dispatchers.values())

    async def _rejoined(self, subscriber: Subscriber) -> None:
        if (on_rejoin := subscriber.options.on_rejoin) is None:
            return
        try:
            result = on_rejoin()
            if inspect.isawaitable(result):
                await result
        except Exception:
            log.exception("%s/%s: on_rejoin failed", self.queue, subscriber.group)

    # -- what the loops and the heart tell ---------------------------------------------------------

    def contacted(self, exchange: Exchange) -> None:
        self._touched()
        self.due_next(exchange.next_at)
        if exchange.next_at is not None:
            self._keeper.due_in((exchange.next_at - exchange.now) / 1000)

    def slots_changed(self) -> None:
        """Another config may leave more of them free."""
        for dispatcher in self._dispatchers.values():
            dispatcher.look()

    def work_came(self) -> None:
        """Something became ready, or due earlier than all before, here or elsewhere.

        A busy dispatcher need not be told: it looks by itself when it has a free slot. The keeper learns of
        due times from the next exchange.
        """
        for dispatcher in self._dispatchers.values():
            if dispatcher.idle:
                dispatcher.look()

    def due_next(self, at: Millis | None) -> None:
        self.next_due_at = at

    @property
    def quiet(self) -> bool:
        """Whether nothing can happen here before `next_due_at`, or before somebody else acts."""
        dispatchers = self._dispatchers.values()
        return not dispatchers or (self._keeper.quiet and all(d.quiet for d in dispatchers))

    @property
    def busy(self) -> bool:
        """Whether a handler runs."""
        return any(dispatcher.running_attempts for dispatcher in self._dispatchers.values())

    def look(self) -> None:
        """Look for work in all groups, and for what is due (tests do, when they have moved their clock)."""
        for dispatcher in self._dispatchers.values():
            dispatcher.look()
        self._keeper.look()

    @property
    def current_epoch(self) -> Epoch | None:
        return self._epoch

    @property
    def beat_seconds(self) -> float:
        beat = self._lease_seconds / BEATS_PER_LEASE
        return min(beat, self._settings.heartbeat_seconds or beat)

    def report(self) -> bytes:
        dispatchers = list(self._dispatchers.values())
        return json.dumps(
            {
                "at": datetime.now(UTC).isoformat(),
                "groups": {
                    d.group: {
                        "running": len(d.running_attempts),
                        "completed": d.completed,
                        "failed": d.failed,
                        "concurrency": sum(s.concurrency for s in d.subscribers),
                    }
                    for d in dispatchers
                },
            }
        ).encode()

    def obey(self, epoch: Epoch, orders: Orders) -> None:
        if epoch != self._epoch:
            return
        self._touched()
        for group, key in orders.cancelled:
            if dispatcher := self._dispatchers.get(group):
                dispatcher.cancel(key)

    def _touched(self) -> None:
        self.last_contact_at = datetime.now(UTC)
