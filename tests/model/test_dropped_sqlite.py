"""Histories with lost answers on the SQLite backend."""

from __future__ import annotations

import pytest

from tests.model.dropping import DroppingMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import SqliteStorage


class SqliteMachine(DroppingMachine):
    """Lost answers of the SQLite store."""

    make_storage = SqliteStorage


def test_short_histories_with_lost_answers() -> None:
    short_histories(SqliteMachine, examples=150)


@pytest.mark.full
def test_long_histories_with_lost_answers() -> None:
    long_histories(SqliteMachine, examples=1000)
