"""Blocking work for a loop."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(work: Callable[[], T], unwanted: Callable[[T], None] | None = None) -> T:
    """Run work on a thread of its own, which is over when this returns.

    Where the caller was cancelled meanwhile, the result is given to `unwanted`.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            loop.call_soon_threadsafe(fail, error)
        else:
            loop.call_soon_threadsafe(fulfil, result)

    def fulfil(result: T) -> None:
        if not future.done():
            future.set_result(result)
        elif unwanted is not None:
            unwanted(result)

    def fail(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    thread = Thread(target=run, name="checkmate-queue-sqlite-open", daemon=True)
    thread.start()
    try:
        return await future
    finally:
        if future.done():
            thread.join()
