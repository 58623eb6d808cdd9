"""A new user's first five minutes: the files of the quick start, with a real worker."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.docs.pages import DOCS, blocks_of, commands_of

PAGE = DOCS / "quick-start.md"
PROGRAM = [sys.executable, "-m", "checkmate_queue.cli"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in blocks_of(PAGE):
        if block.is_file:
            (tmp_path / block.title).write_text(block.text)
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


async def test_the_worker_runs_the_users_function_and_stops_gracefully(folder: Path) -> None:
    run(folder, sys.executable, "enqueue.py")
    log = folder / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            [*PROGRAM, "worker", "app:manager"], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        await wait_until(
            lambda: "ada: 1000 rows" in log.read_text(), description="the second export is done", timeout=30
        )
        assert log.read_text().index("grace: 10 rows") < log.read_text().index("ada: 1000 rows")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()


def test_the_other_commands_of_the_page_run(folder: Path) -> None:
    run(folder, sys.executable, "enqueue.py")
    consoles = [block for block in blocks_of(PAGE) if block.language == "console"]
    commands = [command.split() for block in consoles for command, _ in commands_of(block)]
    ours = [rest for program, *rest in commands if program == "checkmate-queue"]
    looks = [rest for rest in ours if rest[0] in ("stats", "jobs") or rest[:2] == ["failed", "list"]]
    assert len(looks) >= 3
    for rest in looks:
        run(folder, *PROGRAM, *rest)
    assert "export:ada" in run(folder, *PROGRAM, "jobs", "list", "exports", "--url", "sqlite:///queue.db")
