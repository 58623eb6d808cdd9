"""Pattern 3: CSV exports, where those that a user waits for overtake the routine ones."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from checkmate_queue import Enqueue, Job, Queue, QueueManager
from checkmate_queue.cli.demo import shop
from checkmate_queue.cli.demo.handlers import noted_plain
from checkmate_queue.cli.demo.site import Office, Workplace

QUEUE = "exports"
GROUP = "exporters"
ROUND_SECONDS = 4.0
LAST_ROUND_SECONDS = 5.0
ROUTINE_PER_ROUND = 50
WAITED_FOR_PER_ROUND = 8
WAITED_FOR_EVERY_SECONDS = 0.2
ROUTINE, WAITED_FOR = 0, 100
CONCURRENCY = 2


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """Write the orders of a country and a month to a file of this name."""

    name: str
    country: str
    month: str


def queue_of(manager: QueueManager) -> Queue[ExportOrder]:
    """The queue of this pattern."""
    return manager.get_queue(QUEUE, ExportOrder)


async def produce(office: Office) -> None:
    """Every few seconds a batch of routine exports, and while it is worked off, users who want theirs."""
    chance = random.Random(4)
    number, start = 0, 0.3
    while number == 0 or start < office.plan.seconds - LAST_ROUND_SECONDS:
        await office.until(start)
        await _send_routine(office, [_order(chance, "routine", number, n) for n in range(ROUTINE_PER_ROUND)])
        for n in range(WAITED_FOR_PER_ROUND):
            await office.until(start + (n + 1) * WAITED_FOR_EVERY_SECONDS)
            await _send_waited_for(office, _order(chance, "waited-for", number, n))
        number, start = number + 1, start + ROUND_SECONDS


def _order(chance: random.Random, kind: str, batch: int, number: int) -> ExportOrder:
    name = f"{kind}-{batch}-{number:02}"
    return ExportOrder(name, chance.choice(shop.COUNTRIES), chance.choice(shop.MONTHS))


async def _send_routine(office: Office, orders: list[ExportOrder]) -> None:
    queue, ledger = queue_of(office.manager), office.ledger
    facts = [await _facts(office, order, ROUTINE, place) for place, order in enumerate(orders)]
    await ledger.write(*(ledger.entry("intent", queue=QUEUE, job=order.name) for order in orders))
    before = time.time()
    answers = await queue.enqueue_many([Enqueue(order, job_id=order.name) for order in orders])
    await ledger.write(
        *(
            ledger.entry("sent", queue=QUEUE, job=str(answer), before=before, facts=fact)
            for answer, fact in zip(answers, facts, strict=True)
        )
    )


async def _send_waited_for(office: Office, order: ExportOrder) -> None:
    queue = queue_of(office.manager)
    await office.send(
        QUEUE,
        order.name,
        partial(queue.enqueue, order, job_id=order.name, priority=WAITED_FOR),
        facts=await _facts(office, order, WAITED_FOR, 0),
    )


async def _facts(office: Office, order: ExportOrder, priority: int, place: int) -> Mapping[str, object]:
    expected = await asyncio.to_thread(shop.totals, office.plan.shop, order.country, order.month)
    return {"priority": priority, "place": place, "rows": expected.rows, "cents": expected.cents}


async def inspect(office: Office) -> None:
    """Note what is in the files that the exports left."""
    for file in sorted(office.plan.exports.glob("*.csv")):
        found = await asyncio.to_thread(shop.read_export, file)
        facts = {"rows": found.rows, "cents": found.cents}
        await office.ledger.write(office.ledger.entry("effect", queue=QUEUE, job=file.stem, facts=facts))


async def consume(workplace: Workplace) -> None:
    """Write exports in this process, on threads."""
    plan = workplace.plan

    def export(job: Job[ExportOrder]) -> Mapping[str, object]:
        order = job.data
        written = shop.export(plan.shop, order.country, order.month, plan.exports / f"{order.name}.csv")
        return {"rows": written.rows, "cents": written.cents}

    queue = queue_of(workplace.manager)
    slots = CONCURRENCY * 2 if plan.in_process else CONCURRENCY
    await queue.consume(noted_plain(workplace.ledger, export), consumer_group=GROUP, concurrency=slots)
