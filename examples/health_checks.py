"""Health checks on a schedule, and a start-up that makes the schedules what the configuration says.

    python examples/health_checks.py [--url sqlite:///queue.db] [--seconds 6]

Look at

- `reconcile`: schedules are stored, so a start finds those of the last one. It cancels what is no longer
  configured, adds what is new and changes what is different; what is the same goes on undisturbed. A check
  that ran a moment ago is not due at once only because the program started: it starts after the rest of its
  interval.
- `start`: reconcile first, consume then, so that no orphan runs. Several instances may do this at the same
  time, and still each due time of a check is one request.
- `check`: the handler. A failed check is a result, not an error, so there is nothing to retry.

It starts two HTTP servers, one of which flaps, runs an old configuration, stops, and starts two instances
with a new one. (`memory://` forgets its schedules with its manager and can't be shared: there, one instance
adds all anew. They start after the rest of their intervals all the same.)
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from checkmate_queue import Job, Queue, QueueError, QueueManager
from checkmate_queue.testing.waiting import wait_until

PREFIX = "healthcheck:"
"""Ours among the schedules of the queue; the others are none of our business."""


@dataclass(frozen=True)
class HealthCheck:
    """Ask the server on this port of this machine every so many seconds."""

    name: str
    port: int
    every: float

    @property
    def schedule_id(self) -> str:
        return PREFIX + self.name


class History:
    """The results, in a database of the application's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE result (job TEXT PRIMARY KEY, name TEXT, at REAL, up INTEGER)")

    def add(self, job: str, name: str, up: bool) -> None:
        """Note a result. A job that runs twice, as any job may, has one row."""
        with closing(sqlite3.connect(self._path)) as database, database:
            row = (job, name, time.time(), up)
            database.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)", row)

    def of(self, name: str) -> list[tuple[float, bool]]:
        """When it was checked, and whether it was up, the oldest first."""
        with closing(sqlite3.connect(self._path)) as database:
            rows = database.execute("SELECT at, up FROM result WHERE name = ? ORDER BY at", (name,))
            return [(at, bool(up)) for at, up in rows]

    def rest(self, check: HealthCheck) -> float:
        """How many seconds of the check's interval are left since its last result."""
        results = self.of(check.name)
        return max(0.0, results[-1][0] + check.every - time.time()) if results else 0.0


async def reconcile(queue: Queue[HealthCheck], configured: list[HealthCheck], history: History) -> list[str]:
    """Make the stored schedules those that are configured, and tell what had to be done."""
    wanted = {check.schedule_id: check for check in configured}
    stored = [each for each in await queue.list_recurring_jobs() if each.startswith(PREFIX)]
    done: list[str] = []
    for orphan in sorted(set(stored) - set(wanted)):
        if await queue.cancel_recurring(orphan):
            done.append(f"cancelled {orphan}")
    for schedule_id, check in wanted.items():
        details = await queue.get_recurring_job_details(schedule_id)
        if details is None:
            done.append(f"added {schedule_id}")
        elif details.data != check:
            done.append(f"changed {schedule_id}")
        # The same definition again changes nothing, so this needs no "if".
        await queue.schedule_recurring(
            schedule_id,
            check,
            interval_seconds=check.every,
            start_delay=history.rest(check),
            overlap=False,
        )
    return done


def check(job: Job[HealthCheck], history: History) -> None:
    """Ask the server, and keep what came of it."""
    with closing(HTTPConnection("127.0.0.1", job.data.port, timeout=30)) as connection:
        try:
            connection.request("GET", "/health", headers={"X-Job": job.id})
            up = connection.getresponse().status == 200
        except (OSError, HTTPException):
            up = False
    history.add(job.id, job.data.name, up)


async def start(
    name: str, url: str, configured: list[HealthCheck], history: History
) -> tuple[QueueManager, list[str]]:
    """One instance of the application, and what it found to do."""
    manager = QueueManager(url)
    await manager.start()
    queue = manager.get_queue("health-checks", HealthCheck)
    done = await reconcile(queue, configured, history)
    print(f"{name}: {', '.join(done) or 'nothing to do'}")
    await queue.consume(partial(check, history=history), consumer_group="checkers", max_retries=0)
    return manager, done


class Target(ThreadingHTTPServer):
    """A server to check. One that flaps answers every second request with an error."""

    def __init__(self, flaps: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.flaps = flaps
        self.asked_by: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    """How a target answers a request."""

    server: Target

    def do_GET(self) -> None:
        """Called by the server, whose name this is."""
        self.server.asked_by.append(self.headers["X-Job"])
        self.send_response(503 if self.server.flaps and len(self.server.asked_by) % 2 else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the screen for what is to be seen."""


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}")


async def main(url: str, seconds: float, folder: Path) -> None:
    """Run with the old configuration, then with the new one, and look at what came of it."""
    steady, flapping, history = Target(), Target(flaps=True), History(folder / "results.db")
    shop = HealthCheck("shop", steady.server_port, every=0.4)
    search = HealthCheck("search", steady.server_port, every=0.3)
    legacy = HealthCheck("legacy", steady.server_port, every=0.4)
    mail = HealthCheck("mail", flapping.server_port, every=0.5)
    mail_less_often = replace(mail, every=1.2)

    async def each_ran(checks: list[HealthCheck], times: int) -> None:
        before = {check.name: len(history.of(check.name)) for check in checks}
        await wait_until(
            lambda: all(len(history.of(name)) >= count + times for name, count in before.items()),
            description=f"each check ran {times} times",
            timeout=60,
        )

    old, new = [shop, mail, legacy], [shop, mail_less_often, search]
    manager, _ = await start("old configuration", url, old, history)
    await each_ran(old, 2)
    await manager.shutdown()
    last_mail, last_legacy = history.of("mail")[-1][0], len(history.of("legacy"))

    shared = not url.startswith("memory:")
    names = ["instance 1", "instance 2"] if shared else ["instance 1"]
    instances = await asyncio.gather(*(start(name, url, new, history) for name in names))
    await asyncio.gather(each_ran(new, 2), asyncio.sleep(seconds))
    schedules = await instances[0][0].get_queue("health-checks", HealthCheck).list_recurring_jobs()
    for manager, _ in instances:
        await manager.shutdown()

    for each in (*new, legacy):
        print(f"{each.name:8}", "".join("+" if up else "-" for _, up in history.of(each.name)))
    asked_by = steady.asked_by + flapping.asked_by
    if shared:
        done = {each for _, changes in instances for each in changes}
        wanted = {f"cancelled {PREFIX}legacy", f"changed {PREFIX}mail", f"added {PREFIX}search"}
        expect(done == wanted, "the second start cancelled, changed and added just what differed")
    expect(schedules == sorted(check.schedule_id for check in new), "the schedules are those configured")
    expect(len(history.of("legacy")) == last_legacy, "the orphan was not checked any more")
    first_mail = next(at for at, _ in history.of("mail") if at > last_mail)
    waited = first_mail - last_mail
    expect(waited >= mail_less_often.every - 0.002, "a changed check waited for the rest of its interval")
    expect(len(asked_by) == len(set(asked_by)), f"{len(asked_by)} due times made as many requests")
    expect({up for _, up in history.of("mail")} == {True, False}, "the flapping server was seen up and down")
    expect(all(up for _, up in history.of("shop")), "the steady server was always up")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to run the new configuration")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(
                main(options.url or f"sqlite:///{directory}/queue.db", options.seconds, Path(directory))
            )
    except QueueError as error:
        sys.exit(str(error))
