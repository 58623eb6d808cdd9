"""The memory backend as a plugin."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar
from urllib.parse import SplitResult

from pydantic import Field

from checkmate_queue.backends.memory.store import MemoryStore
from checkmate_queue.backends.plugin import MOST, BackendConfig, QueuePlugin
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.store import Clock, Store


class MemoryConfig(BackendConfig):
    """Settings of the memory backend."""

    concurrency: int = Field(10, ge=1, le=100, description="Deliveries of one group that run at once")
    max_queue_size: int | None = Field(
        10_000, ge=1, le=MOST, description="The most jobs a queue may hold; empty: no limit"
    )
    delay_multiplier: float = Field(1.0, gt=0, le=1000, description="Scales delays and intervals, for tests")
    heartbeat_interval_seconds: float = Field(
        5.0, gt=0, description="How often leases are renewed, at the latest"
    )


class MemoryPlugin(QueuePlugin[MemoryConfig]):
    """One process, no durability: for tests, and for work that may be lost with its process."""

    id: ClassVar[str] = "memory"
    display_name: ClassVar[str] = "Memory"
    description: ClassVar[str] = "In this process's memory: nothing to set up, nothing survives a restart"
    schemes: ClassVar[tuple[str, ...]] = ("memory",)
    config_schema: type[MemoryConfig] = MemoryConfig
    switchable: ClassVar[bool] = True
    in_process: ClassVar[bool] = True

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        if url.netloc or url.path.strip("/"):
            raise ConfigError(
                f"A memory URL has no address; write 'memory://', not 'memory://{url.netloc}{url.path}'"
            )
        return {}

    def storage_of(self, config: MemoryConfig) -> Hashable:
        return "the memory of this process"

    def dangers(self, config: MemoryConfig) -> Sequence[str]:
        return ("memory:// is lost with its process, and no other process sees it",)

    def create_store(self, config: MemoryConfig, clock: Clock | None = None) -> Store:
        return MemoryStore(config.limits, clock)
