"""Whether a worker gets anything done, for those who ask over HTTP (L10)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal

from checkmate_queue.cli.command import CommandError

LEAST_LIMIT_SECONDS = 10.0
REQUEST_SECONDS = 5.0
PATHS = ("/", "/health", "/healthz")


@dataclass(frozen=True, slots=True)
class ConsumerHealth:
    """How long ago a consumer last had contact with the backend; None: never."""

    process: int
    queue: str
    consumer_group: str
    last_contact_seconds: float | None


@dataclass(frozen=True, slots=True)
class Health:
    """A worker, all its processes together."""

    phase: Literal["starting", "running", "stopping"]
    lease_seconds: float
    consumers: list[ConsumerHealth]

    @property
    def limit_seconds(self) -> float:
        """How old the last contact of a healthy consumer may be."""
        return max(self.lease_seconds, LEAST_LIMIT_SECONDS)

    @property
    def status(self) -> str:
        """One word: ok, starting, stopping, stalled, or idle, where nothing consumes."""
        ages = [consumer.last_contact_seconds for consumer in self.consumers]
        if any(age is None or age > self.limit_seconds for age in ages):
            return "stalled"
        if self.phase != "running":
            return self.phase
        return "ok" if ages else "idle"

    def response(self) -> tuple[int, bytes]:
        """The status code and the body."""
        body = {
            "status": self.status,
            "limit_seconds": self.limit_seconds,
            "consumers": [
                {
                    "process": each.process,
                    "queue": each.queue,
                    "consumer_group": each.consumer_group,
                    "last_contact_seconds": _rounded(each.last_contact_seconds),
                }
                for each in self.consumers
            ],
        }
        return 200 if self.status in ("ok", "stopping") else 503, json.dumps(body).encode() + b"\n"


class HealthServer:
    """Answers on a thread of its own, so that a blocked event loop shows as old contacts, not as silence."""

    def __init__(self, host: str, port: int, examine: Callable[[], Health]) -> None:
        """Bind at once; raises `CommandError`."""

        class Handler(_Handler):
            pass

        Handler.examine = staticmethod(examine)
        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise CommandError(
                f"the health endpoint can't listen on {host}:{port}: {error.strerror}"
            ) from None
        self._server.daemon_threads = True
        self.address = f"http://{host}:{self._server.server_address[1]}/health"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="checkmate-health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    examine: ClassVar[Callable[[], Health]]
    timeout = REQUEST_SECONDS
    server_version = "checkmate-queue"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a look."""
        if self.path.split("?")[0] not in PATHS:
            self.send_error(404)
            return
        code, body = type(self).examine().response()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """A look is no news."""


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
