"""How many histories, and how long; and on which store."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from checkmate_queue.testing.conformance import ALL_VERBS, Storage
from tests.model.world import World

SHORT_STEPS = 100
LONG_STEPS = 200
AT_ONCE = 3
FIRST_SEED = int(os.environ.get("CHECKMATE_QUEUE_TEST_SEED", "0"))


def short_histories(
    machine: type[World],
    make_storage: Callable[[], Storage],
    verbs: frozenset[str] = ALL_VERBS,
    *,
    examples: int,
) -> None:
    """The same histories in every run, so that a change breaks or does not."""
    profile = _profile(examples, SHORT_STEPS, derandomize=True)
    run_state_machine_as_test(_machine_on(machine, make_storage, verbs), settings=profile)


def long_histories(
    machine: type[World],
    make_storage: Callable[[], Storage],
    verbs: frozenset[str] = ALL_VERBS,
    *,
    seconds: float,
) -> None:
    """As many histories as fit into the time, the same ones in every run unless another seed is set."""
    profile = _profile(AT_ONCE, LONG_STEPS, derandomize=False)
    deadline = time.monotonic() + seconds
    for number in itertools.count(FIRST_SEED):
        if time.monotonic() > deadline:
            return
        seeded = seed(number)(_machine_on(machine, make_storage, verbs))
        run_state_machine_as_test(seeded, settings=profile)


def _machine_on(
    machine: type[World], make_storage: Callable[[], Storage], verbs: frozenset[str]
) -> type[World]:
    return type(machine.__name__, (machine,), {"make_storage": staticmethod(make_storage), "verbs": verbs})


def _profile(examples: int, steps: int, *, derandomize: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
