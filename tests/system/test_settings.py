"""Settings and plugins (L7, section 1)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest

from checkmate_queue import (
    BackendConfig,
    BackendUnavailableError,
    ConfigError,
    InvalidArgumentError,
    PluginNotFoundError,
    QueueError,
    QueueManager,
    QueuePlugin,
    QueuePluginRegistry,
)
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.manager import manager as manager_module
from checkmate_queue.store import Clock, Store
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works
from tests.system.storages import Link, LinkedPlugin, ManagerFor, Storage

DEFAULTS = {
    "lease_seconds": 30,
    "max_stalls": 3,
    "max_payload_bytes": 1_048_576,
    "failed_retention_count": 10_000,
    "failed_retention_seconds": 7 * 86_400,
    "group_retention_seconds": 7 * 86_400,
    "unclaimed_retention_seconds": 7 * 86_400,
    "max_block_seconds": 300,
    "patience_seconds": 5,
    "switch_patience_seconds": 600,
    "concurrency": 10,
}


def test_the_defaults_always_apply(storage: Storage) -> None:
    """L7: nothing given means all defaults, readable without a loop and before the start."""
    manager = storage.manager()
    config = manager.get_active_config()
    assert DEFAULTS.items() <= config.items()
    assert manager.get_active_plugin() == storage.kind
    match storage.kind:
        case "memory":
            assert (config["max_queue_size"], config["heartbeat_interval_seconds"]) == (10_000, 5)
        case "sqlite":
            assert (config["max_queue_size"], config["path"]) == (None, str(storage.path))
        case "redis" | "postgres":
            assert storage.server is not None
            assert config["max_queue_size"] is None
            assert urlsplit(config["url"]).scheme == urlsplit(storage.server.url).scheme
    assert config.get("delay_multiplier") == (1 if storage.server is None else None)  # L9


def test_settings_come_as_keywords_or_in_the_query(storage: Storage) -> None:
    """L7: a keyword wins over the URL's query."""
    manager = QueueManager(
        storage.url_with("concurrency=3&lease_seconds=7.5&max_queue_size=9"), concurrency=4
    )
    config = manager.get_active_config()
    assert (config["concurrency"], config["lease_seconds"], config["max_queue_size"]) == (4, 7.5, 9)


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": "many"},
        {"concurrency": 1.5},
        {"concurrency": None},
        {"lease_seconds": 0},
        {"lease_seconds": float("nan")},
        {"max_stalls": 0},
        {"max_payload_bytes": 0},
        {"max_queue_size": 0},
        {"failed_retention_count": -1},
        {"failed_retention_seconds": float("inf")},
        {"group_retention_seconds": 0},
        {"unclaimed_retention_seconds": -5},
        {"max_block_seconds": []},
        {"patience_seconds": -1},
        {"switch_patience_seconds": {}},
        {"no_such_setting": 1},
        {"Concurrency": 1},
    ],
    ids=excerpt,
)
def test_wrong_settings_are_refused(storage: Storage, settings: dict[str, Any]) -> None:
    """L7: with `ConfigError` that names the setting, as keyword and in the query; unknown ones too."""
    name = next(iter(settings))
    with pytest.raises(ConfigError, match=name):
        storage.manager(**settings)
    value = settings[name]
    if isinstance(value, int | float | str):
        with pytest.raises(ConfigError, match=name):
            QueueManager(storage.url_with(f"{name}={value}"))


def test_memory_has_bounds_of_its_own() -> None:
    """L7: concurrency from 1 to 100."""
    assert QueueManager("memory://", concurrency=100).get_active_config()["concurrency"] == 100
    with pytest.raises(ConfigError, match="concurrency"):
        QueueManager("memory://", concurrency=101)


def test_an_unknown_setting_shows_those_that_exist() -> None:
    """L7: the message says what would be right."""
    with pytest.raises(ConfigError, match=r"no setting 'leases'.*lease_seconds"):
        QueueManager("memory://?leases=1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "queue.db",
        "memory",
        "://",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/queue.db",
        "memory://host",
        "memory:///path",
        "memory://?concurrency",
        "memory://#fragment",
        "sqlite:///queue.db#1",
        "http://[half",
        None,
        7,
        b"memory://",
        Path("queue.db"),
    ],
    ids=excerpt,
)
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    """Section 1: with `ConfigError` at construction."""
    with pytest.raises(ConfigError):
        QueueManager(url)


def test_a_password_in_a_url_is_not_shown() -> None:
    """L6: errors about an address leave it out."""
    with pytest.raises(QueueError) as raised:
        QueueManager("sqlite://user:secret@host/queue.db#x")
    assert "secret" not in str(raised.value)


async def test_a_queue_may_be_asked_for_before_the_start(manager_for: ManagerFor) -> None:
    """L7: its first use waits for the backend."""
    manager = await manager_for(start=False)
    queue = manager.get_queue("early")
    calls = [asyncio.create_task(queue.enqueue(n)) for n in range(3)]
    recorder = Recorder()
    consuming = asyncio.create_task(queue.consume(recorder, consumer_group="g"))
    await asyncio.sleep(0)
    assert not any(task.done() for task in [*calls, consuming])
    await manager.start()
    await asyncio.gather(*calls, consuming)
    await recorder.calls(3)


async def test_use_without_a_start_shows_the_line_to_add(manager_for: ManagerFor) -> None:
    """L7: after the patience, from the loop and from threads."""
    manager = await manager_for(start=False, patience_seconds=0.05)
    queue = manager.get_queue("early")
    for call in (queue.enqueue(1), queue.get_stats(), asyncio.to_thread(queue.enqueue_sync, 1)):
        with pytest.raises(BackendUnavailableError, match=r"await manager\.start\(\)"):
            await call
    with pytest.raises(BackendUnavailableError, match=r"await manager\.start\(\)"):
        await manager.get_aggregated_stats()
    await manager.start()
    await queue.enqueue(1)


async def test_starting_twice_has_no_effect(manager_for: ManagerFor) -> None:
    """Section 1: in a row or at once, with producers and consumers."""
    manager = await manager_for(start=False)
    queue = manager.get_queue("twice")
    gate = Gate()
    queue.consumer("g", concurrency=2)(gate)
    await asyncio.gather(*(manager.start() for _ in range(3)))
    await manager.start()
    await queue.enqueue_many(range(5))
    await gate.calls(2)
    assert gate.most == 2
    gate.open()
    await settled(queue)


async def test_a_producer_starts_no_declared_consumers(manager_for: ManagerFor) -> None:
    """Section 1: `start(consume=False)`; what it declares later waits as well; a later start begins them."""
    manager = await manager_for(start=False)
    queue = manager.get_queue("produced")
    early, late = Recorder(), Recorder()
    queue.consumer("early")(early)
    await manager.start(consume=False)
    queue.consumer("late")(late)
    await queue.enqueue(1)
    assert (await queue.get_stats()) == (await manager.get_aggregated_stats())
    assert (await queue.get_stats()).unclaimed == 1
    await manager.start()
    await early.calls(1)
    await late.calls(1)


async def test_a_consumer_that_is_declared_after_the_start_begins_at_once(manager_for: ManagerFor) -> None:
    """Section 1: on the loop, and from another thread."""
    manager = await manager_for()
    queue = manager.get_queue("late")
    recorders = [Recorder(), Recorder()]
    queue.consumer("one")(recorders[0])
    await asyncio.to_thread(queue.consumer("two"), recorders[1])

    async def both_have_begun() -> bool:
        return (await queue.get_stats()).consumer_groups == 2

    await wait_until(both_have_begun, description="both have begun", timeout=PATIENCE)
    for recorder in recorders:
        await still_works(queue, recorder)


def test_a_decorator_with_wrong_options_raises_where_it_is_written() -> None:
    """Section 1: an option that does not exist is a `TypeError`."""
    queue = QueueManager("memory://").get_queue("q")
    with pytest.raises(TypeError, match="retries"):
        queue.consumer("g", retries=1)(print)  # type: ignore[call-arg]


def test_a_decorator_without_its_group_raises_where_it_is_written() -> None:
    queue = QueueManager("memory://").get_queue("q")
    with pytest.raises(InvalidArgumentError, match="the name of the group"):

        @queue.consumer  # type: ignore[arg-type]
        def handler(job: object) -> None: ...


async def _takes_nothing() -> None: ...


def _takes_two(job: object, more: object) -> None: ...


@pytest.mark.parametrize("handler", [_takes_nothing, _takes_two])
def test_a_handler_takes_the_job_and_nothing_else(handler: Any) -> None:
    queue = QueueManager("memory://").get_queue("q")
    with pytest.raises(InvalidArgumentError, match="one argument, the job"):
        queue.consumer("g")(handler)


class OwnPlugin(QueuePlugin[BackendConfig]):
    """A plugin of a package of its own."""

    id = "own"
    display_name = "Own"
    description = "Somebody's"
    schemes = ("own", "own+tls")
    config_schema = BackendConfig

    def __init__(self, inner: QueuePlugin[Any]) -> None:
        self.inner = inner

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        """See `QueuePlugin`."""
        return {}

    def create_store(self, config: BackendConfig, clock: Clock | None = None) -> Store:
        """See `QueuePlugin`."""
        return self.inner.create_store(config, clock)


async def test_a_plugin_may_be_registered_later() -> None:
    """L7: before the start or a moment after it; a queue may be asked for and used meanwhile."""
    manager = QueueManager("own+tls://somewhere?concurrency=2", lease_seconds=9)
    with pytest.raises(PluginNotFoundError):
        manager.get_active_plugin()
    queue = manager.get_queue("early")
    starting = asyncio.create_task(manager.start())
    enqueuing = asyncio.create_task(queue.enqueue(1))
    await asyncio.sleep(0)
    manager.registry.register(OwnPlugin(manager.registry.get_plugin("memory")))
    await starting
    await enqueuing
    config = manager.get_active_config()
    assert manager.get_active_plugin() == "own"
    assert (config["concurrency"], config["lease_seconds"]) == (2, 9)
    await manager.shutdown()


async def test_a_plugin_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """L7: use never lands on another backend; after the patience an error shows the line to add."""
    monkeypatch.setattr(manager_module, "DEFAULT_PATIENCE", 0.05)
    manager = QueueManager("own://")
    for call in (manager.start(), manager.get_queue("q").enqueue(1), manager.get_aggregated_stats()):
        with pytest.raises(
            PluginNotFoundError, match=r"'own://'.*manager\.registry\.register\(YourPlugin\(\)\)"
        ):
            await call
    await manager.shutdown()


async def test_a_late_plugin_with_a_wrong_config() -> None:
    """L7: its own checks are made then."""
    manager = QueueManager("own://?concurrency=0")
    manager.registry.register(OwnPlugin(manager.registry.get_plugin("memory")))
    with pytest.raises(ConfigError, match=r"Own config.*concurrency"):
        await manager.start()
    await manager.shutdown()


def test_the_registry_knows_plugins_by_id(storage: Storage) -> None:
    """Section 1: `register`, `get_plugin`, `get_plugins`; ids and schemes are unique."""
    registry = QueueManager("memory://").registry
    assert isinstance(registry, QueuePluginRegistry)
    ids = [plugin.id for plugin in registry.get_plugins()]
    assert {"memory", "sqlite"} <= set(ids)
    assert ids == sorted(ids)
    memory = registry.get_plugin("memory")
    assert (memory.id, memory.config_version) == ("memory", 1)
    assert memory.display_name and memory.description
    assert issubclass(memory.config_schema, BackendConfig)
    own = OwnPlugin(memory)
    registry.register(own)
    assert registry.get_plugin("own") is own
    with pytest.raises(ConfigError, match="'own'"):
        registry.register(OwnPlugin(memory))
    with pytest.raises(PluginNotFoundError, match=r"'nats'.*memory"):
        registry.get_plugin("nats")
    linked = LinkedPlugin(storage, memory, Link())
    linked.schemes = ("memory",)  # type: ignore[misc]
    with pytest.raises(ConfigError, match="scheme 'memory'"):
        registry.register(linked)
    assert [plugin.id for plugin in QueueManager("memory://").registry.get_plugins()] == ids


async def test_the_path_of_a_sqlite_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 1: three slashes and a relative path, four and an absolute one; escapes are read."""
    monkeypatch.chdir(tmp_path)
    for url, name in {
        "sqlite:///relative.db": "relative.db",
        f"sqlite:///{tmp_path}/absolute.db": "absolute.db",
        "sqlite:///with%20space%23.db?synchronous=FULL": "with space#.db",
        "sqlite:///ümlaut.db": "ümlaut.db",
    }.items():
        async with QueueManager(url) as manager:
            await manager.get_queue("q").enqueue(1)
        assert (tmp_path / name).exists()
