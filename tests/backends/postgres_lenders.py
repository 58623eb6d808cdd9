"""Callers who lend the connection of their transaction, one for each driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine


class Loan(Protocol):
    """A connection, and the transaction that it is in."""

    connection: Any

    async def execute(self, statement: str) -> None:
        """Run a statement in the transaction."""

    async def commit(self) -> None:
        """Commit it."""

    async def roll_back(self) -> None:
        """Roll it back."""

    def nested(self) -> AbstractAsyncContextManager[Any]:
        """A savepoint, which an error rolls back to."""


Lender = Callable[[str], AbstractAsyncContextManager[Loan]]


class _Asyncpg:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._transaction = connection.transaction()

    async def begin(self) -> _Asyncpg:
        await self._transaction.start()
        return self

    async def execute(self, statement: str) -> None:
        await self.connection.execute(statement)

    async def commit(self) -> None:
        await self._transaction.commit()

    async def roll_back(self) -> None:
        await self._transaction.rollback()

    def nested(self) -> AbstractAsyncContextManager[Any]:
        nested: AbstractAsyncContextManager[Any] = self.connection.transaction()
        return nested


class _Psycopg:
    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection

    async def execute(self, statement: str) -> None:
        await self.connection.execute(statement.encode())

    async def commit(self) -> None:
        await self.connection.commit()

    async def roll_back(self) -> None:
        await self.connection.rollback()

    def nested(self) -> AbstractAsyncContextManager[Any]:
        return self.connection.transaction()


class _Sqlalchemy:
    def __init__(self, connection: AsyncSession | AsyncConnection) -> None:
        self.connection = connection

    async def execute(self, statement: str) -> None:
        await self.connection.execute(text(statement))

    async def commit(self) -> None:
        await self.connection.commit()

    async def roll_back(self) -> None:
        await self.connection.rollback()

    def nested(self) -> AbstractAsyncContextManager[Any]:
        nested: AbstractAsyncContextManager[Any] = self.connection.begin_nested()
        return nested


@asynccontextmanager
async def asyncpg_connection(url: str) -> AsyncIterator[Loan]:
    """asyncpg's own."""
    connection = await asyncpg.connect(url)
    try:
        yield await _Asyncpg(connection).begin()
    finally:
        await connection.close()


@asynccontextmanager
async def asyncpg_pool(url: str) -> AsyncIterator[Loan]:
    """One that a pool of asyncpg has given out."""
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        yield await _Asyncpg(connection).begin()


@asynccontextmanager
async def psycopg_connection(url: str) -> AsyncIterator[Loan]:
    """psycopg's, whose rows are not tuples."""
    connection = await psycopg.AsyncConnection.connect(url, row_factory=psycopg.rows.dict_row)
    try:
        yield _Psycopg(connection)
    finally:
        await connection.close()


def sqlalchemy_session(driver: str) -> Lender:
    """A session of SQLAlchemy over a driver."""

    @asynccontextmanager
    async def lend(url: str) -> AsyncIterator[Loan]:
        engine = create_async_engine(dialect_url(url, driver))
        try:
            async with AsyncSession(engine) as session:
                yield _Sqlalchemy(session)
        finally:
            await engine.dispose()

    return lend


def sqlalchemy_connection(driver: str) -> Lender:
    """A connection of SQLAlchemy over a driver."""

    @asynccontextmanager
    async def lend(url: str) -> AsyncIterator[Loan]:
        engine = create_async_engine(dialect_url(url, driver))
        try:
            async with engine.connect() as connection:
                yield _Sqlalchemy(connection)
        finally:
            await engine.dispose()

    return lend


def dialect_url(url: str, driver: str) -> str:
    """The server's address as SQLAlchemy has it."""
    return urlunsplit(urlsplit(url)._replace(scheme=f"postgresql+{driver}"))


LENDERS: dict[str, Lender] = {
    "asyncpg": asyncpg_connection,
    "asyncpg-pool": asyncpg_pool,
    "psycopg": psycopg_connection,
    "session-asyncpg": sqlalchemy_session("asyncpg"),
    "session-psycopg": sqlalchemy_session("psycopg"),
    "connection-asyncpg": sqlalchemy_connection("asyncpg"),
    "connection-psycopg": sqlalchemy_connection("psycopg"),
}
