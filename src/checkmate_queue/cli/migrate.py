"""`checkmate-queue migrate`: the storage, made ready for this release."""

from __future__ import annotations

import asyncio

from checkmate_queue import QueueManager, __version__
from checkmate_queue.cli.options import Url

SWITCH = "migrate_on_start"


def migrate(url: Url) -> None:
    """Make the backend's storage, or bring it to this release's format.

    Workers do so when they start, unless the setting migrate_on_start is off. Repeating it changes nothing.
    """
    asyncio.run(_migrate(url))
    print(f"the storage is ready for checkmate-queue {__version__}")


async def _migrate(url: str) -> None:
    manager = QueueManager(url)
    if SWITCH in manager.get_active_config():
        manager.configure(migrate_on_start=True)
    try:
        await manager.start(consume=False)
    finally:
        await manager.shutdown(timeout=0)
