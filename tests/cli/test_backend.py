"""`checkmate-queue backend`."""

from __future__ import annotations

import asyncio
import json

import pytest

from checkmate_queue.cli.command import execute
from checkmate_queue.cli.main import app
from tests.cli.program import Site


async def test_the_backend_is_shown_tried_and_switched(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """L6, B7: with a dry run first; who comes with the old URL finds the new backend."""
    async with site.manager() as manager:
        await manager.get_queue("work").enqueue_many(range(3))
        await manager.get_queue("work").schedule_recurring("s", {}, interval_seconds=60, start_delay=60)
    target = f"sqlite:///{site.folder / 'new.db'}"
    assert execute(app, ["backend", "list"]) == 0
    assert await asyncio.to_thread(execute, app, ["backend", "test", target]) == 0
    told = capsys.readouterr().out
    assert "memory://" in told
    assert "the sqlite backend can be reached" in told
    dry = json.loads(site.run("backend", "switch", target, "--dry-run", "--json"))
    assert (dry["migrated_jobs"], dry["migrated_recurring_jobs"]) == (3, 1)
    assert (await site.call_json("backend", "show"))["config"]["path"].endswith("queue.db")
    site.run("backend", "switch", target, "--yes")
    assert (await site.call_json("backend", "show"))["config"]["path"].endswith("new.db")
    status = await site.call_json("backend", "status")
    assert status == {"plugin": "sqlite", "version": 2, "phase": "active", "other_plugin": None}
    async with site.manager() as manager:
        assert (await manager.get_queue("work").get_stats()).unclaimed == 3


def test_wrong_settings_are_not_repeated(capsys: pytest.CaptureFixture[str], site: Site) -> None:
    """L6: what is no JSON may be a secret."""
    arguments = ["backend", "switch", "sqlite", "--url", site.url, "--config", "hush-hush", "--yes"]
    assert execute(app, arguments) == 1
    text = capsys.readouterr().err
    assert "JSON object" in text
    assert "hush" not in text
