"""Histories with lost answers on the SQLite backend."""

from __future__ import annotations

import pytest

from tests.model.dropping import DroppingMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import SqliteStorage


@pytest.mark.full
def test_short_histories_with_lost_answers() -> None:
    """Repeated calls do no harm, and all that was accepted comes to its end."""
    short_histories(DroppingMachine, SqliteStorage, examples=30)


@pytest.mark.full
def test_long_histories_with_lost_answers() -> None:
    """The same in longer ones."""
    long_histories(DroppingMachine, SqliteStorage, seconds=90)
