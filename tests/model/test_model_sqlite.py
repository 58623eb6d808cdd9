"""Random histories on the SQLite backend."""

from __future__ import annotations

import pytest

from tests.model.machine import QueueMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import SqliteStorage


class SqliteMachine(QueueMachine):
    """Histories through the SQLite store."""

    make_storage = SqliteStorage


def test_short_histories() -> None:
    short_histories(SqliteMachine, examples=300)


@pytest.mark.full
def test_long_histories() -> None:
    long_histories(SqliteMachine, examples=2000)
