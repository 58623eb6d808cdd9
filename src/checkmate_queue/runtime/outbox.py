"""Coalesces enqueues: calls that are awaited at the same time travel together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from checkmate_queue.core.errors import QueueFullError
from checkmate_queue.core.model import Added, NewJob, QueueFull
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.store import BATCH, Ingestion

Unit: TypeAlias = Sequence[NewJob]
Answer: TypeAlias = list[Added] | QueueFull


BATCH_BYTES = 4 * 1024 * 1024
"""A batch ends with the unit whose payloads bring it to this: no call should outlast a caller's patience."""

LONGEST_TURN_SECONDS = 0.002
"""How long one task may enqueue one job after another before others of its loop get their turn."""


def full_error(queue: str, refused: QueueFull) -> QueueFullError:
    """What a caller is told whose jobs were refused (J8)."""
    return QueueFullError(f"Queue '{queue}' is full (max: {refused.limit})")


class Outbox:
    """One queue's way to `Store.add`: the first call goes at once, those that come meanwhile as one batch.

    An engine may be done without ever suspending the caller. Then "meanwhile" is the rest of this turn
    of the event loop: what other tasks enqueue in it waits for the next turn, and travels together.
    """

    def __init__(self, store: Ingestion, queue: str, patience: float) -> None:
        self._store = store
        self._queue = queue
        self._patience = patience
        self._waiting: list[tuple[Unit, asyncio.Future[Answer]]] = []
        self._under_way = False
        self._leader: asyncio.Task[object] | None = None
        self._turn_began = 0.0
        self._flusher: asyncio.Task[None] | None = None

    async def put(self, unit: Unit) -> list[Added]:
        """Store one caller's jobs, all or nothing.

        Raises `QueueFullError` (J8), or `BackendUnavailableError` after the patience, when it isn't known
        whether they were stored (J10).
        """
        if self._may_go_at_once():
            answer = await self._go_at_once(unit)
        else:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting.append((unit, future))
            answer = await future
        if isinstance(answer, QueueFull):
            raise full_error(self._queue, answer)
        return answer

    async def drained(self) -> None:
        """Wait until everything that was given so far is through, in one way or the other."""
        if self._under_way or self._waiting:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting.append(((), future))
            await asyncio.gather(future, return_exceptions=True)

    def _may_go_at_once(self) -> bool:
        if self._under_way or self._waiting:
            return False
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if self._leader is None:
            self._leader = task
            self._turn_began = loop.time()
            loop.call_soon(self._next_turn)
            return True
        return self._leader is task and loop.time() - self._turn_began < LONGEST_TURN_SECONDS

    def _next_turn(self) -> None:
        self._leader = None
        self._go_on()

    async def _go_at_once(self, unit: Unit) -> Answer:
        self._under_way = True
        try:
            return (await self._add([unit]))[0]
        finally:
            self._under_way = False
            if self._leader is None:
                self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self._under_way:
            self._under_way = True
            self._flusher = asyncio.create_task(self._flush(self._take()))

    async def _flush(self, batch: list[tuple[Unit, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._add([unit for unit, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        finally:
            self._under_way = False
            self._go_on()

    def _take(self) -> list[tuple[Unit, asyncio.Future[Answer]]]:
        jobs = size = count = 0
        while count < len(self._waiting) and jobs < BATCH and size < BATCH_BYTES:
            unit = self._waiting[count][0]
            jobs += len(unit)
            size += sum(len(job.data) for job in unit)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _add(self, units: Sequence[Unit]) -> list[Answer]:
        return await persevere(lambda: self._store.add(self._queue, units), self._patience)
