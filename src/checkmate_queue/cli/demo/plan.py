"""What all processes of one demo agree on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from checkmate_queue import QueueManager

HOST = "127.0.0.1"
LEASE_SECONDS = 2.0
"""Short, so that the work of a killed worker is seen to go on."""

LONGER_LEASE_SECONDS = 6.0
"""Where the backend is changed: workers then load another driver, which takes a busy machine a while."""

SHORTEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Where things are, and how long it takes."""

    url: str
    folder: str
    seconds: float
    web_port: int
    mail_port: int
    in_process: bool
    lease_seconds: float = LEASE_SECONDS

    @property
    def ledgers(self) -> Path:
        return Path(self.folder, "ledgers")

    @property
    def shop(self) -> Path:
        """The database that the exports read."""
        return Path(self.folder, "shop.db")

    @property
    def exports(self) -> Path:
        return Path(self.folder, "exports")

    @property
    def synced(self) -> Path:
        return Path(self.folder, "synced")

    def web(self, path: str) -> str:
        """A URL of the demo's HTTP server."""
        return f"http://{HOST}:{self.web_port}{path}"

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Plan:
        return cls(**json.loads(text))


def connect(url: str, lease_seconds: float) -> QueueManager:
    """A manager as every process of the demo has one."""
    return QueueManager(url, lease_seconds=lease_seconds)
