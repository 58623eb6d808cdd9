"""Loops that start once, stop once, and start again when they break."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from checkmate_queue.runtime import service as service_module
from checkmate_queue.runtime.service import Service


class Loop(Service):
    """A service whose loop a test gives."""

    def __init__(self, body: Callable[[], Awaitable[None]]) -> None:
        super().__init__("loop")
        self.begun = 0
        self._body = body

    async def _run(self) -> None:
        self.begun += 1
        await self._body()


async def forever() -> None:
    """A loop without an end."""
    await asyncio.Event().wait()


async def test_it_starts_once_and_stops_once() -> None:
    service = Loop(forever)
    await service.stop()
    service.start()
    service.start()
    await asyncio.sleep(0)
    assert (service.running, service.begun) == (True, 1)
    await asyncio.gather(service.stop(), service.stop())
    assert not service.running
    service.start()
    await asyncio.sleep(0)
    assert service.begun == 2
    await service.stop()


async def test_one_that_breaks_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service_module, "RESTART_PAUSE", 0)
    third = asyncio.Event()

    async def body() -> None:
        if service.begun < 3:
            raise RuntimeError("broken")
        third.set()
        await forever()

    service = Loop(body)
    service.start()
    await asyncio.wait_for(third.wait(), 10)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    await service.stop()


async def test_one_that_returns_has_ended() -> None:
    async def body() -> None:
        await asyncio.sleep(0)

    service = Loop(body)
    assert await service.joined()
    service.start()
    assert await service.joined(10)
    assert not service.running


async def test_joining_has_a_time() -> None:
    service = Loop(forever)
    service.start()
    assert not await service.joined(0.001)
    await service.stop()


async def test_it_may_stop_itself() -> None:
    ended = asyncio.Event()

    async def body() -> None:
        await service.stop()
        ended.set()
        await forever()

    service = Loop(body)
    service.start()
    await asyncio.wait_for(ended.wait(), 10)
    assert not service.running


async def test_a_stop_waits_for_the_clean_up() -> None:
    log: list[str] = []

    async def body() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    service = Loop(body)
    service.start()
    await asyncio.sleep(0)
    await service.stop()
    assert log == ["cleaned up"]
