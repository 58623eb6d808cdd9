"""Connections that callers lend us, whichever their driver, inside the transaction that they are in."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from checkmate_queue.core.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_PARAMETER = re.compile(r"\$\d+")


class Borrowed(Protocol):
    """A connection in a transaction. What its driver raises is the caller's to see."""

    async def row(self, query: str, *arguments: Any) -> Sequence[Any]:
        """The only row of a statement."""

    async def execute(self, query: str, *arguments: Any) -> None:
        """Run a statement that has no rows."""


class _Asyncpg:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def row(self, query: str, *arguments: Any) -> Sequence[Any]:
        row: Sequence[Any] = await self._connection.fetchrow(query, *arguments)
        return row

    async def execute(self, query: str, *arguments: Any) -> None:
        await self._connection.execute(query, *arguments)


class _Psycopg:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def row(self, query: str, *arguments: Any) -> Sequence[Any]:
        async with self._connection.cursor(row_factory=_plain_rows) as cursor:
            await cursor.execute(_formatted(query), arguments)
            row: Sequence[Any] = await cursor.fetchone()
            return row

    async def execute(self, query: str, *arguments: Any) -> None:
        await self._connection.execute(_formatted(query), arguments)


class _Sqlalchemy:
    """Through SQLAlchemy itself, which begins its transactions late: at its own first statement."""

    def __init__(self, connection: Any, formatted: bool) -> None:
        self._connection = connection
        self._formatted = formatted

    async def row(self, query: str, *arguments: Any) -> Sequence[Any]:
        row: Sequence[Any] = (await self._run(query, arguments)).one()
        return row

    async def execute(self, query: str, *arguments: Any) -> None:
        await self._run(query, arguments)

    async def _run(self, query: str, arguments: tuple[Any, ...]) -> Any:
        text = _formatted(query) if self._formatted else query
        return await self._connection.exec_driver_sql(text, arguments)


@asynccontextmanager
async def borrowed(connection: object) -> AsyncIterator[Borrowed]:
    """A caller's connection as we use it. One that is in no transaction gets one, for as long as this lasts.

    Raises `InvalidArgumentError` for what is no such connection.
    """
    driver: Any = connection
    ours: Borrowed
    kinds = _kinds(driver)
    if kinds & {"sqlalchemy.AsyncSession", "sqlalchemy.async_scoped_session"}:
        driver = await driver.connection()
        kinds = _kinds(driver)
    if "sqlalchemy.AsyncConnection" in kinds:
        raw = await driver.get_raw_connection()
        kinds = _kinds(raw.driver_connection)
        if kinds & {"asyncpg.Connection", "psycopg.AsyncConnection"} and not raw.dbapi_connection.autocommit:
            yield _Sqlalchemy(driver, formatted="psycopg.AsyncConnection" in kinds)
            return
        driver = raw.driver_connection
    if kinds & {"asyncpg.Connection", "asyncpg.PoolConnectionProxy"}:
        in_transaction, ours = driver.is_in_transaction(), _Asyncpg(driver)
    elif "psycopg.AsyncConnection" in kinds:
        # One that does not commit by itself begins a transaction with its first statement.
        in_transaction = not driver.autocommit or driver.info.transaction_status.name != "IDLE"
        ours = _Psycopg(driver)
    else:
        raise _not_ours(connection, driver)
    if in_transaction:
        yield ours
        return
    async with driver.transaction():
        yield ours


def _kinds(connection: object) -> set[str]:
    """Packages and names of an object's classes: drivers are known by them, so that none need be there."""
    return {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(connection).__mro__}


def _not_ours(connection: object, driver: object) -> InvalidArgumentError:
    over = "" if driver is connection else f" over {_name(driver)}"
    return InvalidArgumentError(
        "connection must be an asyncpg connection, a psycopg AsyncConnection, or SQLAlchemy's AsyncSession "
        f"or AsyncConnection over one of these, not a {_name(connection)}{over}"
    )


def _name(value: object) -> str:
    """What it is, and no more: a text may be an address with its password."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _formatted(query: str) -> str:
    """With the placeholders of psycopg."""
    return _PARAMETER.sub("%s", _COMMENT.sub("", query))


def _plain_rows(_cursor: object) -> type[tuple[Any, ...]]:
    """A row factory: tuples, whatever the caller's connection makes of its own rows."""
    return tuple
