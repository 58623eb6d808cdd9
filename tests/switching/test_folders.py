"""Relative paths mean the folder of the process that gave them, also where another one reads them (B3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkmate_queue import QueueManager
from checkmate_queue.backends.redis.plugin import RedisPlugin


async def _waiting(url: str) -> int:
    async with QueueManager(url) as manager:
        return (await manager.get_queue("q").get_stats()).unclaimed


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


async def test_target_is_found_from_another_folder(
    here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = f"sqlite:///{here / 'home.db'}"
    monkeypatch.chdir(here)
    async with QueueManager(home) as manager:
        await manager.set_active_backend("sqlite", {"path": "after.db"})
        await manager.get_queue("q").enqueue(1)
    monkeypatch.chdir(there)
    assert await _waiting(home) == 1
    assert list(there.iterdir()) == []


async def test_settings_are_found_from_another_folder(
    here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fence names where they are; who did not find them there would open the old backend again."""
    monkeypatch.chdir(here)
    left, active = f"sqlite:///{here / 'left.db'}", f"sqlite:///{here / 'active.db'}"
    async with QueueManager("sqlite:///home.db") as manager:
        for name in ("left.db", "active.db"):
            await manager.set_active_backend("sqlite", {"path": str(here / name)})
    monkeypatch.chdir(there)
    async with QueueManager(left) as manager:
        await manager.get_queue("q").enqueue(1)
    assert await _waiting(active) == 1
    assert list(there.iterdir()) == []


async def test_files_of_a_redis_config_are_found_from_another_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    plugin = RedisPlugin()
    config = plugin.validate({"url": "rediss://host", "ca_file": "ca.pem", "key_file": "/key.pem"})
    anchored = plugin.anchored(config)
    assert (anchored.ca_file, anchored.certificate_file, anchored.key_file) == (
        str(here / "ca.pem"),
        None,
        "/key.pem",
    )
