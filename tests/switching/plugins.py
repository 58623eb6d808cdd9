"""Plugins whose configs have a history and secrets; their jobs live in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import SplitResult

from pydantic import BaseModel, Field, SecretStr

from checkmate_queue.backends.memory.store import MemoryStore
from checkmate_queue.backends.plugin import BackendConfig, Migration, QueuePlugin
from checkmate_queue.store import Clock, Store


class Server(BaseModel):
    host: str
    password: SecretStr | None = None


class FarConfig(BackendConfig):
    host: str = "localhost"
    port: int = 1
    token: SecretStr = SecretStr("")
    main: Server | None = None
    others: list[Server] = Field(default_factory=list)
    by_name: dict[str, SecretStr] = Field(default_factory=dict)


def rename_address(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """1 to 2: `address` became `host`."""
    rest = {key: value for key, value in values.items() if key != "address"}
    return {**rest, "host": values["address"]}


def split_port(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """2 to 3: the port left the host."""
    host, _, port = str(values["host"]).partition(":")
    return {**values, "host": host, "port": int(port)}


class FarPlugin(QueuePlugin[FarConfig]):
    """Version 3 of a plugin."""

    id: ClassVar[str] = "far"
    display_name: ClassVar[str] = "Far"
    description: ClassVar[str] = "Far away"
    schemes: ClassVar[tuple[str, ...]] = ("far",)
    config_schema = FarConfig
    config_version: ClassVar[int] = 3
    migrations: ClassVar[tuple[Migration, ...]] = (
        Migration(1, 2, rename_address),
        Migration(2, 3, split_port),
    )

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        return {"host": url.hostname}

    def create_store(self, config: FarConfig, clock: Clock | None = None) -> Store:
        return MemoryStore(config.limits, clock)


def far_with(
    *migrations: Migration, version: int = 3, schema: type[FarConfig] = FarConfig
) -> QueuePlugin[FarConfig]:
    """The plugin with other migrations."""

    class Other(FarPlugin):
        config_version: ClassVar[int] = version
        config_schema = schema

    Other.migrations = migrations
    return Other()
