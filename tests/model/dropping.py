"""Histories in which answers get lost: whoever repeats a call does no harm, and nothing is stranded."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import initialize

from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.core.model import GroupJoin, NewJob, StoreLimits
from checkmate_queue.testing.dropped_answers import DroppedAnswers
from tests.model import strategies
from tests.model.machine import QueueMachine
from tests.model.records import Refused
from tests.model.world import Answer, Expected

LOSSES = ("", "", "", "drop", "drop twice", "drop and crash")
CRASHED = "crashed"
QUIET_AFTER = 25


class DroppingMachine(QueueMachine):
    """The verbs of a history lose answers by a pattern that goes round; their callers repeat, or crash.

    The model performs each call as often as the store did, and only the last answer is compared: so a
    repeat must do to the store what it does to the model, which is nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers = DroppedAnswers()
        self.losses: list[str] = []
        self.calls = 0
        self.performed = 1
        self.lost_before = 0
        self.role = ""

    @initialize(losses=st.lists(st.sampled_from(LOSSES), max_size=9))
    def lose(self, losses: list[str]) -> None:
        self.losses = losses

    def create(self, limits: StoreLimits) -> None:
        if "groups" not in self.verbs:  # then a group that goes with a lost answer is not seen
            limits = replace(limits, group_retention_ms=StoreLimits().group_retention_ms)
        super().create(limits)
        self.store = self.answers.through(self.inspector)

    def ask(self, verb: Callable[[], Coroutine[Any, Any, Answer]], role: str = "") -> Answer | str:
        """Call the store until it answers, unless the caller's process dies first."""
        loss = self.losses[self.calls % len(self.losses)] if self.losses else ""
        self.calls += 1
        self.performed, self.role, self.lost_before = 1, role, self.answers.dropped
        self.answers.drop({"": 0, "drop twice": 2}.get(loss, 1))
        while True:
            try:
                return super().ask(verb, role)
            except BackendUnavailableError:
                if loss == "drop and crash":
                    return CRASHED
                self.performed += 1

    def answers_of_each_call(self, seen: object) -> list[object]:
        return [*self.answers.lost[self.lost_before :], seen]

    def agree(self, seen: Answer | str, model: Callable[[], Expected]) -> tuple[Answer, Expected] | None:
        """Both last answers, or None where both refuse alike or nobody is left to hear."""
        for _ in range(self.performed - 1):
            self.applied(model)
            self.touch()
        if seen != CRASHED:
            before = self.substance() if self.performed > 1 else None
            answers = super().agree(seen, model)
            assert before in (None, self.substance()), "a repeated call did something"
            return answers
        self.applied(model)
        self.touch()
        self.crashes += 1
        self.clients.pop(self.role, None)
        return None

    def applied(self, model: Callable[[], Expected]) -> None:
        with contextlib.suppress(Refused):
            model()

    def substance(self) -> object:
        model = self.model
        ended = {outcome: count for outcome, count in model.counts.items() if outcome != "expired"}
        return copy.deepcopy((model.jobs, model.groups, model.lives, model.plans, model.entries, ended))

    # -- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """One healthy worker is left: all that was accepted comes to its end, and every id is free."""
        self.losses = []
        for role in list(self.clients):
            self.crash(role)
        groups = sorted(self.model.groups) or ["g1"]
        self.join("w1", [GroupJoin(group) for group in groups])
        if "set_paused" in self.verbs:
            self.set_paused(False)
        self.clock.advance(600)  # however often the clock was set back
        for _ in range(QUIET_AFTER):
            self.clock.advance(4)
            self.tick("w1", ["policy"] * 99)
            for group in groups:
                self.exchange(("w1", group), 99, ["done"] * 99)
            self.everything_is_the_same()
        for group in groups:
            self.exchange(("w1", group), 0, ["done"] * 99)
        assert self.model.jobs == [], "stranded"
        if self.verbs.issuperset(("stats", "jobs")):
            self.run(self.nothing_is_left())
        for job_id in strategies.IDS:
            self.add([[NewJob(job_id, b"1")]])
            for group in groups:
                self.exchange(("w1", group), 99)
                assert [claim.job_id for claim in self.clients["w1"].held[group]] == [job_id]
                self.exchange(("w1", group), 0, ["done"])

    async def nothing_is_left(self) -> None:
        stats = await self.inspector.stats(self.queue)
        assert (stats.pending, stats.processing, stats.delayed, stats.unclaimed) == (0, 0, 0, 0), stats
        assert await self.inspector.jobs(self.queue) == []
