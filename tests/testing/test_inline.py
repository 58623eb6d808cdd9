"""The test kit for users: inline queues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from checkmate_queue import Job, Retry
from checkmate_queue.testing.inline import InlineQueues

pytest_plugins = ["checkmate_queue.testing.plugin"]


def at(queues: InlineQueues) -> datetime:
    return datetime.fromtimestamp(queues.clock() / 1000, UTC)


async def test_what_is_enqueued_has_been_handled_when_it_is_idle(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("mails", str)
        seen: list[str] = []

        @queue.consumer("senders")
        async def send(job: Job[str]) -> None:
            seen.append(job.data)
            if job.data == "first":
                await queue.enqueue("follow-up")

        await queue.enqueue("first")
        await queues.run_until_idle()
        assert seen == ["first", "follow-up"]


async def test_plain_handlers_run_too(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        seen: list[int] = []
        queue = queues.get_queue("numbers", int)
        await queue.consume(lambda job: seen.append(job.data), consumer_group="g")
        await queue.enqueue_many(range(20))
        await queues.run_until_idle()
        assert sorted(seen) == list(range(20))


async def test_what_a_handler_raises_is_raised_to_the_test(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", int)

        async def break_down(job: Job[int]) -> None:
            raise LookupError(job.data)

        await queue.consume(break_down, consumer_group="g")
        await queue.enqueue(7)
        with pytest.raises(LookupError, match="7"):
            await queues.run_until_idle()


async def test_time_passes_as_the_test_says(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", str)
        begin = at(queues)
        seen: list[tuple[str, timedelta]] = []

        async def note(job: Job[str]) -> None:
            seen.append((job.data, at(queues) - begin))

        await queue.consume(note, consumer_group="g")
        await queue.enqueue("tomorrow", start_delay=timedelta(days=1))
        await queue.enqueue("in an hour", start_delay=3600)
        await queue.schedule_recurring("daily", "daily", interval_seconds=86_400, start_delay=7200)
        await queues.advance(timedelta(hours=23))
        assert seen == [("in an hour", timedelta(hours=1)), ("daily", timedelta(hours=2))]
        await queues.advance(timedelta(hours=4))
        assert seen[2:] == [("tomorrow", timedelta(days=1)), ("daily", timedelta(hours=26))]


async def test_retries_come_when_they_are_due(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", int)
        begin = at(queues)
        attempts: list[timedelta] = []

        async def stubborn(job: Job[int]) -> None:
            attempts.append(at(queues) - begin)
            if job.attempts == 0:
                raise Retry(60)
            if job.attempts == 1:
                raise RuntimeError

        await queue.consume(stubborn, consumer_group="g")
        await queue.enqueue(1)
        await queues.advance(100, raise_errors=False)
        assert attempts == [timedelta(), timedelta(seconds=60), timedelta(seconds=64)]
        assert (await queue.get_stats()).completed == 1
