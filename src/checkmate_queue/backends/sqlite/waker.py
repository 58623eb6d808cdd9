"""Waking other processes: a datagram to a local port."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from checkmate_queue.store import News

_HOST: Final = "127.0.0.1"
_LARGEST: Final = 4096
_AT_ONCE: Final = 64


class Waker:
    """Hears of news on a datagram socket, and tells others on theirs.

    An address is a port and a word that only readers of the database know: what says another word is not
    meant for us. Without a socket (a sandbox may forbid it) the process tells only itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listeners: Sequence[News]) -> None:
        self._loop = loop
        self._listeners = listeners
        self._word = secrets.token_hex(8)
        self._socket = _open_socket()
        port = 0
        if self._socket is not None:
            port = self._socket.getsockname()[1]
            loop.add_reader(self._socket, self._receive)
        self.address = f"{port}:{self._word}"

    def tell(self, queue: str, addresses: Iterable[str]) -> None:
        """Wake these sleepers. From any thread; never waits, never fails."""
        for address in addresses:
            if address == self.address:
                with suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._announce, queue)
            else:
                self._send(queue, address)

    def close(self) -> None:
        """Stop hearing."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _send(self, queue: str, address: str) -> None:
        opened = self._socket
        port, _, word = address.partition(":")
        if opened is None or not port.isdecimal() or not 0 < int(port) < 65536:
            return
        with suppress(OSError):  # a hint: nobody may be there any more
            opened.sendto(f"{word} {queue}".encode(), (_HOST, int(port)))

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            opened = self._socket
            if opened is None:
                return
            try:
                data = opened.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the echo of a datagram that nobody took
                continue
            word, _, queue = data.decode("utf-8", "replace").partition(" ")
            if word == self._word:
                self._announce(queue)

    def _announce(self, queue: str) -> None:
        for on_news in self._listeners:
            on_news(queue)


def _open_socket() -> socket.socket | None:
    opened = None
    try:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind((_HOST, 0))
    except OSError:
        if opened is not None:
            opened.close()
        return None
    return opened
