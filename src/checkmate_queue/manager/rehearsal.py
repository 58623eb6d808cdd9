"""A manager on storage in memory for a while, as tests run an application's own one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from checkmate_queue.backends.plugin import BackendConfig
from checkmate_queue.core.errors import QueueError
from checkmate_queue.manager.manager import QueueManager
from checkmate_queue.store import Clock

URL = "memory://"


@asynccontextmanager
async def rehearsal(manager: QueueManager, clock: Clock, **settings: Any) -> AsyncIterator[None]:
    """Have a manager, which is still to be started, run in memory; what its URL names is not touched.

    Its own settings hold, as far as every backend has them, and `settings` win. Afterwards it is shut down,
    and is as if it had never been started: its queues hold the consumers that were declared before, and can
    be used again. Raises `QueueError` where the manager was started before.
    """
    if manager._runtime is not None or manager._shut_down:
        raise QueueError("A manager that was started can't be run in memory; do so before its start")
    own = manager._address.settings_among(BackendConfig.model_fields)
    stand_in = QueueManager(URL, lifespan=manager._lifespan, clock=clock, **{**own, **settings})
    before = dict(vars(manager))
    declared = {queue: queue.declared for queue in manager.get_queues()}
    # The object stays the same, since an application's modules and queues hold it.
    vars(manager).update(vars(stand_in), _queues=dict(manager._queues), _hub=manager._hub.copy())
    try:
        yield
    finally:
        queues = {**{queue.name: queue for queue in manager.get_queues()}, **before["_queues"]}
        try:
            await manager.shutdown(timeout=0)
        finally:
            vars(manager).update(before, _queues=queues)
            for queue in queues.values():
                queue.rewind(declared.get(queue, ()))
