"""All themes in one class."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from checkmate_queue.testing.conformance.harness import Harness, Storage, harness
from checkmate_queue.testing.conformance.ingestion import Ingestion
from checkmate_queue.testing.conformance.selection import Check, limits_of, tests_of


class Conformance(Ingestion):
    """Every test of the suite. Subclasses name their `verbs` and give a `storage` fixture."""

    @pytest.fixture
    async def h(self, storage: Storage, request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
        """The harness of one test."""
        async with harness(storage, limits_of(request.function), self.verbs) as ready:
            yield ready


def tests(verbs: frozenset[str]) -> list[Check]:
    """The tests that a store with these verbs must pass."""
    return [check for check in tests_of(Conformance) if check.needs <= verbs]


async def perform(check: Check, storage: Storage, verbs: frozenset[str]) -> None:
    """Run one test without a test runner; raises what it raises."""
    async with harness(storage, check.limits, verbs) as ready:
        await check.function(check.theme(), ready)
