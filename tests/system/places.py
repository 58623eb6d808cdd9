"""Empty backends to switch between, by names that a test gives them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkmate_queue.backends import discover
from checkmate_queue.switching.settings import BACKEND_KEY

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage
    from tests.servers.redis_storage import RedisStorage


class Places:
    """Those of one kind."""

    def __init__(self, kind: str, tmp_path: Path, redis: RedisStorage, postgres: PostgresStorage) -> None:
        self.kind = kind
        self._path = tmp_path
        self._redis = redis
        self._postgres = postgres
        self._schemas: dict[str, PostgresStorage] = {}

    def config(self, name: str) -> dict[str, Any]:
        """What `set_active_backend` is given."""
        match self.kind:
            case "sqlite":
                return {"path": str(self._path / f"{name}.db")}
            case "redis":
                return {"url": self._redis.url, "prefix": f"{self._redis.prefix}:{name}"}
            case _:
                schema = f"{self._postgres.schema}_{name}"
                self._schemas[name] = type(self._postgres)(self._postgres.url, schema)
                return {"url": self._postgres.url, "schema": schema}

    def url(self, name: str) -> str:
        """The same as what a manager is given."""
        config = self.config(name)
        match self.kind:
            case "sqlite":
                return f"sqlite:///{config['path']}"
            case "redis":
                return f"{config['url']}?prefix={config['prefix']}"
            case _:
                return self._schemas[name].manager_url

    def are(self, active: dict[str, Any], name: str) -> bool:
        """Whether an active config names this backend."""
        wanted = {key: value for key, value in self.config(name).items() if key != "url"}
        return wanted.items() <= active.items()

    async def setting(self, name: str) -> object:
        """What is stored about the switch, byte for byte."""
        plugin = discover().get_plugin(self.kind)
        store = plugin.create_store(plugin.validate(self.config(name)))
        await store.open()
        try:
            return await store.load_setting(BACKEND_KEY)
        finally:
            await store.close()

    async def destroy(self) -> None:
        """What their counters say is what they hold."""
        for schema in self._schemas.values():
            await schema.destroy()
