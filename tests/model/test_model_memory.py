"""Random histories on the memory backend."""

from __future__ import annotations

import pytest

from tests.model.machine import QueueMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import MemoryStorage


class MemoryMachine(QueueMachine):
    """Histories through the memory store."""

    make_storage = MemoryStorage


def test_short_histories() -> None:
    short_histories(MemoryMachine, examples=300)


@pytest.mark.full
def test_long_histories() -> None:
    long_histories(MemoryMachine, examples=2000)
