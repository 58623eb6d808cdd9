"""Random histories on the PostgreSQL backend, with answers that arrive and answers that get lost."""

from __future__ import annotations

import pytest

from checkmate_queue.testing.conformance import Storage
from tests.model.dropping import DroppingMachine
from tests.model.machine import QueueMachine
from tests.model.profiles import long_histories, short_histories
from tests.model.storages import Shared
from tests.model.world import World

pytest_plugins = ["tests.servers.postgres"]

machines = pytest.mark.parametrize(
    "machine", [QueueMachine, pytest.param(DroppingMachine, marks=pytest.mark.full)]
)


@machines
def test_short_histories(machine: type[World], postgres_storage: Storage) -> None:
    """Every answer, and all that can be seen, is the model's."""
    short_histories(machine, lambda: Shared(postgres_storage), examples=15)


@pytest.mark.full
@machines
def test_long_histories(machine: type[World], postgres_storage: Storage) -> None:
    """The same in longer ones, the same in every run unless another seed is set."""
    long_histories(machine, lambda: Shared(postgres_storage), seconds=45)
