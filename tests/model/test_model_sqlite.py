"""Random histories on the SQLite backend."""

from __future__ import annotations

import pytest

from checkmate_queue.backends.sqlite import promotion, scheduling
from tests.model.machine import QueueMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import SqliteStorage


def test_short_histories() -> None:
    """Every answer, and all that can be seen, is the model's."""
    short_histories(QueueMachine, SqliteStorage, examples=60)


def test_short_histories_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs that do in many transactions what they would do in one can't be told apart from it."""
    monkeypatch.setattr(promotion, "BATCH", 1)
    monkeypatch.setattr(scheduling, "BATCH", 1)
    short_histories(QueueMachine, SqliteStorage, examples=25)


@pytest.mark.full
def test_long_histories() -> None:
    """The same in longer ones."""
    long_histories(QueueMachine, SqliteStorage, seconds=90)
