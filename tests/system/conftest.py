"""Each test of the public interface runs on every backend, and leaves nothing behind.

On Redis and PostgreSQL with `make test-full`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import QueueManager
from checkmate_queue.manager import settings as settings_module
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.testing.waiting import wait_until
from tests.system.storages import Link, ManagerFor, Storage


def pytest_configure(config: pytest.Config) -> None:
    """The servers' fixtures; a server starts when a test asks for it."""
    config.pluginmanager.import_plugin("tests.servers.postgres")
    config.pluginmanager.import_plugin("tests.servers.valkey")


SERVERS = [pytest.param(name, marks=pytest.mark.full) for name in ("redis", "postgres")]


@pytest.fixture(params=["memory", "sqlite", *SERVERS])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage."""
    fixture = {"redis": "tidy_redis_storage", "postgres": "postgres_storage"}.get(request.param)
    return Storage(request.param, tmp_path, request.getfixturevalue(fixture) if fixture else None)


@pytest.fixture
async def manager_for(storage: Storage) -> AsyncIterator[ManagerFor]:
    """Managers of the storage; at the end all are shut down, and no task or thread may be left (L1)."""
    managers: list[QueueManager] = []
    threads_before = set(threading.enumerate())

    def left() -> list[str]:
        return [
            t.name
            for t in threading.enumerate()
            if t not in threads_before and not t.name.startswith("asyncio_")
        ]

    async def make(
        *, link: Link | None = None, start: bool = True, consume: bool = True, **options: Any
    ) -> QueueManager:
        manager = storage.manager(link=link, **options)
        managers.append(manager)
        if start:
            await manager.start(consume)
        return manager

    yield make
    for manager in reversed(managers):
        await manager.shutdown(timeout=0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await wait_until(
        lambda: not left(),
        description="no thread is left",
        timeout=10,
    )


@pytest.fixture
def short_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops that wait for a second where they would wait for 30."""
    monkeypatch.setattr(
        settings_module, "RuntimeSettings", partial(RuntimeSettings, stop_patience_seconds=1.0)
    )
