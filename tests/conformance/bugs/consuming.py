"""Bugs on the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.model import (
    Claim,
    Done,
    Epoch,
    Exchange,
    Fail,
    GiveBack,
    RetryLater,
    Settlement,
    StoreLimits,
)
from checkmate_queue.store import Clock
from tests.conformance.bugs.bug import Bug

Settlements = Sequence[Settlement]


class Exchanging(Bug):
    """Changes what goes into an exchange, or what comes out."""

    rule = ""

    def settled(self, settlement: Settlement) -> Settlement:
        """What is applied instead."""
        return settlement

    def answered(self, answer: Exchange) -> Exchange:
        """What is answered instead."""
        return answer

    def wanted(self, want: int) -> int:
        """How many are claimed instead."""
        return want

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Settlements, want: int
    ) -> Exchange:
        """Exchange what was altered."""
        altered = [self.settled(settlement) for settlement in settlements]
        return self.answered(await super().exchange(epoch, group, n, altered, self.wanted(want)))


class NewestFirst(Exchanging):
    """Hands claims out backwards."""

    rule = "J5"

    def answered(self, answer: Exchange) -> Exchange:
        """Turn them round."""
        return replace(answer, claims=answer.claims[::-1])


class Greedy(Exchanging):
    """Claims one more than wanted."""

    rule = "G10"

    def wanted(self, want: int) -> int:
        """One more."""
        return want + 1


class NeverRefuses(Exchanging):
    """Does not say which settlements found no claim."""

    rule = "G8"

    def answered(self, answer: Exchange) -> Exchange:
        """Keep it to itself."""
        return replace(answer, refused=[])


class KeepsCancelQuiet(Exchanging):
    """Tells of cancelled claims in heartbeats only."""

    rule = "L12"

    def answered(self, answer: Exchange) -> Exchange:
        """Keep it to itself."""
        return replace(answer, cancelled=[])


class Sleepless(Exchanging):
    """Does not say when something is due next."""

    rule = "J6"

    def answered(self, answer: Exchange) -> Exchange:
        """Keep it to itself."""
        return replace(answer, next_at=None)


class UncountedAttempts(Exchanging):
    """Retries without counting the attempt."""

    rule = "F1"

    def settled(self, settlement: Settlement) -> Settlement:
        """Give back instead."""
        return GiveBack(settlement.key) if isinstance(settlement, RetryLater) else settlement


class EarlyRetry(Exchanging):
    """Retries a millisecond early."""

    rule = "F5"

    def settled(self, settlement: Settlement) -> Settlement:
        """Shorten the delay."""
        if isinstance(settlement, RetryLater):
            return replace(settlement, delay_ms=max(settlement.delay_ms - 1, 0))
        return settlement


class GiveBackIsAttempt(Exchanging):
    """Counts an attempt when a delivery is given back."""

    rule = "L1"

    def settled(self, settlement: Settlement) -> Settlement:
        """Retry at once instead."""
        return RetryLater(settlement.key, 0) if isinstance(settlement, GiveBack) else settlement


class ForgetsFailures(Exchanging):
    """Keeps no failed entries."""

    rule = "F4"

    def settled(self, settlement: Settlement) -> Settlement:
        """Complete instead."""
        return Done(settlement.key) if isinstance(settlement, Fail) else settlement


class StallIsAttempt(Exchanging):
    """Counts an attempt for every failure."""

    rule = "F4"

    def settled(self, settlement: Settlement) -> Settlement:
        """Count one."""
        return replace(settlement, attempt=True) if isinstance(settlement, Fail) else settlement


class LosesTheAnswer(Bug):
    """Answers a repeated exchange with nothing."""

    rule = "G7"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(limits, clock)
        self._seen: set[tuple[Epoch, str, int]] = set()

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Settlements, want: int
    ) -> Exchange:
        """Empty on the second call."""
        answer = await super().exchange(epoch, group, n, settlements, want)
        again = (epoch, group, n) in self._seen
        self._seen.add((epoch, group, n))
        return replace(answer, claims=[]) if again else answer


class RepeatsTheWork(Bug):
    """Takes a repeated exchange for the next one."""

    rule = "G7"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(limits, clock)
        self._counts: dict[tuple[Epoch, str], int] = {}

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Settlements, want: int
    ) -> Exchange:
        """Count for itself."""
        count = self._counts.get((epoch, group), 0) + 1
        answer = await super().exchange(epoch, group, count, settlements, want)
        self._counts[epoch, group] = count
        return answer


class SpreadsFailures(Bug):
    """A failure in one group ends the job in all."""

    rule = "F1"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(limits, clock)
        self._claims: dict[int, Claim] = {}

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Settlements, want: int
    ) -> Exchange:
        """Cancel what failed."""
        answer = await super().exchange(epoch, group, n, settlements, want)
        self._claims.update((claim.key, claim) for claim in answer.claims)
        for settlement in settlements:
            if isinstance(settlement, Fail) and settlement.key in self._claims:
                await self.cancel(epoch.queue, self._claims[settlement.key].job_id)
        return answer


class SharesAttempts(Bug):
    """Counts attempts per job, not per group."""

    rule = "G5"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(limits, clock)
        self._attempts: dict[int, int] = {}

    async def exchange(
        self, epoch: Epoch, group: str, n: int, settlements: Settlements, want: int
    ) -> Exchange:
        """Show the most that any group had."""
        answer = await super().exchange(epoch, group, n, settlements, want)
        for claim in answer.claims:
            self._attempts[claim.key] = max(claim.attempts, self._attempts.get(claim.key, 0))
        claims = [claim._replace(attempts=self._attempts[claim.key]) for claim in answer.claims]
        return replace(answer, claims=claims)
