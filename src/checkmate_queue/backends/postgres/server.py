"""Where the server is, and how a connection to it is made and lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    PoolConnection: TypeAlias = PoolConnectionProxy[asyncpg.Record]

FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What the driver raises for a server that can't be reached or does not answer."""

_CLOSE_SECONDS = 1.0

_TYPES = (
    "SELECT $1::bigint[], $2::integer[], $3::smallint[], $4::boolean[], $5::text[], $6::bytea[], $7::float[]"
)


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
        """A connection of its own, without named statements."""
        return await asyncpg.connect(self.dsn, **self._nameless())

    async def connect_pool(self, size: int, named: bool) -> Pool:
        """A pool of connections, made as they are needed; with `named` each prepares a statement once."""
        options = self._nameless()
        if named:
            del options["statement_cache_size"]
        return await asyncpg.create_pool(
            self.dsn, min_size=0, max_size=size, init=know_types, reset=_keep, **options
        )

    async def unname(self, pool: Pool) -> None:
        """Have the pool make connections without named statements from now on."""
        pool.set_connect_args(self.dsn, **self._nameless())
        await pool.expire_connections()

    async def disconnect(self, connection: Connection) -> None:
        """Close a connection, whether the server answers or not."""
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except FAILURES:
            connection.terminate()

    def _nameless(self) -> dict[str, Any]:
        return {
            "password": self.password,
            "timeout": self.timeout,
            "command_timeout": self.timeout,
            "statement_cache_size": 0,
        }


async def fetch(
    connection: Connection | PoolConnection,
    query: str,
    arguments: Sequence[Any],
    isolated: bool,
    timeout: float,
) -> list[asyncpg.Record]:
    """The rows of a statement; `isolated`: in a transaction that asks for the isolation that verbs need."""
    if not isolated:
        return await connection.fetch(query, *arguments, timeout=timeout)
    async with connection.transaction(isolation="read_committed"):
        return await connection.fetch(query, *arguments, timeout=timeout)


async def know_types(connection: Connection) -> None:
    """Have the driver ask for all types of ours at once, in one transaction.

    It turns the server's JIT off for its question and on again: behind a pooler, outside of a transaction,
    that would reach sessions of others, and not its own, whose question would take seconds.
    """
    async with connection.transaction():
        await connection.fetch(_TYPES, *(None,) * 7)


async def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands between: the process that answers is not the one that took the connection."""
    answering = await connection.fetchval("SELECT pg_backend_pid()")
    return bool(answering != connection.get_server_pid())


async def _keep(connection: object) -> None:
    """Statements leave nothing behind in a connection: resetting it would be a round trip for nothing."""
