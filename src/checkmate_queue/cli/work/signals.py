"""Signals of a process that works: it hears them until its very end, and does not die of the first ones."""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

NUMBERS = (signal.SIGTERM, signal.SIGINT)
THIRD = 3


def be_deaf_in_the_end() -> None:
    """Ignore signals when all else is done, where they would have their default action once more.

    What is registered before runs after it: call it before any code of users is imported.
    """
    atexit.register(_ignore)


def hear(came: Callable[[int], None], *, end_at_third: bool = False) -> None:
    """Have `came(number)` called on the running loop with each signal, while there is a loop.

    With `end_at_third` the third one ends the process there and then, whatever holds the loop up.
    """
    loop = asyncio.get_running_loop()
    count = _Count(end_at_third)

    def handle(number: int, _frame: FrameType | None) -> None:
        count.add(number)
        with suppress(RuntimeError):  # The loop is closed already.
            loop.call_soon_threadsafe(came, number)

    for each in NUMBERS:
        signal.signal(each, handle)
    if end_at_third:
        _watch_beside()
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_be_another)


def exit_code(number: int) -> int:
    """As a shell shows a death by the signal."""
    return 128 + number


class _Count:
    def __init__(self, end_at_third: bool) -> None:
        self._limit = THIRD if end_at_third else None
        self._seen = 0

    def add(self, number: int) -> None:
        self._seen += 1
        if self._seen == self._limit:
            os._exit(exit_code(number))


def _watch_beside() -> None:
    """Count on a thread, too: a call into C may keep the main thread from its signal handlers for minutes."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    count = _Count(end_at_third=True)

    def watch() -> None:
        with reading, writing:
            while numbers := reading.recv(1):
                if numbers[0] in NUMBERS:
                    count.add(numbers[0])

    threading.Thread(target=watch, name="checkmate-signals", daemon=True).start()


def _ignore() -> None:
    for each in NUMBERS:
        signal.signal(each, signal.SIG_IGN)


# What a handler forks must not count for the worker. It finishes with it on Ctrl-C, which reaches both, and
# SIGTERM ends it, also one that comes before it is itself.


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def _be_another() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release()
