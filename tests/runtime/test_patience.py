"""Repeating what an unreachable backend refused (L2)."""

from __future__ import annotations

import asyncio

import pytest

from checkmate_queue.core.errors import BackendUnavailableError, ConfigError
from checkmate_queue.runtime import patience as patience_module
from checkmate_queue.runtime.patience import persevere


class Backend:
    """Answers after so many refusals."""

    def __init__(self, refusals: float) -> None:
        self.refusals = refusals
        self.calls = 0

    async def answer(self) -> int:
        """How often it was called."""
        self.calls += 1
        if self.calls <= self.refusals:
            raise BackendUnavailableError(f"refusal {self.calls}")
        return self.calls


async def test_the_first_answer_is_taken() -> None:
    assert await persevere(Backend(0).answer, 0) == 1


async def test_refusals_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "FIRST_PAUSE", 0.0001)
    assert await persevere(Backend(5).answer) == 6


async def test_the_patience_ends_with_the_last_error() -> None:
    backend = Backend(float("inf"))
    with pytest.raises(BackendUnavailableError) as raised:
        await persevere(backend.answer, 0.05)
    assert str(raised.value) == f"refusal {backend.calls}"
    assert backend.calls >= 2


async def test_without_patience_there_is_one_call() -> None:
    backend = Backend(1)
    with pytest.raises(BackendUnavailableError):
        await persevere(backend.answer, 0)
    assert backend.calls == 1


async def test_other_errors_are_not_repeated() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise ConfigError

    with pytest.raises(ConfigError):
        await persevere(call)
    assert calls == 1


async def test_it_can_be_cancelled() -> None:
    task = asyncio.create_task(persevere(Backend(float("inf")).answer))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
