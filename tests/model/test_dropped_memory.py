"""Histories with lost answers on the memory backend."""

from __future__ import annotations

import pytest

from tests.model.dropping import DroppingMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import MemoryStorage


class MemoryMachine(DroppingMachine):
    """Lost answers of the memory store."""

    make_storage = MemoryStorage


def test_short_histories_with_lost_answers() -> None:
    short_histories(MemoryMachine, examples=150)


@pytest.mark.full
def test_long_histories_with_lost_answers() -> None:
    long_histories(MemoryMachine, examples=1000)
