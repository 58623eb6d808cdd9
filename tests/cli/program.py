"""The real program, run by tests."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from checkmate_queue import QueueManager
from checkmate_queue.cli.command import execute
from checkmate_queue.cli.main import app
from checkmate_queue.testing.waiting import wait_until

PROGRAM = Path(sys.executable).with_name("checkmate-queue")
PATIENCE = 60.0
"""How long a test waits for what must come; a machine under load is slow."""

APPLICATION = """
import asyncio, os, time
from checkmate_queue import Job, QueueManager

manager = QueueManager("sqlite:///queue.db", lease_seconds={lease})
work = manager.get_queue("work")
plain = manager.get_queue("plain")

def note(what, job):
    with open("ledger", "a") as ledger:
        ledger.write(f"{{what}} {{job.id}} {{job.attempts}} {{os.getpid()}}\\n")

@work.consumer("workers", concurrency={concurrency})
async def handle(job: Job) -> None:
    note("start", job)
    await asyncio.sleep(job.data)
    note("end", job)

@plain.consumer("workers")
def handle_plain(job: Job) -> None:
    note("start", job)
    time.sleep(job.data)
    note("end", job)
"""


class Site:
    """A folder with an application `app`, its database, and the ledger that its handlers write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'queue.db'}"
        self.application()

    def application(self, *, concurrency: int = 4, lease: float = 10) -> None:
        """Write the module `app`; `work` runs so many at once."""
        self.write("app.py", APPLICATION.format(concurrency=concurrency, lease=lease))

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        """That of a user who names the backend once."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST"))}
        path = f"{PROGRAM.parent}{os.pathsep}{inherited.get('PATH', '')}"
        return {**inherited, "CHECKMATE_QUEUE_URL": self.url, "PATH": path, "COLUMNS": "200"}

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run a command to its end, which must have this exit code, and return what it printed.

        With another code than 0 that is what it said on stderr, which must be one line.
        """
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        if code == 0:
            return done.stdout
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def run_json(self, *arguments: str) -> Any:
        """Run a command with `--json`, and return what that means."""
        return json.loads(self.run(*arguments, "--json"))

    async def call(self, *arguments: str, code: int = 0) -> str:
        """As `run`, in this process, for what needs no process of its own: ten times as fast."""
        out, err = io.StringIO(), io.StringIO()
        url = () if "--url" in arguments else ("--url", self.url)

        def execute_here() -> int:
            with redirect_stdout(out), redirect_stderr(err):
                return execute(app, [*arguments, *url])

        found = await asyncio.to_thread(execute_here)
        assert found == code, f"{found}: {out.getvalue()}{err.getvalue()}"
        assert err.getvalue().count("\n") == (0 if code == 0 else 1), err.getvalue()
        return out.getvalue() if code == 0 else err.getvalue()

    async def call_json(self, *arguments: str) -> Any:
        """As `run_json`, in this process."""
        return json.loads(await self.call(*arguments, "--json"))

    def worker(self, *arguments: str, target: str = "app:manager") -> WorkerProgram:
        """Start `checkmate-queue worker`."""
        return WorkerProgram(self, target, *arguments)

    def manager(self) -> QueueManager:
        """A manager of the same backend, in this process."""
        return QueueManager(self.url)

    def ledger(self) -> list[tuple[str, str, int, int]]:
        """What the handlers noted: what, job, failed attempts, pid."""
        path = self.folder / "ledger"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        parts = [line.split() for line in lines]
        return [(what, job, int(attempts), int(pid)) for what, job, attempts, pid in parts]

    def noted(self, what: str) -> list[str]:
        """The jobs of which this was noted, in order."""
        return [job for each, job, _, _ in self.ledger() if each == what]

    async def until_noted(self, what: str, job: str, count: int = 1) -> None:
        """Wait for a note."""
        await wait_until(
            lambda: self.noted(what).count(job) >= count,
            description=f"{what} of {job} was noted {count} times",
            timeout=PATIENCE,
        )


class WorkerProgram:
    """A `checkmate-queue worker` that runs; end it with `with`."""

    def __init__(self, site: Site, *arguments: str) -> None:
        self._log = site.folder / f"worker-{len(list(site.folder.glob('worker-*.log'))) + 1}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "worker", *arguments],
                cwd=site.folder,
                env=site.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> WorkerProgram:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text()

    async def says(self, text: str, count: int = 1) -> None:
        """Wait until it has printed this, so often."""
        await wait_until(
            lambda: self.said.count(text) >= count or self.process.poll() is not None,
            description=f"the worker says {text!r}",
            timeout=PATIENCE,
        )
        assert self.said.count(text) >= count, self.said

    async def ready(self, processes: int = 1) -> None:
        """Wait until so many processes consume."""
        await self.says("worker: ready", processes)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end, and return the exit code."""
        await wait_until(
            lambda: self.process.poll() is not None, description="the worker has ended", timeout=PATIENCE
        )
        return self.process.returncode
