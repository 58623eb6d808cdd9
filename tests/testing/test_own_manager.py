"""The test kit for users: an application's own manager, run inline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from checkmate_queue import Job, JobCompleted, PayloadError, Queue, QueueError, QueueManager, Retry
from checkmate_queue.testing.inline import InlineQueues


@dataclass
class Application:
    """What a module of an application has at its top level."""

    folder: Path
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.manager = QueueManager(
            f"sqlite:///{self.folder}/production.db?max_payload_bytes=100", lifespan=self.lifespan
        )
        self.mails: Queue[str] = self.manager.get_queue("mails", str)
        self.mails.consumer("senders", max_retries=1)(self.send)
        self.manager.get_queue("audit", str).consumer("auditors")(self.audit)
        self.manager.on(JobCompleted, lambda event: self.log.append(f"done {event.queue}"))

    @asynccontextmanager
    async def lifespan(self, manager: QueueManager) -> AsyncIterator[None]:
        self.log.append("begin")
        manager.get_queue("reports", str).consumer("reporters")(self.report)
        yield
        self.log.append("end")

    async def send(self, job: Job[str]) -> None:
        if job.data == "stubborn" and not job.attempts:
            raise Retry(60)
        self.log.append(f"send {job.data}")
        await self.manager.get_queue("reports", str).enqueue(job.data)

    def audit(self, job: Job[str]) -> None:
        self.log.append(f"audit {job.data}")
        self.mails.enqueue_sync("audited")

    async def report(self, job: Job[str]) -> None:
        self.log.append(f"report {job.data}")


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return Application(tmp_path)


async def deliver(application: Application) -> None:
    async with InlineQueues(application.manager) as queues:
        assert queues.manager is application.manager
        await application.mails.enqueue("hello")
        await queues.run_until_idle()
    assert application.log == [
        *("begin", "send hello", "done mails", "report hello", "done reports", "end"),
    ]
    application.log.clear()


def test_it_runs_as_often_as_there_are_tests_each_in_a_loop_of_its_own(application: Application) -> None:
    for _ in range(3):
        asyncio.run(deliver(application))


async def test_what_its_url_names_is_not_touched(application: Application) -> None:
    async with InlineQueues(application.manager) as queues:
        assert application.manager.get_active_plugin() == "memory"
        await application.manager.get_queue("audit", str).enqueue("x")
        await queues.run_until_idle()
        assert {"audit x", "send audited"} <= set(application.log)
    assert list(application.folder.iterdir()) == []
    assert application.manager.get_active_plugin() == "sqlite"


async def test_time_travels_and_a_retry_comes_when_it_is_due(application: Application) -> None:
    async with InlineQueues(application.manager) as queues:
        await application.mails.enqueue("tomorrow", start_delay=timedelta(days=1))
        await application.mails.enqueue("stubborn")
        await queues.advance(59)
        assert "send stubborn" not in application.log
        await queues.advance(1)
        assert "send stubborn" in application.log
        await queues.advance(timedelta(days=1))
        assert "send tomorrow" in application.log


async def test_nothing_of_a_run_is_left_for_the_next(application: Application) -> None:
    async with InlineQueues(application.manager) as queues:
        await application.mails.enqueue("left behind", start_delay=60)
        await application.manager.get_queue("other", int).enqueue(1)
        application.manager.on(JobCompleted, lambda event: application.log.append("second voice"))
        await application.mails.stop()
    async with InlineQueues(application.manager) as queues:
        assert (await application.mails.get_stats()).delayed == 0
        assert "other" not in await application.manager.list_queues()
        await application.mails.enqueue("after")
        await queues.advance(60)
    assert {"send left behind", "second voice"} & set(application.log) == set()
    assert application.log.count("send after") == 1


async def test_it_is_a_manager_in_production_afterwards(application: Application) -> None:
    async with InlineQueues(application.manager) as queues:
        await queues.run_until_idle()
    async with application.manager:
        await application.mails.enqueue("in production")
    assert (application.folder / "production.db").exists()


async def test_its_settings_hold_and_those_of_the_test_win(application: Application) -> None:
    async with InlineQueues(application.manager):
        with pytest.raises(PayloadError, match="100"):
            await application.mails.enqueue("x" * 101)
    async with InlineQueues(application.manager, max_payload_bytes=200):
        await application.mails.enqueue("x" * 101)


async def _start(manager: QueueManager) -> None:
    await manager.start()


async def _start_and_shut_down(manager: QueueManager) -> None:
    async with manager:
        pass


@pytest.mark.parametrize("begin", [_start, _start_and_shut_down])
async def test_one_that_was_started_is_refused(
    application: Application, begin: Callable[[QueueManager], Awaitable[None]]
) -> None:
    await begin(application.manager)
    with pytest.raises(QueueError, match="that was started"):
        async with InlineQueues(application.manager):
            pass
    await application.manager.shutdown()


async def test_one_that_cannot_start_is_as_before(application: Application) -> None:
    with pytest.raises(QueueError, match="concurrency"):
        async with InlineQueues(application.manager, concurrency=0):
            pass
    await deliver(application)
