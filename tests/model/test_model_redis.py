"""Random histories on the Redis backend."""

from __future__ import annotations

import pytest

from checkmate_queue.testing.conformance import Storage
from tests.model.dropping import DroppingMachine
from tests.model.machine import QueueMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import Shared
from tests.model.world import World

pytest_plugins = ["tests.servers.valkey"]

machines = pytest.mark.parametrize(
    "machine", [QueueMachine, pytest.param(DroppingMachine, marks=pytest.mark.full)]
)


@machines
def test_short_histories(machine: type[World], redis_storage: Storage) -> None:
    """Every answer is the model's, lost or not."""
    short_histories(machine, lambda: Shared(redis_storage), examples=20)


@pytest.mark.full
@machines
def test_long_histories(machine: type[World], redis_storage: Storage) -> None:
    """The same in longer ones."""
    long_histories(machine, lambda: Shared(redis_storage), seconds=45)
