"""One worker process: on its own, or as a child that takes orders over a socket.

`python -m checkmate_queue.cli.work.process DESCRIPTOR PLAN` is the child.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any, Literal

from checkmate_queue import QueueError, QueueManager
from checkmate_queue.cli.command import FAILED, CommandError, explain, say, status_of
from checkmate_queue.cli.work.health import ConsumerHealth, Health, HealthServer
from checkmate_queue.cli.work.loading import check_consuming, described, load_manager
from checkmate_queue.cli.work.plan import Plan
from checkmate_queue.cli.work.signals import be_deaf_in_the_end, hear
from checkmate_queue.cli.work.wishes import Wishes, either

REPORT_SECONDS = 1.0


async def work(manager: QueueManager, plan: Plan, wishes: Wishes, on_start: Callable[[], None]) -> bool:
    """Consume until `wishes` say otherwise; return whether all that ran was finished.

    Raises what keeps the worker from starting.
    """
    starting = asyncio.ensure_future(_contained(manager.start(queues=plan.queues)))
    await either(starting, wishes.drain)
    ready = starting.done()
    if not ready:
        if health_of(manager):
            # Some consumers have begun, and a start that is cancelled gives back what they run (L1).
            await either(starting, wishes.cancel)
        starting.cancel()
    try:
        await _started(starting, plan)
        if ready:
            check_consuming(manager, plan)
    except BaseException:
        await _contained(manager.shutdown(timeout=0))
        raise
    if ready:
        on_start()
        await wishes.drain.wait()
    return await _stopped(manager, plan, wishes)


async def _started(starting: asyncio.Future[None], plan: Plan) -> None:
    try:
        await asyncio.wait([starting])
        if not starting.cancelled():
            await starting
    except QueueError:
        raise
    except Exception as error:  # Of the lifespan.
        raise _failure("starting", plan, error) from error


async def _stopped(manager: QueueManager, plan: Plan, wishes: Wishes) -> bool:
    draining = asyncio.ensure_future(_contained(manager.shutdown()))
    await either(draining, wishes.cancel)
    drained = draining.done()
    try:
        if not drained:
            await manager.shutdown(timeout=0)
            draining.cancel()
        await asyncio.wait([draining])
        if not draining.cancelled():
            await draining
    except Exception as error:  # Of the lifespan.
        failure = _failure("stopping", plan, error)
        if drained:
            raise failure from error
        complain(failure, plan)  # And go on: what was given back may still run on a thread.
    return drained


class _LifespanQuit(Exception):
    """Its cause, raised by a lifespan, would end the event loop, or pass for a cancellation of ours."""


async def _contained(call: Coroutine[Any, Any, None]) -> None:
    """Make the call, in a task of its own; raises `_LifespanQuit`."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        await call
    except SystemExit as error:
        raise _LifespanQuit from error
    except asyncio.CancelledError as error:
        if task.cancelling() > before:
            raise
        raise _LifespanQuit from error


def _failure(step: str, plan: Plan, error: Exception) -> CommandError:
    cause = error.__cause__
    if not isinstance(error, _LifespanQuit) or cause is None:
        return CommandError(f"{step} {plan.target} failed: {described(error)}")
    code = cause.code if isinstance(cause, SystemExit) else None
    # A shell sees the lowest eight bits.
    status = code % 256 if isinstance(code, int) else 0
    return CommandError(
        f"{step} {plan.target} failed: the lifespan raised {described(cause)}", status or FAILED
    )


def complain(error: Exception, plan: Plan) -> None:
    """Say why the worker fails; while the exception is being handled."""
    if plan.verbose:
        traceback.print_exc()
    say(f"worker: {explain(error)}")


def health_of(manager: QueueManager) -> list[ConsumerHealth]:
    """The consumers of this process; may be called from any thread."""
    now = datetime.now(UTC)
    return [
        ConsumerHealth(
            os.getpid(),
            consumer.queue,
            consumer.consumer_group,
            None if consumer.last_contact_at is None else (now - consumer.last_contact_at).total_seconds(),
        )
        for queue in manager.get_queues()
        for consumer in queue.get_consumers()
    ]


def lease_of(manager: QueueManager) -> float:
    """For how long a worker may be silent."""
    return float(manager.get_active_config()["lease_seconds"])


def announce(manager: QueueManager, named: str) -> None:
    """Say that the work begins, and on which backend, since others may use the one that the module names."""
    groups = sorted({f"{each.queue}/{each.consumer_group}" for each in health_of(manager)})
    where = manager.url if manager.url == named else f"{manager.url} (the module names {named})"
    plugin = manager.registry.for_scheme(manager.url.partition(":")[0])
    if plugin is None or plugin.id != manager.get_active_plugin():
        where = f"{where}, from where all has moved to {manager.get_active_plugin()}"
    say(f"worker: ready (pid {os.getpid()}) on {where}: {', '.join(groups)}")


def announce_stop() -> None:
    """Say what a stop waits for."""
    say("worker: stopping when what runs is done; once more to cancel it")


def leave(status: int) -> None:
    """End the process at once: a handler on a thread, which nothing can interrupt, has been given back."""
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


# -- on its own --------------------------------------------------------------------------------------


async def work_alone(plan: Plan, address: tuple[str, int] | None) -> int:
    """Be the only worker process of this command, and return its exit code."""
    manager, named = load_manager(plan)
    wishes = Wishes()
    phase = _Phase()

    def begun() -> None:
        phase.begun = True
        announce(manager, named)

    def examine() -> Health:
        return Health(phase.name(wishes), lease_of(manager), health_of(manager))

    with ExitStack() as stack:
        if address is not None:
            server = HealthServer(*address, examine)
            stack.callback(server.close)
            say(f"worker: health at {server.address}")
        wishes.by_signals(announce_stop, end_at_third=True)
        drained = await work(manager, plan, wishes, begun)
    if not drained:
        say("worker: stopped; what ran was given back")
        leave(wishes.status(drained=False))
    say("worker: stopped")
    return 0


class _Phase:
    def __init__(self) -> None:
        self.begun = False

    def name(self, wishes: Wishes) -> Literal["starting", "running", "stopping"]:
        if wishes.drain.is_set():
            return "stopping"
        return "running" if self.begun else "starting"


# -- as a child --------------------------------------------------------------------------------------


async def work_below(plan: Plan, link: socket.socket) -> bool:
    """Take orders from the process above, and report to it; without it, drain."""
    wishes = Wishes()
    # However many come: whoever signals all processes at once must not cancel what the one above drains.
    hear(lambda _: wishes.drain.set())
    reader, writer = await asyncio.open_connection(sock=link)
    obeying = asyncio.ensure_future(_obey(reader, wishes))
    manager, named = load_manager(plan)
    reports: list[asyncio.Future[None]] = []

    def begun() -> None:
        announce(manager, named)
        reports.append(asyncio.ensure_future(_report(manager, writer)))

    try:
        return await work(manager, plan, wishes, begun)
    finally:
        for task in (obeying, *reports):
            task.cancel()
        writer.close()


async def _obey(reader: asyncio.StreamReader, wishes: Wishes) -> None:
    async for line in reader:
        wishes.drain.set()
        if line.strip() == b"cancel":
            wishes.cancel.set()
    wishes.drain.set()


async def _report(manager: QueueManager, writer: asyncio.StreamWriter) -> None:
    while True:
        report = {
            "lease_seconds": lease_of(manager),
            "consumers": [
                (each.queue, each.consumer_group, each.last_contact_seconds) for each in health_of(manager)
            ],
        }
        writer.write(json.dumps(report).encode() + b"\n")
        await writer.drain()
        await asyncio.sleep(REPORT_SECONDS)


def main() -> None:
    """Be a child, and end."""
    descriptor, text = sys.argv[1:]
    plan = Plan.load(text)
    be_deaf_in_the_end()
    os.set_inheritable(int(descriptor), False)
    link = socket.socket(fileno=int(descriptor))
    last_words = link.dup()  # The loop closes the other one.
    try:
        drained = asyncio.run(work_below(plan, link))
    except Exception as error:
        complain(error, plan)
        with suppress(OSError):
            last_words.sendall(json.dumps({"gave_up": True}).encode() + b"\n")
        sys.exit(status_of(error))
    if not drained:
        leave(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
