"""Two worlds side by side: a real store under a travelling clock, and the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar, cast
from uuid import uuid4

from hypothesis.stateful import RuleBasedStateMachine, invariant

from checkmate_queue.core.errors import InvalidArgumentError, JobExistsError
from checkmate_queue.core.model import Epoch, NewSchedule, Settlement, StoreLimits
from checkmate_queue.store import FencedError, LeaseLostError, Store
from checkmate_queue.testing.clock import START, TravellingClock
from checkmate_queue.testing.conformance.harness import Storage
from checkmate_queue.testing.conformance.selection import ALL_VERBS
from tests.model import views
from tests.model.records import Claimed, Refused
from tests.model.reference import Model

UNKNOWN_KEY = 999_999
TOUCH = NewSchedule("touch", b"0", "never changed", "never due", first_at=START * 2)

Answer = TypeVar("Answer")
Expected = TypeVar("Expected")


@dataclass
class Client:
    """What one worker's process knows."""

    worker: str
    epoch: Epoch
    number: int
    counts: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[Claimed]] = field(default_factory=dict)
    lapsed: list[tuple[str, int, Claimed]] = field(default_factory=list)


class World(RuleBasedStateMachine):
    """What the two sides share; the rules are in `machine.py`.

    Each history has a queue of its own, so that many may share a storage.
    """

    make_storage: ClassVar[Callable[[], Storage]]
    verbs: ClassVar[frozenset[str]] = ALL_VERBS

    store: Store
    inspector: Store
    storage: Storage
    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = TravellingClock()
        self.queue = f"queue-{uuid4().hex}"
        self.names = views.Names(self.queue)
        self.clients: dict[str, Client] = {}
        self.crashes = 0
        self.seen_plans: list[tuple[str, int, int | None]] = []
        self.agreed = False

    # -- both sides ------------------------------------------------------------------------------

    def run(self, verb: Coroutine[Any, Any, Answer]) -> Answer:
        return self.runner.run(verb)

    def ask(self, verb: Callable[[], Coroutine[Any, Any, Answer]], role: str = "") -> Answer | str:
        """Call the store, as a worker of this role; where it refuses, the text that the model has for it."""
        self.agreed = False
        self.model.now = self.clock()
        try:
            return self.run(verb())
        except LeaseLostError:
            return "lease lost"
        except FencedError:
            return "fenced"
        except JobExistsError:
            return "exists"
        except InvalidArgumentError:
            return "invalid"
        except ValueError:
            return "wrong n"

    def agree(self, seen: Answer | str, model: Callable[[], Expected]) -> tuple[Answer, Expected] | None:
        """Both answers, or None where both refuse alike."""
        try:
            expected = model()
        except Refused as refused:
            assert seen == str(refused), f"{seen}, not refused as {refused}"
            self.touch()
            return None
        assert not isinstance(seen, str), f"refused as {seen}, not {expected}"
        return seen, expected

    def same(self, seen: Answer | str, model: Callable[[], Expected]) -> None:
        """Both answers are equal, or both refuse alike."""
        if answers := self.agree(seen, model):
            assert answers[0] == answers[1]

    def touch(self) -> None:
        """Come into contact, as it is open whether a refused call does."""
        self.model.now = self.clock()
        if not self.model.fenced:
            self.run(self.inspector.put_schedule(self.queue, TOUCH))
            self.model.put_schedule(TOUCH)

    def translated(self, settlement: Settlement) -> Settlement:
        return replace(settlement, key=self.names.keys.get(settlement.key, UNKNOWN_KEY))

    def is_due(self) -> bool:
        return any(due <= self.clock() for due in self.model.due_times())

    def is_swept(self) -> bool:
        """Whether nothing has expired that is not ended, and might live again if time went back."""
        self.model.now = self.clock()
        return not self.model.is_open() and not self.model.overdue and not self.model.expiring()

    def members(self) -> list[tuple[str, str]]:
        return [(role, group) for role in sorted(self.clients) for group in sorted(self.clients[role].counts)]

    def holders(self) -> list[tuple[str, str]]:
        return [(role, group) for role, group in self.members() if self.clients[role].held.get(group)]

    # -- beginning and end -----------------------------------------------------------------------

    def create(self, limits: StoreLimits) -> None:
        self.storage = type(self).make_storage()
        self.model = Model(self.clock(), limits)
        self.store = cast("Store", self.run(self.storage.connect(self.clock, limits)))
        self.inspector = self.store
        self.run(self.store.open())
        self.run(self.store.register(self.queue))
        self.touch()

    def teardown(self) -> None:
        try:
            if self.agreed:
                self.end()
            if hasattr(self, "store"):
                self.run(self.store.close())
                self.run(self.storage.destroy())
        finally:
            self.runner.close()

    def end(self) -> None:
        """What a machine still checks when its history agreed to the last."""

    @invariant()
    def everything_is_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        self.model.now = self.clock()
        self.run(self.observe())
        self.agreed = True

    async def observe(self) -> None:
        store, verbs = self.inspector, self.verbs
        is_open = self.model.is_open()
        if not is_open:
            self.model.expire()
        if "jobs" in verbs and not is_open:
            views.same_jobs(self.names, self.model, await store.jobs(self.queue, limit=1000))
        if "stats" in verbs and not is_open:
            views.same_stats(self.model, await store.stats(self.queue))
        if "groups" in verbs:
            views.same_groups(self.model, await store.groups(self.queue))
        if "workers" in verbs:
            views.same_workers(self.names, self.model, await store.workers(self.queue))
        if "failed" in verbs:
            views.same_failed(self.model, await store.failed(self.queue, limit=1000))
        if "schedules" in verbs:
            views.same_schedules(self.names, self.model, await store.schedules(self.queue))
        if "paused" in verbs:
            assert await store.paused(self.queue) == self.model.paused
