"""The PostgreSQL backend against the contract on Debian's PostgreSQL, 15 in its release 12."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from checkmate_queue.testing.conformance import ALL_VERBS, MOVING_VERBS, Conformance
from tests.servers.debian import find_program
from tests.servers.postgres import PostgresStorage

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a running server, which only its socket leads to."""
    control = Path(find_program("pg_ctl"))
    # It refuses to be root; the package has made it a user of its own.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        subprocess.run([str(control), *command], user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    data = folder / "data"
    options = f"-c listen_addresses= -c fsync=off -k {folder}"
    try:
        run("initdb", "-D", str(data), "-o", "--auth=trust --username=postgres --encoding=UTF8 --locale=C")
        run("start", "-w", "-D", str(data), "-l", str(folder / "log"), "-o", options)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("stop", "-m", "immediate", "-D", str(data))
    finally:
        shutil.rmtree(folder)


class TestPostgresOfDebian(Conformance, verbs=ALL_VERBS | MOVING_VERBS):
    """Every rule, on one schema."""

    @pytest.fixture
    async def storage(self, url: str) -> AsyncIterator[PostgresStorage]:
        """An empty storage, which is gone afterwards."""
        storage = PostgresStorage(url, f"test_{uuid4().hex}")
        yield storage
        await storage.destroy()
