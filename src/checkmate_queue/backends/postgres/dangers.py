"""What about the settings and the state of a server may cost jobs, or make every queue slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OLDEST_VERSION = 150_000
LONG_SECONDS = 3600


def dangers_of(server: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each danger; `server`: see `dangers.sql`."""
    if server["version"] < OLDEST_VERSION:
        yield f"the server is PostgreSQL {server['version_name']}: the oldest one that is supported is 15"
    if server["fsync"] == "off":
        yield "fsync is off: a crash of the machine may damage the whole database"
    if server["full_page_writes"] == "off":
        yield "full_page_writes is off: a crash of the machine may damage what was just being written"
    if server["synchronous_commit"] == "off":
        yield "synchronous_commit is off: a crash of the server loses the jobs of its last moments"
    if server["autovacuum"] == "off":
        yield "autovacuum is off: tables grow, and in the end the server refuses to write"
    if server["oldest"] is not None and server["oldest"] > LONG_SECONDS:
        hours = server["oldest"] / 3600
        yield f"a transaction is open for {hours:.1f} h: what queues have deleted since can't be cleared away"
