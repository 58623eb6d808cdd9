"""The scripts that close a store for a move, and open it (B2, B3, B6).

The registry and each queue lie in different places of a cluster, so a step is one script on the registry and
then one on each queue. The registry counts its generations: each time it is to be emptied, a new one begins.
A queue knows the generation that it was made in, and refuses whatever belongs to an earlier one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkmate_queue.backends.redis.connection import Refusal
from checkmate_queue.backends.redis.records import readable_id
from checkmate_queue.core.moving import HeldClaim
from checkmate_queue.moving import MoveLostError

if TYPE_CHECKING:
    from checkmate_queue.backends.redis.connection import Argument, Connection
    from checkmate_queue.core.model import Epoch

_HELD_WIDTH = 5


async def is_vacant(connection: Connection) -> bool:
    """Whether there are no queues but those of a move that never ended."""
    keys = connection.keys
    token, admitted = await connection.ask("HMGET", keys.reception, "token", "admitted")
    if token is not None and admitted is None:
        return True
    return not await connection.ask("SCARD", keys.queues)


async def receive(connection: Connection, token: str, successor: str) -> bool:
    """receive.lua, empty.lua: close the store, and remove what an earlier move left."""
    keys = connection.keys
    names = [keys.queues, keys.successor, keys.reception, keys.generation]
    word, *rest = await connection.evaluate("receive", names, token, successor)
    if word != b"done":
        return False
    await _empty(connection, rest[0])
    return True


async def clear(connection: Connection, successor: str) -> None:
    """clear.lua, empty.lua: remove all queues, and stay closed."""
    keys = connection.keys
    names = [keys.successor, keys.reception, keys.generation]
    word, *rest = await connection.evaluate("clear", names, successor)
    if word == b"done":
        await _empty(connection, rest[0])


async def _empty(connection: Connection, generation: int) -> None:
    keys = connection.keys
    for name in await connection.ask("SMEMBERS", keys.queues):
        queue = name.decode()
        await run(connection, "empty", queue, generation)
        await heed(connection, "forget", [keys.queues, keys.generation], queue, generation)


async def admit(connection: Connection, token: str) -> None:
    """admit_queue.lua, admit.lua: open the queues, then the registry."""
    keys = connection.keys
    stored, admitted, generation = await connection.ask(
        "HMGET", keys.reception, "token", "admitted", "generation"
    )
    if stored is None or stored.decode() != token:
        raise MoveLostError
    if admitted is not None:
        return
    for name in await connection.ask("SMEMBERS", keys.queues):
        await run(connection, "admit_queue", name.decode(), generation)
    await heed(connection, "admit", [keys.successor, keys.reception], token)


async def reopen(connection: Connection, successor: str) -> None:
    """reopen_queue.lua, reopen.lua: lift the fences that say this."""
    keys = connection.keys
    if await _is_half_filled(connection, successor):
        await clear(connection, successor)
    for name in await connection.ask("SMEMBERS", keys.queues):
        await connection.evaluate("reopen_queue", keys.script_keys(name.decode()), successor)
    await connection.evaluate("reopen", [keys.successor, keys.reception], successor)


async def _is_half_filled(connection: Connection, successor: str) -> bool:
    stored, admitted = await connection.ask("HMGET", connection.keys.reception, "successor", "admitted")
    return stored is not None and stored.decode() == successor and admitted is None


async def held(connection: Connection, epoch: Epoch) -> list[HeldClaim]:
    """held_claims.lua: renew a lease, and find its claims again."""
    values = (await connection.run("held_claims", epoch.queue, epoch.number)).values
    rows = zip(*[iter(values)] * _HELD_WIDTH, strict=True)
    return [
        HeldClaim(group.decode(), int(key), readable_id(job_id), exchange, cancelled == 1)
        for group, key, job_id, exchange, cancelled in rows
    ]


async def run(connection: Connection, name: str, queue: str, *arguments: Argument) -> None:
    """Run a step on a queue; raises `MoveLostError` where a later generation has it."""
    try:
        await connection.run(name, queue, *arguments)
    except Refusal as refusal:
        if refusal.word == b"stale":
            raise MoveLostError from None
        raise


async def heed(connection: Connection, name: str, keys: list[str], *arguments: Argument) -> list[Any]:
    """Run a step on the registry, and raise what its answer stands for."""
    word, *rest = await connection.evaluate(name, keys, *arguments)
    match word:
        case b"done":
            return rest
        case b"lost" | b"stale":
            raise MoveLostError
        case b"misnumbered":
            raise ValueError(f"batch {arguments[1]!r} is neither {rest[0]} again nor the next")
        case _:
            raise Refusal(word)
