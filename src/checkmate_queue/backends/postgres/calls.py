"""What every verb needs: a store's connections, its limits and its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkmate_queue.backends.postgres.arguments import claims_of
from checkmate_queue.backends.postgres.connection import Connections
from checkmate_queue.backends.postgres.statements import call, statement

if TYPE_CHECKING:
    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.core.model import Claim, Millis, StoreLimits
    from checkmate_queue.store import Clock


class Calls:
    """Calls the functions of `sql/functions/` in one schema."""

    def __init__(
        self, connections: Connections, schema: str, limits: StoreLimits, clock: Clock | None
    ) -> None:
        self._connections = connections
        self._schema = schema
        self._limits = limits
        self._clock = clock
        self._slot = 0

    @property
    def _unclaimed(self) -> Millis:
        return self._limits.unclaimed_retention_ms

    def _now(self) -> Millis | None:
        return None if self._clock is None else self._clock()

    async def _engine_time(self) -> Millis:
        now: Millis = (await self._connections.row(statement("ping", self._schema)))[0]
        return now if self._clock is None else self._clock()

    async def _call(self, function: str, *arguments: Any) -> Row:
        return await self._connections.row(call(function, len(arguments), self._schema), *arguments)

    async def _call_for_rows(self, function: str, *arguments: Any) -> list[Row]:
        return await self._connections.rows(call(function, len(arguments), self._schema), *arguments)

    async def _until_ready(self, function: str, *arguments: Any) -> Row:
        """Call again while there was so much due that a call made only a batch of it ready."""
        row = await self._call(function, *arguments)
        while row["o_status"] == "again":
            row = await self._call(function, *arguments)
        return row

    async def _collect(self, queue: str) -> None:
        """Take in what transactions have committed: for verbs that look for a job by its id."""
        while (await self._call("collect", queue, self._now(), self._slot, self._unclaimed))["o_more"]:
            pass

    async def _claims(self, queue: str, row: Row) -> list[Claim]:
        """The claims that a row holds; payloads that were too much for one answer are read part by part.

        One whose job has ended meanwhile was lost with its lease, and is left out.
        """
        claims = claims_of(row)
        if None not in (row["o_data"] or ()):
            return claims
        payloads = zip(row["o_keys"], row["o_data"], strict=True)
        absent = lacking = [key for key, data in payloads if data is None]
        late: dict[int, tuple[bytes, bytes]] = {}
        while lacking:
            rows = await self._call_for_rows("payloads", queue, lacking)
            if not rows:
                break
            late.update({found["key"]: (found["data"], found["metadata"]) for found in rows})
            lacking = lacking[lacking.index(rows[-1]["key"]) + 1 :]
        ended = set(absent) - late.keys()
        return [_completed(claim, late.get(claim.key)) for claim in claims if claim.key not in ended]

    async def _catch_up(self, queue: str) -> None:
        """Promote everything that is due, batch by batch."""
        while (await self._call("catch_up", queue, self._now(), self._slot, self._unclaimed))["o_more"]:
            pass

    async def _complete(self, queue: str) -> None:
        """Bring everything in a fenced queue to where it belongs, batch by batch."""
        while (await self._call("complete", queue, self._now(), self._slot, self._unclaimed))["complete"]:
            pass

    async def _repeat(self, function: str, queue: str) -> None:
        while (await self._call(function, queue, self._now(), self._slot))["o_more"]:
            pass


def _completed(claim: Claim, payload: tuple[bytes, bytes] | None) -> Claim:
    return claim if payload is None else claim._replace(data=payload[0], metadata=payload[1])
