"""A way to a server that can swallow everything, as a network does that drops packets."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_CHUNK = 65_536


class DroppingProxy:
    """Passes connections on to a port of this machine; while it drops, bytes and new connections vanish."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.dropped = 0
        self._target = target
        self._dropping = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> DroppingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        self._dropping = True

    def lead_to(self, target: int) -> None:
        """Connections made from now on lead to this port."""
        self._target = target

    def pass_on(self) -> None:
        """Connections made from now on work; those that lost something never do again."""
        self._dropping = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, inner_writer))
                group.create_task(self._pump(inner_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = False
        try:
            while data := await reader.read(_CHUNK):
                lost = lost or self._dropping
                if lost:
                    self.dropped += len(data)
                else:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            return
        finally:
            writer.close()
