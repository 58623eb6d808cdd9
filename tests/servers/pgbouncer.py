"""PgBouncer in its mode `transaction` before the tests' PostgreSQL server, run by an unprivileged user."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

import pytest

from checkmate_queue.backends.postgres.store import PostgresStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock
from checkmate_queue.testing.waiting import wait_until
from tests.servers.debian import find_program
from tests.servers.postgres import PostgresStorage

# Each transaction gets another of the server's connections; what a session leaves behind meets a stranger.
# They live shortly: what a session has cached of the schemas of hundreds of tests slows each query down.
CONFIG = """
[databases]
{database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = 8
min_pool_size = 4
server_lifetime = 5
max_client_conn = 500
admin_users = admin
"""


@dataclass(frozen=True, slots=True)
class PooledStorage(PostgresStorage):
    """A schema that stores and managers reach through the pooler alone."""

    pooler: str = ""

    @property
    def manager_url(self) -> str:
        """What a manager is given, and nothing else."""
        return f"{self.pooler}?schema={self.schema}"

    async def connect(self, clock: Clock | None = None, limits: StoreLimits | None = None) -> PostgresStore:
        """A store on this schema, not opened yet."""
        return PostgresStore(self.pooler, schema=self.schema, clock=clock, limits=limits or StoreLimits())


class PgBouncer:
    """A pooler as a process of its own."""

    def __init__(self, folder: Path, server: str) -> None:
        self.port = _free_port()
        self.url = f"postgresql://pooled@127.0.0.1:{self.port}/{urlsplit(server).path.lstrip('/')}"
        self.log = folder / "pgbouncer.log"
        self._settings = folder / "pgbouncer.ini"
        self._settings.write_text(CONFIG.format(database=_database(server), port=self.port))
        self._user = _unprivileged(server)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Ready when this returns."""
        command = [find_program("pgbouncer"), str(self._settings)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user)
        await wait_until(self._listens, description="the pooler listens", timeout=30)

    def stop(self) -> None:
        """End it, and the connections through it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _database(url: str) -> str:
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    query = dict(parse_qsl(parts.query))
    words = {
        "host": query.get("host") or parts.hostname,
        "port": query.get("port") or parts.port or 5432,
        "dbname": name,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return f"{name} = " + " ".join(f"{key}={value}" for key, value in words.items() if value)


def _unprivileged(url: str) -> str | None:
    """Whom to run as: PgBouncer refuses to be root. A server's socket may be its own user's alone."""
    if os.geteuid() != 0:
        return None
    folder = dict(parse_qsl(urlsplit(url).query)).get("host", "")
    owner = pwd.getpwuid(Path(folder).stat().st_uid).pw_name if folder.startswith("/") else "root"
    return "nobody" if owner == "root" else owner


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _folder() -> Iterator[Path]:
    # Outside pytest's own folders, which other users can't enter.
    path = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def pooling(server: str) -> Iterator[PgBouncer]:
    """A pooler that is not started yet; it ends with the block."""
    find_program("pgbouncer")
    with _folder() as folder:
        pooler = PgBouncer(folder, server)
        try:
            yield pooler
        finally:
            pooler.stop()


@pytest.fixture
def pooler(postgres_url: str) -> Iterator[PgBouncer]:
    """A pooler that is not started yet."""
    with pooling(postgres_url) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def pooler_url(postgres_url: str) -> Iterator[str]:
    """The address of a running pooler."""
    with pooling(postgres_url) as pooler:
        asyncio.run(pooler.start())
        yield pooler.url


@pytest.fixture
async def pooled_storage(postgres_url: str, pooler_url: str) -> AsyncIterator[PooledStorage]:
    """An empty storage behind the pooler, which is gone afterwards."""
    storage = PooledStorage(postgres_url, f"test_{uuid4().hex}", pooler_url)
    yield storage
    await storage.destroy()
