"""How many histories, and how long."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

SHORT_STEPS = 100
LONG_STEPS = 200


def short_histories(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """The same histories in every run, so that a change breaks or does not."""
    run_state_machine_as_test(machine, settings=_profile(examples, SHORT_STEPS, derandomize=True))


def long_histories(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """New histories in every run; a failing one prints the blob that repeats it."""
    run_state_machine_as_test(machine, settings=_profile(examples, LONG_STEPS, derandomize=False))


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
