"""Wraps the work of a handler in its entries of the ledger."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from checkmate_queue import Job, Retry
from checkmate_queue.cli.demo.ledger import Entry, Kind, Ledger

T = TypeVar("T")
Facts: TypeAlias = Mapping[str, Any] | None
ReadyAt: TypeAlias = Callable[[Job[T]], float]


def enqueued_at(job: Job[Any]) -> float:
    """When a job that was enqueued without a delay became ready; 0 for a retry, which nobody can tell."""
    return 0.0 if job.attempts else job.timestamp.timestamp()


def noted(
    ledger: Ledger, work: Callable[[Job[T]], Awaitable[Facts]], ready_at: ReadyAt[T] = enqueued_at
) -> Callable[[Job[T]], Awaitable[None]]:
    """An async handler that notes its start before it does anything, and its end after all is done."""

    async def handler(job: Job[T]) -> None:
        await ledger.write(_started(ledger, job, ready_at(job)))
        try:
            facts = await work(job)
        except Exception as error:
            await ledger.write(_broken_off(ledger, job, error))
            raise
        await ledger.write(_of(ledger, "finished", job, facts))

    return handler


def noted_plain(
    ledger: Ledger, work: Callable[[Job[T]], Facts], ready_at: ReadyAt[T] = enqueued_at
) -> Callable[[Job[T]], None]:
    """The same for a plain function, which the queue runs on a thread."""

    def handler(job: Job[T]) -> None:
        ledger.write_blocking(_started(ledger, job, ready_at(job)))
        try:
            facts = work(job)
        except Exception as error:
            ledger.write_blocking(_broken_off(ledger, job, error))
            raise
        ledger.write_blocking(_of(ledger, "finished", job, facts))

    return handler


def _started(ledger: Ledger, job: Job[Any], ready: float) -> Entry:
    return _of(ledger, "started", job, {"waited": time.time() - ready} if ready else None)


def _broken_off(ledger: Ledger, job: Job[Any], error: Exception) -> Entry:
    if isinstance(error, Retry) and isinstance(error.delay, int | float):
        return _of(ledger, "postponed", job, None, delay=error.delay)
    return _of(ledger, "failed", job, {"error": f"{type(error).__name__}: {error}"})


def _of(ledger: Ledger, kind: Kind, job: Job[Any], facts: Facts, delay: float = 0.0) -> Entry:
    return ledger.entry(
        kind,
        queue=job.queue,
        group=job.consumer_group,
        job=job.id,
        attempt=job.attempts,
        delay=delay,
        facts=facts,
    )
