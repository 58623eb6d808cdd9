"""Making and migrating the schema that a store lives in (U1, U2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.postgres.statements import functions, migrations, quote, statement
from checkmate_queue.core.errors import ConfigError

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    from checkmate_queue.backends.postgres.connection import Row

FUNCTIONS = 1
"""The revision of `sql/functions/`: raised by every release that changes one, so that an older release
which starts later does not put its own back."""

_LONGEST_SECONDS = 86_400.0


async def prepare(connection: Connection[Record], schema: str, migrate: bool = True) -> None:
    """Bring the schema to our format; refuse one that is not ours, or of a newer format.

    Without `migrate` nothing is changed, and a schema that is not made or not migrated yet is refused.
    """
    if await _is_current(connection, schema):
        return
    if not migrate:
        raise ConfigError(
            f"The schema {schema!r} is not ready for this release, and migrate_on_start is off; "
            "run: checkmate-queue migrate"
        )
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(statement("lock_storage", schema), schema, timeout=_LONGEST_SECONDS)
        if not await _is_current(connection, schema):
            await _migrate(connection, schema)


async def _is_current(connection: Connection[Record], schema: str) -> bool:
    found, revision = await _read(connection, schema)
    latest = len(migrations())
    if found > latest:
        raise ConfigError(
            f"The schema {schema!r} has the storage format {found}, and this release reads up to {latest}; "
            "upgrade checkmate-queue in this process."
        )
    return found == latest and revision >= FUNCTIONS


async def _read(connection: Connection[Record], schema: str) -> tuple[int, int]:
    meta = await _row(connection, statement("read_meta", schema), schema)
    if meta["encoding"] != "UTF8":
        raise ConfigError(f"The database's encoding is {meta['encoding']}; it must be UTF8.")
    if not meta["ours"]:
        if meta["used"]:
            raise ConfigError(f"The schema {schema!r} holds something else; name one that is empty or new.")
        return 0, 0
    numbers = await _row(connection, statement("read_format", schema))
    if numbers["format"] is None or numbers["functions"] is None:
        raise ConfigError(f"The schema {schema!r} has a table 'meta' that is not ours; name another one.")
    return int(numbers["format"]), int(numbers["functions"])


async def _migrate(connection: Connection[Record], schema: str) -> None:
    meta = await _row(connection, statement("read_meta", schema), schema)
    done = (await _read(connection, schema))[0]
    if not meta["found"]:
        await connection.execute(f"CREATE SCHEMA {quote(schema)}")
    await connection.execute("SELECT set_config('search_path', $1, true)", f"{quote(schema)}, pg_temp")
    await connection.execute("\n".join((*migrations()[done:], *functions())), timeout=_LONGEST_SECONDS)
    write = statement("write_meta", schema)
    await connection.execute(write, "format", str(len(migrations())))
    await connection.execute(write, "functions", str(FUNCTIONS))


async def _row(connection: Connection[Record], query: str, *arguments: str) -> Row:
    row = await connection.fetchrow(query, *arguments)
    assert row is not None
    return row
