"""All themes in one class."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from checkmate_queue.testing.conformance.abandonment import Abandonment
from checkmate_queue.testing.conformance.concurrency import Concurrency
from checkmate_queue.testing.conformance.delivery import Delivery, LostAnswers
from checkmate_queue.testing.conformance.expiry import Expiry
from checkmate_queue.testing.conformance.fencing import FencedQueues, FencedRegistry
from checkmate_queue.testing.conformance.groups import Earliest, Groups
from checkmate_queue.testing.conformance.handover import Handover
from checkmate_queue.testing.conformance.harness import Harness, Storage, harness
from checkmate_queue.testing.conformance.ingestion import Ingestion
from checkmate_queue.testing.conformance.leases import Gaps, Leases
from checkmate_queue.testing.conformance.listing import Listing
from checkmate_queue.testing.conformance.misfires import Coalescing, EveryDueTime, Replacing, WithoutOverlap
from checkmate_queue.testing.conformance.moving import Moves
from checkmate_queue.testing.conformance.names import Names
from checkmate_queue.testing.conformance.reception import Receiving, Running
from checkmate_queue.testing.conformance.repair import Cancelling, DroppingAndRenaming, Pausing
from checkmate_queue.testing.conformance.retries import FailedEntries, Retries
from checkmate_queue.testing.conformance.schedules import FiringOnce, Storing
from checkmate_queue.testing.conformance.selection import Check, checks_of, limits_of
from checkmate_queue.testing.conformance.settings import Opening, Settings
from checkmate_queue.testing.conformance.statistics import Inspecting, Statistics
from checkmate_queue.testing.conformance.unclaimed import Ephemeral, Unclaimed


class Conformance(
    Abandonment,
    Concurrency,
    Delivery,
    LostAnswers,
    Expiry,
    FencedQueues,
    FencedRegistry,
    Groups,
    Earliest,
    Handover,
    Ingestion,
    Leases,
    Gaps,
    Coalescing,
    EveryDueTime,
    WithoutOverlap,
    Replacing,
    Moves,
    Running,
    Receiving,
    Names,
    Cancelling,
    Pausing,
    DroppingAndRenaming,
    Retries,
    FailedEntries,
    Storing,
    FiringOnce,
    Listing,
    Settings,
    Opening,
    Statistics,
    Inspecting,
    Unclaimed,
    Ephemeral,
):
    """Every test of the suite. Subclasses name their `verbs` and give a `storage` fixture."""

    @pytest.fixture
    async def h(self, storage: Storage, request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
        """The harness of one test."""
        async with harness(storage, limits_of(request.function), self.verbs) as ready:
            yield ready


def checks(verbs: frozenset[str]) -> list[Check]:
    """The tests that a store with these verbs must pass."""
    return [check for check in checks_of(Conformance) if check.needs <= verbs]


async def perform(check: Check, storage: Storage, verbs: frozenset[str]) -> None:
    """Run one test without a test runner; raises what it raises."""
    async with harness(storage, check.limits, verbs) as ready:
        await check.function(check.theme(), ready)
