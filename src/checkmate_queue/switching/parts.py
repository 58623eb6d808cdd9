"""A worker's part in a queue, as it goes through switches: its epoch and keys stay what they were for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from checkmate_queue.core.model import (
    Epoch,
    Exchange,
    LapsedClaim,
    LapseSettlement,
    Orders,
    Settlement,
    Tick,
)
from checkmate_queue.core.moving import HeldClaim

BITS = 64
"""An engine's keys and epoch numbers fit in these; above them stands the generation that they are of."""

NOBODYS = -1
"""A key that no engine gives, so that its settlement is refused."""


def marked(number: int, generation: int) -> int:
    """A number of an engine, apart from those of the engines before."""
    return number + (generation << BITS)


@dataclass(slots=True, eq=False)
class Part:
    """One epoch. `real` is what the engine of `generation` calls it; the worker knows it as `known`.

    `running` are the claims that the worker knows, by group: key to job id, in the order of claiming.
    `carried` leads from their keys to those that they got by a switch.
    """

    known: Epoch
    worker: str
    real: Epoch
    generation: int
    groups: set[str] = field(default_factory=set)
    answered: dict[str, int] = field(default_factory=dict)
    running: defaultdict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    carried: dict[tuple[str, int], int] = field(default_factory=dict)
    returning: dict[tuple[str, int], int] = field(default_factory=dict)
    resuming: asyncio.Lock = field(default_factory=asyncio.Lock)

    def resume(self, real: Epoch, generation: int, held: Iterable[HeldClaim]) -> None:
        """Go on under another engine, where these claims were found."""
        carried: dict[tuple[str, int], int] = {}
        left = {group: list(claims.items()) for group, claims in self.running.items()}
        for claim in held:
            if claim.exchange > self.answered.get(claim.group, 0):
                continue  # Its answer was lost: the worker does not know it yet.
            mine = left.get(claim.group, [])
            key = next((key for key, job_id in mine if job_id == claim.job_id), None)
            if key is not None:
                mine.remove((key, claim.job_id))
                carried[claim.group, key] = claim.key
        self.carried = carried
        self.returning = {(group, real_key): key for (group, key), real_key in carried.items()}
        self.real, self.generation = real, generation

    # -- to the engine ---------------------------------------------------------------------------

    def key(self, group: str, known: int) -> int:
        """What the engine calls a key."""
        if self.carried and (real := self.carried.get((group, known))) is not None:
            return real
        return known - (self.generation << BITS) if known >> BITS == self.generation else NOBODYS

    def settlements(self, group: str, known: Sequence[Settlement]) -> Sequence[Settlement]:
        """Settlements as the engine understands them."""
        if not self.generation:
            return known
        return [replace(each, key=self.key(group, each.key)) for each in known]

    def lapse_settlements(self, known: Sequence[LapseSettlement]) -> Sequence[LapseSettlement]:
        """Likewise; those of the engine before are passed over, and come again."""
        if not self.generation:
            return known
        return [
            LapseSettlement(
                each.group, replace(each.settlement, key=each.settlement.key - (self.generation << BITS))
            )
            for each in known
            if each.settlement.key >> BITS == self.generation
        ]

    # -- from the engine -------------------------------------------------------------------------

    def known_key(self, group: str, real: int) -> int:
        """What the worker calls a key."""
        if self.returning and (known := self.returning.get((group, real))) is not None:
            return known
        return marked(real, self.generation)

    def exchanged(self, group: str, n: int, settled: Sequence[Settlement], answer: Exchange) -> Exchange:
        """Note what an exchange did, and give its answer as the worker understands it."""
        running = self.running[group]
        refused = self._refused(group, settled, answer)
        for each in settled:
            running.pop(each.key, None)
            # What was settled and is claimed again is another claim, though the engine may call it the same.
            if self.carried and (real := self.carried.pop((group, each.key), None)) is not None:
                del self.returning[group, real]
        if self.generation:
            answer = replace(
                answer,
                claims=[claim._replace(key=self.known_key(group, claim.key)) for claim in answer.claims],
                refused=refused,
                cancelled=[self.known_key(group, key) for key in answer.cancelled],
            )
        for claim in answer.claims:
            running[claim.key] = claim.job_id
        self.answered[group] = n
        return answer

    def _refused(self, group: str, settled: Sequence[Settlement], answer: Exchange) -> list[int]:
        refused = set(answer.refused)
        return [each.key for each in settled if self.key(group, each.key) in refused] if refused else []

    def ticked(self, answer: Tick) -> Tick:
        """The answer to a tick as the worker understands it."""
        if not self.generation or not answer.lapsed:
            return answer
        lapsed = [
            LapsedClaim(
                each.group,
                each.max_stalls,
                each.claim._replace(key=marked(each.claim.key, self.generation)),
            )
            for each in answer.lapsed
        ]
        return replace(answer, lapsed=lapsed)

    def ordered(self, answer: Orders) -> Orders:
        """Orders as the worker understands them."""
        if not self.generation:
            return answer
        return Orders([(group, self.known_key(group, key)) for group, key in answer.cancelled])
