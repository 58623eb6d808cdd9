"""The SQLite backend as a plugin."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, unquote

from pydantic import Field

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin
from checkmate_queue.backends.sqlite.connection import check_path
from checkmate_queue.backends.sqlite.mounts import network_file_system
from checkmate_queue.backends.sqlite.store import SqliteStore
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.store import Clock, Store


class SqliteConfig(BackendConfig):
    """Settings of the SQLite backend."""

    path: str = Field(min_length=1, description="The database file; it is made where it does not exist")
    synchronous: Literal["NORMAL", "FULL"] = Field(
        "NORMAL",
        description="FULL survives a power loss, NORMAL may lose the last commits; both survive crashes",
    )
    delay_multiplier: float = Field(1.0, gt=0, le=1000, description="Scales delays and intervals, for tests")


class SqlitePlugin(QueuePlugin[SqliteConfig]):
    """The embedded default: one file, shared by the processes of one machine."""

    id: ClassVar[str] = "sqlite"
    display_name: ClassVar[str] = "SQLite"
    description: ClassVar[str] = "One file on this machine: no server, durable, shared by several processes"
    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)
    config_schema: type[SqliteConfig] = SqliteConfig
    switchable: ClassVar[bool] = True

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        path = unquote(url.path)
        if url.netloc or len(path) < 2:
            raise ConfigError(
                "A SQLite URL is 'sqlite:///relative/path.db' or 'sqlite:////absolute/path.db', "
                f"not '{url.scheme}://{url.netloc}{url.path}'"
            )
        # Three slashes and a relative path, four and an absolute one.
        return {"path": path[1:]}

    def storage_of(self, config: SqliteConfig) -> Hashable:
        return Path(config.path).resolve()

    def anchored(self, config: SqliteConfig) -> SqliteConfig:
        return config.model_copy(update={"path": str(Path(config.path).absolute())})

    def absence(self, config: SqliteConfig) -> str | None:
        place = Path(config.path).absolute()
        try:
            place.stat()
        except FileNotFoundError:
            if place.parent.is_dir():
                return f"there is no file '{place}'; a worker, or enqueue, makes it"
            return f"there is no folder '{place.parent}'; make it, or name another path"
        except OSError:
            return None  # it may be there, for others; opening says so
        return None

    def check_place(self, config: SqliteConfig) -> None:
        folder = Path(check_path(config.path)).absolute().parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"The folder '{folder}' can't be written to; name another path.")

    def dangers(self, config: SqliteConfig) -> Sequence[str]:
        network = network_file_system(Path(config.path))
        if network is None:
            return ()
        return (f"'{config.path}' is on a network file system ({network}), where SQLite damages its files",)

    def create_store(self, config: SqliteConfig, clock: Clock | None = None) -> Store:
        return SqliteStore(
            config.path,
            synchronous=config.synchronous,
            limits=config.limits,
            clock=clock,
            patience_ms=round(config.patience_seconds * 1000),
        )
