"""A process that switches the backend, and is killed at a step: it counts what it asks of its stores.

    python -m tests.switching.doomed URL PLUGIN CONFIG STEP

Without a step to die at (0) it prints all of them, one a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any, cast

from checkmate_queue import QueueManager
from checkmate_queue.backends.plugin import QueuePlugin
from checkmate_queue.store import Clock, Store

WRITES = ("save_setting", "fence", "export", "receive", "restore", "admit", "clear", "reopen")


class Steps:
    """Passes by each step, up to the last one."""

    def __init__(self, last: int) -> None:
        self._last = last
        self.armed = False
        self.passed: list[str] = []

    def pass_by(self, name: str) -> None:
        """Die here, if this is the one."""
        if self.armed:
            self.passed.append(name)
            if len(self.passed) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


class DoomedStore:
    """A store, after each of whose writes the process may end."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        if name not in WRITES:
            return verb

        async def call(*args: Any) -> Any:
            answer = await verb(*args)
            self._steps.pass_by(name)
            return answer

        return call


def doomed(plugin: QueuePlugin[Any], steps: Steps) -> QueuePlugin[Any]:
    """The plugin, whose stores are doomed."""

    class Doomed(type(plugin)):  # type: ignore[misc]
        def create_store(self, config: Any, clock: Clock | None = None) -> Store:
            return cast("Store", DoomedStore(super().create_store(config, clock), steps))

    return cast("QueuePlugin[Any]", Doomed())


async def main(url: str, plugin_id: str, config: str, last: int) -> None:
    steps = Steps(last)
    manager = QueueManager(url)
    for plugin in manager.registry.get_plugins():
        manager.registry._plugins[plugin.id] = doomed(plugin, steps)
    manager.configure()
    await manager.start()
    manager.stop_polling()
    steps.armed = True
    await manager.set_active_backend(plugin_id, json.loads(config))
    steps.armed = False
    await manager.shutdown()
    print("\n".join(steps.passed))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
