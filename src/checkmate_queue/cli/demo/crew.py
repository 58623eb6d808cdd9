"""Who consumes: two worker processes, one of which is killed, or this process alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Protocol

from checkmate_queue import QueueManager
from checkmate_queue.cli.demo.errors import DemoError
from checkmate_queue.cli.demo.history import Delivery, describe
from checkmate_queue.cli.demo.ledger import Ledger
from checkmate_queue.cli.demo.observer import Observer
from checkmate_queue.cli.demo.patterns.permissions import PermissionCache
from checkmate_queue.cli.demo.plan import Plan
from checkmate_queue.cli.demo.screen import Screen
from checkmate_queue.cli.demo.site import Office, Workplace
from checkmate_queue.cli.demo.snapshot import WorkerLine, queues_of
from checkmate_queue.cli.demo.staff import begin, note_end
from checkmate_queue.cli.demo.workforce import WorkerProcess, Workforce

PROCESSES = 2
ENOUGH_IN_HAND = 3
CHOOSE_SECONDS = 4.0
CHOOSE_AGAIN_SECONDS = 0.02
MOST_RUNNING = 1_000


class Crew(Protocol):
    """Those who consume in this demo."""

    async def start(self, office: Office) -> None:
        """Return when all of them consume."""

    async def interfere(self, office: Office, screen: Screen) -> None:
        """Do them the harm that this demo is about."""

    async def alarm(self) -> None:
        """Never returns; raises when one of them ends by itself."""

    def lines(self) -> Sequence[WorkerLine]:
        """What a screen shows of them."""

    async def stop(self) -> None:
        """Let them finish what they run, and end."""

    async def close(self) -> None:
        """Leave nothing of them behind, however this ends."""


class Lone(Crew):
    """This process consumes by itself: a queue in memory can't be shared."""

    def __init__(self, plan: Plan, manager: QueueManager, observer: Observer) -> None:
        self._ledger = Ledger(plan.ledgers, "worker-1")
        self._workplace = Workplace(manager, self._ledger, plan)
        self._observer = observer
        self._cache: PermissionCache | None = None

    async def start(self, office: Office) -> None:
        facts = {"pid": os.getpid()}
        await office.ledger.write(office.ledger.entry("hired", job=self._workplace.name, facts=facts))
        self._cache = await begin(self._workplace)

    async def interfere(self, office: Office, screen: Screen) -> None:
        plugin = office.manager.get_active_plugin()
        screen.tell(f"{plugin} lives in one process: there is one worker, this one, and none is killed")

    async def alarm(self) -> None:
        await asyncio.Event().wait()

    def lines(self) -> Sequence[WorkerLine]:
        in_hand = len(self._observer.in_hand(self._workplace.name))
        return [WorkerLine(self._workplace.name, os.getpid(), "working", in_hand, "this process")]

    async def stop(self) -> None:
        if self._cache is not None:
            await note_end(self._workplace, self._cache)

    async def close(self) -> None:
        await self._workplace.manager.shutdown(timeout=1.0)
        self._ledger.close()


class Processes(Crew):
    """Two worker processes; in the middle one is killed with work in hand, and replaced."""

    def __init__(self, plan: Plan, observer: Observer) -> None:
        self._plan = plan
        self._observer = observer
        self._workforce = Workforce()

    async def start(self, office: Office) -> None:
        await asyncio.gather(*(self._hire(office) for _ in range(PROCESSES)))

    async def _hire(self, office: Office) -> WorkerProcess:
        worker = await self._workforce.hire(self._plan)
        facts = {"pid": worker.pid}
        await office.ledger.write(office.ledger.entry("hired", job=worker.name, facts=facts))
        await self._observer.until_ready(worker.name)
        worker.state = "working"
        return worker

    async def interfere(self, office: Office, screen: Screen) -> None:
        await office.until(self._plan.seconds / 2)
        victim = self._workforce.workers[0]
        in_hand = await self._freeze_at_work(victim)
        killed_with = f"SIGKILL at {office.elapsed:.1f} s with {len(in_hand)} in hand"
        # What the frozen worker has ended but not settled yet is still claimed in the backend.
        processing = await _processing(office.manager)
        facts = {"pid": victim.pid, "processing": processing}
        await office.ledger.write(office.ledger.entry("frozen", job=victim.name, facts=facts))
        await victim.kill()
        await office.ledger.write(office.ledger.entry("killed", job=victim.name))
        victim.remark = killed_with
        screen.tell(f"{victim.name} (pid {victim.pid}): {killed_with}: {describe(in_hand)}")
        replacement = await self._hire(office)
        replacement.remark = f"replaces {victim.name} since {office.elapsed:.1f} s"
        screen.tell(f"{replacement.name} (pid {replacement.pid}) took its place")

    async def _freeze_at_work(self, victim: WorkerProcess) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (waited := loop.time() - began) < CHOOSE_SECONDS:
            await victim.freeze()
            self._observer.look()
            in_hand = self._observer.in_hand(victim.name)
            if len(in_hand) >= (ENOUGH_IN_HAND if waited < CHOOSE_SECONDS / 2 else 1):
                return in_hand
            victim.thaw()
            await asyncio.sleep(CHOOSE_AGAIN_SECONDS)
        raise DemoError(f"{victim.name} had nothing in hand for {CHOOSE_SECONDS:g} s")

    async def alarm(self) -> None:
        await self._workforce.alarm()

    def lines(self) -> Sequence[WorkerLine]:
        return [
            WorkerLine(
                worker.name, worker.pid, worker.state, len(self._observer.in_hand(worker.name)), worker.remark
            )
            for worker in self._workforce.workers
        ]

    async def stop(self) -> None:
        await self._workforce.stop()

    async def close(self) -> None:
        await self._workforce.close()


async def _processing(manager: QueueManager) -> list[Delivery]:
    found: list[Delivery] = []
    for queue in queues_of(manager):
        for job in await queue.list_jobs("processing", limit=MOST_RUNNING):
            groups = [group for group, state in job.groups.items() if state == "processing"]
            found += [Delivery(queue.name, group, job.id) for group in groups]
    return found
