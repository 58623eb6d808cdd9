"""A small HTTP client for handlers: one request, one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def request(method: str, url: str, headers: Mapping[str, str], *, timeout: float = 5.0) -> Answer:
    """Ask, and read the whole answer; raises `OSError` (a dropped connection too) or `TimeoutError`."""
    address = urlsplit(url)
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            lines = [f"{method} {address.path} HTTP/1.1", f"Host: {address.netloc}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            return _read(await reader.read(-1))
        finally:
            writer.close()


def _read(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/"):
        raise ConnectionResetError("the server closed the connection without an answer")
    pairs = (line.partition(":") for line in rest)
    return Answer(int(status[:3]), {name.lower(): value.strip() for name, _, value in pairs}, body)
