"""Blocking work for a loop."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_NAME: Final = "checkmate-queue-sqlite-open"


async def in_thread(work: Callable[[], T], unwanted: Callable[[T], None] | None = None) -> T:
    """Run work on a thread of its own, which is over when this returns.

    Where the caller was cancelled meanwhile, the work goes on, and its result is given to `unwanted` on a
    thread, too.
    """
    handover = _Handover(work, unwanted)
    thread = Thread(target=handover.run, name=_NAME, daemon=True)
    thread.start()
    future = handover.future
    try:
        return await future
    except asyncio.CancelledError:
        handover.give_up()
        raise
    finally:
        if future.done() and not future.cancelled():
            thread.join()


class _Handover(Generic[T]):
    """Work of a thread, and who waits for it."""

    def __init__(self, work: Callable[[], T], unwanted: Callable[[T], None] | None) -> None:
        self._work = work
        self._unwanted = unwanted
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        """On the thread: work, and bring the result to the loop."""
        try:
            result = self._work()
        except BaseException as error:
            self._bring(self._fail, error)
            return
        if not self._bring(self._fulfil, result):
            self._discard(result)

    def give_up(self) -> None:
        """On the loop: nobody waits any more. A result that has come already is unwanted."""
        if self.future.done() and not self.future.cancelled() and self.future.exception() is None:
            self._fulfil(self.future.result())

    def _bring(self, deliver: Callable[..., None], what: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(deliver, what)
        except RuntimeError:  # the loop was closed meanwhile
            return False
        return True

    def _fulfil(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)
        else:
            Thread(target=self._discard, args=(result,), name=_NAME, daemon=True).start()

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def _discard(self, result: T) -> None:
        if self._unwanted is not None:
            self._unwanted(result)
