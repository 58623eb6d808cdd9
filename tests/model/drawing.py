"""When a rule is drawn, and from what of that moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import precondition

from tests.model import strategies
from tests.model.world import World

RuleT = TypeVar("RuleT", bound=Callable[..., None])


def when(holds: Callable[[World], object], *verbs: str) -> Callable[[RuleT], RuleT]:
    """Draw a rule only where it can do something, and for stores that have these verbs."""
    return precondition(lambda machine: machine.verbs.issuperset(verbs) and bool(holds(machine)))


def drawn_as(name: str) -> Callable[[RuleT], RuleT]:
    """Another way to draw a rule, which so is drawn more often: it is enabled and printed as that one."""

    def rename(function: RuleT) -> RuleT:
        function.__name__ = name
        return function

    return rename


def one_of(choices: Callable[[World], Sequence[Any]]) -> st.SearchStrategy[Any]:
    """One of the things that the machine has at this moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choices(machine)))


def anyway(machine: World) -> bool:
    return True


def some_clients(machine: World) -> list[str]:
    return sorted(machine.clients)


def some_failed(machine: World) -> list[str]:
    return sorted({entry.job.new.id for entry in machine.model.entries})


def some_ids(machine: World) -> list[str]:
    """Living jobs, and one that most likely is not."""
    living = [job.new.id for job in machine.model.jobs]
    return [*living, strategies.IDS[-1]] if living else []


def some_groups(machine: World) -> list[str]:
    return sorted(machine.model.groups)


def some_plans(machine: World) -> list[tuple[str, int, int]]:
    """Schedules as they were read lately."""
    return [(name, revision, at) for name, revision, at in machine.seen_plans if at is not None][-4:]
