"""A queue that nobody has used yet reads as empty: a start-up that looks before it writes meets no error."""

from __future__ import annotations

from tests.system.storages import ManagerFor


async def test_a_queue_that_was_never_used_reads_as_empty(manager_for: ManagerFor) -> None:
    manager = await manager_for()
    queue = manager.get_queue("fresh", int)
    assert await queue.list_recurring_jobs() == []
    assert await queue.get_recurring_job_details("check:1") is None
    assert await queue.list_jobs() == []
    assert await queue.list_failed() == []
    assert await queue.get_job("1") is None
    assert (await queue.get_stats()).pending == 0
    assert not await queue.is_paused()
    assert await manager.list_queues() == []
