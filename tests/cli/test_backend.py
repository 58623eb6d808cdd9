"""`checkmate-queue backend`."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from checkmate_queue.cli.command import execute
from checkmate_queue.cli.main import app
from tests.cli.program import PROGRAM, Site
from tests.cli.terminal import Terminal


async def test_the_backend_is_shown_tried_and_switched(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """L6, B7: with a dry run first; who comes with the old URL finds the new backend."""
    async with site.manager() as manager:
        await manager.get_queue("work").enqueue_many(range(3))
        await manager.get_queue("work").schedule_recurring("s", {}, interval_seconds=60, start_delay=60)
    target = f"sqlite:///{site.folder / 'new.db'}"
    site.run("backend", "switch", target, "--dry-run")
    assert not list(site.folder.glob("new.db*")), "it only told"
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


async def test_what_would_be_lost_with_the_command_is_refused(site: Site) -> None:
    """B2: memory is each process's own; here it would be this command's."""
    async with site.manager() as manager:
        await manager.get_queue("work").enqueue_many(range(3))
    for target in ("memory://", "memory"):
        said = await site.call("backend", "switch", target, "--yes", code=1)
        assert said.startswith("backend switch: the memory backend is the memory of one process: ")
    dry = await site.call_json("backend", "switch", "memory://", "--dry-run")
    assert dry["migrated_jobs"] == 3
    assert await asyncio.to_thread(execute, app, ["backend", "test", "memory://"]) == 0
    async with site.manager() as manager:
        assert manager.get_active_plugin() == "sqlite"
        assert (await manager.get_queue("work").get_stats()).unclaimed == 3


async def test_a_dry_run_refuses_a_file_that_can_not_be_made(site: Site, tmp_path: Path) -> None:
    """B7: as the switch does."""
    async with site.manager() as manager:
        await manager.get_queue("work").enqueue(1)
    for target, said in (
        (f"sqlite:///{tmp_path / 'missing' / 'new.db'}", "does not exist"),
        ("sqlite:///:memory:", "memory://"),
    ):
        for option in ("--dry-run", "--yes"):
            assert said in await site.call("backend", "switch", target, option, code=1)


async def test_the_list_of_backends_fits_a_terminal(site: Site) -> None:
    with Terminal([PROGRAM, "backend", "list"], site.folder, site.environment, 80) as terminal:
        assert await terminal.ended() == 0
    lines = terminal.text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["id", "url", "switchable", "description"]
    assert any(re.match(r"redis +redis://[^ ]*, redis[^ ]*… ", line) for line in lines)
    assert re.search(r"several\s+processes", terminal.text), "sentences are whole"
