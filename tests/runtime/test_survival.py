"""What goes wrong once, somewhere, ends neither consumption nor the truth about a job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import BackendUnavailableError, ConfigError, Job, LeaseLost, Queue, QueueManager
from checkmate_queue.testing.waiting import wait_until


async def runtime_of(manager: QueueManager) -> Any:
    return (await manager.runtime()).store


async def lose_lease(queue: Queue[Any], store: Any, groups: list[str]) -> None:
    """End the epoch behind the worker's back, as a lapse would."""
    worker = queue.worker
    assert worker is not None
    epoch = worker.current_epoch
    assert epoch is not None
    await store.leave(epoch, groups)


class Empty(Exception):
    """Falsy, as a collection of errors may be."""

    def __len__(self) -> int:
        return 0


async def test_a_falsy_error_of_a_plain_handler_is_an_error() -> None:
    """F1: a handler that raises has failed."""
    async with QueueManager("memory://") as manager:
        queue = manager.get_queue("q")

        def handle(job: Job[Any]) -> None:
            raise Empty

        await queue.consume(handle, consumer_group="g", max_retries=0)
        await queue.enqueue(1)

        async def failed() -> bool:
            return (await queue.get_stats()).failed == 1

        await wait_until(failed, description="the job failed")


async def test_an_error_whose_name_no_engine_can_hold_fails_its_job_alone(tmp_path: Path) -> None:
    """F5: the worker survives everything a handler can raise."""
    seen: list[int] = []
    odd = type("Odd", (Exception,), {"__qualname__": "\ud800\x00"})
    async with QueueManager(f"sqlite:///{tmp_path / 'queue.db'}") as manager:
        queue = manager.get_queue("q", int)

        async def handle(job: Job[int]) -> None:
            seen.append(job.data)
            if job.data == 0:
                raise odd

        await queue.consume(handle, consumer_group="g", max_retries=0, concurrency=1)
        await queue.enqueue_many([0, 1])
        await wait_until(lambda: seen == [0, 1], description="both jobs ran")

        async def settled() -> bool:
            stats = await queue.get_stats()
            return (stats.failed, stats.completed) == (1, 1)

        await wait_until(settled, description="both were settled")


async def test_a_join_that_breaks_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """G8: a worker that lost its lease joins again, whatever happens on the way."""
    async with QueueManager("memory://") as manager:
        queue = manager.get_queue("q")
        seen: list[Any] = []
        await queue.consume(lambda job: seen.append(job.data), consumer_group="g")
        store = await runtime_of(manager)
        join = store.join
        broken: list[bool] = []

        async def break_once(*args: Any, **kwargs: Any) -> Any:
            if not broken:
                broken.append(True)
                raise RuntimeError("once")
            return await join(*args, **kwargs)

        monkeypatch.setattr(store, "join", break_once)
        await lose_lease(queue, store, ["g"])
        await queue.enqueue(1)
        await wait_until(lambda: seen == [1], description="the job ran", timeout=20)
        assert broken


async def test_a_slow_on_rejoin_holds_up_nothing() -> None:
    """G4, G5: what users do when they are told runs beside the loops, and ends with a stop."""
    lost: list[LeaseLost] = []
    called = asyncio.Event()

    async def hang() -> None:
        called.set()
        await asyncio.Event().wait()

    async with QueueManager("memory://") as manager:
        manager.on(LeaseLost, lost.append)
        queue = manager.get_queue("q")
        seen: list[Any] = []
        await queue.consume(
            lambda job: seen.append(job.data), consumer_group="e", ephemeral=True, on_rejoin=hang
        )
        await lose_lease(queue, await runtime_of(manager), ["e"])

        async def registered() -> bool:
            return called.is_set() and (await queue.get_stats()).consumer_groups == 1

        await wait_until(registered, description="joined again")
        await queue.enqueue(1)
        await wait_until(lambda: seen == [1], description="the job ran")
    assert len(lost) == 1


async def test_a_group_that_could_not_be_left_is_left_when_the_backend_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G7, L2: what it held goes to others although the lease of the other groups goes on."""
    async with QueueManager("memory://", patience_seconds=10) as manager:
        queue = manager.get_queue("q")
        seen: list[Any] = []
        first = await queue.consume(lambda job: seen.append(job.data), consumer_group="first")
        await queue.consume(lambda job: None, consumer_group="second")
        store = await runtime_of(manager)
        worker = queue.worker
        assert worker is not None
        monkeypatch.setattr(
            worker, "_settings", type(worker._settings)(stop_patience_seconds=0.2, patience_seconds=10)
        )
        leave, away = store.leave, [True]

        async def refuse(*args: Any, **kwargs: Any) -> None:
            if away[0]:
                raise BackendUnavailableError
            await leave(*args, **kwargs)

        monkeypatch.setattr(store, "leave", refuse)
        await first.stop()
        away[0] = False
        await queue.consume(lambda job: seen.append(job.data), consumer_group="first")
        await queue.enqueue(1)
        await wait_until(lambda: seen == [1], description="the group works again", timeout=20)


@pytest.mark.parametrize("setting", ["max_stalls", "max_queue_size", "unclaimed_retention_seconds"])
def test_settings_beyond_all_measure_are_refused(setting: str) -> None:
    """L7: at construction, and by name."""
    settings: dict[str, Any] = {setting: 10**20}
    with pytest.raises(ConfigError, match=setting):
        QueueManager("memory://", **settings)


async def test_two_groups_that_could_not_be_left_are_both_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G7, L2: a group is joined anew when it has been left, whichever other was left before."""
    async with QueueManager("memory://") as manager:
        queue = manager.get_queue("q")
        stopped = [await queue.consume(lambda job: None, consumer_group=name) for name in ("one", "two")]
        await queue.consume(lambda job: None, consumer_group="other")
        store, worker = await runtime_of(manager), queue.worker
        assert worker is not None
        settings = type(worker._settings)(stop_patience_seconds=0.1, patience_seconds=0.2)
        monkeypatch.setattr(worker, "_settings", settings)
        leave, away = store.leave, {"one", "two"}

        async def refuse(epoch: Any, groups: list[str], unregister: bool = False) -> None:
            if away.intersection(groups):
                raise BackendUnavailableError
            await leave(epoch, groups, unregister)

        monkeypatch.setattr(store, "leave", refuse)
        for consumer in stopped:
            await consumer.stop()
        away.remove("two")

        async def left_two() -> bool:
            workers: dict[str, int] = {group.name: group.workers for group in await store.groups("q")}
            return workers["two"] == 0

        await wait_until(left_two, description="the second group is left", timeout=20)
        with pytest.raises(BackendUnavailableError, match="leave groups first"):
            await queue.consume(lambda job: None, consumer_group="one")
        away.clear()
        monkeypatch.setattr(worker, "_settings", type(settings)(patience_seconds=10))
        await queue.consume(lambda job: None, consumer_group="one")


async def test_a_consumer_stops_in_time_while_its_queue_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """L2: a lost lease and a backend that is away hold up neither stop() nor consume()."""
    async with QueueManager("memory://", patience_seconds=0.1) as manager:
        queue = manager.get_queue("q")
        consumer = await queue.consume(lambda job: None, consumer_group="one")
        await queue.consume(lambda job: None, consumer_group="two")
        store, worker = await runtime_of(manager), queue.worker
        assert worker is not None
        monkeypatch.setattr(worker, "_settings", replace(worker._settings, stop_patience_seconds=0.1))
        join, tried = store.join, asyncio.Event()

        async def away(*arguments: Any) -> Any:
            tried.set()
            raise BackendUnavailableError

        monkeypatch.setattr(store, "join", away)
        await lose_lease(queue, store, ["one", "two"])
        await queue.enqueue(1)
        await asyncio.wait_for(tried.wait(), 20)
        await asyncio.wait_for(consumer.stop(), 20)
        with pytest.raises(BackendUnavailableError, match="lost its lease"):
            await queue.consume(lambda job: None, consumer_group="three")
        monkeypatch.setattr(store, "join", join)

        async def left() -> bool:
            return {group.name: group.workers for group in await store.groups("q")} == {"one": 0, "two": 1}

        await wait_until(left, description="one group is left, the other goes on", timeout=20)


async def test_a_consumer_waits_for_a_join_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """G2: a join that hands over a million jobs is no outage for those that come after it."""
    async with QueueManager("memory://", patience_seconds=0.01) as manager:
        queue = manager.get_queue("q")
        store, joining, go_on = await runtime_of(manager), asyncio.Event(), asyncio.Event()
        join = store.join

        async def slowly(*arguments: Any) -> Any:
            joining.set()
            await go_on.wait()
            return await join(*arguments)

        monkeypatch.setattr(store, "join", slowly)
        first = asyncio.create_task(queue.consume(lambda job: None, consumer_group="one"))
        await joining.wait()
        second = asyncio.create_task(queue.consume(lambda job: None, consumer_group="two"))
        given_up, _ = await asyncio.wait([second], timeout=0.1)
        go_on.set()
        assert not given_up
        await asyncio.gather(first, second)


async def test_settings_that_are_slow_to_read_hold_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """J6, R9: what is due starts though the lag can't be stored yet."""
    async with QueueManager("memory://") as manager:
        queue = manager.get_queue("q")
        store, ran = await runtime_of(manager), asyncio.Event()

        async def never(key: str) -> None:
            await asyncio.Event().wait()

        async def handle(job: Job[Any]) -> None:
            ran.set()

        monkeypatch.setattr(store, "load_setting", never)
        await queue.consume(handle, consumer_group="g")
        await queue.schedule_recurring("s", 1, interval_seconds=0.02)
        for _ in range(3):
            ran.clear()
            await asyncio.wait_for(ran.wait(), 20)
