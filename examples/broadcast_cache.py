"""Permission changes, told to every process that caches permissions.

    python examples/broadcast_cache.py [--url sqlite:///queue.db] [--seconds 3]

Look at

- `join`: a consumer group of its own for each process makes each get every change. It is `ephemeral`: it
  goes with its process, so nothing is kept for one that ended. A change that nobody caches is dropped at
  once (`unclaimed="drop"`).
- `changed`: the message says who changed and not how; the truth stays in one place. So it does not matter
  whether a message comes twice, late, or behind a newer one.
- `on_rejoin`: a process that hung for longer than its lease has lost its group, and with it what was told
  meanwhile. It joins again by itself, and forgets all that it thought it knew.

It starts two more processes of itself, changes permissions in a database, asks every process what it
believes, and lets one of them hang on the way. (`memory://` can't be shared: there, this process has three
caches, and none hangs.)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from checkmate_queue import Job, Queue, QueueError, QueueManager
from checkmate_queue.testing.waiting import wait_until

USERS = ["anna", "bert", "cleo", "dora", "emil"]

Beliefs = dict[str, str]
"""Each user's permissions, as somebody believes them to be."""


@dataclass(frozen=True)
class PermissionsChanged:
    """Something about this user's permissions has changed."""

    user: str


def read(database: Path, user: str) -> str:
    """The truth about a user."""
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT permissions FROM user WHERE name = ?"
        (permissions,) = connection.execute(query, (user,)).fetchone()
        return str(permissions)


def new_name() -> str:
    """A consumer group that nobody else has."""
    return f"cache-{uuid4()}"


class PermissionCache:
    """What this process knows of users' permissions; the rest is in the database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._known: Beliefs = {}
        self.rejoined = 0

    def permissions(self, user: str) -> str:
        """Those of the user, from the database the first time."""
        if user not in self._known:
            self._known[user] = read(self._database, user)
        return self._known[user]

    def forget(self, user: str) -> None:
        """Look again when asked next."""
        self._known.pop(user, None)

    def forget_all(self) -> None:
        """Know nothing."""
        self.rejoined += 1
        self._known.clear()


def permission_changes(manager: QueueManager) -> Queue[PermissionsChanged]:
    """The queue, for those who tell and those who listen."""
    return manager.get_queue("permission-changes", PermissionsChanged, unclaimed="drop")


async def join(manager: QueueManager, name: str, cache: PermissionCache) -> None:
    """Keep this cache from growing stale."""

    async def changed(job: Job[PermissionsChanged]) -> None:
        cache.forget(job.data.user)

    await permission_changes(manager).consume(
        changed, consumer_group=name, ephemeral=True, on_rejoin=cache.forget_all
    )


def open_manager(url: str) -> QueueManager:
    """With short leases: who hangs for half a second does not renew it, and loses it a second later."""
    return QueueManager(url, lease_seconds=1, max_block_seconds=0.5)


# -- a further process ---------------------------------------------------------------------------


async def be_a_member(url: str, name: str, database: Path) -> None:
    """Answer each line on the standard input with what this process believes, and how often it rejoined."""
    async with open_manager(url) as manager:
        cache = PermissionCache(database)
        await join(manager, name, cache)
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line == "hang\n":
                sys.stdin.readline()  # On the event loop: until it returns, nothing else goes on.
            beliefs = {user: cache.permissions(user) for user in USERS}
            print(json.dumps([beliefs, cache.rejoined]), flush=True)


class Member:
    """A further process, seen from here."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.rejoined = 0
        self._process = process

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n".encode())

    async def believes(self) -> Beliefs:
        """What it answers."""
        self.tell("what do you believe?")
        return await self.answer()

    async def answer(self) -> Beliefs:
        """The next line that it writes."""
        assert self._process.stdout
        beliefs: Beliefs
        beliefs, self.rejoined = json.loads(await self._process.stdout.readline())
        return beliefs

    async def end(self) -> None:
        """Let it come to its end."""
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def new_member(url: str, database: Path) -> AsyncIterator[Member]:
    """Start a process, which ends with this context."""
    name = new_name()
    command = [sys.executable, __file__, "--url", url, "--member", name, "--database", str(database)]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    member = Member(name, process)
    try:
        yield member
    finally:
        await member.end()


# -- the program ---------------------------------------------------------------------------------


class Office:
    """Where permissions are changed."""

    def __init__(self, database: Path, queue: Queue[PermissionsChanged]) -> None:
        self._database = database
        self._queue = queue
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("CREATE TABLE user (name TEXT PRIMARY KEY, permissions TEXT)")
            connection.executemany("INSERT INTO user VALUES (?, 'read')", [(user,) for user in USERS])

    async def change(self, user: str) -> None:
        """First the truth, then the news of it."""
        others = {"read", "read edit", "read edit delete", "none"} - {read(self._database, user)}
        with closing(sqlite3.connect(self._database)) as connection, connection:
            row = (random.choice(sorted(others)), user)
            connection.execute("UPDATE user SET permissions = ? WHERE name = ?", row)
        await self._queue.enqueue(PermissionsChanged(user))

    async def all_believe_the_truth(self, believers: list[Callable[[], Awaitable[Beliefs]]]) -> bool:
        """Whether what is cached everywhere is what the database says."""
        truth = {user: read(self._database, user) for user in USERS}
        return all([await believes() == truth for believes in believers])


async def let_hang(member: Member, office: Office, queue: Queue[PermissionsChanged]) -> None:
    """Have a process miss changes, and learn of them all the same."""

    async def lost_its_group() -> bool:
        return member.name not in [group.name for group in await queue.list_groups()]

    member.tell("hang")
    await wait_until(lost_its_group, description="the group of the process that hangs is gone", timeout=60)
    for user in USERS:
        await office.change(user)
    member.tell("go on")
    await member.answer()

    async def caught_up() -> bool:
        return await office.all_believe_the_truth([member.believes])

    await wait_until(caught_up, description="it learns what it missed", timeout=60)
    expect(member.rejoined, "a process that hung and missed 5 changes joined again, and believes the truth")


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}")


async def main(url: str, seconds: float, database: Path) -> None:
    """Change permissions, and ask all who cache them what they believe."""
    async with open_manager(url) as manager, AsyncExitStack() as processes:
        queue = permission_changes(manager)
        office = Office(database, queue)
        shared = not url.startswith("memory:")
        members = [await processes.enter_async_context(new_member(url, database)) for _ in range(2 * shared)]
        caches = [PermissionCache(database) for _ in range(3 - len(members))]
        for cache in caches:
            await join(manager, new_name(), cache)

        def local(cache: PermissionCache) -> Callable[[], Awaitable[Beliefs]]:
            async def believes() -> Beliefs:
                return {user: cache.permissions(user) for user in USERS}

            return believes

        believers = [member.believes for member in members] + [local(cache) for cache in caches]
        expect(await office.all_believe_the_truth(believers), f"{len(believers)} caches are filled")

        changes, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            await office.change(random.choice(USERS))
            changes += 1
            await asyncio.sleep(0.1)

        async def told() -> bool:
            return await office.all_believe_the_truth(believers)

        await wait_until(told, description="every cache believes the truth", timeout=60)
        expect(changes, f"after {changes} changes, {len(believers)} caches believe the truth")
        for member in members[:1]:
            await let_hang(member, office, queue)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--seconds", type=float, default=3.0, help="for how long permissions change")
    parser.add_argument("--member", help=argparse.SUPPRESS)
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        if options.member:
            asyncio.run(be_a_member(options.url, options.member, options.database))
        else:
            with tempfile.TemporaryDirectory() as folder:
                url = options.url or f"sqlite:///{folder}/queue.db"
                asyncio.run(main(url, options.seconds, Path(folder) / "permissions.db"))
    except QueueError as error:
        sys.exit(str(error))
