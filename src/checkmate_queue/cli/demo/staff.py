"""A worker process of the demo, and what it has in common with the demo that runs in one process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from checkmate_queue import LeaseLost
from checkmate_queue.cli.demo.ledger import Ledger
from checkmate_queue.cli.demo.patterns import exports, health, permissions, reminders, syncs, webhooks
from checkmate_queue.cli.demo.plan import Plan, connect
from checkmate_queue.cli.demo.site import Workplace

STOP_SECONDS = 5.0


async def begin(workplace: Workplace) -> permissions.PermissionCache:
    """Consume everything in this process, and note that it does."""
    ledger = workplace.ledger

    async def lease_lost(event: LeaseLost) -> None:
        await ledger.write(
            ledger.entry("lease-lost", queue=event.queue, facts={"deliveries": event.deliveries})
        )

    workplace.manager.on(LeaseLost, lease_lost)
    await asyncio.gather(
        health.consume(workplace),
        exports.consume(workplace),
        reminders.consume(workplace),
        webhooks.consume(workplace),
        syncs.consume(workplace),
    )
    cache = await permissions.consume(workplace)
    await ledger.write(ledger.entry("ready", facts={"pid": os.getpid()}))
    return cache


async def note_end(workplace: Workplace, cache: permissions.PermissionCache) -> None:
    """Note what this process believes at its end."""
    ledger = workplace.ledger
    group = permissions.group_of(workplace.name)
    await ledger.write(
        ledger.entry("left", queue=permissions.QUEUE, group=group, facts={"roles": dict(cache.roles())})
    )


async def work(plan: Plan, name: str) -> int:
    """Consume until the demo says stop, or is no more; return the exit code."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    orphaned = asyncio.Event()

    def parent_gone() -> None:
        loop.remove_reader(sys.stdin)
        orphaned.set()
        asked.set()

    loop.add_signal_handler(signal.SIGTERM, asked.set)
    # The demo holds the other end of this pipe and never writes: it can be read when the demo has ended.
    loop.add_reader(sys.stdin, parent_gone)
    ledger = Ledger(plan.ledgers, name)
    manager = connect(plan.url, plan.lease_seconds)
    await manager.start()
    try:
        workplace = Workplace(manager, ledger, plan)
        cache = await begin(workplace)
        await asked.wait()
        if not orphaned.is_set():
            await note_end(workplace, cache)
    finally:
        await manager.shutdown(timeout=0.0 if orphaned.is_set() else STOP_SECONDS)
    ledger.close()
    return 1 if orphaned.is_set() else 0


def main() -> None:
    """`python -m checkmate_queue.cli.demo.staff PLAN NAME`."""
    # Ctrl-C reaches the whole terminal; the demo stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, plan, name = sys.argv
    sys.exit(asyncio.run(work(Plan.load(plan), name)))


if __name__ == "__main__":
    main()
