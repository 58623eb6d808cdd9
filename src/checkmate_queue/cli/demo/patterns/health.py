"""Pattern 1: hundreds of recurring health checks, each due run on one worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from checkmate_queue import Job, Queue, QueueManager
from checkmate_queue.cli.demo.handlers import noted
from checkmate_queue.cli.demo.site import Office, Workplace
from checkmate_queue.cli.demo.web_client import request
from checkmate_queue.cli.demo.web_server import RUN_HEADER

QUEUE = "health-checks"
GROUP = "checkers"
TARGETS = 300
INTERVAL_SECONDS = 5.0
FIRST_SECONDS = 0.5
CONCURRENCY = 10


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Ask this target how it is."""

    target: int


def queue_of(manager: QueueManager) -> Queue[HealthCheck]:
    """The queue of this pattern."""
    return manager.get_queue(QUEUE, HealthCheck)


def due_at(occurrence: str) -> float:
    """The due time in the id of a schedule's job, `<schedule>:<milliseconds>`."""
    return int(occurrence.rpartition(":")[2]) / 1000


async def produce(office: Office) -> None:
    """Schedule all checks, spread over one interval."""
    await asyncio.gather(*(_schedule(office, target) for target in range(TARGETS)))


async def _schedule(office: Office, target: int) -> None:
    queue = queue_of(office.manager)
    delay = FIRST_SECONDS + INTERVAL_SECONDS * target / TARGETS
    before = time.time()
    await queue.schedule_recurring(
        f"check:{target}",
        HealthCheck(target),
        interval_seconds=INTERVAL_SECONDS,
        start_delay=delay,
        misfire="all",
    )
    await office.ledger.write(
        office.ledger.entry(
            "scheduled",
            queue=QUEUE,
            job=f"check:{target}",
            before=before,
            delay=delay,
            facts={"interval": INTERVAL_SECONDS},
        )
    )


async def cancel(office: Office) -> int:
    """Cancel all checks; return how many are left."""
    queue = queue_of(office.manager)
    await asyncio.gather(*(queue.cancel_recurring(f"check:{target}") for target in range(TARGETS)))
    return len(await queue.list_recurring_jobs())


async def consume(workplace: Workplace) -> None:
    """Run checks in this process."""

    async def check(job: Job[HealthCheck]) -> Mapping[str, object]:
        url = workplace.plan.web(f"/health/{job.data.target}")
        try:
            answer = await request("GET", url, {RUN_HEADER: job.id}, timeout=2.0)
        except (OSError, TimeoutError) as error:
            return {"up": False, "because": type(error).__name__}
        return {"up": answer.status == 200}

    queue = queue_of(workplace.manager)
    await queue.consume(
        noted(workplace.ledger, check, ready_at=lambda job: due_at(job.id)),
        consumer_group=GROUP,
        concurrency=CONCURRENCY,
        max_retries=0,
    )
