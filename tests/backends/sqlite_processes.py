"""What the SQLite tests run in processes of their own: `python -m tests.backends.sqlite_processes ROLE …`."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from uuid import uuid4

from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.backends.sqlite.statements import migrations
from checkmate_queue.core.errors import BackendUnavailableError, ConfigError
from checkmate_queue.core.model import Added, Done, Epoch, GroupJoin, NewJob

QUEUE = "queue"
ROOT = Path(__file__).parents[2]
NOBODY = 65534


def start(role: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a role in a process of its own, with pipes to it."""
    command = [sys.executable, "-m", __name__, role, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start_together(count: int, role: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a role in so many processes, which begin at the same moment; what they say comes mixed."""
    return start("together", count, role, *arguments)


def say(line: object) -> None:
    """Tell the parent, in one write."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def together(count: str, role: str, *arguments: str) -> None:
    """Fork this process, which has imported all it needs, and let all children go at once."""
    waiting, starting = os.pipe()
    children = []
    for _ in range(int(count)):
        child = os.fork()
        if child == 0:
            os.close(starting)
            os.read(waiting, 1)  # returns when the parent closes the other end
            asyncio.run(ROLES[role](*arguments))
            os._exit(0)
        children.append(child)
    os.close(starting)
    for child in children:
        os.waitpid(child, 0)


async def opened(path: str) -> SqliteStore:
    """An open store with the queue."""
    store = SqliteStore(path)
    await store.open()
    await store.register(QUEUE)
    return store


async def open_and_add(path: str) -> None:
    """Open, add a job, close, and say so."""
    store = await opened(path)
    await store.add(QUEUE, [[NewJob(uuid4().hex, b"1")]])
    await store.close()
    say("done")


async def add_for_ever(path: str) -> None:
    """Add jobs one by one and in batches, and say each id once it was accepted."""
    store = await opened(path)
    number = 0
    while True:
        batch = [NewJob(f"{os.getpid()}-{number + i}", b"1" * 100) for i in range(1 + number % 7)]
        number += len(batch)
        (added,) = await store.add(QUEUE, [batch])
        assert isinstance(added, list)
        say(" ".join(answer.id for answer in added))


async def work_off(path: str) -> None:
    """Claim and complete until nothing is left, and say which jobs were completed once that was accepted."""
    store = await opened(path)
    epoch = await store.join(QUEUE, f"worker-{os.getpid()}", [GroupJoin("g")], 30_000)
    settlements: list[Done] = []
    ids = [""]
    n = 0
    while ids:
        n += 1
        answer = await store.exchange(epoch, "g", n, settlements, 5)
        say(" ".join(ids))
        settlements = [Done(claim.key) for claim in answer.claims]
        ids = [claim.job_id for claim in answer.claims]


async def compete(path: str, count: str) -> None:
    """Add jobs as fast as it goes, and say when all were accepted."""
    store = await opened(path)
    for number in range(int(count)):
        await store.add(QUEUE, [[NewJob(f"{os.getpid()} {number}", b"1")]])
    await store.close()
    say("done")


async def sleep_until_news(path: str) -> None:
    """Sleep at an empty queue, say when news come, and claim then."""
    store = await opened(path)
    news = asyncio.Event()
    store.listen(lambda queue: news.set())
    epoch = await store.join(QUEUE, f"sleeper-{os.getpid()}", [GroupJoin("g")], 30_000)
    await _next_claim(store, epoch, 1)
    say("asleep")
    await news.wait()
    say("woken")
    say(await _next_claim(store, epoch, 2))
    await store.close()


async def _next_claim(store: SqliteStore, epoch: Epoch, n: int) -> str:
    answer = await store.exchange(epoch, "g", n, (), 1)
    return answer.claims[0].job_id if answer.claims else ""


async def open_only(path: str) -> None:
    """Open without any privileges, and say the error."""
    migrations()  # read while that is still allowed
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    store = SqliteStore(path, patience_ms=200)
    try:
        await store.open()
    except (ConfigError, BackendUnavailableError) as error:
        say(f"{type(error).__name__}: {error}")
    else:
        say("opened")
    await store.close()


async def fill_disk(path: str) -> None:
    """Add until files may not grow any further, then go on once they may again."""
    store = await opened(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    accepted: list[str] = []
    error = None
    while error is None:
        try:
            accepted += await _add_big(store, len(accepted))
        except BackendUnavailableError as caught:
            error = caught
    say(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    accepted += await _add_big(store, len(accepted))
    jobs = await store.jobs(QUEUE, limit=10_000)
    say([job.id for job in jobs] == accepted)
    await store.close()


async def _add_big(store: SqliteStore, number: int) -> list[str]:
    (answer,) = await store.add(QUEUE, [[NewJob(f"job-{number}", b"1" * 20_000)]])
    assert answer == [Added(f"job-{number}", True)]
    return [f"job-{number}"]


ROLES: dict[str, Callable[..., Coroutine[None, None, None]]] = {
    "open-and-add": open_and_add,
    "add": add_for_ever,
    "work": work_off,
    "compete": compete,
    "sleep": sleep_until_news,
    "open": open_only,
    "fill": fill_disk,
}

if __name__ == "__main__":
    if sys.argv[1] == "together":
        together(*sys.argv[2:])
    else:
        asyncio.run(ROLES[sys.argv[1]](*sys.argv[2:]))
