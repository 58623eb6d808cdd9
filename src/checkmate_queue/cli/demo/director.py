"""Runs the demo from beginning to end."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from rich.console import Console

from checkmate_queue import QueueManager
from checkmate_queue.cli.demo import shop
from checkmate_queue.cli.demo.crew import Crew, Lone, Processes
from checkmate_queue.cli.demo.errors import DemoError
from checkmate_queue.cli.demo.journey import Journey
from checkmate_queue.cli.demo.ledger import Entry, Ledger
from checkmate_queue.cli.demo.mail_server import MailServer
from checkmate_queue.cli.demo.observer import Observer
from checkmate_queue.cli.demo.patterns import exports, health, permissions, reminders, syncs, webhooks
from checkmate_queue.cli.demo.plan import LEASE_SECONDS, LONGER_LEASE_SECONDS, SHORTEST_SECONDS, Plan, connect
from checkmate_queue.cli.demo.screen import LiveScreen, PlainScreen, Screen, show_verdict
from checkmate_queue.cli.demo.site import Office
from checkmate_queue.cli.demo.snapshot import Snapshot, group_lines, queues_of
from checkmate_queue.cli.demo.verdict import Verdict, judge
from checkmate_queue.cli.demo.web_server import WebServer

T = TypeVar("T")

DRAIN_SECONDS = 20.0
SETTLE_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.3
FRAME_SECONDS = 0.25
PRODUCERS = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; without a URL a fresh SQLite file is used."""

    seconds: float = 20.0
    url: str | None = None
    keep: bool = False
    switch: bool = False


async def run(options: Options, console: Console) -> bool:
    """Run the demo and show its verdict; return whether all was as it should be.

    Raises `DemoError`, `QueueError` or `OSError` where it could not be run to its end.
    """
    if not SHORTEST_SECONDS <= options.seconds <= 3600:
        raise DemoError(f"--seconds is {options.seconds:g}; it must be from {SHORTEST_SECONDS:g} to 3,600")
    if options.switch and options.url is not None:
        raise DemoError("--switch starts on a fresh SQLite file; leave out --url")
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder(options.keep, console))
        show = await Show.prepare(stack, options, folder, console)
        verdict = await show.perform()
    show_verdict(console, verdict)
    took = time.monotonic() - began
    console.print(f"{_conclusion(verdict)} {show.account} The demo took {took:.0f} s.", highlight=False)
    return verdict.ok


def _conclusion(verdict: Verdict) -> str:
    return "Everything was as it should be." if verdict.ok else "Something was NOT as it should be."


@contextmanager
def _folder(keep: bool, console: Console) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="checkmate-queue-demo-"))
    try:
        for name in ("ledgers", "exports", "synced"):
            (folder / name).mkdir()
        yield folder
    finally:
        if keep:
            console.print(f"Ledgers, exports and logs are kept in {folder}", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


class Show:
    """One run: everything is set up, and only needs to be done."""

    def __init__(
        self,
        plan: Plan,
        office: Office,
        crew: Crew,
        observer: Observer,
        screen: Screen,
        journey: Journey | None,
    ) -> None:
        self._plan = plan
        self._journey = journey
        self._office = office
        self._crew = crew
        self._observer = observer
        self._screen = screen
        self._phase = "starting"

    @classmethod
    async def prepare(cls, stack: AsyncExitStack, options: Options, folder: Path, console: Console) -> Show:
        """Start the servers, open the queue, fill the shop. What is opened here is closed by the stack."""
        logging.basicConfig(filename=folder / "demo.log", level=logging.WARNING, force=True)
        journey = await Journey.prepare(stack, options.seconds) if options.switch else None
        url = options.url or f"sqlite:///{quote(str(folder / 'queue.db'))}"
        lease = LONGER_LEASE_SECONDS if options.switch else LEASE_SECONDS
        manager = connect(url, lease)
        in_process = manager.get_active_plugin() == "memory"
        ledger = Ledger(folder / "ledgers", "producer")
        stack.callback(ledger.close)
        web, mail = WebServer(ledger), MailServer(ledger)
        stack.push_async_callback(web.stop)
        stack.push_async_callback(mail.stop)
        ports = await web.start(), await mail.start()
        plan = Plan(url, str(folder), options.seconds, *ports, in_process, lease)
        managers = [manager, *(connect(url, lease) for _ in range(0 if in_process else PRODUCERS - 1))]
        for each in managers:
            await stack.enter_async_context(each)
        await _check_fresh(manager)
        await asyncio.to_thread(shop.found, plan.shop)
        observer = Observer(plan)
        crew: Crew = Lone(plan, manager, observer) if in_process else Processes(plan, observer)
        stack.push_async_callback(crew.close)
        screen = _screen(console, plan, manager)
        stack.callback(screen.close)
        return cls(plan, Office(managers, ledger, plan), crew, observer, screen, journey)

    async def perform(self) -> Verdict:
        """Do it, and judge."""
        return await _guarded(self._run(), self._watch(), self._crew.alarm())

    @property
    def account(self) -> str:
        """What the verdict was drawn from."""
        return f"Drawn from {self._observer.length:,} ledger entries, each synced to disk."

    async def _run(self) -> Verdict:
        office, seconds = self._office, self._plan.seconds
        await self._crew.start(office)
        office.begin()
        self._phase = "running"
        await _all(
            health.produce(office),
            permissions.produce(office),
            exports.produce(office),
            reminders.produce(office),
            webhooks.produce(office),
            syncs.produce(office),
            self._crew.interfere(office, self._screen),
            self._travel(office),
            office.until(seconds),
        )
        await office.ledger.write(office.ledger.entry("cut"))
        self._phase = "draining"
        await self._drain()
        self._phase = "stopping"
        if left := await health.cancel(office):
            raise DemoError(f"{left} schedules are still there after they were cancelled")
        await self._show()
        # A dead worker's own group goes when its lease has run out; those who work on notice that.
        await self._until_empty(self._plan.lease_seconds + SETTLE_SECONDS)
        await self._crew.stop()
        await exports.inspect(office)
        await office.ledger.write(*await self._until_empty(SETTLE_SECONDS))
        self._phase = "done"
        await self._show()
        return self._judge()

    async def _travel(self, office: Office) -> None:
        if self._journey is not None:
            self._phase = "on SQLite"
            await self._journey.travel(office, self._screen, self._arrived)

    def _arrived(self, name: str) -> None:
        self._phase = f"on {name}"

    async def _drain(self) -> None:
        """Wait, not for ever, until everything that was sent has been seen."""
        deadline = time.monotonic() + DRAIN_SECONDS
        self._observer.look()
        while missing := (await asyncio.to_thread(self._judge)).missing:
            if time.monotonic() > deadline:
                self._screen.tell(f"{missing:,} deliveries did not come within {DRAIN_SECONDS:g} s")
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            self._observer.look()

    async def _until_empty(self, seconds: float) -> list[Entry]:
        """Wait, not for ever, until no job is left, as it must be when the work is done; return what is."""
        ledger, deadline = self._office.ledger, time.monotonic() + seconds
        while remnants := [
            ledger.entry("remnant", queue=queue.name, job=job.id, facts={"state": job.state})
            for queue in queues_of(self._office.manager)
            for job in await queue.list_jobs()
        ]:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return remnants

    def _judge(self) -> Verdict:
        return judge(self._observer.history(), kill_wanted=not self._plan.in_process)

    async def _watch(self) -> None:
        while True:
            await self._show()
            await asyncio.sleep(FRAME_SECONDS)

    async def _show(self) -> None:
        self._observer.look()
        latencies = self._observer.latencies
        groups = await group_lines(self._office.manager, latencies)
        elapsed = 0.0 if self._phase == "starting" else self._office.elapsed
        self._screen.show(Snapshot(elapsed, self._phase, groups, self._crew.lines()))


def _screen(console: Console, plan: Plan, manager: QueueManager) -> Screen:
    who = "one process" if plan.in_process else "two worker processes"
    title = f"Checkmate Queue demo: five patterns on {manager.get_active_plugin()}, {who}, {plan.seconds:g} s"
    if console.is_terminal:
        return LiveScreen(console, title, plan.seconds)
    return PlainScreen(lambda line: console.print(line, soft_wrap=True, highlight=False), title)


async def _check_fresh(manager: QueueManager) -> None:
    for queue in queues_of(manager):
        stats = await queue.get_stats()
        if stats.consumer_groups or stats.completed or stats.pending or stats.delayed or stats.unclaimed:
            raise DemoError(f"queue {queue.name!r} has been used already; let --url name a fresh storage")


async def _all(*calls: Awaitable[object]) -> None:
    """Wait for all; the first error ends the others."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def _guarded(call: Awaitable[T], *guards: Awaitable[object]) -> T:
    """The result of a call, unless one of the guards raises first."""
    task: asyncio.Future[T] = asyncio.ensure_future(call)
    others: list[asyncio.Future[Any]] = [asyncio.ensure_future(guard) for guard in guards]
    everything: list[asyncio.Future[Any]] = [task, *others]
    try:
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            if other.done():
                other.result()
        return await task
    finally:
        await _end(everything)


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
