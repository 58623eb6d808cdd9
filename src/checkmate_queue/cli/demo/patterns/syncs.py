"""Pattern 5: ten requests to sync one user make one sync."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from checkmate_queue import Job, JobId, Queue, QueueManager
from checkmate_queue.cli.demo.handlers import noted
from checkmate_queue.cli.demo.site import Office, Workplace
from checkmate_queue.cli.demo.web_client import request
from checkmate_queue.cli.demo.web_server import RUN_HEADER

QUEUE = "syncs"
GROUP = "syncers"
REQUESTS = 10
EVERY_SECONDS = 1.5
CONCURRENCY = 4
DELAY_SECONDS = 1.0
"""A sync waits a moment for further requests, so that all ten surely meet one job."""


@dataclass(frozen=True, slots=True)
class UserSync:
    """Fetch this user's record."""

    user: str


def queue_of(manager: QueueManager) -> Queue[UserSync]:
    """The queue of this pattern."""
    return manager.get_queue(QUEUE, UserSync)


async def produce(office: Office) -> None:
    """Every now and then ten requests for one user, at once, from all producers."""
    number = 0
    while (at := 0.5 + number * EVERY_SECONDS) < office.plan.seconds - 2.0:
        await office.until(at)
        sync = UserSync(f"user-{number}")
        producers = [office.managers[n % len(office.managers)] for n in range(REQUESTS)]
        await asyncio.gather(*(_request(office, producer, sync) for producer in producers))
        number += 1


async def _request(office: Office, producer: QueueManager, sync: UserSync) -> JobId:
    queue, job_id = queue_of(producer), f"sync:{sync.user}"
    return await office.send(
        QUEUE,
        job_id,
        partial(queue.enqueue, sync, job_id=job_id, start_delay=DELAY_SECONDS),
        delay=DELAY_SECONDS,
    )


async def consume(workplace: Workplace) -> None:
    """Sync users in this process."""
    plan = workplace.plan

    async def sync(job: Job[UserSync]) -> None:
        answer = await request("GET", plan.web(f"/users/{job.data.user}"), {RUN_HEADER: job.id})
        if answer.status != 200:
            raise RuntimeError(f"the record of {job.data.user} could not be read: {answer.status}")
        await asyncio.to_thread((plan.synced / f"{job.data.user}.json").write_bytes, answer.body)

    def ready_at(job: Job[UserSync]) -> float:
        return 0.0 if job.attempts else job.timestamp.timestamp() + DELAY_SECONDS

    queue = queue_of(workplace.manager)
    await queue.consume(
        noted(workplace.ledger, sync, ready_at), consumer_group=GROUP, concurrency=CONCURRENCY
    )
