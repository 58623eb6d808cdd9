"""Two processes switch at once: they end on one backend (B6)."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from checkmate_queue import QueueManager
from checkmate_queue.backends.sqlite import SqliteStore
from checkmate_queue.switching.document import parse
from checkmate_queue.switching.settings import BACKEND_KEY

REPOSITORY = Path(__file__).parents[2]
JOBS = 5000


async def switch(url: str, path: Path) -> tuple[int, str]:
    """Have a process switch; its exit code, and what it said at last."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.switching.doomed",
            url,
            "sqlite",
            json.dumps({"path": str(path)}),
            "0",
        ),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().strip().rpartition("\n")[2]


async def test_two_processes_switch_at_once(tmp_path: Path) -> None:
    """B6: at least one succeeds; one that does not was refused, and changed nothing."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    async with QueueManager(url) as manager:
        queue = manager.get_queue("q")
        for _ in range(JOBS // 1000):
            await queue.enqueue_many(range(1000))
        answers = await asyncio.gather(*(switch(url, tmp_path / f"{name}.db") for name in ("one", "two")))
        assert any(status == 0 for status, _ in answers)
        for status, said in answers:
            assert status == 0 or "BackendSwitchError: " in said
        await queue.enqueue("last")
        assert (await queue.get_stats()).unclaimed == JOBS + 1
        active = Path(manager.get_active_config()["path"])
    counts = []
    for name in ("old", "one", "two"):
        store = SqliteStore(tmp_path / f"{name}.db")
        await store.open()
        counts.append((await store.stats("q")).unclaimed)
        if name == "old":
            setting = await store.load_setting(BACKEND_KEY)
            assert setting is not None
            assert parse(setting.value).phase == "active"
        await store.close()
    assert sorted(counts) == [0, 0, JOBS + 1]
    assert counts[["old", "one", "two"].index(active.stem)] == JOBS + 1
