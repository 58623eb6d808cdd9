"""The machines find bugs: each of these stores differs from the contract in one thing."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from checkmate_queue.backends.memory import MemoryStore
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock
from tests.conformance.bugs import attending, consuming, keeping, producing, recurring
from tests.conformance.bugs.bug import Bug
from tests.conformance.bugs.inside import SWAPS
from tests.model.machine import QueueMachine
from tests.model.storages import MemoryStorage

AT_THE_SEAM = (
    producing.LowerFirst,
    producing.StoresWhatFits,
    consuming.NewestFirst,
    attending.LosesLapsedClaims,
    consuming.RepeatsTheWork,
    consuming.UncountedAttempts,
    recurring.FiresAgain,
    keeping.IgnoresPause,
)
INSIDE = (
    "given-back deliveries go to the end",
    "retries expire",
    "stalls are not counted",
    "gaps are not known",
    "cancelled claims are handed on",
    "occurrences pile up",
)


def is_found(kind: type[MemoryStore]) -> bool:
    """Whether a short run of the machine fails on a store of this kind."""

    class Storage(MemoryStorage):
        async def connect(self, clock: Clock, limits: StoreLimits) -> MemoryStore:
            return kind(limits=limits, clock=clock)

    class Machine(QueueMachine):
        make_storage = Storage

    profile = settings(
        max_examples=1_000,
        stateful_step_count=100,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(Machine, settings=profile)
    except Exception:
        return True
    return False


@pytest.mark.parametrize("bug", AT_THE_SEAM, ids=lambda bug: bug.__name__)
def test_bug_at_the_seam_is_found(bug: type[Bug]) -> None:
    """Some history shows it."""
    assert is_found(bug), bug.__doc__


@pytest.mark.parametrize("what", INSIDE)
def test_bug_inside_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some history shows it."""
    (bug,) = (swap for swap in SWAPS if swap.what == what)
    for change in bug.changes:
        monkeypatch.setattr(change.owner, change.name, change.replacement)
    assert is_found(MemoryStore), what
