"""What about the settings of servers may cost jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from checkmate_queue.backends.redis.clients import Client
    from checkmate_queue.backends.redis.connection import Connection


@dataclass(frozen=True, slots=True)
class Server:
    """What one master tells of itself; `appendfsync` is empty where it may not be asked."""

    information: Mapping[str, Any]
    appendfsync: str


async def find(connection: Connection) -> list[str]:
    """One sentence for each danger; a cluster's masters are all asked, and named where they differ."""
    servers = await connection.patiently(_ask_all)
    found: dict[str, list[str]] = {}
    for name, server in servers.items():
        for danger in _dangers(server):
            found.setdefault(danger, []).append(name)
    return [
        danger if len(names) == len(servers) else f"{danger} (on {', '.join(names)})"
        for danger, names in found.items()
    ]


def _dangers(server: Server) -> Iterator[str]:
    told = server.information
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield f"maxmemory-policy is {policy}: a full server throws keys away, and jobs with them"
    if not told.get("aof_enabled"):
        yield "appendonly is no: a crash of the server loses all since its last snapshot, if it makes any"
    elif server.appendfsync == "no":
        yield "appendfsync is no: a crash of the machine loses what it had not written yet, about 30 s"
    # it tells of good replicas only where some are demanded
    if told.get("connected_slaves") and "min_slaves_good_slaves" not in told:
        yield "min-replicas-to-write is 0: a master without its replicas takes jobs, which a failover loses"


async def _ask_all(client: Client) -> dict[str, Server]:
    if not isinstance(client, RedisCluster):
        return {"": await _ask(client)}
    await client.initialize()
    return {node.name: await _ask(client, target_nodes=node) for node in client.get_primaries()}


async def _ask(client: Any, **where: Any) -> Server:
    told: dict[str, Any] = {}
    for section in ("memory", "persistence", "replication"):
        told |= await client.info(section, **where)
    try:
        answer = await client.config_get("appendfsync", **where)
    except ResponseError:  # many a provider forbids it
        answer = {}
    return Server(told, str(answer.get("appendfsync", "")))
