"""Values of the seam as arrays for SQL, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from checkmate_queue.core.model import (
    Cancelled,
    Claim,
    Done,
    Fail,
    Failure,
    GiveBack,
    NewSchedule,
    RetryLater,
    Schedule,
    Settlement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkmate_queue.backends.postgres.connection import Row
    from checkmate_queue.core.model import NewJob

_CLAIM_COLUMNS = (
    "o_keys",
    "o_ids",
    "o_data",
    "o_priorities",
    "o_enqueued",
    "o_attempts",
    "o_stalls",
    "o_metadata",
    "o_formats",
)


@dataclass(slots=True)
class Settlements:
    """Parallel arrays, one entry a settlement; see `settle.sql`."""

    kinds: list[str] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    delays: list[int | None] = field(default_factory=list)
    attempts: list[bool | None] = field(default_factory=list)
    types: list[bytes | None] = field(default_factory=list)
    messages: list[bytes | None] = field(default_factory=list)
    tracebacks: list[bytes | None] = field(default_factory=list)

    @classmethod
    def of(cls, settlements: Iterable[Settlement]) -> Settlements:
        """These settlements as arrays."""
        arrays = cls()
        for settlement in settlements:
            arrays.add(settlement)
        return arrays

    def add(self, settlement: Settlement) -> None:
        """Append one."""
        match settlement:
            case Done():
                self._append("done", settlement.key)
            case RetryLater():
                self._append("retry", settlement.key, delay=settlement.delay_ms)
            case Fail():
                self._append("fail", settlement.key, attempt=settlement.attempt, failure=settlement.failure)
            case GiveBack():
                self._append("back", settlement.key)
            case Cancelled():
                self._append("cancel", settlement.key)
            case _:
                assert_never(settlement)

    def columns(self) -> tuple[list[Any] | None, ...]:
        """The arrays in the order of the function's arguments; NULL where there is nothing to settle."""
        if not self.keys:
            return (None,) * 7
        return self.kinds, self.keys, self.delays, self.attempts, self.types, self.messages, self.tracebacks

    def _append(
        self,
        kind: str,
        key: int,
        delay: int | None = None,
        attempt: bool | None = None,
        failure: Failure | None = None,
    ) -> None:
        self.kinds.append(kind)
        self.keys.append(key)
        self.delays.append(delay)
        self.attempts.append(attempt)
        self.types.append(encoded(failure.error_type) if failure else None)
        self.messages.append(encoded(failure.message) if failure else None)
        self.tracebacks.append(encoded(failure.traceback) if failure else None)


def split_done(settlements: Sequence[Settlement]) -> tuple[list[int], Settlements]:
    """The keys settled as done, and all other settlements. A key that comes twice is nothing for a set."""
    if len({settlement.key for settlement in settlements}) < len(settlements):
        return [], Settlements.of(settlements)
    done = [settlement.key for settlement in settlements if isinstance(settlement, Done)]
    return done, Settlements.of(other for other in settlements if not isinstance(other, Done))


def job_columns(jobs: Sequence[NewJob]) -> tuple[list[Any], ...]:
    """New jobs as parallel arrays; see `add.sql`."""
    return (
        [job.id for job in jobs],
        [job.data for job in jobs],
        [job.metadata for job in jobs],
        [job.priority for job in jobs],
        [job.delay_ms for job in jobs],
        [job.expires_ms for job in jobs],
        [job.unclaimed == "drop" for job in jobs],
        [job.token for job in jobs],
    )


def claims_of(row: Row, attempts: str = "o_attempts") -> list[Claim]:
    """The claims that a row holds as parallel arrays."""
    if row["o_keys"] is None:
        return []
    columns = [row[attempts if name == "o_attempts" else name] for name in _CLAIM_COLUMNS]
    return [Claim(*values) for values in zip(*columns, strict=True)]


def schedule_of(row: Row) -> Schedule:
    """A stored schedule."""
    spec = NewSchedule(
        id=row["id"],
        data=row["data"],
        definition=row["definition"],
        timing=row["timing"],
        first_at=row["first_at"],
        interval_seconds=row["interval_seconds"],
        cron_pattern=row["cron_pattern"],
        timezone=row["timezone"],
        priority=row["priority"],
        misfire=row["misfire"],
        overlap=row["overlap"],
        unclaimed="drop" if row["drop_unclaimed"] else "hold",
    )
    return Schedule(
        spec, row["revision"], row["anchor"], row["next_at"], row["last_run_at"], row["last_outcome"]
    )


def encoded(text: str) -> bytes:
    """Texts of errors may hold what PostgreSQL's text can't: NUL, and surrogates that stand alone."""
    return text.encode("utf-8", "surrogatepass")


def decoded(text: bytes) -> str:
    """What `encoded` made of a text."""
    return text.decode("utf-8", "surrogatepass")
