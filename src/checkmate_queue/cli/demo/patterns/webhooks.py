"""Pattern 4b: deliveries to an endpoint that limits their rate and says when to come again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from checkmate_queue import Job, Queue, QueueManager, Retry
from checkmate_queue.cli.demo.handlers import noted
from checkmate_queue.cli.demo.site import Office, Workplace
from checkmate_queue.cli.demo.web_client import request
from checkmate_queue.cli.demo.web_server import RUN_HEADER

QUEUE = "webhooks"
GROUP = "deliverers"
BURST = 15
EVERY_SECONDS = 5.0
CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Webhook:
    """Tell this hook of an event."""

    event: int


def queue_of(manager: QueueManager) -> Queue[Webhook]:
    """The queue of this pattern."""
    return manager.get_queue(QUEUE, Webhook)


async def produce(office: Office) -> None:
    """Bursts of more deliveries than the endpoint takes in a second."""
    queue = queue_of(office.manager)
    start, event = 0.5, 0
    while event == 0 or start < office.plan.seconds - 4.0:
        await office.until(start)
        calls = []
        for number in range(event, event + BURST):
            calls.append(
                office.send(
                    QUEUE,
                    f"event:{number}",
                    partial(queue.enqueue, Webhook(number), job_id=f"event:{number}"),
                )
            )
        await asyncio.gather(*calls)
        start, event = start + EVERY_SECONDS, event + BURST


async def consume(workplace: Workplace) -> None:
    """Deliver from this process."""

    async def deliver(job: Job[Webhook]) -> None:
        url = workplace.plan.web(f"/hooks/{job.data.event}")
        answer = await request("POST", url, {RUN_HEADER: job.id, "Content-Length": "0"})
        if answer.status == 429:
            raise Retry(delay=int(answer.headers["retry-after"]))
        if answer.status != 204:
            raise RuntimeError(f"{url} answered {answer.status}")

    queue = queue_of(workplace.manager)
    await queue.consume(
        noted(workplace.ledger, deliver), consumer_group=GROUP, concurrency=CONCURRENCY, max_retries=100
    )
