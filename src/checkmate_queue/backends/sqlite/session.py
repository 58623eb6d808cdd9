"""One verb at work on one queue, inside a transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, assert_never

from checkmate_queue.backends.sqlite.transaction import Row, Transaction, Values
from checkmate_queue.store import FencedError, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkmate_queue.core.model import Millis, Outcome

BACKWARDS_MS = 1000


class Group(NamedTuple):
    """A row of a consumer group; one without a name was dropped and is being cleared away."""

    id: int
    name: str | None
    ephemeral: int
    max_stalls: int
    pending: int
    unattended_ms: Millis
    warned_at: Millis | None
    backfill_from: int | None
    backfill_to: int | None


class Heads(NamedTuple):
    """When the first delayed job, retry and schedule of a queue are due, and when something expires next."""

    job: Millis | None
    retry: Millis | None
    schedule: Millis | None
    expiry: Millis | None


@dataclass(slots=True)
class Tally:
    """By how much the numbers of a group, or those that belong to the queue alone, change."""

    pending: int = 0
    retrying: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0

    def end(self, outcome: Outcome, count: int = 1) -> None:
        """Count deliveries that ended."""
        match outcome:
            case "completed":
                self.completed += count
            case "failed":
                self.failed += count
            case "expired":
                self.expired += count
            case "cancelled":
                self.cancelled += count
            case _:
                assert_never(outcome)


def refuse_fenced_registry(tx: Transaction) -> None:
    """Raise `FencedError` where the registry is fenced."""
    registry = tx.one("registry")
    if registry is not None and registry[0] is not None:
        raise FencedError(registry[0])


class Session:
    """A queue that a writing verb has entered. What it counts and draws is written by `save`."""

    __slots__ = (
        "_groups",
        "_heads",
        "attended_at",
        "contact_at",
        "delayed",
        "ended",
        "failures",
        "id",
        "last_claim",
        "last_key",
        "last_revision",
        "name",
        "now",
        "paused",
        "readied",
        "tallies",
        "tx",
        "unclaimed",
        "woken",
    )

    def __init__(self, tx: Transaction, name: str, row: Row) -> None:
        self.tx = tx
        self.name = name
        self.id: int = row[0]
        self.paused: int = row[2]
        self.contact_at: Millis = row[3]
        self.attended_at: Millis = row[4]
        self.last_key: int = row[5]
        self.last_claim: int = row[6]
        self.last_revision: int = row[7]
        self.delayed: int = row[8]
        self.unclaimed: int = row[9]
        self.failures: int = row[10]
        self.ended = Tally()
        self.tallies: defaultdict[int, Tally] = defaultdict(Tally)
        self.readied = 0
        self.woken = False
        self.now = tx.clock()
        self._groups: list[Group] | None = None
        self._heads: Heads | None = None

    @classmethod
    def enter(cls, tx: Transaction, name: str) -> Session:
        """Enter a queue for writing: it must be known and not fenced; leases don't run over a gap (G12)."""
        row = tx.one("queue", (name,))
        if row is None:
            refuse_fenced_registry(tx)
            raise UnknownQueueError(f"Queue {name!r} was never registered with this backend.")
        if row[1] is not None:
            raise FencedError(row[1])
        session = cls(tx, name, row)
        gap = session.now - session.contact_at
        if not 0 <= gap < 100:
            session._bridge(gap)
        return session

    def _bridge(self, gap: Millis) -> None:
        if gap < 0:
            self.tx.run("keep_dead", (self.id, self.contact_at, self.now))
        limit = 2**62 if gap < -BACKWARDS_MS else 2 * gap
        if self.tx.run("move_leases", (self.id, self.contact_at, gap, limit)):
            self.attended_at += gap

    def save(self) -> None:
        """Write what changed, and wake sleepers if something that became ready is there to be claimed."""
        if self.readied and self.pending():
            self.wake()
        ended = self.ended
        self.tx.run(
            "save_queue",
            (
                self.id, self.now, self.attended_at, self.last_key, self.last_claim, self.last_revision,
                self.delayed, self.unclaimed, self.failures, self.paused,
                ended.completed, ended.failed, ended.expired, ended.cancelled,
            ),
        )  # fmt: skip
        self.save_tallies()

    def save_tallies(self) -> None:
        """Write what changed in the numbers of groups."""
        for group, tally in self.tallies.items():
            self.tx.run(
                "save_group",
                (
                    group, tally.pending, tally.retrying, tally.processing,
                    tally.completed, tally.failed, tally.expired, tally.cancelled,
                ),
            )  # fmt: skip
        self.tallies.clear()
        self._groups = None

    # -- statements ------------------------------------------------------------------------------

    def run(self, name: str, values: Values = ()) -> int:
        """Run a statement, and return how many rows it changed."""
        return self.tx.run(name, values)

    def run_many(self, name: str, rows: Iterable[Values]) -> int:
        """Run a statement for each of the rows, and return how many rows it changed."""
        return self.tx.run_many(name, rows)

    def all(self, name: str, values: Values = ()) -> list[Row]:
        """All rows that a statement returns."""
        return self.tx.all(name, values)

    def one(self, name: str, values: Values = ()) -> Row | None:
        """The first row that a statement returns."""
        return self.tx.one(name, values)

    # -- what verbs share ------------------------------------------------------------------------

    def draw(self) -> int:
        """The next key, or place among the ready ones."""
        self.last_key += 1
        return self.last_key

    @property
    def group_rows(self) -> list[Group]:
        """All groups of the queue, by name, those that are being cleared away included."""
        if self._groups is None:
            self._groups = [Group(*row) for row in self.tx.all("groups", (self.id,))]
        return self._groups

    def forget_groups(self) -> None:
        """Read the groups anew when they are asked for again."""
        self._groups = None

    def groups(self) -> list[Group]:
        """The registered groups, by name."""
        return [group for group in self.group_rows if group.name is not None]

    def group(self, name: str) -> Group | None:
        """The registered group of this name."""
        return next((group for group in self.group_rows if group.name == name), None)

    def pending(self) -> int:
        """How many deliveries are ready in all groups."""
        return sum(group.pending + self.tallies[group.id].pending for group in self.groups())

    def live_groups(self) -> list[Group]:
        """The groups that a job is fanned out to."""
        groups = self.groups()
        if not any(group.ephemeral for group in groups):
            return groups
        attended = self.attended()
        return [group for group in groups if not group.ephemeral or group.id in attended]

    def attended(self) -> set[int]:
        """The groups with a live member."""
        return {row[0] for row in self.tx.all("attended", (self.id, self.now))}

    def schedules_of(self, keys: Sequence[int]) -> list[str]:
        """The schedules whose jobs these are."""
        return [row[0] for row in self.tx.all("schedules_of", (json.dumps(keys),))]

    @property
    def heads(self) -> Heads:
        """When things are due and expire next."""
        if self._heads is None:
            row = self.tx.one("heads", (self.id,))
            assert row is not None
            self._heads = Heads(*row)
        return self._heads

    def forget_heads(self) -> None:
        """Read the heads anew when they are asked for again."""
        self._heads = None

    def next_due(self) -> Millis | None:
        """When the first delayed job, retry or schedule is due."""
        return min((at for at in self.heads[:3] if at is not None), default=None)

    def expect_retry(self, due_at: Millis) -> None:
        """A retry waits; if it is due before all else, sleepers are woken."""
        before = self.next_due()
        if before is None or due_at < before:
            self._heads = self.heads._replace(retry=due_at)
            self.wake()
        elif self.heads.retry is None or due_at < self.heads.retry:
            self._heads = self.heads._replace(retry=due_at)

    def wake(self) -> None:
        """Tell the queue's sleepers once the transaction is committed."""
        if self.woken:
            return
        self.woken = True
        self.tx.wake(self.id, self.name)

    def sleep(self) -> None:
        """Note that this process is to be told of news."""
        self.tx.run("sleep", (self.id, self.tx.address))
