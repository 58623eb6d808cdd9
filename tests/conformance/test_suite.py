"""The suite itself: every test names its rule, asks for the verbs it uses, and is run."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock
from checkmate_queue.testing import conformance
from checkmate_queue.testing.conformance import ALL_VERBS, CORE_VERBS, MOVING_VERBS, THEMES, Conformance
from checkmate_queue.testing.conformance.harness import harness
from checkmate_queue.testing.conformance.selection import Theme, checks_of

EVERY_VERB = ALL_VERBS | MOVING_VERBS

CHECKS = conformance.checks(EVERY_VERB)

LAST_RULE = {"J": 10, "G": 13, "F": 6, "R": 9, "L": 12, "B": 7, "X": 3, "U": 3}

VISIBLE_AT_THE_STORE = frozenset(
    (
        *(f"J{number}" for number in range(1, 11)),
        *("G1", "G2", "G3", "G4", "G5", "G7", "G8", "G9", "G10", "G11", "G12"),
        *("F1", "F4", "F5"),
        *("R1", "R3", "R4", "R5", "R6", "R7", "R9"),
        *("L1", "L3", "L4", "L8", "L10", "L11", "L12"),
        *("B1", "B2", "B3", "B5", "B6", "X1"),
    )
)
"""What a store can show by itself; the others are promises of the core, the manager or the dashboard."""


class RecordingStore(MemoryStore):
    """Notes which verbs a test uses."""

    used: set[str]

    def __getattribute__(self, name: str) -> object:
        if name in EVERY_VERB:
            self.used.add(name)
        return super().__getattribute__(name)


class RecordingStorage:
    """One store for one test."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._store: RecordingStore | None = None

    async def connect(self, clock: Clock, limits: StoreLimits) -> RecordingStore:
        """The store that records."""
        if self._store is None:
            self._store = RecordingStore(clock=clock, limits=limits)
            self._store.used = self.used
        return self._store

    async def destroy(self) -> None:
        """Nothing to remove."""


def test_every_test_names_its_rules() -> None:
    """A docstring begins with the numbers of rules that exist, and says more than them."""
    for check in CHECKS:
        assert re.match(r"([A-Z]\d+)(, [A-Z]\d+)*: \S.{15}", check.function.__doc__ or ""), check.name
        for rule in check.rules:
            assert 1 <= int(rule[1:]) <= LAST_RULE[rule[0]], check.name


def test_every_rule_that_a_store_can_show_is_proven() -> None:
    """Each of these rules is named by at least one test."""
    proven = frozenset(rule for check in CHECKS for rule in check.rules)
    assert proven >= VISIBLE_AT_THE_STORE, f"unproven: {sorted(VISIBLE_AT_THE_STORE - proven)}"
    assert proven == VISIBLE_AT_THE_STORE, f"not listed: {sorted(proven - VISIBLE_AT_THE_STORE)}"


def test_every_theme_is_part_of_the_suite_and_hides_no_test_of_another() -> None:
    """No theme is forgotten, and no two tests have one name."""
    modules = {name: importlib.import_module(f"{conformance.__name__}.{name}") for name in THEMES}
    themes = [
        theme
        for module in modules.values()
        for _, theme in inspect.getmembers(module, inspect.isclass)
        if issubclass(theme, Theme) and theme is not Theme and theme.__module__ == module.__name__
    ]
    assert set(themes) == set(Conformance.__bases__)
    defined = [check.name for theme in themes for check in checks_of(theme)]
    assert sorted(defined) == sorted(check.name for check in CHECKS)
    others = {"assertions", "audit", "harness", "selection", "suite"}
    assert {module.name for module in pkgutil.iter_modules(conformance.__path__)} == others | set(THEMES)


def test_partial_stores_get_the_tests_of_their_verbs() -> None:
    """A store that has the core verbs only gets the tests that need no other, and nothing is skipped."""

    class Partial(Conformance, verbs=CORE_VERBS):
        """A store without inspection and repair."""

    kept = {check.name for check in checks_of(Partial)}
    assert kept == {check.name for check in CHECKS if check.needs == CORE_VERBS}
    assert 150 < len(kept) < len(CHECKS)
    assert {check.name for check in checks_of(Conformance)} == {check.name for check in CHECKS}


async def test_every_test_asks_for_the_verbs_it_uses() -> None:
    """A test that uses a verb beyond the core ones says so."""
    for check in CHECKS:
        storage = RecordingStorage()
        with contextlib.suppress(AssertionError):  # whether it passes is said elsewhere
            async with harness(storage, check.limits, verbs=frozenset()) as ready:
                await check.function(check.theme(), ready)
        assert storage.used <= check.needs, check.name
