"""Reading everything of a fenced queue, batch by batch (B2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from checkmate_queue.backends.postgres.arguments import decoded, schedule_of
from checkmate_queue.backends.postgres.calls import Calls
from checkmate_queue.core.model import Failure
from checkmate_queue.core.moving import (
    Export,
    Moved,
    MovedClaim,
    MovedEpoch,
    MovedFailure,
    MovedGroup,
    MovedJob,
    MovedQueue,
    MovedReady,
    MovedRetry,
    MovedSchedule,
    MovedUnclaimed,
)
from checkmate_queue.moving import EXPORT_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.core.model import Outcome

FRONT: Final = 1 << 52
"""What came back to the front has its claim's number less this as its place."""

OUTCOMES: Final[tuple[Outcome, ...]] = ("completed", "failed", "expired", "cancelled")

_FIRST: Final = -(1 << 62)
_HIGHEST_PRIORITY: Final = (1 << 31) - 1

Marked = tuple[Any, Moved]
"""A record, and where a section goes on behind it."""


class Exporting(Calls):
    """The verb of `Moving` that reads."""

    async def export(self, queue: str, cursor: str = "", limit: int = 1000) -> Export:
        """See `Moving.export`. The cursor: the number of a section, where to go on in it, the first key."""
        section, after, first = json.loads(cursor) if cursor else (0, None, None)
        if not cursor:
            await self._complete(queue)
        frame = await self._call("export_queue", queue)
        if first is None:
            first = 1 if frame["o_first"] is None else frame["o_first"]
        reader = _Reader(self._call_for_rows, queue, frame, first, limit)
        for number, read in enumerate(reader.sections[section:], section):
            if (at := await reader.fill(read, after)) is not None:
                return Export(reader.records, json.dumps([number, at, first]))
            after = None
        return Export(reader.records, None)


@dataclass
class _Reader:
    """Reads sections, each from behind what its last record was marked with."""

    call: Callable[..., Awaitable[list[Row]]]
    name: str
    frame: Row
    first: int
    limit: int
    records: list[Moved] = field(default_factory=list)
    size: int = 0
    room: int = 0
    _groups: list[Row] | None = None

    @property
    def sections(self) -> list[Callable[[Any], Awaitable[Iterable[Marked]]]]:
        return [
            self.heads, self.schedules, self.jobs, self.unclaimed,
            self.ready, self.retries, self.claims, self.failures,
        ]  # fmt: skip

    @cached_property
    def queue(self) -> int:
        number: int = self.frame["o_queue"]
        return number

    async def fill(self, read: Callable[[Any], Awaitable[Iterable[Marked]]], after: Any) -> Any:
        """Read a section until it ends (None), or the batch is full: then where to go on."""
        while True:
            self.room = self.limit - len(self.records)
            found = list(await read(after))
            if not found:
                return None
            self.records += [record for _, record in found]
            self.size += sum(
                len(record.data) for _, record in found if isinstance(record, MovedJob | MovedFailure)
            )
            after = found[-1][0]
            if len(self.records) >= self.limit or self.size >= EXPORT_BYTES:
                return after

    def _ordinal(self, key: int) -> int:
        return key - self.first + 1

    async def _names(self) -> Mapping[int, str]:
        return {row["id"]: row["name"] for row in await self._all_groups()}

    async def _all_groups(self) -> list[Row]:
        if self._groups is None:
            self._groups = await self.call("export_groups", self.queue)
        return self._groups

    # -- sections --------------------------------------------------------------------------------

    async def heads(self, after: int | None) -> Iterable[Marked]:
        """The queue, its groups and its epochs; they are numbered."""
        counts = {row["name"]: row for row in await self.call("stats", self.name)}
        last, number = self.frame["o_last"], self.frame["o_number"]
        records: list[Moved] = [
            MovedQueue(
                self.frame["o_paused"], 0 if last is None else self._ordinal(last), number, number,
                _ended(counts[None]),
            )
        ]  # fmt: skip
        records += [
            MovedGroup(
                row["name"], row["ephemeral"], row["max_stalls"], row["registered_at"],
                row["unattended_ms"], row["warned_at"], _ended(counts[row["name"]]),
            )
            for row in await self._all_groups()
        ]  # fmt: skip
        rows = await self.call("export_epochs", self.queue)
        workers = _workers(rows)
        records += [
            MovedEpoch(
                workers[row["number"]], row["lease_ms"], row["alive"],
                dict(zip(row["groups"], row["exchanges"], strict=True)), row["report"],
            )
            for row in rows
        ]  # fmt: skip
        start = 0 if after is None else after + 1
        return list(enumerate(records[start:], start))[: self.room]

    async def schedules(self, after: str | None) -> Iterable[Marked]:
        """By id."""
        rows = await self.call("schedules", self.name, None, after or "", self.room)
        return [(row["id"], MovedSchedule(schedule_of(row))) for row in rows]

    async def jobs(self, after: int | None) -> Iterable[Marked]:
        """By key."""
        rows = await self.call("export_jobs", self.queue, after or 0, self.room, self._bytes_left())
        return [
            (
                row["key"],
                MovedJob(
                    self._ordinal(row["key"]), row["id"], row["schedule"], row["data"], row["metadata"],
                    row["priority"], row["enqueued_at"], row["due_at"], row["expires_at"],
                    "drop" if row["drop_unclaimed"] else "hold", row["token"], row["format"],
                ),
            )
            for row in rows
        ]  # fmt: skip

    async def unclaimed(self, after: int | None) -> Iterable[Marked]:
        """In their order."""
        rows = await self.call("export_unclaimed", self.queue, after or 0, self.room)
        return [(row["place"], MovedUnclaimed(self._ordinal(row["key"]), row["since"])) for row in rows]

    async def ready(self, after: list[int] | None) -> Iterable[Marked]:
        """Group after group in starting order."""
        start = [_HIGHEST_PRIORITY, _FIRST]
        index, *behind = after or [0, *start]
        for number, group in enumerate((await self._all_groups())[index:], index):
            rows = await self.call("export_ready", group["id"], *behind, self.room)
            if rows:
                return [([number, row["priority"], row["place"]], self._ready(group, row)) for row in rows]
            behind = start
        return []

    def _ready(self, group: Row, row: Row) -> MovedReady:
        front = row["place"] < 0
        claim = row["place"] + FRONT if front else int(row["started"])
        return MovedReady(
            self._ordinal(row["key"]), group["name"], row["attempts"], row["stalls"], row["since"], claim,
            front,
        )  # fmt: skip

    async def retries(self, after: list[int] | None) -> Iterable[Marked]:
        """By due time."""
        names = await self._names()
        rows = await self.call("export_retries", self.queue, *(after or [_FIRST, 0, 0]), self.room)
        return [
            (
                [row["due_at"], row["key"], row["group_id"]],
                MovedRetry(
                    self._ordinal(row["key"]), names[row["group_id"]], row["attempts"], row["stalls"],
                    row["due_at"],
                ),
            )
            for row in rows
        ]  # fmt: skip

    async def claims(self, after: int | None) -> Iterable[Marked]:
        """By number."""
        rows = await self.call("export_claims", self.queue, after or 0, self.room)
        if not rows:
            return []
        names, workers = await self._names(), _workers(await self.call("export_epochs", self.queue))
        return [
            (
                row["number"],
                MovedClaim(
                    self._ordinal(row["key"]), names[row["group_id"]], row["attempts"], row["stalls"],
                    row["since"], row["number"], workers[row["epoch"]], row["exchange"], row["cancelled"],
                    row["lapsed"],
                ),
            )
            for row in rows
        ]  # fmt: skip

    async def failures(self, after: int | None) -> Iterable[Marked]:
        """The oldest first."""
        rows = await self.call("export_failures", self.queue, after or 0, self.room, self._bytes_left())
        return [
            (
                row["entry"],
                MovedFailure(
                    self._ordinal(row["key"]), row["id"], row["schedule"], row["group_name"], row["data"],
                    row["metadata"], row["priority"], row["enqueued_at"],
                    "drop" if row["drop_unclaimed"] else "hold",
                    Failure(
                        decoded(row["error_type"]), decoded(row["message"]), decoded(row["traceback"])
                    ),
                    row["attempts"], row["failed_at"], row["format"],
                ),
            )
            for row in rows
        ]  # fmt: skip

    def _bytes_left(self) -> int:
        return max(1, EXPORT_BYTES - self.size)


def _ended(row: Row) -> dict[Outcome, int]:
    return {outcome: row[outcome] for outcome in OUTCOMES}


def _workers(rows: list[Row]) -> dict[int, str]:
    """Where a worker came back under its name, its dead epochs give that away: theirs matters no more."""
    newest = {row["worker"]: row["number"] for row in rows}
    return {
        row["number"]: row["worker"]
        if newest[row["worker"]] == row["number"]
        else f"{row['worker']} (dead, {row['number']})"
        for row in rows
    }
