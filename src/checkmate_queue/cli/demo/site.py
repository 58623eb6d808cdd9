"""What producers and consumers of the demo work with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checkmate_queue import JobId, QueueManager
from checkmate_queue.cli.demo.ledger import Ledger
from checkmate_queue.cli.demo.plan import Plan


@dataclass(frozen=True, slots=True)
class Workplace:
    """A process that consumes."""

    manager: QueueManager
    ledger: Ledger
    plan: Plan

    @property
    def name(self) -> str:
        return self.ledger.process


class Office:
    """The process that produces: its managers, its ledger, and the time since the demo began."""

    def __init__(self, managers: Sequence[QueueManager], ledger: Ledger, plan: Plan) -> None:
        self.managers = managers
        self.ledger = ledger
        self.plan = plan
        self._began = time.monotonic()

    @property
    def manager(self) -> QueueManager:
        return self.managers[0]

    def begin(self) -> None:
        """The time counts from now."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    async def until(self, seconds: float) -> None:
        """Wait for a time of the demo."""
        await asyncio.sleep(max(0.0, seconds - self.elapsed))

    async def send(
        self,
        queue: str,
        job_id: str,
        call: Callable[[], Awaitable[JobId]],
        *,
        delay: float = 0.0,
        facts: Mapping[str, Any] | None = None,
    ) -> JobId:
        """Enqueue one job, with the intent on disk before and the answer after."""
        await self.ledger.write(self.ledger.entry("intent", queue=queue, job=job_id))
        before = time.time()
        answer = await call()
        noted = {**(facts or {}), "created": answer.created}
        await self.ledger.write(
            self.ledger.entry("sent", queue=queue, job=job_id, before=before, delay=delay, facts=noted)
        )
        return answer
