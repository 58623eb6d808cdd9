"""Tables on a terminal of 80 columns: what people copy is whole, and what they read is readable."""

from __future__ import annotations

import re

import pytest

from checkmate_queue import Discard, Job
from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import PROGRAM, Site
from tests.cli.terminal import Terminal

WIDE = 80
QUEUE, GROUP = "exports-by-tenant", "exporters-of-the-night"
SCHEDULE = "health-check:https://status.example.com/api/v2/monitors/1234"
DATA = {"tenant": "acme", "format": "xlsx", "columns": ["a", "b", "c", "d", "e"]}

HEADERS = {
    "jobs list": ("id", "state", "priority", "enqueued", "groups", "data"),
    "failed list": ("job", "group", "failed", "attempts", "error", "data"),
    "recurring list": ("queue", "job", "runs", "next", "last", "outcome", "data"),
    "groups list": (
        *("queue", "group", "workers", "pending", "processing", "retrying", "oldest", "ephemeral", "since"),
    ),
    "stats": (
        *("queue", "pending", "processing", "delayed", "unclaimed", "completed", "failed", "expired"),
        *("cancelled", "oldest"),
    ),
}


async def fill(site: Site) -> list[str]:
    """Two jobs that wait, one that failed, and two schedules; return the jobs' ids, the failed one's last."""
    async with site.manager() as manager:
        queue = manager.get_queue(QUEUE)

        async def refuse(job: Job[object]) -> None:
            raise Discard("the bucket of the tenant has refused the file: AccessDenied (403)")

        consumer = await queue.consume(refuse, consumer_group=GROUP)
        failed = await queue.enqueue(DATA)

        async def is_kept() -> bool:
            return bool(await queue.list_failed())

        await wait_until(is_kept, description="the job has failed")
        await consumer.stop()
        ids = [await queue.enqueue(DATA, priority=5), await queue.enqueue(DATA, start_delay=9000)]
        await queue.schedule_recurring(SCHEDULE, DATA, interval_seconds=300, start_delay=9000)
        await queue.schedule_recurring("nightly", DATA, cron_pattern="0 3 * * *", timezone="Europe/Berlin")
        return [*ids, failed]


def _queue_of(command: str) -> list[str]:
    return [QUEUE] if command in ("jobs list", "failed list") else []


async def shown(site: Site, command: str, columns: int) -> list[str]:
    """What a command shows on a terminal, line by line."""
    with Terminal(
        [PROGRAM, *command.split(), *_queue_of(command)], site.folder, site.environment, columns
    ) as terminal:
        assert await terminal.ended() == 0
    return terminal.text.splitlines()


@pytest.fixture
async def pieces(site: Site) -> dict[str, list[str]]:
    """What each command must show in one piece, each in a line of its own."""
    *living, failed = await fill(site)
    return {
        "jobs list": living,
        "failed list": [f"{failed}  {GROUP}"],
        "recurring list": [f"{QUEUE}  {SCHEDULE}", f"{QUEUE}  nightly"],
        "groups list": [f"{QUEUE}  {GROUP}"],
        "stats": [QUEUE],
    }


@pytest.mark.parametrize("command", HEADERS)
async def test_ids_and_headers_are_whole(site: Site, pieces: dict[str, list[str]], command: str) -> None:
    header, *rows = await shown(site, command, WIDE)
    left_out = rows.pop() if rows[-1].startswith("(") else ""
    assert [sum(piece in row for row in rows) for piece in pieces[command]] == [1] * len(pieces[command])
    assert len(rows) == len(pieces[command]), "a row is one line"
    names = header.split()
    assert names == [name for name in HEADERS[command] if name in names]
    missing = [name for name in HEADERS[command] if name not in names]
    assert left_out == (f"(too narrow for: {', '.join(missing)})" if missing else "")
    assert not any(line.endswith(" ") for line in (header, *rows))


@pytest.mark.parametrize("command", [command for command in HEADERS if command != "recurring list"])
async def test_they_fit_where_whole_ids_let_them(
    site: Site, pieces: dict[str, list[str]], command: str
) -> None:
    lines = await shown(site, command, WIDE)
    assert [line for line in lines if len(line) > WIDE] == []


async def test_a_line_is_longer_than_the_terminal_before_an_id_is_broken(
    site: Site, pieces: dict[str, list[str]]
) -> None:
    header, *rows = await shown(site, "recurring list", WIDE)
    assert tuple(header.split()) == HEADERS["recurring list"]
    assert all(len(row) > WIDE and row.endswith("…") for row in rows)
    header, *rows = await shown(site, "jobs list", 30)
    assert [sum(piece in row for row in rows) for piece in pieces["jobs list"]] == [1, 1]


async def test_texts_are_shortened_before_anything_is_left_out(
    site: Site, pieces: dict[str, list[str]]
) -> None:
    header, *rows = await shown(site, "jobs list", 120)
    assert tuple(header.split()) == HEADERS["jobs list"]
    assert all(row.endswith("…") and len(row) == 120 for row in rows)
    assert any(re.search(r"exporters-of-[a-z-]*…", row) for row in rows)


@pytest.mark.parametrize("command", HEADERS)
async def test_a_pipe_gets_all_of_it(site: Site, pieces: dict[str, list[str]], command: str) -> None:
    header, *rows = (await site.call(*command.split(), *_queue_of(command))).splitlines()
    assert tuple(header.split()) == HEADERS[command]
    assert len(rows) == len(pieces[command])
    assert all(any(piece in row for row in rows) for piece in pieces[command])


async def test_statistics_that_go_on_fit_into_the_terminal(site: Site, pieces: dict[str, list[str]]) -> None:
    arguments = ("stats", "--watch", "--interval", "0.1")
    with Terminal([PROGRAM, *arguments], site.folder, site.environment, WIDE) as terminal:
        await terminal.sees(r"queue +pending +processing .*failed +oldest +done/s")
        await terminal.sees(rf"{QUEUE} +1 +0 +.* 0\.0")
        terminal.press("\x03")
        assert await terminal.ended() == 0


async def test_sentences_go_on_in_the_next_line(site: Site, pieces: dict[str, list[str]]) -> None:
    with Terminal([PROGRAM, "doctor"], site.folder, site.environment, WIDE) as terminal:
        await terminal.ended()
    text = re.sub(r"\s+", " ", terminal.text)
    assert "has no worker, and 1 delivery waits" in text
    assert "…" not in text
