"""Small shared values under compare-and-set, in one hash."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from checkmate_queue.store import Setting

if TYPE_CHECKING:
    from checkmate_queue.backends.redis.connection import Connection


async def load_setting(connection: Connection, key: str) -> Setting | None:
    """The value with its version; stored as `version:word:value`."""
    stored = await connection.ask("HGET", connection.keys.settings, key)
    if stored is None:
        return None
    version, _, value = stored.split(b":", 2)
    return Setting(value.decode(), int(version))


async def save_setting(connection: Connection, key: str, value: str, expected_version: int) -> bool:
    """save_setting.lua: write it if its version is as expected."""
    word = uuid4().hex
    answer = await connection.evaluate(
        "save_setting", [connection.keys.settings], key, value, expected_version, word
    )
    return bool(answer[0] == b"done")
