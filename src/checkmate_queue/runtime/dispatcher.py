"""One consumer group of one queue in one process: claims deliveries, runs them, and settles them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence, Set
from functools import partial
from typing import Protocol

from checkmate_queue.core.lifecycle import (
    CancelledByRequest,
    Happened,
    Raised,
    StoppedEarly,
    TimedOut,
    Unreadable,
    decide,
)
from checkmate_queue.core.model import (
    Cancelled,
    Claim,
    Done,
    Epoch,
    Exchange,
    Fail,
    GiveBack,
    RetryLater,
    Settlement,
)
from checkmate_queue.runtime.attempt import Attempt, Subscriber
from checkmate_queue.runtime.bell import Bell
from checkmate_queue.runtime.events import (
    EventHub,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobRetried,
    JobStarted,
)
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.runtime.service import Service
from checkmate_queue.runtime.threads import HandlerThreads
from checkmate_queue.store import BATCH, Consumption, LeaseLostError

log = logging.getLogger("checkmate_queue.dispatcher")

POLL_SECONDS = 1.0
"""How long a hint that work came may stay lost."""

CANCEL_GRACE_SECONDS = 2.0
"""How long a stop waits for handlers that it has cancelled."""


class Leaseholder(Protocol):
    """What a dispatcher needs of its worker."""

    @property
    def current_epoch(self) -> Epoch | None: ...

    async def present_epoch(self) -> Epoch | None: ...

    async def lease_lost(self, epoch: Epoch) -> None: ...

    def contacted(self, exchange: Exchange) -> None: ...


class Dispatcher(Service):
    """The loop exchange → run → exchange, with as many attempts at once as its subscribers have slots.

    Settling and claiming are one call, so that whatever finished while the last call was under way travels
    with the next one. It sleeps until an attempt ends, until it is rung, or for `POLL_SECONDS`.
    """

    def __init__(
        self,
        store: Consumption,
        holder: Leaseholder,
        queue: str,
        group: str,
        threads: HandlerThreads,
        hub: EventHub,
    ) -> None:
        super().__init__(f"checkmate dispatcher {queue}/{group}")
        self.queue = queue
        self.group = group
        self.subscribers: list[Subscriber] = []
        self.running_attempts: dict[int, Attempt] = {}
        self.completed = 0
        self.failed = 0
        self._store = store
        self._holder = holder
        self._threads = threads
        self._hub = hub
        self._bell = Bell()
        self._outcomes: list[Settlement] = []
        self._unanswered: tuple[list[Settlement], int] | None = None
        self._detached: set[Attempt] = set()
        self._number = 0
        self._hungry = True
        self._draining = False
        self._revived = asyncio.Event()

    # -- what others tell it -----------------------------------------------------------------

    def add(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)
        self._draining = False
        self._revived.set()
        self.look()

    @property
    def idle(self) -> bool:
        """Whether it has free slots that the last exchange could not fill."""
        return not self._hungry and not self._draining and self._free() > 0

    @property
    def quiet(self) -> bool:
        """Whether nothing runs, nothing is to be settled, and the last look found nothing more."""
        return self._bell.sleeping and not (self._hungry or self.running_attempts or self._outcomes)

    def look(self) -> None:
        """Look for work now."""
        self._hungry = True
        self._bell.ring()

    def cancel(self, key: int) -> None:
        """End a running delivery that was cancelled (L12)."""
        if attempt := self.running_attempts.get(key):
            attempt.cancel(CancelledByRequest())

    def renounce(self) -> int:
        """The lease is lost: cancel what runs and forget its outcomes (G8). Return how many ran."""
        lost = list(self.running_attempts.values())
        self.running_attempts.clear()
        self._outcomes.clear()
        self._unanswered = None
        self._number = 0
        for attempt in lost:
            self._detached.add(attempt)
            attempt.cancel(StoppedEarly())
        self.look()
        return len(lost)

    async def drain(
        self, spare: Attempt | None, timeout: float | None, only: Sequence[Subscriber] | None = None
    ) -> None:
        """Take nothing new for these subscribers (or all), and wait for what they run, but for `spare`.

        `spare` is the handler that asks; nor does it wait for others that wait likewise.

        After `timeout` seconds the rest is cancelled and given back to the front, no attempt counted (L1).
        Without any subscriber left the loop ends.
        """
        self.subscribers = [s for s in self.subscribers if only is not None and s not in only]
        self._draining = not self.subscribers
        if self._draining:
            self._revived.clear()
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        cancelled = False
        given_up: set[Attempt] = set()
        while left := self._tasks_of(spare, only):
            remaining = None if deadline is None else max(0.0, deadline - loop.time())
            done, _ = await asyncio.wait(left, timeout=remaining)
            if done:
                continue
            if cancelled:
                given_up |= self._abandon(left.values())
                break
            for attempt in left.values():
                attempt.cancel(StoppedEarly())
            cancelled, deadline = True, loop.time() + CANCEL_GRACE_SECONDS
            # A plain function can't be interrupted (F6), so there is nothing to wait for.
            self._abandon([attempt for attempt in left.values() if not attempt.subscriber.is_async])
        await self._see_off(self._detached - given_up, spare)
        self._bell.ring()

    async def _see_off(self, lost: Set[Attempt], spare: Attempt | None) -> None:
        """Wait a little for handlers that were cancelled when their lease was lost."""
        tasks = [
            attempt.task
            for attempt in lost
            if attempt.task and attempt is not spare and attempt.subscriber.is_async and not attempt.stops
        ]
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_GRACE_SECONDS)

    async def drained(self, timeout: float) -> bool:
        """Wait until the last outcomes are written, or a subscriber came; False after `timeout` seconds."""
        ended = asyncio.create_task(self.joined())
        revived = asyncio.create_task(self._revived.wait())
        done, rest = await asyncio.wait(
            [ended, revived], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        for task in rest:
            task.cancel()
        return bool(done)

    # -- the loop ----------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            want = 0 if self._draining else min(self._free(), BATCH)
            if self._unanswered is None and (self._outcomes or (want and self._hungry)):
                self._unanswered = self._outcomes, want
                self._outcomes = []
            if self._unanswered is not None:
                # One that broke is repeated as it was: it may have taken effect.
                await self._exchange(*self._unanswered)
                self._unanswered = None
            elif self._draining and not self.running_attempts:
                return
            else:
                await self._bell.wait(POLL_SECONDS if want else None)
                self._hungry = True

    async def _exchange(self, outcomes: list[Settlement], want: int) -> None:
        self._hungry = False
        epoch = self._holder.current_epoch
        if epoch is None:
            # The lease was lost, and with it what these outcomes settle.
            if await self._holder.present_epoch() is None:
                await self._bell.wait(POLL_SECONDS)
            self._hungry = True
            return
        number = self._number + 1
        try:
            exchange = await persevere(
                partial(self._store.exchange, epoch, self.group, number, outcomes, want)
            )
        except (LeaseLostError, ValueError):
            # A wrong number: the engine forgot exchanges that it had answered (a failover, an old snapshot).
            # What runs here may be others' by now, and its keys may mean other jobs.
            await self._holder.lease_lost(epoch)
            return
        if epoch is not self._holder.current_epoch:
            return  # The lease was lost meanwhile: these claims belong to others.
        self._number = number
        self._hungry = self._hungry or 0 < want == len(exchange.claims)
        self._holder.contacted(exchange)
        if exchange.refused:
            log.warning("%s/%s: %d settlements were refused", self.queue, self.group, len(exchange.refused))
        self._start(exchange.claims, epoch)
        for key in exchange.cancelled:
            self.cancel(key)

    def _free(self) -> int:
        return sum(max(0, subscriber.free) for subscriber in self.subscribers)

    def _start(self, claims: list[Claim], epoch: Epoch) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        wants = self._hub.wants(JobStarted)
        for claim in claims:
            subscriber = self._next_subscriber()
            if subscriber is None:
                # Its consumer stopped while the exchange was under way.
                self._outcomes.append(GiveBack(claim.key))
                continue
            subscriber.running += 1
            attempt = Attempt(claim, subscriber, epoch, now)
            self.running_attempts[claim.key] = attempt
            attempt.task = loop.create_task(self._attempt(attempt))
            if wants:
                self._hub.emit(JobStarted(self.queue, claim.job_id, self.group, claim.attempts))
        if self._outcomes:
            self._bell.ring()

    def _next_subscriber(self) -> Subscriber | None:
        """Subscribers take turns (G6)."""
        if self._draining:
            return None
        for index, subscriber in enumerate(self.subscribers):
            if subscriber.free > 0:
                if len(self.subscribers) > 1:
                    self.subscribers.append(self.subscribers.pop(index))
                return subscriber
        return None

    async def _attempt(self, attempt: Attempt) -> None:
        happened = await attempt.run(self._threads)
        if self.torn_down:
            return  # Nothing will be settled any more, so nothing has ended.
        attempt.subscriber.running -= 1
        if attempt in self._detached:
            self._detached.discard(attempt)
        else:
            del self.running_attempts[attempt.claim.key]
            settlement = decide(attempt.claim, happened, attempt.subscriber.retry)
            self._outcomes.append(settlement)
            self._tell(attempt, happened, settlement)
        self._bell.ring()

    def _tell(self, attempt: Attempt, happened: Happened, settlement: Settlement) -> None:
        claim, hub = attempt.claim, self._hub
        error = happened.error if isinstance(happened, Raised | TimedOut | Unreadable) else None
        match settlement:
            case Done():
                self.completed += 1
                if hub.wants(JobCompleted):
                    seconds = asyncio.get_running_loop().time() - attempt.started_at
                    hub.emit(JobCompleted(self.queue, claim.job_id, self.group, seconds))
            case RetryLater(_, delay_ms):
                log.info(
                    "%s/%s: attempt %d of %s failed (%r); next in %d ms",
                    self.queue, self.group, claim.attempts + 1, claim.job_id, error or happened, delay_ms,
                )  # fmt: skip
                hub.emit(
                    JobRetried(
                        self.queue, claim.job_id, self.group, claim.attempts + 1, delay_ms / 1000, error
                    )
                )
            case Fail(_, failure):
                self.failed += 1
                log.error(
                    "%s/%s: %s failed for good: %s: %r",
                    self.queue, self.group, claim.job_id, failure.error_type, failure.message,
                )  # fmt: skip
                hub.emit(
                    JobFailed(
                        self.queue, claim.job_id, self.group, failure.error_type, failure.message, error
                    )
                )
            case Cancelled():
                hub.emit(JobCancelled(self.queue, claim.job_id, self.group))
            case GiveBack():
                pass

    def _tasks_of(
        self, spare: Attempt | None, only: Sequence[Subscriber] | None
    ) -> dict[asyncio.Task[None], Attempt]:
        return {
            attempt.task: attempt
            for attempt in self.running_attempts.values()
            if attempt is not spare
            and not (spare and attempt.stops)
            and attempt.task
            and (only is None or attempt.subscriber in only)
        }

    def _abandon(self, left: Iterable[Attempt]) -> set[Attempt]:
        """Give back what would not end, and return it; what it still does is nobody's any more."""
        given_up = set()
        for attempt in left:
            if self.running_attempts.get(attempt.claim.key) is not attempt:
                continue  # Another stop, or a lost lease, was first.
            log.warning(
                "%s/%s: the handler of %s did not end in time; its delivery is given back",
                self.queue, self.group, attempt.claim.job_id,
            )  # fmt: skip
            del self.running_attempts[attempt.claim.key]
            self._detached.add(attempt)
            self._outcomes.append(GiveBack(attempt.claim.key))
            attempt.forsake()
            given_up.add(attempt)
        return given_up
