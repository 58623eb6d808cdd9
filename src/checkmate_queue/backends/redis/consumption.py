"""The scripts of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis.records import (
    pack_settlement,
    pack_settlements,
    unpack_claims,
    unpack_lapsed,
    unpack_schedule,
)
from checkmate_queue.core.model import AbandonedGroup, Epoch, Exchange, Orders, Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import GroupJoin, LapseSettlement, Settlement


async def join(
    connection: Connection, queue: str, worker: str, groups: Sequence[GroupJoin], lease_ms: int
) -> Epoch:
    """join.lua: register a worker and its groups."""
    arguments: list[Argument] = [worker, lease_ms]
    for group in groups:
        arguments += (group.name, int(group.ephemeral), group.start_from, group.max_stalls)
    reply = await connection.run("join", queue, *arguments)
    return Epoch(queue, int(reply.values[0]))


async def leave(connection: Connection, epoch: Epoch, groups: Sequence[str], unregister: bool) -> None:
    """leave.lua: end memberships."""
    await connection.run("leave", epoch.queue, epoch.number, int(unregister), *groups)


async def exchange(
    connection: Connection, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
) -> Exchange:
    """exchange.lua: settle, promote, claim and renew."""
    arguments: list[Argument] = [
        epoch.number,
        group,
        n,
        want,
        connection.limits.failed_retention_count,
        *pack_settlements(settlements),
    ]
    reply = await connection.run("exchange", epoch.queue, *arguments)
    now, paused, next_at, refused, cancelled, claims = reply.values
    return Exchange(
        now,
        unpack_claims(claims),
        [int(key) for key in refused],
        sorted(int(key) for key in cancelled),
        next_at or None,
        paused == 1,
    )


async def heartbeat(connection: Connection, epoch: Epoch, report: bytes) -> Orders:
    """heartbeat.lua: renew a lease."""
    members = (await connection.run("heartbeat", epoch.queue, epoch.number, report)).values
    pairs = zip(members[::2], members[1::2], strict=True)
    return Orders(sorted((group.decode(), int(key)) for group, key in pairs))


async def tick(connection: Connection, epoch: Epoch, settled: Sequence[LapseSettlement]) -> Tick:
    """tick.lua: do what time has made due."""
    limits = connection.limits
    arguments: list[Argument] = [
        epoch.number,
        limits.failed_retention_count,
        limits.failed_retention_ms,
        limits.group_retention_ms,
        len(settled),
    ]
    for lapse in settled:
        arguments += (lapse.group, *pack_settlement(lapse.settlement))
    reply = await connection.run("tick", epoch.queue, *arguments)
    now, next_at, readied, pending, more, groups, lapsed, due, abandoned, dropped = reply.values
    return Tick(
        now=now,
        next_at=next_at or None,
        lapsed=unpack_lapsed(groups, lapsed),
        due=[unpack_schedule(values) for values in due],
        readied=reply.readied + readied,
        abandoned=[AbandonedGroup(name.decode(), int(drop_at)) for name, drop_at in abandoned],
        dropped=[name.decode() for name in dropped],
        pending=pending,
        more=more == 1,
    )
