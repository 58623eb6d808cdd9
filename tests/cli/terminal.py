"""A pseudo-terminal with the real program in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path

from checkmate_queue.testing.waiting import wait_until

PATIENCE = 60.0
ROWS, COLUMNS = 40, 160
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_=>])|\r")

# Makes the terminal the one that Ctrl-C comes from, then becomes the program.
SHIM = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A program on a terminal of its own: what it shows, and keys to press. Use it with `with`."""

    def __init__(
        self, command: list[str | Path], cwd: Path, environment: Mapping[str, str], columns: int = COLUMNS
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        self._shown = b""
        inherited = {key: value for key, value in environment.items() if key not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", SHIM, *command],
            cwd=cwd,
            env={**inherited, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._master)

    @property
    def text(self) -> str:
        """All that was shown, without escapes."""
        return ESCAPES.sub("", self._shown.decode(errors="replace"))

    @property
    def raw(self) -> bytes:
        """All that was shown, as it came."""
        return self._shown

    async def sees(self, pattern: str) -> None:
        """Wait until something like this was shown."""
        try:
            await wait_until(
                lambda: re.search(pattern, self.text), description=f"{pattern!r} is shown", timeout=PATIENCE
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.text}") from None

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._master, keys.encode())

    async def ended(self) -> int:
        """Wait for the end of the program, and return its exit code."""
        await wait_until(
            lambda: self.process.poll() is not None, description="the program has ended", timeout=PATIENCE
        )
        return self.process.returncode

    def _read(self) -> None:
        while True:
            try:
                self._shown += os.read(self._master, 65_536)
            except OSError:  # Nobody has the other end open any more.
                return
