"""Deduplicated syncs: however many ask for the same one, and wherever, it is made once.

    python examples/deduplicated_sync.py [--url sqlite:///queue.db] [--seconds 3]

Look at

- `ask_for_sync`: the `job_id` names what is to be done. While a job of this id waits, runs or will be
  retried, asking again stores nothing, in any process; `created` on the answer says who came first. When it
  has finished the id is free, and the next request makes another sync.
- `Directory.do_GET`: a sync may have read the user before the change that the later requests are about.
  What must see each change has the version in its id (`sync:anna:8`), or asks again when its first job is
  done.
- `sync`: writes with an upsert, so that running it twice does no harm.

Ten requests for one user come from three producers, once while the job waits and once while it runs; then,
for some seconds, from everywhere for many users, where the number of syncs must be that of the ids that
were new.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from checkmate_queue import Job, Queue, QueueError, QueueManager
from checkmate_queue.testing.waiting import wait_until


@dataclass(frozen=True)
class Sync:
    """Bring what we know of this user up to date."""

    user: str


async def ask_for_sync(queue: Queue[Sync], user: str) -> bool:
    """Ask, and tell whether this made a job."""
    return bool((await queue.enqueue(Sync(user), job_id=f"sync:{user}")).created)


def sync(job: Job[Sync], port: int, database: Path) -> None:
    """Fetch the user from the directory, and write it into our database."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", f"/users/{job.data.user}")
        user = json.loads(connection.getresponse().read())
    with closing(sqlite3.connect(database, timeout=30)) as ours, ours:
        ours.execute("INSERT OR REPLACE INTO user VALUES (?, ?)", (user["name"], user["version"]))


class Directory(ThreadingHTTPServer):
    """Where users are kept: each answer is a newer version of the user. While it is closed, it lets wait."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answered: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.open = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    """How the directory answers a request."""

    server: Directory

    def do_GET(self) -> None:
        """Called by the server, whose name this is."""
        name = self.path.rpartition("/")[2]
        self.server.asked[name] += 1
        self.server.open.wait()
        self.server.answered[name] += 1
        body = json.dumps({"name": name, "version": self.server.answered[name]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the screen for what is to be seen."""


@asynccontextmanager
async def three_producers(url: str, worker: QueueManager) -> AsyncIterator[list[Queue[Sync]]]:
    """The queue as three processes have it; `memory://` can't be shared, so there it is one."""
    async with AsyncExitStack() as stack:
        managers = [worker] * 3
        if not url.startswith("memory:"):
            managers = [await stack.enter_async_context(QueueManager(url)) for _ in range(3)]
        yield [manager.get_queue("syncs", Sync) for manager in managers]


async def ten_requests(producers: list[Queue[Sync]], user: str) -> int:
    """Ten at the same time; how many of them made a job."""
    answers = await asyncio.gather(*(ask_for_sync(producers[n % 3], user) for n in range(10)))
    return sum(answers)


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}")


async def for_one_user(
    producers: list[Queue[Sync]], directory: Directory, start: Callable[[], Awaitable[object]]
) -> None:
    """Ask for Anna's sync before, while and after it runs."""
    expect(await ten_requests(producers, "anna") == 1, "ten requests while it waits: one job")
    await start()
    await wait_until(lambda: directory.asked["anna"] == 1, description="the sync runs", timeout=60)
    expect(await ten_requests(producers, "anna") == 0, "ten requests while it runs: no job")
    directory.open.set()
    await none_left(producers[0])
    expect(directory.answered["anna"] == 1, "twenty requests made one sync")
    expect(await ten_requests(producers, "anna") == 1, "ten requests after it has finished: one job")
    await none_left(producers[0])
    expect(directory.answered["anna"] == 2, "they made another sync")


async def none_left(queue: Queue[Sync]) -> None:
    """Wait for the queue to be empty."""

    async def empty() -> bool:
        return not await queue.list_jobs(limit=1)

    await wait_until(empty, description="all syncs have finished", timeout=60)


async def main(url: str, seconds: float, folder: Path) -> None:
    """Ask for syncs, and count them where they are made."""
    database, directory = folder / "users.db", Directory()
    with closing(sqlite3.connect(database)) as ours:
        ours.execute("CREATE TABLE user (name TEXT PRIMARY KEY, version INTEGER)")
    async with QueueManager(url) as worker, three_producers(url, worker) as producers:
        queue = worker.get_queue("syncs", Sync)
        handler = partial(sync, port=directory.server_port, database=database)
        await for_one_user(producers, directory, lambda: queue.consume(handler, consumer_group="syncers"))

        users, requests, created = ["anna", "bert", "cleo", "dora"], 0, 2
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            asked = random.choices(users, k=10)
            answers = await asyncio.gather(*(ask_for_sync(random.choice(producers), user) for user in asked))
            requests, created = requests + len(answers), created + sum(answers)
        await none_left(queue)

    with closing(sqlite3.connect(database)) as ours:
        versions = dict(ours.execute("SELECT name, version FROM user"))
    print(f"{requests} more requests for {len(users)} users: {created - 2} syncs")
    expect(directory.answered.total() == created, "each job that was made is one sync, and there is no other")
    expect(versions == dict(directory.answered), "what we know of each user is the newest version")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--seconds", type=float, default=3.0, help="for how long many users are asked for")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as name:
            asyncio.run(main(options.url or f"sqlite:///{name}/queue.db", options.seconds, Path(name)))
    except QueueError as error:
        sys.exit(str(error))
