"""The test kit for users: inline queues."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from checkmate_queue import Discard, Job, QueueError, Retry
from checkmate_queue.testing.inline import InlineQueues
from checkmate_queue.testing.waiting import wait_until

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


async def test_what_asks_for_a_retry_gets_it_and_fails_with_the_last(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", int)
        begin = at(queues)
        attempts: list[timedelta] = []

        async def ask_again(job: Job[int]) -> None:
            attempts.append(at(queues) - begin)
            raise Retry(60, f"attempt {job.attempts + 1}")

        await queue.consume(ask_again, consumer_group="g", max_retries=2)
        await queue.enqueue(1)
        await queues.advance(119)
        assert attempts == [timedelta(), timedelta(seconds=60)]
        with pytest.raises(Retry, match="attempt 3"):
            await queues.advance(1)
        assert attempts[2:] == [timedelta(seconds=120)]
        (failed,) = await queue.list_failed()
        assert (failed.error_type, failed.attempts) == ("Retry", 3)


async def test_a_retry_at_once_is_part_of_what_is_ready(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", int)
        attempts: list[int] = []

        async def third_time(job: Job[int]) -> None:
            attempts.append(job.attempts)
            if job.attempts < 2:
                raise Retry(0)

        await queue.consume(third_time, consumer_group="g")
        await queue.enqueue(1)
        await queues.run_until_idle()
        assert attempts == [0, 1, 2]


async def test_a_discarded_job_reaches_the_test(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", int)

        async def refuse(job: Job[int]) -> None:
            raise Discard("of no use")

        await queue.consume(refuse, consumer_group="g")
        await queue.enqueue(1)
        with pytest.raises(Discard, match="of no use"):
            await queues.run_until_idle()


@pytest.mark.parametrize("max_retries", [0, 1])
async def test_a_timeout_is_a_timeout_error(inline_queues: InlineQueues, max_retries: int) -> None:
    async with inline_queues as queues:
        queue = queues.get_queue("q", int)

        async def hang(job: Job[int]) -> None:
            await asyncio.Event().wait()

        await queue.consume(hang, consumer_group="g", timeout=0.01, max_retries=max_retries)
        await queue.enqueue(1)
        with pytest.raises(TimeoutError, match=r"exceeded its timeout of 0\.01 s"):
            await queues.run_until_idle()


async def break_down(job: Job[int]) -> None:
    raise LookupError(job.data)


async def consumed_without_running(queues: InlineQueues) -> None:
    """Have a job fail without `run_until_idle`, by which its error would be raised."""
    queue = queues.get_queue("q", int)
    await queue.consume(break_down, consumer_group="g")
    await queue.enqueue(7)

    async def failed_once() -> bool:
        return (await queue.get_stats()).delayed == 1

    await wait_until(failed_once, description="the job waits for its retry")


async def test_errors_that_are_left_are_raised_by_the_end_of_the_block(inline_queues: InlineQueues) -> None:
    with pytest.raises(LookupError, match="7"):
        async with inline_queues as queues:
            await consumed_without_running(queues)


async def test_errors_that_are_left_do_not_replace_another(inline_queues: InlineQueues) -> None:
    with pytest.raises(ZeroDivisionError):
        async with inline_queues as queues:
            await consumed_without_running(queues)
            raise ZeroDivisionError


async def test_errors_that_were_raised_or_waived_are_not_raised_again(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        await consumed_without_running(queues)
        with pytest.raises(LookupError):
            await queues.run_until_idle()
        await queues.advance(2, raise_errors=False)


async def test_what_never_ends_is_named(inline_queues: InlineQueues) -> None:
    async with inline_queues as queues:
        stuck = queues.get_queue("stuck", int)

        async def wait_for_ever(job: Job[int]) -> None:
            await asyncio.Event().wait()

        await stuck.consume(wait_for_ever, consumer_group="g")
        await stuck.enqueue(1)
        with pytest.raises(TimeoutError, match=r"^Not idle after 0\.1 s: handlers still run in stuck$"):
            await queues.run_until_idle(timeout=0.1)


async def test_outside_of_the_block_nothing_seems_to_be_idle(inline_queues: InlineQueues) -> None:
    with pytest.raises(QueueError, match="async with InlineQueues"):
        await inline_queues.run_until_idle()
    async with inline_queues as queues:
        await queues.run_until_idle()
    with pytest.raises(QueueError, match="async with InlineQueues"):
        await inline_queues.advance(1)
