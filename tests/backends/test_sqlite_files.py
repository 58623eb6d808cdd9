"""Files that SQLite can't use, or that are not ours: said when the store is opened, in a sentence."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.backends.sqlite.connection import connect
from checkmate_queue.backends.sqlite.schema import APPLICATION_ID, prepare
from checkmate_queue.core.errors import BackendUnavailableError, ConfigError, QueueError
from checkmate_queue.core.model import NewJob
from checkmate_queue.store import Store
from tests.backends.sqlite_processes import QUEUE, start


def prove(store: SqliteStore) -> Store:
    """The type checker's proof that the whole seam is there."""
    return store


async def refusal(path: str | Path) -> QueueError:
    """The error with which a store refuses to open."""
    store = SqliteStore(path, patience_ms=100)
    with pytest.raises((ConfigError, BackendUnavailableError)) as caught:
        await store.open()
    await store.close()
    return caught.value


async def used(path: Path) -> None:
    """Make a database of ours with a few jobs."""
    store = SqliteStore(path)
    await store.open()
    await store.register(QUEUE)
    await store.add(QUEUE, [[NewJob(f"job {number}", b"1" * 500) for number in range(200)]])
    await store.close()


@pytest.mark.parametrize("path", [":memory:", ""])
async def test_memory_is_another_backend(path: str) -> None:
    error = await refusal(path)
    assert isinstance(error, ConfigError)
    assert "memory://" in str(error)


async def test_missing_folder(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "missing" / "queue.db")
    assert isinstance(error, ConfigError)
    assert str(tmp_path / "missing") in str(error)
    assert "does not exist" in str(error)


async def test_folder(tmp_path: Path) -> None:
    error = await refusal(tmp_path)
    assert isinstance(error, ConfigError)
    assert "is a folder" in str(error)


async def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"This is a letter, and no database at all. " * 500)
    before = path.read_bytes()
    error = await refusal(path)
    assert isinstance(error, ConfigError)
    assert f"'{path}'" in str(error)
    assert "not a SQLite database" in str(error)
    assert path.read_bytes() == before


async def test_damaged_schema(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    await used(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    error = await refusal(path)
    assert isinstance(error, ConfigError)
    assert "damaged" in str(error)


async def test_damaged_pages_are_met_later(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    await used(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 2 * 4096))
    store = SqliteStore(path)
    with pytest.raises(QueueError, match="damaged"):
        await store.open()
        await store.add(QUEUE, [[NewJob("another", b"1")]])
    await store.close()


async def test_empty_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.touch()
    await used(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()


async def test_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    connection.close()
    before = path.read_bytes()
    error = await refusal(path)
    assert isinstance(error, ConfigError)
    assert "belongs to another application" in str(error)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


class Overtaken(sqlite3.Connection):
    """While it looks whose the file is, another connection makes the schema."""

    file: Path

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "PRAGMA user_version":
            now = time.monotonic()
            with (
                suppress(BackendUnavailableError),
                closing(connect(str(self.file), "NORMAL", now)) as other,
            ):
                prepare(other, str(self.file), now)
        return super().execute(sql, *values)


async def test_schema_is_made_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0, factory=Overtaken)) as connection:
        connection.file = path
        prepare(connection, str(path), time.monotonic() + 10)
    await used(path)


async def test_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    await used(path)
    with sqlite3.connect(path) as connection:
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA user_version = 4711")
    connection.close()
    error = await refusal(path)
    assert isinstance(error, ConfigError)
    assert "4711" in str(error)
    assert f"above {known}" in str(error)


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("what", ["file", "folder", "secret"])
async def test_no_permission(common: Path, what: str) -> None:
    folder = common / "folder"
    folder.mkdir()
    path = folder / "queue.db"
    if what == "file":
        await used(path)
        path.chmod(0o444)
    folder.chmod({"file": 0o755, "folder": 0o555, "secret": 0}[what])
    with start("open", path) as process:
        output, _ = process.communicate(timeout=20)
    folder.chmod(0o755)
    assert output.startswith("ConfigError: ")
    assert "can't be" in output
    assert f"'{path}'" in output


@pytest.mark.parametrize(
    "name", ["a b.db", "100%.db", "what?#.db", "größe-日本.db", "a'b\"c.db", "file:x.db"]
)
async def test_odd_names(tmp_path: Path, name: str) -> None:
    await used(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


async def test_symbolic_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link.db"
    real.mkdir()
    link.symlink_to(real / "queue.db")
    first, second = SqliteStore(link), SqliteStore(real / "queue.db")
    await first.open()
    await second.open()
    await first.register(QUEUE)
    await second.add(QUEUE, [[NewJob("a", b"1")]])
    assert (await first.stats(QUEUE)).unclaimed == 1
    await first.close()
    await second.close()
    assert [path.name for path in real.iterdir()] == ["queue.db"]


async def test_removed_while_in_use(tmp_path: Path) -> None:
    path, aside = tmp_path / "queue.db", tmp_path / "aside.db"
    await used(path)
    store = SqliteStore(path)
    await store.open()
    path.rename(aside)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="removed or replaced"):
            await store.add(QUEUE, [[NewJob("late", b"1")]])
        with pytest.raises(BackendUnavailableError, match="removed or replaced"):
            await store.ping()
    aside.rename(path)
    await store.add(QUEUE, [[NewJob("back", b"1")]])
    assert await store.job(QUEUE, "late") is None
    await store.close()


async def test_files_may_not_grow(tmp_path: Path) -> None:
    """A disk that takes no more is said; all that was accepted is there, and it goes on afterwards."""
    with start("fill", tmp_path / "queue.db") as process:
        output, _ = process.communicate(timeout=30)
    error, complete = output.splitlines()
    assert f"'{tmp_path / 'queue.db'}' is unavailable: its disk" in error
    assert complete == "True"


async def test_full_disk(tmp_path: Path) -> None:
    """The same with SQLite's own word for it, which a limit on pages gives."""
    store = SqliteStore(tmp_path / "queue.db")
    await store.open()
    await store.register(QUEUE)
    connection = store._database.writing._connection  # type: ignore[union-attr]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    unit = [NewJob(f"job {number}", b"1" * 3000) for number in range(20)]
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="disk is full"):
            await store.add(QUEUE, [unit])
    assert (await store.stats(QUEUE)).unclaimed == 0
    connection.execute("PRAGMA max_page_count = 1000000")
    await store.add(QUEUE, [unit])
    assert (await store.stats(QUEUE)).unclaimed == 20
    await store.close()


async def test_verbs_of_a_store_that_is_not_open(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "queue.db")
    with pytest.raises(BackendUnavailableError, match="not open"):
        await store.ping()
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(BackendUnavailableError, match="not open"):
        await store.ping()
    await store.open()
    await store.ping()
    await store.close()


async def test_opening_twice_at_once_and_given_up(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "queue.db")
    await asyncio.gather(store.open(), store.open())
    await store.close()
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await store.open()
    await store.ping()
    await store.close()
