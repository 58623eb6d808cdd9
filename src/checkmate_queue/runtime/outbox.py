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


class Outbox:
    """One queue's way to `Store.add`: the first call goes at once, those that come meanwhile as one batch."""

    def __init__(self, store: Ingestion, queue: str, patience: float) -> None:
        self._store = store
        self._queue = queue
        self._patience = patience
        self._waiting: list[tuple[Unit, asyncio.Future[Answer]]] = []
        self._busy = False
        self._flusher: asyncio.Task[None] | None = None

    async def put(self, unit: Unit) -> list[Added]:
        """Store one caller's jobs, all or nothing.

        Raises `QueueFullError` (J8), or `BackendUnavailableError` after the patience, when it isn't known
        whether they were stored (J10).
        """
        if self._busy:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting.append((unit, future))
            answer = await future
        else:
            self._busy = True
            try:
                answer = (await self._add([unit]))[0]
            finally:
                self._next()
        if isinstance(answer, QueueFull):
            raise QueueFullError(f"Queue '{self._queue}' is full (max: {answer.limit})")
        return answer

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._flusher is not None:
            await asyncio.wait([self._flusher])

    def _next(self) -> None:
        self._flusher = asyncio.create_task(self._flush()) if self._waiting else None
        self._busy = self._flusher is not None

    async def _flush(self) -> None:
        batch = self._take()
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
            self._next()

    def _take(self) -> list[tuple[Unit, asyncio.Future[Answer]]]:
        jobs = count = 0
        while count < len(self._waiting) and jobs < BATCH:
            jobs += len(self._waiting[count][0])
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _add(self, units: Sequence[Unit]) -> list[Answer]:
        return await persevere(lambda: self._store.add(self._queue, units), self._patience)
