"""Several worker processes, or one that starts again when the code changes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import Literal

from checkmate_queue.cli.command import FAILED, say
from checkmate_queue.cli.work.changes import code_files, first_change
from checkmate_queue.cli.work.child import Child
from checkmate_queue.cli.work.health import ConsumerHealth, Health, HealthServer
from checkmate_queue.cli.work.plan import Plan
from checkmate_queue.cli.work.process import announce_stop
from checkmate_queue.cli.work.wishes import Wishes, either

NO_PAUSE = 0.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
HEALTHY_AGE = 5.0
RELOAD_PATIENCE = 5.0


class Ending(Enum):
    """How a team ended."""

    DRAINED = "worker: stopped"
    CANCELLED = "worker: stopped; what ran was given back"
    KILLED = "worker: killed; others get what ran when its lease runs out"


class Team:
    """The processes of one state of the code; one that dies by itself is replaced."""

    def __init__(self, plan: Plan, size: int, *, reload: bool) -> None:
        self._plan = plan
        self._size = size
        self._reload = reload
        self._children: dict[int, Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._last: dict[int, Child] = {}
        self.status = FAILED

    async def begin(self) -> bool:
        """Start them, the first one alone, so that what is wrong is said once; False where it can't start.

        One that dies without having said why is replaced as at any other time: that may be a job's fault.
        """
        first = await self._spawn(1)
        if not await first.started() and first.gave_up:
            self.status = first.status
            return False
        self._keepers = [asyncio.create_task(self._keep(1, first))]
        self._keepers += [asyncio.create_task(self._keep(n)) for n in range(2, self._size + 1)]
        return True

    async def end(self, wishes: Wishes, patience: float | None = None) -> Ending:
        """Drain, cancel when that is wished or patience ends, and kill when that is wished."""
        self._ending.set()
        self._last = {number: child for number, child in self._children.items() if child.alive}
        self._order("stop")
        gone = asyncio.ensure_future(self._gone())
        await either(gone, wishes.cancel, timeout=patience)
        if gone.done():
            return Ending.DRAINED
        self._order("cancel")
        await either(gone, wishes.kill)
        if gone.done():
            return Ending.CANCELLED
        for child in self._children.values():
            child.kill()
        await gone
        return Ending.KILLED

    def failures(self) -> list[str]:
        """Those that did not end well when the team ended; `status` is their exit code, if they agree."""
        codes = {child.status for child in self._last.values() if child.failed}
        if len(codes) == 1:
            self.status = max(*codes, FAILED)
        return [
            f"process {number} (pid {child.pid}): {child.obituary()}"
            for number, child in sorted(self._last.items())
            if child.failed
        ]

    def health(self) -> list[ConsumerHealth]:
        """All consumers; may be called from any thread."""
        return [each for child in list(self._children.values()) for each in child.health()]

    @property
    def lease_seconds(self) -> float:
        return max((child.lease_seconds for child in list(self._children.values())), default=0.0)

    async def _keep(self, number: int, child: Child | None = None) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            child = child or await self._spawn(number)
            started = await child.started()
            await child.ended()
            if self._ending.is_set():
                return
            quick = not started or child.age < HEALTHY_AGE
            pause = min(2 * pause, LONGEST_PAUSE) if quick else NO_PAUSE
            later = f" in {pause:g} s" if pause else ""
            say(
                f"worker: process {number} (pid {child.pid}) ended by itself: {child.obituary()}; "
                f"another one starts{later}"
            )
            await either(self._ending, timeout=pause)
            pause = max(pause, FIRST_PAUSE)
            child = None

    async def _spawn(self, number: int) -> Child:
        child = await Child.spawn(self._plan, keep_bytecode=not self._reload)
        self._children[number] = child
        if self._ending.is_set():
            child.order("stop")
        return child

    def _order(self, what: Literal["stop", "cancel"]) -> None:
        for child in self._children.values():
            child.order(what)

    async def _gone(self) -> None:
        await asyncio.gather(*self._keepers)
        await asyncio.gather(*(child.ended() for child in self._children.values()))


class Supervisor:
    """Keeps a team at work until it is told to stop."""

    def __init__(self, plan: Plan, size: int, *, reload: bool) -> None:
        self._plan = plan
        self._size = size
        self._reload = reload
        self._wishes = Wishes()
        self._team = Team(plan, size, reload=reload)
        self._begun = False

    async def run(self, address: tuple[str, int] | None) -> int:
        """Return the exit code."""
        with ExitStack() as stack:
            if address is not None:
                server = HealthServer(*address, self._examine)
                stack.callback(server.close)
                say(f"worker: health at {server.address}")
            self._wishes.by_signals(announce_stop)
            return await (self._follow_code() if self._reload else self._run_team())

    async def _run_team(self) -> int:
        beginning = asyncio.ensure_future(self._team.begin())
        await either(beginning, self._wishes.drain)
        if beginning.done() and not beginning.result() and not self._wishes.drain.is_set():
            return self._team.status
        self._begun = True
        await self._wishes.drain.wait()
        return await self._stop(beginning)

    async def _follow_code(self) -> int:
        folder = Path.cwd()
        while True:
            before = code_files(folder)
            beginning = asyncio.ensure_future(self._team.begin())
            change = asyncio.ensure_future(first_change(folder, before))
            await either(beginning, change, self._wishes.drain)
            if beginning.done():
                self._begun = beginning.result()
                if not self._begun:
                    say("worker: waiting for a change of the code")
                await either(change, self._wishes.drain)
            if self._wishes.drain.is_set():
                change.cancel()
                return await self._stop(beginning)
            say(f"worker: {change.result().relative_to(folder)} changed; starting again")
            ending = await self._team.end(self._wishes, RELOAD_PATIENCE)
            beginning.cancel()
            if self._wishes.drain.is_set():
                return self._conclude(ending)
            self._team = Team(self._plan, self._size, reload=True)

    async def _stop(self, beginning: asyncio.Future[bool]) -> int:
        ending = await self._team.end(self._wishes)
        beginning.cancel()
        return self._conclude(ending)

    def _conclude(self, ending: Ending) -> int:
        failures = self._team.failures()
        if ending is Ending.DRAINED and failures:
            say(f"worker: stopped, but not well: {', '.join(failures)}")
            return self._team.status
        say(ending.value)
        return self._wishes.status(drained=ending is Ending.DRAINED)

    def _examine(self) -> Health:
        phase: Literal["starting", "running", "stopping"] = "running" if self._begun else "starting"
        if self._wishes.drain.is_set():
            phase = "stopping"
        return Health(phase, self._team.lease_seconds, self._team.health())
