"""An event bus: typed events, a queue for each, and subscribers that come and go.

    python examples/event_bus.py [--url sqlite:///queue.db] [--seconds 2]

Look at

- `EventBus`: all of it. A queue is named after its event and carries its type, so what is published is
  checked, and a subscriber gets an object, not a dictionary.
- `work`: subscribers of one name share the events, and each event is handled by one of them (billing,
  however many processes do it). The name outlives them: what comes while none is there waits.
- `listen`: each listener gets each event while it is there, and nothing is kept for it when it is not.
- `Announcement`: news that is worth nothing later. What nobody is subscribed to is dropped at once; other
  events wait for their first subscriber.

The program publishes orders and price changes while subscribers of both kinds come and go. In life, each of
them is in a process of its own, with a bus of its own on the same URL.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar
from uuid import uuid4

from checkmate_queue import Consumer, Job, Queue, QueueError, QueueManager
from checkmate_queue.testing.waiting import wait_until


class Event:
    """Something that happened; a dataclass for each kind."""


class Announcement(Event):
    """An event that is news or nothing."""


E = TypeVar("E", bound=Event)


class EventBus:
    """Publish and subscribe, over queues."""

    def __init__(self, manager: QueueManager) -> None:
        self._manager = manager

    def queue(self, kind: type[E]) -> Queue[E]:
        """The queue of a kind of event."""
        unclaimed: Literal["drop", "hold"] = "drop" if issubclass(kind, Announcement) else "hold"
        return self._manager.get_queue(f"events.{kind.__name__}", kind, unclaimed=unclaimed)

    async def publish(self, event: Event) -> str:
        """Tell everybody who is subscribed."""
        return await self.queue(type(event)).enqueue(event)

    async def work(self, kind: type[E], name: str, handler: Callable[[E], Awaitable[None]]) -> Consumer:
        """Share the events of this kind among all who do so under this name."""

        async def handle(job: Job[E]) -> None:
            await handler(job.data)

        return await self.queue(kind).consume(handle, consumer_group=name)

    async def listen(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> Consumer:
        """Get every event of this kind until the consumer is stopped."""

        async def handle(job: Job[E]) -> None:
            await handler(job.data)

        return await self.queue(kind).consume(handle, consumer_group=f"listener-{uuid4()}", ephemeral=True)


# -- what happens in the shop --------------------------------------------------------------------


@dataclass(frozen=True)
class OrderPlaced(Event):
    """A customer ordered."""

    number: int
    customer: str


@dataclass(frozen=True)
class PriceChanged(Announcement):
    """An article has another price now."""

    article: str
    cents: int


# -- the program ---------------------------------------------------------------------------------


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}")


async def orders(bus: EventBus, seconds: float) -> None:
    """Events that must not be lost: whoever works on them may be away for a while."""
    billed: Counter[int] = Counter()
    billed_by: Counter[str] = Counter()
    packed: Counter[int] = Counter()

    def biller(name: str) -> Callable[[OrderPlaced], Awaitable[None]]:
        async def bill(order: OrderPlaced) -> None:
            billed[order.number] += 1
            billed_by[name] += 1

        return bill

    async def pack(order: OrderPlaced) -> None:
        packed[order.number] += 1

    async def wait_for(counts: Counter[int], number: int) -> None:
        await wait_until(lambda: len(counts) == number, description=f"{number} orders are done", timeout=60)

    await bus.publish(OrderPlaced(0, "anna"))
    print("an order was placed before anybody was there")
    first = await bus.work(OrderPlaced, "billing", biller("one biller"))
    await wait_for(billed, 1)
    expect(billed[0] == 1, "the first biller to come got it")

    packer = await bus.work(OrderPlaced, "packing", pack)
    await packer.stop()
    await first.stop()
    for number in (1, 2):
        await bus.publish(OrderPlaced(number, "bert"))
    billers = [await bus.work(OrderPlaced, "billing", biller(name)) for name in ("one biller", "another")]
    await wait_for(billed, 3)
    packer = await bus.work(OrderPlaced, "packing", pack)
    await wait_for(packed, 2)
    expect(billed.total() == 3 and packed.total() == 2, "orders waited for billing and packing to come back")

    number, end = 3, time.monotonic() + seconds
    while time.monotonic() < end or len(billed_by) < 2:
        await bus.publish(OrderPlaced(number, "cleo"))
        number += 1
        await asyncio.sleep(0.02)
    await wait_for(billed, number)
    await wait_for(packed, number - 1)
    print(", ".join(f"{name} billed {count}" for name, count in billed_by.items()))
    expect(billed.total() == number, f"each of {number} orders was billed once")
    expect(packed.total() == number - 1, "and packed once, but for the one that came before the packers")
    for consumer in (*billers, packer):
        await consumer.stop(unregister=True)


async def announcements(bus: EventBus) -> None:
    """Events that are for those who are there."""
    hall: list[PriceChanged] = []
    window: list[PriceChanged] = []

    async def show_in_hall(change: PriceChanged) -> None:
        hall.append(change)

    async def show_in_window(change: PriceChanged) -> None:
        window.append(change)

    async def both_heard(hall_heard: int, window_heard: int) -> None:
        await wait_until(
            lambda: (len(hall), len(window)) == (hall_heard, window_heard),
            description=f"the screens show {hall_heard} and {window_heard} prices",
            timeout=60,
        )

    await bus.publish(PriceChanged("tea", 199))
    first = await bus.listen(PriceChanged, show_in_hall)
    second = await bus.listen(PriceChanged, show_in_window)
    await bus.publish(PriceChanged("tea", 219))
    await both_heard(1, 1)
    expect(hall == window == [PriceChanged("tea", 219)], "both heard it, and nobody what came before them")

    await first.stop()
    await bus.publish(PriceChanged("tea", 229))
    await both_heard(1, 2)
    third = await bus.listen(PriceChanged, show_in_hall)
    await bus.publish(PriceChanged("tea", 239))
    await both_heard(2, 3)
    expect([each.cents for each in hall] == [219, 239], "one that was away for a while missed what came then")

    await second.stop()
    await third.stop()
    await bus.publish(PriceChanged("tea", 249))
    left = await bus.queue(PriceChanged).get_stats()
    expect(left.pending == left.unclaimed == left.consumer_groups == 0, "for nobody, nothing is kept")


async def main(url: str, seconds: float) -> None:
    """One bus, two kinds of events."""
    async with QueueManager(url) as manager:
        bus = EventBus(manager)
        await orders(bus, seconds)
        await announcements(bus)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--seconds", type=float, default=2.0, help="for how long orders are placed")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(options.url or f"sqlite:///{folder}/queue.db", options.seconds))
    except QueueError as error:
        sys.exit(str(error))
