"""What handlers receive, and what `enqueue` takes and returns (section 1)."""

from __future__ import annotations

import copy
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from checkmate_queue.core.job import NO_METADATA, Cancellation, Enqueue, Job, JobId, as_datetime


def test_a_job_shows_what_it_was_given() -> None:
    cancellation = Cancellation()
    job = Job(
        "id", [1], priority=3, enqueued_at=1_800_000_000_123, attempts=2, queue="q", consumer_group="g",
        metadata={"a": "b"}, cancellation=cancellation,
    )  # fmt: skip
    assert (job.id, job.data, job.priority, job.attempts) == ("id", [1], 3, 2)
    assert (job.queue, job.consumer_group, job.metadata) == ("q", "g", {"a": "b"})
    assert job.timestamp == datetime(2027, 1, 15, 8, 0, 0, 123_000, tzinfo=UTC)
    assert job.timestamp.utcoffset() == timedelta()
    assert not job.cancelled
    cancellation.requested = True
    assert job.cancelled


def test_a_job_can_be_made_by_hand() -> None:
    """Tests of handlers need an id and data alone."""
    job = Job("id", 1)
    assert (job.priority, job.attempts, job.metadata, job.cancelled) == (0, 0, {}, False)


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "data",
        "priority",
        "timestamp",
        "attempts",
        "queue",
        "consumer_group",
        "metadata",
        "cancelled",
        "new",
    ],
)
def test_a_job_is_immutable(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Job("id", 1), name, "changed")


def test_a_job_shows_itself_without_its_data() -> None:
    """Payloads may be secret or large; logs show jobs."""
    job = Job("id", "a secret", queue="q", consumer_group="g")
    assert repr(job) == "Job(id='id', queue='q', consumer_group='g', priority=0, attempts=0)"


def test_no_metadata_is_an_empty_map_for_all() -> None:
    assert dict(NO_METADATA) == {}
    with pytest.raises(TypeError):
        NO_METADATA["a"] = "b"  # type: ignore[index]


def test_a_job_id_is_its_text() -> None:
    """J7."""
    job_id = JobId("x", created=False)
    assert (job_id, hash(job_id), f"{job_id}", job_id.created) == ("x", hash("x"), "x", False)
    assert JobId("x").created
    assert job_id + "y" == "xy"


@pytest.mark.parametrize("created", [True, False])
def test_a_job_id_survives_copies(created: bool) -> None:
    job_id = JobId("x", created=created)
    for twin in (copy.copy(job_id), copy.deepcopy(job_id)):
        assert (type(twin), twin, twin.created) == (JobId, "x", created)


def test_an_item_of_a_batch_says_only_what_it_wants() -> None:
    item = Enqueue("data", priority=0)
    others = {"start_delay": None, "job_id": None, "expires_in": None, "metadata": None}
    assert dataclasses.asdict(item) == {"data": "data", "priority": 0, **others}
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.priority = 1  # type: ignore[misc]


def test_times_are_aware() -> None:
    assert as_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert as_datetime(1).microsecond == 1000
