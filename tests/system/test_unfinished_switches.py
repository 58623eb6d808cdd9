"""Switches that did not end as they should: a process died, an engine went, another one came between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from checkmate_queue import BackendSwitchError, BackendUnavailableError
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.switching import backends, mover
from tests.system.test_following import Started, active_in, config, started, url

__all__ = ["started"]


class Killed(BaseException):
    """What a process meets that does not come back."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is silent for a moment counts as dead; whoever lives shows it often."""
    monkeypatch.setattr(backends, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(mover, "BEAT_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("verb", ["restore", "admit", "clear"])
async def test_next_switch_ends_what_was_left(
    verb: str, started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: whoever comes next, be it the same command again, and nobody else."""
    first = await started(url(tmp_path, "a"))
    await first.get_queue("q").enqueue_many(range(3))
    with monkeypatch.context() as context, pytest.raises(Killed):
        context.setattr(SqliteStore, verb, AsyncMock(side_effect=Killed))
        await first.set_active_backend("sqlite", config(tmp_path, "b"))
    await first.shutdown()
    again = await started(url(tmp_path, "a"))
    assert (await again.get_backend_status()).phase == ("moving" if verb == "restore" else "clearing")
    result = await again.set_active_backend("sqlite", config(tmp_path, "c"))
    assert (result.migrated_jobs, result.warnings) == (3, ())
    assert await active_in(tmp_path, "a") == "c"
    assert (await again.get_queue("q").get_stats()).unclaimed == 3
    for name in ("a", "b"):
        assert (await again.preview_switch("sqlite", config(tmp_path, name))).migrated_jobs == 3


def halt_restoring(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Have switches wait before they write into the new backend; events: one does so, and it may go on."""
    restore, reached, go_on = SqliteStore.restore, asyncio.Event(), asyncio.Event()

    async def slowly(store: SqliteStore, *args: Any) -> None:
        reached.set()
        await go_on.wait()
        await restore(store, *args)

    monkeypatch.setattr(SqliteStore, "restore", slowly)
    return reached, go_on


async def test_switch_whose_process_lives_is_not_ended(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: the second one is refused, however long the first one takes."""
    first, second = [await started(url(tmp_path, "a")) for _ in range(2)]
    await first.get_queue("q").enqueue(1)
    monkeypatch.setattr(mover, "BEAT_SECONDS", 0.05)
    reached, go_on = halt_restoring(monkeypatch)
    switching = asyncio.create_task(first.set_active_backend("sqlite", config(tmp_path, "b")))
    await reached.wait()
    for call in (second.set_active_backend, second.preview_switch):
        with pytest.raises(BackendSwitchError, match="under way already"):
            await call("sqlite", config(tmp_path, "c"))
    go_on.set()
    assert (await switching).success
    assert (await second.get_queue("q").get_stats()).unclaimed == 1


@pytest.mark.usefixtures("impatient")
async def test_old_backend_that_is_gone_after_the_flip(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: the switch has succeeded, and the next one is not held up for ever."""
    settings = url(tmp_path, "settings")
    manager = await started(url(tmp_path, "a"), settings=settings)
    await manager.get_queue("q").enqueue(1)
    monkeypatch.setattr(SqliteStore, "clear", AsyncMock(side_effect=BackendUnavailableError("it is gone")))
    result = await manager.set_active_backend("sqlite", config(tmp_path, "b"))
    assert (result.success, result.migrated_jobs) == (True, 1)
    assert "still to be emptied" in result.warnings[0]
    assert (await manager.get_backend_status()).phase == "clearing"
    await manager.get_queue("q").enqueue(2)
    monkeypatch.undo()
    monkeypatch.setattr(backends, "SILENCE_SECONDS", 0.4)
    gone = BackendUnavailableError("it is gone")
    with monkeypatch.context() as context:
        context.setattr(SqliteStore, "clear", AsyncMock(side_effect=gone))
        await manager.preview_switch("sqlite", config(tmp_path, "c"))
    assert (await manager.set_active_backend("sqlite", config(tmp_path, "c"))).migrated_jobs == 2
    late = await started(url(tmp_path, "a"), settings=settings)
    assert (await late.get_queue("q").get_stats()).unclaimed == 2
    with pytest.raises(BackendSwitchError, match="not empty"):
        await late.set_active_backend("sqlite", config(tmp_path, "a"))


async def test_switches_of_two_settings_stores(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B6: the second one finds the first one's fence, adopts its settings, and follows before it switches."""
    first = await started(url(tmp_path, "a"))
    second = await started(url(tmp_path, "a"), settings=url(tmp_path, "settings"))
    await first.get_queue("q").enqueue_many(range(3))
    reached, go_on = halt_restoring(monkeypatch)
    switches = [asyncio.create_task(first.set_active_backend("sqlite", config(tmp_path, "b")))]
    await reached.wait()
    switches.append(asyncio.create_task(second.set_active_backend("sqlite", config(tmp_path, "c"))))
    await asyncio.sleep(0)
    go_on.set()
    assert [result.migrated_jobs for result in await asyncio.gather(*switches)] == [3, 3]
    assert await active_in(tmp_path, "a") == "c"
    for manager in (first, second):
        assert (await manager.get_queue("q").get_stats()).unclaimed == 3
    store = SqliteStore(tmp_path / "b.db")
    await store.open()
    assert await store.queues() == []
    await store.close()
