"""Payloads reach handlers as they were at `enqueue` (J2)."""

from __future__ import annotations

import datetime
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import pytest
from pydantic import BaseModel

from checkmate_queue import ConfigError, Enqueue, PayloadError
from checkmate_queue.core.excerpt import excerpt
from tests.system.handlers import Recorder, settled, still_works
from tests.system.storages import ManagerFor


@dataclass
class Check:
    config: str
    system: str
    tags: list[str] = field(default_factory=list)


class Address(TypedDict):
    street: str
    number: int


class Mail(BaseModel):
    kind: Literal["mail"] = "mail"
    to: str
    at: datetime.datetime
    token: uuid.UUID


class Page(BaseModel):
    kind: Literal["page"] = "page"
    number: int


MAIL = Mail(to="a@b.c", at=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), token=uuid.UUID(int=7))

TYPED: list[tuple[Any, Any]] = [
    (Check, Check("c1", "s1", ["a"])),
    (Address, {"street": "Unter den Linden", "number": 77}),
    (Mail, MAIL),
    (Mail | Page, Page(number=7)),
    (Mail | Page | None, None),
    (Mail | Page, MAIL),
    (list[Check], [Check("c1", "s1"), Check("c2", "s2", ["é", "✓"])]),
    (dict[str, Page], {"one": Page(number=1)}),
    (int, 7),
    (datetime.timedelta, datetime.timedelta(days=1, microseconds=1)),
    (bytes, b"not text"),
    (Any, {"list": [1, 2.5, True, None, "text"], "": {}, "deep": {"er": [[]]}}),
    (Any, None),
    (Any, "line\nbreak \x00 \u2028 🙂"),
    (Any, [10**30, -0.0, 1e300, 0.1]),
]


@pytest.mark.parametrize(("payload_type", "data"), TYPED, ids=excerpt)
async def test_the_handler_gets_an_equal_value_of_the_same_type(
    manager_for: ManagerFor, payload_type: Any, data: Any
) -> None:
    """J2: dataclasses, TypedDicts, pydantic models, unions and lists go through whole, and so does JSON."""
    manager = await manager_for()
    queue = manager.get_queue("typed", payload_type)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="readers")
    await queue.enqueue(data)
    await queue.enqueue_many([data, Enqueue(data, priority=1)])
    await recorder.calls(3)
    for received in recorder.data:
        assert received == data
        assert type(received) is type(data)


async def test_a_payload_is_a_snapshot(manager_for: ManagerFor) -> None:
    """J2: what happens to the value after `enqueue`, or in another handler, is not seen."""
    manager = await manager_for()
    queue = manager.get_queue("snapshots")
    seen: list[Any] = []

    async def spoil(job: Any) -> None:
        seen.append(repr(job.data))
        job.data["list"].append("spoilt by a handler")

    for group in ("one", "two"):
        await queue.consume(spoil, consumer_group=group)
    data: dict[str, Any] = {"list": []}
    job_id = await queue.enqueue(data, start_delay=0.1)
    data["list"].append("spoilt by the caller")
    await settled(queue)
    assert job_id
    assert seen == ["{'list': []}"] * 2


async def test_a_retry_sees_the_payload_as_it_was_enqueued(manager_for: ManagerFor) -> None:
    """J2: nor does an attempt see what the one before did to the value."""
    manager = await manager_for()
    queue = manager.get_queue("snapshots", list[int])
    seen: list[list[int]] = []

    async def spoil(job: Any) -> None:
        seen.append(list(job.data))
        job.data.append(99)
        raise RuntimeError("again")

    await queue.consume(spoil, consumer_group="g", max_retries=2, backoff=lambda *_: 0)
    await queue.enqueue([1])
    await settled(queue)
    assert seen == [[1]] * 3
    assert [entry.data for entry in await queue.list_failed()] == [[1]]


ALIEN: list[Any] = [
    (1, 2),
    {1, 2},
    {1: "an int key"},
    float("nan"),
    float("-inf"),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    b"bytes",
    object(),
    Check("c", "s"),
    Page(number=1),
    {"deep": [{"er": (1,)}]},
    "a lone surrogate: \ud800",
    {"\udfff": 1},
    lambda: None,
]


@pytest.mark.parametrize("data", ALIEN)
async def test_without_a_type_only_exact_json_is_taken(manager_for: ManagerFor, data: Any) -> None:
    """J2: what would come back different raises `PayloadError`, and nothing is stored."""
    manager = await manager_for()
    queue = manager.get_queue("untyped")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="readers")
    with pytest.raises(PayloadError):
        await queue.enqueue(data, job_id="alien")
    with pytest.raises(PayloadError):
        await queue.enqueue_many(["fine", data])
    assert await queue.get_job("alien") is None
    assert (await queue.get_stats()).pending == 0
    await still_works(queue, recorder)
    assert recorder.data == ["still works"]


@pytest.mark.parametrize(
    "data",
    [{"config": "c1"}, {"config": 1, "system": "s"}, Page(number=1), "text", None, 7, [Check("c", "s")]],
    ids=excerpt,
)
async def test_what_does_not_validate_is_refused(manager_for: ManagerFor, data: Any) -> None:
    """J2: a payload that is not of the queue's type raises `PayloadError` that says why."""
    manager = await manager_for()
    queue = manager.get_queue("typed", Check)
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="readers")
    with pytest.raises(PayloadError, match="Check"):
        await queue.enqueue(data)
    with pytest.raises(PayloadError):
        await queue.schedule_recurring("s", data, interval_seconds=60, start_delay=60)
    assert await queue.list_recurring_jobs() == []
    await still_works(queue, recorder, Check("c", "s"))


async def test_payloads_have_a_largest_size(manager_for: ManagerFor) -> None:
    """J2: over `max_payload_bytes` (1 MiB) raises `PayloadError` with both sizes; just below passes."""
    manager = await manager_for()
    queue = manager.get_queue("large")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="readers")
    largest = "x" * (1_048_576 - 2)
    await queue.enqueue(largest)
    with pytest.raises(PayloadError, match=r"1,048,577 bytes.*1,048,576"):
        await queue.enqueue(largest + "x")
    with pytest.raises(PayloadError, match="max_payload_bytes"):
        await queue.enqueue({"ten MiB": "x" * 10 * 1024 * 1024})
    await still_works(queue, recorder)
    assert recorder.data == [largest, "still works"]


async def test_the_largest_size_is_a_setting(manager_for: ManagerFor) -> None:
    """J2: `max_payload_bytes` counts the bytes of the JSON, of UTF-8, for typed payloads too."""
    manager = await manager_for(max_payload_bytes=10)
    queue = manager.get_queue("small")
    typed = manager.get_queue("small and typed", str)
    for each in (queue, typed):
        await each.enqueue("ä" * 4)
        with pytest.raises(PayloadError, match="10"):
            await each.enqueue("ä" * 5)
        assert (await each.get_stats()).unclaimed == 1


@pytest.mark.parametrize("payload_type", [object(), 7, "text", threading.Lock])
async def test_a_type_that_is_none_is_a_config_error(manager_for: ManagerFor, payload_type: Any) -> None:
    """J2: a payload type that can't be validated against raises at `get_queue`, and registers nothing."""
    manager = await manager_for()
    with pytest.raises(ConfigError):
        manager.get_queue("odd", payload_type)
    queue = manager.get_queue("odd", int)
    await queue.enqueue(1)
    assert (await queue.get_stats()).unclaimed == 1
