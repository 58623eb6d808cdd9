"""Arguments that nobody should pass get an error of ours, and change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

import checkmate_queue
from checkmate_queue import (
    ConfigError,
    Event,
    InvalidArgumentError,
    JobCompleted,
    JobEnqueued,
    JobStarted,
    QueueError,
    QueueManager,
    QueuePlugin,
)
from checkmate_queue.core.excerpt import excerpt
from tests.system.handlers import Recorder, settled, still_works
from tests.system.storages import ManagerFor


@pytest.mark.parametrize(
    "timeout", [-1, float("nan"), float("inf"), "1", True, [], timedelta(-1), 10**400], ids=excerpt
)
async def test_a_wrong_timeout_stops_nothing(manager_for: ManagerFor, timeout: Any) -> None:
    """L1: of a consumer, a queue or a manager."""
    manager = await manager_for()
    queue = manager.get_queue("goes on")
    recorder = Recorder()
    consumer = await queue.consume(recorder, consumer_group="g")
    calls: list[Callable[[], Awaitable[None]]] = [
        lambda: consumer.stop(timeout=timeout),
        lambda: queue.stop(timeout=timeout),
        lambda: manager.shutdown(timeout=timeout),
    ]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match="timeout"):
            await call()
    assert manager.get_queue("goes on") is queue
    await still_works(queue, recorder)


async def test_a_timeout_may_be_a_timedelta(manager_for: ManagerFor) -> None:
    """Section 1: as other spans."""
    manager = await manager_for()
    queue = manager.get_queue("ends")
    consumer = await queue.consume(Recorder(), consumer_group="g")
    await consumer.stop(timeout=timedelta(seconds=5))
    await queue.stop(timeout=timedelta(milliseconds=1))
    await manager.shutdown(timeout=timedelta())


@pytest.mark.parametrize("event_class", [None, "JobCompleted", int, JobCompleted("q", "j", "g", 1.0), []])
def test_only_events_can_be_listened_to(event_class: Any) -> None:
    """Section 1: by their class."""
    with pytest.raises(InvalidArgumentError, match="event"):
        QueueManager("memory://").on(event_class, print)


@pytest.mark.parametrize("callback", [None, "print", 7, []])
def test_only_functions_can_be_called_back(callback: Any) -> None:
    """Section 1: or what behaves like one."""
    with pytest.raises(InvalidArgumentError, match="callback"):
        QueueManager("memory://").on(JobCompleted, callback)


async def test_all_events_can_be_listened_to_at_once(manager_for: ManagerFor) -> None:
    """Section 1: by the class that they have in common."""
    manager = await manager_for()
    events: list[Event] = []
    manager.on(Event, events.append)
    queue = manager.get_queue("q")
    await queue.consume(Recorder(), consumer_group="g")
    await queue.enqueue(1)
    await settled(queue)
    assert [type(event) for event in events] == [JobEnqueued, JobStarted, JobCompleted]


@pytest.mark.parametrize("lifespan", [7, "lifespan", []])
def test_a_lifespan_is_a_function(lifespan: Any) -> None:
    """Section 1: anything else is a `ConfigError` at construction."""
    with pytest.raises(ConfigError, match="lifespan"):
        QueueManager("memory://", lifespan=lifespan)


class Unfinished(QueuePlugin[Any]):
    """A class where an object is wanted."""


@pytest.mark.parametrize("plugin", [None, "sqlite", Unfinished, object()])
def test_only_plugins_can_be_registered(plugin: Any) -> None:
    """Section 1: an object of a `QueuePlugin`, not its class."""
    registry = QueueManager("memory://").registry
    before = registry.get_plugins()
    with pytest.raises(ConfigError, match="QueuePlugin"):
        registry.register(plugin)
    assert registry.get_plugins() == before


@pytest.mark.parametrize("plugin_id", [None, 7, [], {}])
def test_a_plugin_of_an_odd_id_is_not_found(plugin_id: Any) -> None:
    """Section 1: whatever it is."""
    with pytest.raises(QueueError):
        QueueManager("memory://").registry.get_plugin(plugin_id)


@pytest.mark.parametrize("items", [None, 7, object()], ids=["none", "int", "object"])
async def test_a_batch_that_is_no_iterable(manager_for: ManagerFor, items: Any) -> None:
    """Section 1: is refused, and the queue goes on."""
    manager = await manager_for()
    queue = manager.get_queue("q")
    with pytest.raises((InvalidArgumentError, TypeError)):
        await queue.enqueue_many(items)
    await queue.enqueue(1)


def test_all_errors_have_one_root() -> None:
    """Section 1: `QueueError`; and each says something by itself."""
    errors = [getattr(checkmate_queue, name) for name in checkmate_queue.__all__ if name.endswith("Error")]
    assert len(errors) >= 11
    for error in errors:
        assert issubclass(error, QueueError)
        assert str(error())
        assert str(error("a message")) == "a message"
