"""Connections to the server: one pool, patience, and the errors of the driver in our words."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg

from checkmate_queue.backends.postgres.beside import Beside
from checkmate_queue.backends.postgres.failures import (
    AGAIN,
    NAMELESS,
    WRONG_ISOLATION,
    UnusableError,
    state_of,
    translated,
)
from checkmate_queue.backends.postgres.server import FAILURES, Server, fetch, is_pooled
from checkmate_queue.backends.postgres.statements import statement
from checkmate_queue.backends.postgres.storage import prepare
from checkmate_queue.core.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from checkmate_queue.backends.postgres.server import Pool, PoolConnection

Row: TypeAlias = asyncpg.Record
Answer = TypeVar("Answer")

_PAUSE = 0.05
_SILENT_SECONDS = 2.0
"""How long a server that let a statement wait for too long is asked whether it answers again."""
_RELEASE_SECONDS = 1.0
"""How long a statement that was given up may take to end before its connection is given up, too."""


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
        self._silent = False
        self._answered_at = 0.0
        self._slot = 0

    async def open(self) -> int:
        """Connect, prepare the storage, and return a slot for counters."""
        if self._pool is None:
            self._loop = asyncio.get_running_loop()
            try:
                self._pool = await self._persist(self._connect_pool)
            except UnusableError as error:
                raise ConfigError(str(error)) from error
        return self._slot

    async def close(self) -> None:
        """Close every connection, reachable or not."""
        pool, self._pool = self._pool, None
        await self._beside.close()
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), _RELEASE_SECONDS if self._silent else self._server.timeout)
        except FAILURES:
            pool.terminate()

    async def rows(self, query: str, *arguments: Any) -> list[Row]:
        """The rows of a statement."""

        async def run() -> list[Row]:
            async with self._lent() as connection:
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
                self._lent() as connection,
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

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[PoolConnection]:
        """A connection of the pool.

        A server that hangs must not let all callers wait, one after another, for the connections that hang:
        once it has not answered in time, each first asks for a sign of life.
        """
        pool = self._usable()
        connection = await self._taken(pool)
        try:
            if self._silent:
                await connection.fetchval("SELECT 1", timeout=_SILENT_SECONDS)
                self._silent = False
            yield connection
            self._answered_at = asyncio.get_running_loop().time()
        finally:
            await pool.release(connection, timeout=_RELEASE_SECONDS)

    async def _taken(self, pool: Pool) -> PoolConnection:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                return await pool.acquire(timeout=_SILENT_SECONDS if self._silent else self._server.timeout)
            except TimeoutError:
                if self._answered_at < began:  # It is not that others are served before.
                    raise

    async def _connect_pool(self) -> Pool:
        connection = await self._server.connect()
        try:
            await prepare(connection, self._schema, self._migrate)
            self._slot = await connection.fetchval(statement("next_slot", self._schema))
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
                failure = translated(error, self._server.address, self._schema)
                state = state_of(error)
                was_silent, self._silent = self._silent, self._silent or isinstance(error, TimeoutError)
                if was_silent or (loop.time() + pause > deadline and (repeated or state not in AGAIN)):
                    raise failure from error
            await self._adapt(state)
            await asyncio.sleep(0 if state == WRONG_ISOLATION else pause)
            pause = min(pause * 2, 1.0)
            repeated = True

    async def _adapt(self, state: str) -> None:
        """Send statements as this server, or the pooler before it, asks for."""
        if state == WRONG_ISOLATION:
            self._isolated = True
        if state in NAMELESS and self._named and self._pool is not None:
            self._named = False
            await self._server.unname(self._pool)
