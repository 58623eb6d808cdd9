"""Where the server is, and how a connection to it is made and lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import asyncpg

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Transaction: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What the driver raises for a server that can't be reached or does not answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database, and how long to wait for it."""

    dsn: str
    password: str | None = field(repr=False)
    timeout: float

    @property
    def address(self) -> str:
        """Host and port, as people know them."""
        url = urlsplit(self.dsn)
        query = dict(parse_qsl(url.query))
        host = url.netloc.rpartition("@")[2] or query.get("host", "localhost")
        has_port = ":" in host.rpartition("]")[2] or host.startswith("/")
        return host if has_port else f"{host}:{query.get('port', 5432)}"

    async def connect(self) -> Connection:
        """A connection of its own."""
        return await asyncpg.connect(self.dsn, password=self.password, timeout=self.timeout)

    async def connect_pool(self, size: int) -> Pool:
        """A pool of connections, made as they are needed."""
        return await asyncpg.create_pool(
            self.dsn,
            password=self.password,
            min_size=1,
            max_size=size,
            timeout=self.timeout,
            reset=_keep,
        )

    async def disconnect(self, connection: Connection) -> None:
        """Close a connection, whether the server answers or not."""
        try:
            await connection.close(timeout=self.timeout)
        except FAILURES:
            connection.terminate()


async def _keep(connection: object) -> None:
    """Statements leave nothing behind in a connection: resetting it would be a round trip for nothing."""
