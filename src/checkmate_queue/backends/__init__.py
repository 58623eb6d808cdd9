"""Backends by plugin: the only place that imports an engine, and only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from checkmate_queue.backends.plugin import QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.errors import ConfigError

ENTRY_POINT_GROUP = "checkmate_queue.plugins"


def _memory() -> QueuePlugin[Any]:
    from checkmate_queue.backends.memory.plugin import MemoryPlugin

    return MemoryPlugin()


def _sqlite() -> QueuePlugin[Any]:
    from checkmate_queue.backends.sqlite.plugin import SqlitePlugin

    return SqlitePlugin()


def _redis() -> QueuePlugin[Any]:
    from checkmate_queue.backends.redis.plugin import RedisPlugin

    return RedisPlugin()


def _postgres() -> QueuePlugin[Any]:
    from checkmate_queue.backends.postgres.plugin import PostgresPlugin

    return PostgresPlugin()


_BUILT_IN: tuple[Callable[[], QueuePlugin[Any]], ...] = (_memory, _sqlite, _redis, _postgres)
"""Drivers of some are extras, which `create_store` imports: a plugin is there without its driver."""


def discover() -> QueuePluginRegistry:
    """A registry with the built-in plugins and those that installed packages announce.

    An entry point of the group `checkmate_queue.plugins` names a `QueuePlugin` class or a function that
    returns a plugin. Raises `ConfigError` for one that can't be loaded.
    """
    registry = QueuePluginRegistry(tuple(make() for make in _BUILT_IN))
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            registry.register(entry_point.load()())
        except Exception as error:
            raise ConfigError(
                f"The plugin {entry_point.name!r} ({entry_point.value}) can't be loaded: {error}"
            ) from error
    return registry
