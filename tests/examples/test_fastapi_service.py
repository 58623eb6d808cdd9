"""The service over HTTP, as its clients and the system that stops it see it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from checkmate_queue import QueueManager
from checkmate_queue.testing.waiting import wait_until

PROGRAM = Path(__file__).parents[2] / "examples" / "fastapi_service.py"
LONG = 1.0


class Service:
    """A running one."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self._port = port

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """A request, with its status and answer."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    async def count(self, text: str, seconds: float = 0) -> str:
        """Ask for a count; the id."""
        body = {"text": text, "seconds": seconds}
        status, answer = await asyncio.to_thread(self.call, "POST", "/counts", body)
        assert status == 202
        return str(answer["id"])

    async def state(self, job_id: str) -> str:
        """What is said of a count."""
        status, answer = await asyncio.to_thread(self.call, "GET", f"/counts/{job_id}")
        assert status == 200
        return str(answer["state"])

    async def states(self, ids: list[str]) -> list[str]:
        """What is said of each."""
        return list(await asyncio.gather(*(self.state(each) for each in ids)))


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """The program, when it serves; killed if it is still there in the end."""
    options = ["--url", "sqlite:///queue.db", "--results", "results.db", "--seconds", "100"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAM), *options], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            address = next((line for line in process.stdout if line.startswith("serving on ")), "")
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", address)
            assert found, "it ended before it served"
            yield Service(process, int(found[1]))
        finally:
            process.kill()


async def test_a_stop_finishes_what_runs_and_a_start_finds_what_waited(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        running = [await service.count(f"text number {number}", LONG) for number in range(5)]
        await wait_until(
            lambda: none_waits(service, running), description="each has begun or is done", timeout=60
        )
        async with QueueManager(f"sqlite:///{tmp_path}/queue.db") as manager:
            # From here on, nothing more begins.
            await manager.get_queue("word-counts").pause()
        waiting = [await service.count(f"another text {number}") for number in range(3)]
        service.process.send_signal(signal.SIGTERM)
        rest, _ = service.process.communicate(timeout=60)
        assert service.process.returncode == 0
        assert rest.splitlines() == ["stopping: what runs is finished first", "stopped"]

    with closing(sqlite3.connect(tmp_path / "results.db")) as results:
        finished = {job_id for (job_id,) in results.execute("SELECT id FROM result")}
    assert finished >= set(running)
    assert finished.isdisjoint(waiting)

    async with QueueManager(f"sqlite:///{tmp_path}/queue.db") as manager:
        await manager.get_queue("word-counts").resume()
    with serving(tmp_path) as service:

        async def all_done() -> bool:
            return set(await service.states(running + waiting)) == {"done"}

        await wait_until(all_done, description="what waited is done", timeout=60)


async def none_waits(service: Service, ids: list[str]) -> bool:
    return set(await service.states(ids)) <= {"processing", "done"}


async def test_the_same_text_again_is_the_same_job(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        async with QueueManager(f"sqlite:///{tmp_path}/queue.db") as manager:
            await manager.get_queue("word-counts").pause()
        call = partial(service.call, "POST", "/counts", {"text": "asked for by many"})
        answers = await asyncio.gather(*(asyncio.to_thread(call) for _ in range(5)))
    assert len({answer["id"] for _, answer in answers}) == 1
    assert sorted(answer["state"] for _, answer in answers) == ["accepted", *["on its way"] * 4]
