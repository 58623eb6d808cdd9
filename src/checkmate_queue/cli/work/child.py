"""A worker process as the process above sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from typing import Any, Literal

from checkmate_queue.cli.work.health import ConsumerHealth
from checkmate_queue.cli.work.plan import Plan

MODULE = "checkmate_queue.cli.work.process"
LAST_WORDS_SECONDS = 1.0


class Child:
    """Started by `spawn`. It reads orders from a socket, and reports on it when it has begun to work."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lease_seconds = 0.0
        self.gave_up = False
        self._process = process
        self._writer = writer
        self._started = asyncio.Event()
        self._born = self._heard = time.monotonic()
        self._consumers: list[tuple[str, str, float | None]] = []
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def spawn(cls, plan: Plan, *, keep_bytecode: bool = True) -> Child:
        """Start one, in a process group of its own, so that the terminal's Ctrl-C reaches us alone."""
        ours, theirs = socket.socketpair()
        environment = os.environ if keep_bytecode else {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", MODULE, str(theirs.fileno()), plan.dump(),
                stdin=DEVNULL, pass_fds=[theirs.fileno()], process_group=0, env=environment,
            )  # fmt: skip
        return cls(process, *await asyncio.open_connection(sock=ours))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._born

    async def started(self) -> bool:
        """Wait until it works, or has ended without having worked; `gave_up`: whether it said why."""
        waits = [asyncio.ensure_future(self._started.wait()), asyncio.ensure_future(self._process.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._started.is_set():
            # What it said last; a process that a handler has forked may keep the line open.
            await asyncio.wait([self._listening], timeout=LAST_WORDS_SECONDS)
        return self._started.is_set()

    async def ended(self) -> None:
        """Wait until it is gone."""
        await self._process.wait()
        self._listening.cancel()
        self._writer.close()

    def order(self, what: Literal["stop", "cancel"]) -> None:
        """Tell it to drain, or to cancel what it drains."""
        if self.alive and not self._writer.is_closing():
            self._writer.write(f"{what}\n".encode())

    def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()

    @property
    def status(self) -> int:
        """Its exit code; below 0 for the signal that it died of."""
        code = self._process.returncode
        assert code is not None
        return code

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not well."""
        return bool(self._process.returncode)

    def obituary(self) -> str:
        """How it ended."""
        code = self.status
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def health(self) -> list[ConsumerHealth]:
        """Its consumers by its last report, and what has passed since; may be called from any thread."""
        silence = time.monotonic() - self._heard
        if not self._started.is_set():
            return [ConsumerHealth(self.pid, "(starting)", "(starting)", silence)]
        return [
            ConsumerHealth(self.pid, queue, group, None if seconds is None else seconds + silence)
            for queue, group, seconds in self._consumers
        ]

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            report: dict[str, Any] = json.loads(line)
            if report.get("gave_up"):
                self.gave_up = True
                continue
            self._consumers = [(queue, group, seconds) for queue, group, seconds in report["consumers"]]
            self.lease_seconds = report["lease_seconds"]
            self._heard = time.monotonic()
            self._started.set()
