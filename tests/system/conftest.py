"""Each test of the public interface runs on memory, SQLite and Redis, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import QueueManager
from checkmate_queue.manager import settings as settings_module
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.testing.waiting import wait_until
from tests.servers.redis_storage import RedisStorage, running_server
from tests.system.storages import Link, ManagerFor, Storage


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    with running_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage."""
    if request.param != "redis":
        yield Storage(request.param, tmp_path)
        return
    server: str = request.getfixturevalue("redis_url")
    storage = Storage("redis", tmp_path, server)
    yield storage
    await RedisStorage(server, storage.prefix).destroy()


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
