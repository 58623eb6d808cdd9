"""One look at a backend, from opening it to closing it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from checkmate_queue import BackendConfig, Queue, QueueManager, QueuePlugin
from checkmate_queue.backends import discover
from checkmate_queue.cli.command import CommandError, say
from checkmate_queue.manager.address import Address

T = TypeVar("T")

MEMORY = "memory"
NAMED_AT_MOST = 10


def visit(url: str, call: Callable[[QueueManager], Awaitable[T]], *, makes: bool = False) -> T:
    """Open the backend without consuming anything, make the call, close the backend.

    One that does not exist yet is only made where the command says so: a slip in a path must not look like an
    empty queue.
    """
    plugin, config = addressed(url)
    if plugin.id == MEMORY:
        say("memory:// is this command's own: it was empty, and what is stored there now is lost")
    if not makes and (absence := plugin.absence(config)):
        raise CommandError(absence)
    return look(url, call)


def look(url: str, call: Callable[[QueueManager], Awaitable[T]]) -> T:
    """As `visit`, for those who have made sure that the backend exists, or want it made."""
    return asyncio.run(_visit(url, call))


def addressed(url: str) -> tuple[QueuePlugin[Any], BackendConfig]:
    """The plugin that a URL names, and its config."""
    address = Address(url, {})
    plugin = address.plugin(discover())
    return plugin, address.config(plugin)


async def _visit(url: str, call: Callable[[QueueManager], Awaitable[T]]) -> T:
    manager = QueueManager(url)
    await manager.start(consume=False)
    try:
        return await call(manager)
    finally:
        await manager.shutdown(timeout=0)


async def known_queue(manager: QueueManager, name: str) -> Queue[Any]:
    """The queue, if the backend has it: a slip of the finger must not make one."""
    await check_known(manager, [name])
    return manager.get_queue(name)


async def check_known(manager: QueueManager, names: list[str]) -> None:
    """Raise `CommandError` unless the backend has all these queues."""
    known = await manager.list_queues()
    for name in names:
        if name not in known:
            raise CommandError(f"there is no queue {name!r}; {listing(known)}")


async def chosen_queues(manager: QueueManager, name: str | None) -> list[Queue[Any]]:
    """The queue of this name, or all."""
    if name is not None:
        return [await known_queue(manager, name)]
    return [manager.get_queue(each) for each in await manager.list_queues()]


def listing(known: list[str]) -> str:
    """What there is instead of what was asked for."""
    if not known:
        return "there is none yet"
    more = f" and {len(known) - NAMED_AT_MOST} more" if len(known) > NAMED_AT_MOST else ""
    return f"there are: {', '.join(known[:NAMED_AT_MOST])}{more}"
