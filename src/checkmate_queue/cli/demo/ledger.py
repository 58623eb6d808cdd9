"""The demo's own account of what was sent and done: append-only JSON lines, synced before anybody goes on.

Every process writes a file of its own. The verdict is drawn from these files alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal[
    "hired",  # the demo has started a worker
    "ready",  # a worker process consumes
    "joined",  # its own group is registered; `before`: from when it may have been
    "left",  # it was asked to stop
    "lease-lost",
    "intent",  # a producer is about to send a job
    "sent",  # the call has returned; `before`: when it began
    "scheduled",  # the same of a recurring job
    "cut",  # what is due until now is expected
    "started",  # a handler begins; nothing was done yet
    "finished",  # a handler has done its work
    "postponed",  # it asks to be tried again after `delay`
    "failed",  # it failed by an error
    "effect",  # somebody outside the handler saw what it did
    "remnant",  # after all was done a job was still in the queue
    "frozen",  # a worker stands still, about to be killed
    "killed",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger. Times are seconds since the epoch, by the machine's clock."""

    kind: Kind
    at: float
    process: str
    queue: str = ""
    group: str = ""
    job: str = ""
    attempt: int = 0
    before: float = 0.0
    delay: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        values = {name: value for name, value in asdict(self).items() if value or name == "at"}
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Entry:
        return cls(**json.loads(line))


class _Page(NamedTuple):
    lines: bytes
    written: Future[None]


class Ledger:
    """The ledger of this process. What is written by several at the same time is synced together."""

    def __init__(self, folder: Path, process: str) -> None:
        self.process = process
        self._file = os.open(folder / f"{process}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._pages: queue.SimpleQueue[_Page | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="demo-ledger", daemon=True)
        self._thread.start()

    def entry(
        self,
        kind: Kind,
        *,
        queue: str = "",
        group: str = "",
        job: str = "",
        attempt: int = 0,
        before: float = 0.0,
        delay: float = 0.0,
        facts: Mapping[str, Any] | None = None,
    ) -> Entry:
        """An entry of this process as of now, not written yet."""
        return Entry(
            kind, time.time(), self.process, queue, group, job, attempt, before, delay, dict(facts or {})
        )

    async def write(self, *entries: Entry) -> None:
        """Return when the entries are on disk."""
        await asyncio.wrap_future(self._put(entries))

    def write_blocking(self, *entries: Entry) -> None:
        """`write`, for a thread."""
        self._put(entries).result()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._pages.put(None)
        self._thread.join()
        os.close(self._file)

    def _put(self, entries: tuple[Entry, ...]) -> Future[None]:
        page = _Page(b"".join(entry.line() for entry in entries), Future())
        self._pages.put(page)
        return page.written

    def _run(self) -> None:
        while (page := self._pages.get()) is not None:
            pages = [page]
            ended = False
            while not self._pages.empty() and not ended:
                more = self._pages.get()
                ended = more is None
                pages += [more] if more is not None else []
            self._sync(pages)
            if ended:
                return

    def _sync(self, pages: list[_Page]) -> None:
        # Whoever waited for a page may have been cancelled; it is written all the same.
        waiting = [page.written for page in pages if page.written.set_running_or_notify_cancel()]
        lines = b"".join(page.lines for page in pages)
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fsync(self._file)
        except OSError as error:
            for written in waiting:
                written.set_exception(error)
        else:
            for written in waiting:
                written.set_result(None)


class LedgerReader:
    """Reads all ledgers of a folder as they grow. A last line without its end is left for later."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def news(self) -> list[Entry]:
        """What was written since the last call, in order for each process."""
        found: list[Entry] = []
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, end, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole) + len(end)
            found += [Entry.read(line) for line in whole.splitlines()]
        return found
