"""The suite finds bugs: each of these stores breaks one rule, and a test of that rule says so."""

from __future__ import annotations

import inspect

import pytest

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock
from checkmate_queue.testing.conformance import ALL_VERBS, Check, checks, perform
from tests.conformance.bugs import attending, consuming, keeping, producing, recurring
from tests.conformance.bugs.bug import Bug, Swap
from tests.conformance.bugs.inside import SWAPS

BUGS = [
    bug
    for module in (producing, consuming, attending, recurring, keeping)
    for _, bug in inspect.getmembers(module, inspect.isclass)
    if issubclass(bug, Bug) and bug.__module__ == module.__name__ and bug.rule
]


class MemoryStorage:
    """One store of a class."""

    def __init__(self, kind: type[MemoryStore]) -> None:
        self._kind = kind
        self._store: MemoryStore | None = None

    async def connect(self, clock: Clock, limits: StoreLimits) -> MemoryStore:
        """The store."""
        if self._store is None:
            self._store = self._kind(limits=limits, clock=clock)
        return self._store

    async def destroy(self) -> None:
        """Nothing to remove."""


def checks_of_rule(rule: str) -> list[Check]:
    """The tests that name a rule."""
    return [check for check in checks(ALL_VERBS) if rule in check.rules]


async def first_failure(kind: type[MemoryStore], rule: str) -> str | None:
    """The name of the first test of the rule that fails."""
    for check in checks_of_rule(rule):
        try:
            await perform(check, MemoryStorage(kind), ALL_VERBS)
        except (Exception, pytest.fail.Exception):
            return check.name
    return None


def label(bug: type[Bug] | Swap) -> str:
    """A bug's name."""
    return f"{bug.rule} {bug.what}" if isinstance(bug, Swap) else f"{bug.rule} {bug.__name__}"


@pytest.mark.parametrize("bug", BUGS, ids=label)
async def test_bug_at_the_seam_is_found(bug: type[Bug]) -> None:
    """A test of the broken rule fails."""
    assert await first_failure(bug, bug.rule), f"no test of {bug.rule} notices: {bug.__doc__}"


@pytest.mark.parametrize("bug", SWAPS, ids=label)
async def test_bug_inside_is_found(bug: Swap, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of the broken rule fails."""
    for change in bug.changes:
        monkeypatch.setattr(change.owner, change.name, change.replacement)
    assert await first_failure(MemoryStore, bug.rule), f"no test of {bug.rule} notices that {bug.what}"


@pytest.mark.parametrize("rule", sorted({bug.rule for bug in BUGS} | {bug.rule for bug in SWAPS}))
async def test_store_without_a_bug_passes(rule: str) -> None:
    """The same run finds nothing in the memory store itself."""
    assert await first_failure(MemoryStore, rule) is None


def test_every_rule_that_a_store_can_show_has_a_bug() -> None:
    """No rule is named by tests that nothing has ever failed."""
    seeded = {bug.rule for bug in BUGS} | {bug.rule for bug in SWAPS}
    assert seeded == {rule for check in checks(ALL_VERBS) for rule in check.rules}
