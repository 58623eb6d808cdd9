"""A connection beside the event loop: heartbeats go on while a handler blocks it (G11)."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from checkmate_queue.backends.postgres.server import fetch, know_types

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.backends.postgres.server import Connection, Server

Answer = TypeVar("Answer")


class Beside:
    """One connection on an event loop and a thread of its own, made when it is first needed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    async def row(self, query: str, *arguments: Any, isolated: bool) -> Row:
        """The only row of a statement; from any event loop. See `fetch` of the server."""
        return await self._run(self._row(query, arguments, isolated))

    async def close(self) -> None:
        """End the connection and the thread."""
        with self._starting:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._disconnect(), loop))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    async def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        with self._starting:
            loop = self._loop or self._start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="checkmate-queue postgres", daemon=True
        )
        self._thread.start()
        return self._loop

    async def _row(self, query: str, arguments: Sequence[Any], isolated: bool) -> Row:
        async with asyncio.timeout(self._server.timeout):  # With a server that hangs all wait side by side.
            await self._turn.acquire()
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._server.connect()
                await know_types(self._connection)
            (row,) = await fetch(self._connection, query, arguments, isolated, self._server.timeout)
        except (TimeoutError, asyncio.CancelledError):
            if self._connection is not None:
                self._connection.terminate()
            raise
        finally:
            self._turn.release()
        return row

    async def _disconnect(self) -> None:
        if self._connection is None:
            return
        await self._server.disconnect(self._connection)
        await asyncio.sleep(0)
