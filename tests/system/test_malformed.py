"""Malformed and alien records never stop a worker (X1, X3, U1, U3)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import pytest

from checkmate_queue import Job, Queue
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import RECORD_FORMAT
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Recorder, settled, still_works
from tests.system.storages import Link, ManagerFor, Storage


@dataclass
class Check:
    config: str
    system: str


ALIEN: list[Any] = [
    "text",
    7,
    None,
    [],
    {},
    {"config": "c"},
    {"config": 1, "system": "s"},
    {"config": "c", "system": None},
    {"__class__": "os.system", "args": ["true"]},
    {"config": {"$ref": "x"}, "system": "s"},
]


@pytest.mark.parametrize("data", ALIEN, ids=excerpt)
async def test_what_another_version_enqueued(manager_for: ManagerFor, data: Any) -> None:
    """X3, U3: a payload that the current type rejects fails at once, whatever retries are left."""
    old, new = await manager_for(link=Link()), await manager_for(link=Link())
    queue = new.get_queue("checks", Check)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g", max_retries=9)
    await old.get_queue("checks").enqueue(data, job_id="alien")
    await still_works(queue, recorder, Check("c", "s"))
    await settled(queue)
    [entry] = await queue.list_failed()
    assert (entry.job_id, entry.error_type, entry.attempts, entry.data) == ("alien", "payload", 0, None)
    assert "Check" in entry.message
    assert recorder.data == [Check("c", "s")]
    assert (await queue.get_stats()).failed == 1


async def test_it_can_be_retried_after_a_fix(manager_for: ManagerFor) -> None:
    """U3: by a version whose type takes it."""
    old, new = await manager_for(link=Link()), await manager_for(link=Link())
    queue: Queue[Any] = new.get_queue("checks", Check)
    consumer = await queue.consume(Recorder(), consumer_group="g")
    await old.get_queue("checks").enqueue({"config": "c"}, job_id="alien")
    await settled(queue)
    assert (await queue.get_stats()).failed == 1
    await consumer.stop()
    await queue.stop()
    fixed = new.get_queue("checks", dict[str, str])
    recorder = Recorder()
    await fixed.consume(recorder, consumer_group="g")
    assert await fixed.retry_failed("alien") == 1
    await recorder.calls(1)
    assert recorder.data == [{"config": "c"}]


async def test_jobs_of_another_type_can_be_looked_at(manager_for: ManagerFor) -> None:
    """X3: lists and details show them, with data None."""
    old, new = await manager_for(link=Link()), await manager_for(link=Link())
    await old.get_queue("checks").enqueue("alien", job_id="alien")
    await old.get_queue("checks").schedule_recurring("s", "alien", interval_seconds=60, start_delay=60)
    queue = new.get_queue("checks", Check)
    assert [(job.id, job.data) for job in await queue.list_jobs()] == [("alien", None)]
    details = await queue.get_recurring_job_details("s")
    assert details is not None and details.data is None


async def test_a_schedule_of_another_type_can_be_replaced(manager_for: ManagerFor) -> None:
    """X3, R4: by one that fits."""
    old, new = await manager_for(link=Link()), await manager_for(link=Link())
    await old.get_queue("checks").schedule_recurring("s", "alien", interval_seconds=60, start_delay=60)
    queue = new.get_queue("checks", Check)
    await queue.schedule_recurring("s", Check("c", "s"), interval_seconds=60)
    details = await queue.get_recurring_job_details("s")
    assert details is not None and details.data == Check("c", "s")


BLOBS: list[Any] = [
    b"",
    b"{",
    b'{"config": "c", "system": "s"',
    b"\xff\xfe",
    b"\x00" * 100,
    b"\x80\x04\x95 a pickle",
    b"NaN",
    b'{"config": "c", "system": NaN}',
    b"[" * 100_000,
    b'"' + b"x" * 3_000_000,
    "text where bytes should be",
    7,
    1.5,
    None,
]


def tampered(storage: Storage, statement: str, *values: Any) -> None:
    """Change the database behind the queue's back."""
    with sqlite3.connect(storage.path, timeout=30) as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize("column", ["data", "metadata"])
@pytest.mark.parametrize("blob", BLOBS, ids=lambda blob: repr(blob)[:20])
async def test_a_damaged_row(manager_for: ManagerFor, storage: Storage, column: str, blob: Any) -> None:
    """X3: fails that delivery with type "payload"; the worker and all other jobs go on."""
    if storage.kind != "sqlite":
        return  # These damage rows of SQLite; the other backends have tests of their own.
    manager = await manager_for()
    queue = manager.get_queue("rows", dict[str, str])
    await queue.enqueue({"config": "c"}, job_id="damaged", metadata={"k": "v"})
    tampered(storage, f"UPDATE job SET {column} = ? WHERE id = 'damaged'", blob)
    await queue.list_jobs()
    await queue.get_job("damaged")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder, {"fine": "yes"})
    await settled(queue)
    stats = await queue.get_stats()
    assert stats.completed + stats.failed == 2
    empty_metadata = column == "metadata" and blob in (b"", None)
    if empty_metadata:
        assert stats.failed == 0
    else:
        assert [(entry.job_id, entry.error_type) for entry in await queue.list_failed()] == [
            ("damaged", "payload")
        ]


async def test_metadata_that_is_no_map_of_texts(manager_for: ManagerFor, storage: Storage) -> None:
    """X3: fails the delivery, too."""
    if storage.kind != "sqlite":
        return
    manager = await manager_for()
    queue = manager.get_queue("rows")
    for name, metadata in {"list": b"[1]", "numbers": b'{"a": 1}', "null": b"null"}.items():
        await queue.enqueue(1, job_id=name, metadata={"k": "v"})
        tampered(storage, "UPDATE job SET metadata = ? WHERE id = ?", metadata, name)
    assert len(await queue.list_jobs()) == 3
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)
    await settled(queue)
    assert {entry.job_id for entry in await queue.list_failed()} == {"list", "numbers", "null"}


async def test_a_record_of_a_newer_format_is_refused(manager_for: ManagerFor, storage: Storage) -> None:
    """U1: with an error that names both formats; others are not affected."""
    if storage.kind != "sqlite":
        return
    manager = await manager_for()
    queue = manager.get_queue("rows")
    await queue.enqueue(1, job_id="newer")
    tampered(storage, "UPDATE job SET format = ?", RECORD_FORMAT + 1)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await still_works(queue, recorder)
    await settled(queue)
    [entry] = await queue.list_failed()
    assert (entry.job_id, entry.error_type) == ("newer", "payload")
    assert f"format {RECORD_FORMAT + 1}" in entry.message
    assert f"up to {RECORD_FORMAT}" in entry.message


@pytest.mark.parametrize(
    "change",
    [
        "cron_pattern = 'nonsense', interval_seconds = NULL",
        "cron_pattern = NULL, interval_seconds = NULL",
        "cron_pattern = '@daily', interval_seconds = NULL, timezone = 'Mars/Olympus'",
        "interval_seconds = -1",
        "misfire = 'explode'",
        "data = 'x'",
        "data = NULL",
        "unclaimed = 'lost'",
    ],
)
async def test_a_damaged_schedule(manager_for: ManagerFor, storage: Storage, change: str) -> None:
    """X3: can't stop the worker, nor the other schedules of its queue."""
    if storage.kind != "sqlite":
        return
    manager = await manager_for()
    queue = manager.get_queue("rows")
    for name in ("damaged", "fine"):
        await queue.schedule_recurring(name, name, interval_seconds=0.2)
    tampered(storage, f"UPDATE schedule SET {change} WHERE id = 'damaged'")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g", max_retries=0)
    await wait_until(
        lambda: recorder.data.count("fine") >= 2, description="the other schedule runs", timeout=PATIENCE
    )
    await still_works(queue, recorder)
    assert await queue.list_recurring_jobs() == ["damaged", "fine"]
    await queue.get_recurring_job_details("damaged")
    await queue.schedule_recurring("damaged", "repaired", interval_seconds=0.3)
    await wait_until(lambda: "repaired" in recorder.data, description="it was repaired", timeout=PATIENCE)
    assert await queue.cancel_recurring("damaged")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lag-thresholds", "nonsense"),
        ("lag-thresholds", '{"warning": 5}'),
        ("lag-thresholds", '{"warning": 9, "critical": 1}'),
        ("lag-state:rows", "[]"),
        ("lag-state:rows", '{"severity": "panic", "below_since": "x"}'),
    ],
)
async def test_damaged_settings(manager_for: ManagerFor, storage: Storage, key: str, value: str) -> None:
    """X3: a worker goes on, and setting them again repairs them."""
    if storage.kind != "sqlite":
        return
    manager = await manager_for()
    queue = manager.get_queue("rows")
    tampered(storage, "INSERT OR REPLACE INTO setting (key, value, version) VALUES (?, ?, 1)", key, value)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await queue.schedule_recurring("s", "scheduled", interval_seconds=0.1)
    await wait_until(lambda: recorder.data.count("scheduled") > 2, description="it works", timeout=PATIENCE)
    await still_works(queue, recorder)
    await manager.set_lag_thresholds(3, 4)
    lag = await queue.get_lag()
    assert (lag.thresholds.warning, lag.thresholds.critical) == (3, 4)


async def test_payloads_are_never_code(manager_for: ManagerFor) -> None:
    """X1: what looks like code, SQL or markup is text, in payloads, errors and metadata."""
    manager = await manager_for()
    queue = manager.get_queue("'; DROP TABLE job; --")
    texts = [
        "__import__('os').system('true')",
        "'; DROP TABLE job; --",
        "<script>alert(1)</script>",
        "{{7*7}} {0.__class__} %s %(x)s ${x}",
        "\\u0000 \\x00 \x00",
        "!!python/object/apply:os.system ['true']",
    ]
    recorder = Recorder()

    async def handler(job: Job[Any]) -> None:
        await recorder(job)
        raise ValueError(job.data)

    await queue.consume(handler, consumer_group="\"'`;--", max_retries=0)
    for text in texts:
        await queue.enqueue(text, metadata={text: text})
    await settled(queue)
    assert sorted(recorder.data) == sorted(texts)
    assert all(job.metadata == {job.data: job.data} for job in recorder.jobs)
    failed = {entry.data: entry.message for entry in await queue.list_failed()}
    assert failed == {text: text.replace("\x00", "\\x00") for text in texts}
