"""The heartbeat: a thread of its own that renews leases and watches the loop (G11, L2)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import Epoch, Exchange, GroupJoin, LapseSettlement, Orders, Settlement, Tick
from checkmate_queue.runtime.heart import Heart
from checkmate_queue.store import LeaseLostError
from checkmate_queue.testing.waiting import wait_until


class Beats:
    """An engine of which only the heartbeat is of interest."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.fail: Callable[[], None] = lambda: None

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """Count it."""
        self.threads.append(threading.get_ident())
        self.fail()
        return Orders([("g", 7)])

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Of no interest."""
        raise NotImplementedError

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """Of no interest."""
        raise NotImplementedError

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
    ) -> Exchange:
        """Of no interest."""
        raise NotImplementedError

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Of no interest."""
        raise NotImplementedError


class Worker:
    """Whose lease is renewed."""

    def __init__(self) -> None:
        self.current_epoch: Epoch | None = Epoch("q", 1)
        self.beat_seconds = 0.01
        self.orders: list[tuple[int, Orders]] = []
        self.lost: list[Epoch] = []

    def report(self) -> bytes:
        """What travels along."""
        return b"{}"

    def obey(self, epoch: Epoch, orders: Orders) -> None:
        """Keep what came back."""
        self.orders.append((threading.get_ident(), orders))

    def lease_lost_soon(self, epoch: Epoch) -> None:
        """Keep what was lost."""
        self.lost.append(epoch)


@pytest.fixture
def beats() -> Beats:
    """The engine."""
    return Beats()


@pytest.fixture
async def heart(beats: Beats) -> AsyncIterator[Heart]:
    """A heart, stopped at the end."""
    heart = Heart(beats, max_block_seconds=0.5)
    yield heart
    await heart.stop()
    await heart.stop()
    assert [t for t in threading.enumerate() if t.name == "checkmate-heart"] == []


async def test_it_beats_on_a_thread_and_tells_on_the_loop(heart: Heart, beats: Beats) -> None:
    worker = Worker()
    heart.watch(worker)
    await wait_until(lambda: len(worker.orders) >= 3, description="it beats")
    assert threading.get_ident() not in beats.threads
    assert {thread for thread, _ in worker.orders} == {threading.get_ident()}
    assert worker.orders[0][1] == Orders([("g", 7)])


async def test_it_forgets(heart: Heart, beats: Beats) -> None:
    worker, other = Worker(), Worker()
    heart.watch(worker)
    heart.watch(other)
    await wait_until(lambda: worker.orders and other.orders, description="both are renewed")
    heart.forget(worker)
    count = 0
    for _ in range(2):  # What was under way comes to its end first.
        count, others = len(worker.orders), len(other.orders)
        await wait_until(lambda: len(other.orders) > others + 2, description="the other is renewed")  # noqa: B023
    assert len(worker.orders) == count


async def test_a_lost_lease_is_told(heart: Heart, beats: Beats) -> None:
    worker = Worker()

    def fail() -> None:
        raise LeaseLostError

    beats.fail = fail
    heart.watch(worker)
    await wait_until(lambda: worker.lost, description="the loss was told")
    assert worker.lost[0] == Epoch("q", 1)
    assert worker.orders == []


@pytest.mark.parametrize("error", [BackendUnavailableError("away"), RuntimeError("odd")])
async def test_errors_do_not_end_it(
    heart: Heart, beats: Beats, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker()
    errors: list[Any] = [error, error]

    def fail() -> None:
        if errors:
            raise errors.pop()

    beats.fail = fail
    heart.watch(worker)
    await wait_until(lambda: worker.orders, description="it goes on")
    assert sum("could not be renewed" in record.message for record in caplog.records) == 2


def block_until(holds: Callable[[], bool]) -> None:
    """Wait as a handler does that blocks the event loop."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def test_it_goes_on_while_the_loop_is_blocked_but_not_for_ever(heart: Heart, beats: Beats) -> None:
    """G11."""
    worker = Worker()
    heart.watch(worker)
    await wait_until(lambda: worker.orders, description="it beats")
    before = len(beats.threads)
    block_until(lambda: len(beats.threads) > before)
    counts = [0]

    def stands_still() -> bool:
        time.sleep(0.3)
        counts.append(len(beats.threads))
        return counts[-1] == counts[-2]

    block_until(stands_still)
    stopped = counts[-1]
    await wait_until(lambda: len(beats.threads) > stopped, description="it beats again")


async def test_it_can_be_used_again_after_a_stop(heart: Heart) -> None:
    for _ in range(2):
        worker = Worker()
        heart.watch(worker)
        await wait_until(lambda: worker.orders, description="it beats")  # noqa: B023
        await heart.stop()


async def test_a_heartbeat_that_hangs_does_not_keep_it_from_stopping(beats: Beats) -> None:
    heart = Heart(beats, max_block_seconds=300)
    hangs = threading.Event()

    async def hang(epoch: Epoch, report: bytes = b"") -> Orders:
        hangs.set()
        await asyncio.Event().wait()
        return Orders([])

    beats.heartbeat = hang  # type: ignore[method-assign]
    heart.watch(Worker())
    assert await asyncio.to_thread(hangs.wait, 10)
    await heart.stop()


def test_it_stops_with_the_loop_that_it_serves(beats: Beats) -> None:
    """G7: a program whose loop broke without a shutdown does not keep its leases."""

    async def crash() -> None:
        Heart(beats, max_block_seconds=300).watch(Worker())
        raise RuntimeError("the program broke")

    with pytest.raises(RuntimeError, match="broke"):
        asyncio.run(crash())
    for thread in threading.enumerate():
        if thread.name == "checkmate-heart":
            thread.join(20)
            assert not thread.is_alive()
