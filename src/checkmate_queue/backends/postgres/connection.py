"""Connections to the server: one pool, patience, and the errors of the driver in our words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg

from checkmate_queue.backends.postgres.beside import Beside
from checkmate_queue.backends.postgres.server import FAILURES, Server, fetch, is_pooled
from checkmate_queue.backends.postgres.storage import prepare
from checkmate_queue.core.errors import BackendUnavailableError, ConfigError
from checkmate_queue.store import FencedError, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from checkmate_queue.backends.postgres.server import Pool, PoolConnection

Row: TypeAlias = asyncpg.Record
Answer = TypeVar("Answer")

_UNKNOWN = "CQ001"
_FENCED = "CQ002"
_WRONG_ISOLATION = "CQ004"
_NAMELESS = ("26000", "42P05")
_AGAIN = ("40001", "40P01", _WRONG_ISOLATION, *_NAMELESS)
_UNAVAILABLE = (*_AGAIN, "08", "53", "57", "58", "25006", "25P03", "25P04", "55P03")
_PAUSE = 0.05


class Connections:
    """Runs statements for one store: repeats them while the server is away, until the patience is over.

    That is safe since every verb may be repeated after its answer was lost.
    """

    def __init__(self, server: Server, schema: str, patience: float, size: int, migrate: bool) -> None:
        self._server = server
        self._schema = schema
        self._patience = patience
        self._size = size
        self._migrate = migrate
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beside = Beside(server)
        self._isolated = False
        self._named = True

    async def open(self) -> None:
        """Connect, and prepare the storage."""
        if self._pool is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._pool = await self._persist(self._connect_pool)

    async def close(self) -> None:
        """Close every connection, reachable or not."""
        pool, self._pool = self._pool, None
        await self._beside.close()
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), self._server.timeout)
        except FAILURES:
            pool.terminate()

    async def rows(self, query: str, *arguments: Any) -> list[Row]:
        """The rows of a statement."""

        async def run() -> list[Row]:
            async with self._usable().acquire() as connection:
                return await fetch(connection, query, arguments, self._isolated, self._server.timeout)

        return await self._persist(run)

    async def row(self, query: str, *arguments: Any) -> Row:
        """The only row of a statement."""

        (row,) = await self.rows(query, *arguments)
        return row

    @property
    def timeout(self) -> float:
        """How long one statement may take."""
        return self._server.timeout

    async def transaction(self, work: Callable[[PoolConnection], Awaitable[Answer]]) -> Answer:
        """Several statements, that take effect together or not at all."""

        async def run() -> Answer:
            async with (
                self._usable().acquire(timeout=self._server.timeout) as connection,
                connection.transaction(isolation="read_committed"),
            ):
                return await work(connection)

        return await self._persist(run)

    async def row_anywhere(self, query: str, *arguments: Any) -> Row:
        """Like `row`, but from any event loop: others than the one that opened the store get by beside it."""
        if asyncio.get_running_loop() is self._loop:
            return await self.row(query, *arguments)

        async def run() -> Row:
            self._usable()
            return await self._beside.row(query, *arguments, isolated=self._isolated)

        return await self._persist(run)

    def _usable(self) -> Pool:
        if self._pool is None:
            raise BackendUnavailableError("The store is not open; call open() first.")
        return self._pool

    async def _connect_pool(self) -> Pool:
        connection = await self._server.connect()
        try:
            await prepare(connection, self._schema, self._migrate)
            self._named = not await is_pooled(connection)
        finally:
            await self._server.disconnect(connection)
        return await self._server.connect_pool(self._size, self._named)

    async def _persist(self, run: Callable[[], Awaitable[Answer]]) -> Answer:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause = _PAUSE
        repeated = False
        while True:
            try:
                return await run()
            except FAILURES as error:
                failure = _translated(error, self._server.address)
                state = _state(error)
                if loop.time() + pause > deadline and (repeated or state not in _AGAIN):
                    raise failure from error
            await self._adapt(state)
            await asyncio.sleep(0 if state == _WRONG_ISOLATION else pause)
            pause = min(pause * 2, 1.0)
            repeated = True

    async def _adapt(self, state: str) -> None:
        """Send statements as this server, or the pooler before it, asks for."""
        if state == _WRONG_ISOLATION:
            self._isolated = True
        if state in _NAMELESS and self._named and self._pool is not None:
            self._named = False
            await self._server.unname(self._pool)


def _state(error: Exception) -> str:
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def _translated(error: Exception, address: str) -> Exception:
    """What to raise when patience is over. Raises what no patience can help."""
    if isinstance(error, asyncpg.DataError | asyncpg.InternalClientError):
        raise error
    if not isinstance(error, asyncpg.PostgresError):
        reason = str(error) or type(error).__name__
        return BackendUnavailableError(f"PostgreSQL at {address} can't be reached: {reason}")
    state = _state(error)
    if state == _UNKNOWN:
        raise UnknownQueueError from error
    if state == _FENCED:
        raise FencedError(error.detail or "") from error
    if state.startswith(_UNAVAILABLE):
        return BackendUnavailableError(f"PostgreSQL at {address} can't be used: {error}")
    if state.startswith(("28", "3D")):
        raise ConfigError(f"PostgreSQL at {address} refuses the connection: {error}") from error
    raise error
