"""Bugs in leases and memberships."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from checkmate_queue.core.model import (
    Done,
    Epoch,
    GiveBack,
    GroupJoin,
    LapseSettlement,
    Orders,
    RetryLater,
    StoreLimits,
    Tick,
)
from checkmate_queue.store import Clock
from tests.conformance.bugs.bug import Bug


class Ticking(Bug):
    """Changes what a tick answers."""

    rule = ""

    def answered(self, answer: Tick) -> Tick:
        """What is answered instead."""
        raise NotImplementedError

    async def tick(self, epoch: Epoch, settled: Sequence[LapseSettlement] = ()) -> Tick:
        """Answer what was altered."""
        return self.answered(await super().tick(epoch, settled))


class CountsNothingReady(Ticking):
    """Does not say how much is ready."""

    rule = "L4"

    def answered(self, answer: Tick) -> Tick:
        """Say 0."""
        return replace(answer, pending=0)


class SleepsOverSchedules(Ticking):
    """Does not say when the next schedule is due."""

    rule = "R9"

    def answered(self, answer: Tick) -> Tick:
        """Keep it to itself."""
        return replace(answer, next_at=None)


class LateSchedules(Ticking):
    """Takes a schedule for due when its time has passed, not when it has come."""

    rule = "R1"

    def answered(self, answer: Tick) -> Tick:
        """Leave out what is due now."""
        return replace(answer, due=[s for s in answer.due if s.next_at is None or s.next_at < answer.now])


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
