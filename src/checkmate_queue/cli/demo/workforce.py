"""The worker processes: hired, watched, one of them killed, all of them stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from checkmate_queue.cli.demo.errors import DemoError
from checkmate_queue.cli.demo.plan import Plan

State: TypeAlias = Literal["starting", "working", "frozen", "killed", "stopping", "stopped"]

FREEZE_SECONDS = 1.0
STOP_SECONDS = 12.0


class WorkerProcess:
    """A subprocess that the demo started."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.state: State = "starting"
        self.remark = ""
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def obituary(self) -> str:
        """How it ended, and the last line that it wrote."""
        code = self._process.returncode
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {signal.Signals(-code).name}"
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}; its last line was: {last}" if last else how

    async def ended(self) -> int:
        return await self._process.wait()

    async def freeze(self) -> None:
        """Stop all its threads with SIGSTOP, and return when they stand still."""
        self._process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + FREEZE_SECONDS
        while not _stands_still(self.pid):
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name} (pid {self.pid}) does not react to SIGSTOP")
            await asyncio.sleep(0.002)
        self.state = "frozen"

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self.state = "working"

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.state = "killed"
        self._process.send_signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """SIGTERM, on which it finishes what it runs; raises `DemoError` where it does not end well."""
        self.state = "stopping"
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.ended(), STOP_SECONDS)
        except TimeoutError:
            await self.kill()
            raise DemoError(f"{self.name} did not stop within {STOP_SECONDS:g} s of SIGTERM") from None
        self.state = "stopped"
        if code != 0:
            raise DemoError(f"{self.name} (pid {self.pid}) did not stop as it should: {self.obituary()}")

    async def discard(self) -> None:
        """End it, however it is: nobody wants its work any more."""
        self.state = "killed" if self.state == "killed" else "stopping"
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self.ended()


class Workforce:
    """All worker processes of this demo; `close` leaves none of them behind."""

    def __init__(self) -> None:
        self.workers: list[WorkerProcess] = []
        self._hired = 0
        self._alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watches: set[asyncio.Task[None]] = set()

    async def hire(self, plan: Plan) -> WorkerProcess:
        """Start one more."""
        self._hired += 1
        name = f"worker-{self._hired}"
        log = Path(plan.folder, f"{name}.log")
        command = [sys.executable, "-m", "checkmate_queue.cli.demo.staff", plan.dump(), name]
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=output, stderr=STDOUT)
        finally:
            os.close(output)
        worker = WorkerProcess(name, process, log)
        self.workers.append(worker)
        watch = asyncio.create_task(self._watch(worker))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return worker

    async def alarm(self) -> None:
        """Never returns; raises `DemoError` as soon as a worker ends that nobody ended."""
        await asyncio.shield(self._alarm)

    async def stop(self) -> None:
        """Stop all that still work, at the same time."""
        await asyncio.gather(*(worker.stop() for worker in self.workers if worker.alive))

    async def close(self) -> None:
        """Leave no process behind."""
        await asyncio.gather(*(worker.discard() for worker in self.workers if worker.alive))
        for watch in list(self._watches):
            await watch
        if not self._alarm.cancel():
            self._alarm.exception()  # Looked at, so that asyncio does not report it a second time.

    async def _watch(self, worker: WorkerProcess) -> None:
        await worker.ended()
        if worker.state in ("killed", "stopping", "stopped") or self._alarm.done():
            return
        self._alarm.set_exception(
            DemoError(f"{worker.name} (pid {worker.pid}) ended by itself: {worker.obituary()}")
        )


def _stands_still(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG) is not None
