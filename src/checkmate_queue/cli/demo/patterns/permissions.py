"""Pattern 2: permission changes, told to every worker process and to one audit trail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from checkmate_queue import Job, Queue, QueueManager
from checkmate_queue.cli.demo import shop
from checkmate_queue.cli.demo.handlers import noted
from checkmate_queue.cli.demo.site import Office, Workplace

QUEUE = "permissions"
AUDIT = "audit"
USERS = 25
ROLES = ("reader", "editor", "owner", "guest")
EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class PermissionChange:
    """A user has a role from now on. `number` counts the changes."""

    number: int
    user: str
    role: str


def group_of(process: str) -> str:
    """The broadcast group of one process."""
    return f"cache {process}"


def queue_of(manager: QueueManager) -> Queue[PermissionChange]:
    """The queue of this pattern."""
    return manager.get_queue(QUEUE, PermissionChange, unclaimed="drop")


async def produce(office: Office) -> None:
    """Change a permission every tenth of a second: first in the database, then tell."""
    queue = queue_of(office.manager)
    number = 0
    while (at := 0.2 + number * EVERY_SECONDS) < office.plan.seconds - 0.5:
        await office.until(at)
        change = PermissionChange(number, f"user-{number * 7 % USERS}", ROLES[number % len(ROLES)])
        await asyncio.to_thread(shop.permit, office.plan.shop, change.user, change.role, number)
        await office.send(
            QUEUE,
            f"change:{number}",
            partial(queue.enqueue, change, job_id=f"change:{number}"),
            facts={"number": number, "user": change.user, "role": change.role},
        )
        number += 1


class PermissionCache:
    """What this process believes about users; a change older than what is known is skipped."""

    def __init__(self, workplace: Workplace) -> None:
        self._path = workplace.plan.shop
        self._known: dict[str, shop.Permission] = {}

    async def refresh(self) -> None:
        """Read all permissions from the database."""
        for user, permission in (await asyncio.to_thread(shop.permissions, self._path)).items():
            self._learn(user, permission)

    async def apply(self, job: Job[PermissionChange]) -> None:
        """The handler: a change was told."""
        self._learn(job.data.user, shop.Permission(job.data.role, job.data.number))

    def roles(self) -> Mapping[str, str]:
        return {user: permission.role for user, permission in self._known.items()}

    def _learn(self, user: str, permission: shop.Permission) -> None:
        known = self._known.get(user)
        if known is None or known.change < permission.change:
            self._known[user] = permission


async def consume(workplace: Workplace) -> PermissionCache:
    """Keep a cache in this process by a group of its own, and write the audit trail together with others."""
    queue = queue_of(workplace.manager)
    ledger, cache = workplace.ledger, PermissionCache(workplace)

    async def audit(job: Job[PermissionChange]) -> Mapping[str, object]:
        return {"number": job.data.number}

    async def rejoined() -> None:
        await ledger.write(ledger.entry("joined", queue=QUEUE, group=group_of(workplace.name)))
        await cache.refresh()

    await queue.consume(noted(ledger, audit), consumer_group=AUDIT, concurrency=4)
    before = time.time()
    await queue.consume(
        noted(ledger, cache.apply),
        consumer_group=group_of(workplace.name),
        concurrency=1,
        ephemeral=True,
        on_rejoin=rejoined,
    )
    await ledger.write(ledger.entry("joined", queue=QUEUE, group=group_of(workplace.name), before=before))
    await cache.refresh()
    return cache
