"""The HTTP server of the demo: targets of health checks, a rate-limited hook, and user records."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Literal, TypeAlias, assert_never

from checkmate_queue.cli.demo.ledger import Ledger
from checkmate_queue.cli.demo.plan import HOST

RUN_HEADER = "X-Run"
"""Says which job a request belongs to, so that the server can tell on its own what was done."""

HOOKS_PER_SECOND = 6
RETRY_AFTER_SECONDS = 1

Nature: TypeAlias = Literal["steady", "flapping", "slow", "dropping"]


def nature(target: int) -> Nature:
    """What a target of health checks is like."""
    match target % 50:
        case 7:
            return "dropping"
        case 23:
            return "slow"
        case rest if rest % 10 == 5:
            return "flapping"
        case _:
            return "steady"


class WebServer:
    """Serves on loopback, on a port that the system chooses, and notes each request before it answers."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._server: asyncio.Server | None = None
        self._second = 0
        self._hooks_left = 0

    async def start(self) -> int:
        """Listen, and return the port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0, backlog=512)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            _, path, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)
            }
            writer.write(await self._answer(path, headers.get(RUN_HEADER.lower(), "")))
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # A client that goes away, or was killed, is no concern of a server.
        finally:
            writer.close()

    async def _answer(self, path: str, run: str) -> bytes:
        match path.split("/"):
            case ["", "health", target]:
                await self._note("health-checks", run, 200)
                return await self._health(int(target))
            case ["", "hooks", _]:
                status = self._hook()
                await self._note("webhooks", run, status)
                refused = status == 429
                return _response(status, headers=f"Retry-After: {RETRY_AFTER_SECONDS}\r\n" if refused else "")
            case ["", "users", user]:
                await self._note("syncs", run, 200)
                return _response(200, json.dumps({"user": user, "name": f"User {user}"}).encode())
            case _:
                return _response(404)

    async def _health(self, target: int) -> bytes:
        match nature(target):
            case "steady":
                return _response(200)
            case "flapping":
                return _response(200 if (int(time.time() / 4) + target // 10) % 2 else 503)
            case "slow":
                await asyncio.sleep(0.3)
                return _response(200)
            case "dropping":
                return b""
            case never:
                assert_never(never)

    def _hook(self) -> int:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._hooks_left = second, HOOKS_PER_SECOND
        self._hooks_left -= 1
        return 204 if self._hooks_left >= 0 else 429

    async def _note(self, queue: str, run: str, status: int) -> None:
        await self._ledger.write(self._ledger.entry("effect", queue=queue, job=run, facts={"status": status}))


def _response(status: int, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body
