"""Bugs on the way out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.model import (
    Claim,
    Done,
    Epoch,
    Exchange,
    Fail,
    GiveBack,
    GroupJoin,
    LapseSettlement,
    Orders,
    RetryLater,
    Settlement,
    StoreLimits,
    Tick,
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


class TickRenews(Bug):
    """Renews the lease of who ticks."""

    rule = "G7"

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Renew."""
        answer = await super().tick(epoch, settled)
        await super().heartbeat(epoch)
        return answer


class LosesLapsedClaims(Bug):
    """Drops the claims of the dead."""

    rule = "G7"

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Complete them."""
        answer = await super().tick(epoch, settled)
        done = [LapseSettlement(lapsed.group, Done(lapsed.claim.key)) for lapsed in answer.lapsed]
        return replace(await super().tick(epoch, done), lapsed=[])


class TellsLapsedClaimsOnce(Bug):
    """Hands lapsed claims out once, not until they are settled."""

    rule = "G7"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(limits, clock)
        self._told: set[tuple[Epoch, str, int]] = set()

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Leave out what was told."""
        answer = await super().tick(epoch, settled)
        fresh = [item for item in answer.lapsed if (epoch, item.group, item.claim.key) not in self._told]
        self._told.update((epoch, item.group, item.claim.key) for item in fresh)
        return replace(answer, lapsed=fresh)


class StallsUseUpTries(Bug):
    """Counts an attempt for a lost lease."""

    rule = "G9"

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Retry instead of giving back."""
        retried = [
            replace(lapse, settlement=RetryLater(lapse.settlement.key, 0))
            if isinstance(lapse.settlement, GiveBack)
            else lapse
            for lapse in settled
        ]
        return await super().tick(epoch, retried)


class OneThread(Bug):
    """Takes heartbeats from its own thread only."""

    rule = "G11"

    async def open(self) -> None:
        """Remember the thread."""
        self._thread = threading.get_ident()

    async def heartbeat(self, epoch: Epoch, report: bytes = b"") -> Orders:
        """Pass others over."""
        if threading.get_ident() != self._thread:
            return Orders([])
        return await super().heartbeat(epoch, report)


class AlwaysEarliest(Bug):
    """Gives every new group all that others have not finished."""

    rule = "G3"

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Ask for it."""
        earliest = [replace(group, start_from="earliest") for group in groups]
        return await super().join(queue, worker, earliest, lease_ms)


class NeverEarliest(Bug):
    """Gives no new group what others have not finished."""

    rule = "G3"

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Don't ask for it."""
        return await super().join(queue, worker, [replace(g, start_from="now") for g in groups], lease_ms)


class JoinsOneByOne(Bug):
    """Registers the groups of one step one after the other."""

    rule = "G2"

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Join several times."""
        for group in groups[:-1]:
            await super().join(queue, worker, [group], lease_ms)
        return await super().join(queue, worker, groups[-1:], lease_ms)


class EphemeralTakesUnclaimed(Bug):
    """Gives unclaimed jobs to ephemeral groups as well."""

    rule = "G2"

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Join as durable first."""
        await super().join(queue, worker, [replace(group, ephemeral=False) for group in groups], lease_ms)
        return await super().join(queue, worker, groups, lease_ms)


class AllDurable(Bug):
    """Keeps ephemeral groups."""

    rule = "G4"

    async def join(self, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int) -> Epoch:
        """Join as durable."""
        return await super().join(queue, worker, [replace(g, ephemeral=False) for g in groups], lease_ms)


class LeaveUnregisters(Bug):
    """Drops a durable group with its last consumer."""

    rule = "G4"

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """Unregister."""
        await super().leave(epoch, groups, unregister=True)


class LeaveNeverUnregisters(Bug):
    """Keeps a durable group that its last consumer unregisters."""

    rule = "G4"

    async def leave(self, epoch: Epoch, groups: Sequence[str], unregister: bool = False) -> None:
        """Just leave."""
        await super().leave(epoch, groups)


class NeverAbandons(Bug):
    """Keeps groups that nobody consumes for ever."""

    rule = "G4"

    def __init__(self, limits: StoreLimits | None = None, clock: Clock | None = None) -> None:
        super().__init__(replace(limits or StoreLimits(), group_retention_ms=10**15), clock)


class WarnsAtEveryTick(Bug):
    """Warns of an unattended group again and again."""

    rule = "G4"

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Repeat the last warning while the group exists."""
        answer = await super().tick(epoch, settled)
        self._last = answer.abandoned or getattr(self, "_last", [])
        living = [group.name for group in await self.groups(epoch.queue)]
        return replace(answer, abandoned=[group for group in self._last if group.name in living])
