"""Threads for plain handlers (F6).

`concurrent.futures` waits for its threads when the interpreter exits, so a handler that never returns would
keep the process alive; these are daemons.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Result: TypeAlias = BaseException | None


class _Call(NamedTuple):
    run: Callable[[], object]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Result]


class HandlerThreads:
    """As many daemon threads as handlers run at once; idle ones wait for the next call."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    def call(self, run: Callable[[], object]) -> asyncio.Future[Result]:
        """Run it on a thread, in a copy of this context; the future tells what it raised, or None."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._busy += 1
        if self._busy > len(self._threads):
            thread = threading.Thread(target=self._work, name="checkmate-handler", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._calls.put(_Call(run, contextvars.copy_context(), loop, future))
        return future

    def close(self) -> None:
        """Let idle threads end; those that run a handler end with it."""
        for _ in self._threads:
            self._calls.put(None)
        self._threads = []

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            error: Result = None
            try:
                call.context.run(call.run)
            except BaseException as raised:
                error = raised
            try:
                call.loop.call_soon_threadsafe(self._finished, call.future, error)
            except RuntimeError:
                return  # The loop is closed: the process is on its way out.
            del call, error

    def _finished(self, future: asyncio.Future[Result], error: Result) -> None:
        self._busy -= 1
        if not future.done():
            future.set_result(error)
