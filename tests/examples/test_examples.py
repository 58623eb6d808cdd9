"""Every example runs as a program, on each backend that it is for, and judges itself.

An example ends with an error where something that it promises did not happen; here it is seen that it ran to
its end, and said so.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage
    from tests.servers.redis_storage import RedisStorage

pytest_plugins = ["tests.servers.postgres", "tests.servers.valkey"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

# Lines that each must print, so that one that has stopped looking is noticed.
LINES = {
    "health_checks": [
        "ok: the schedules are those configured",
        "ok: the orphan was not checked any more",
        "ok: a changed check waited for the rest of its interval",
    ],
    "broadcast_cache": ["ok: 3 caches are filled"],
    "exports_by_priority": [
        "ok: a user waited for no more than one routine export that was about to start",
        "ok: routine exports that were asked for before them came after them",
    ],
    "reminders": [
        "ok: no reminder came early",
        "ok: nobody came back before the time they were told",
        "ok: each delivery was accepted once",
    ],
    "deduplicated_sync": [
        "ok: twenty requests made one sync",
        "ok: they made another sync",
        "ok: each job that was made is one sync, and there is no other",
    ],
    "event_bus": [
        "ok: orders waited for billing and packing to come back",
        "ok: for nobody, nothing is kept",
    ],
    "fastapi_service": ["ok: a text was accepted as da27d110a4b1eb68", "stopped"],
}
WHERE_IT_CAN_BE_SHARED = {
    "health_checks": ["ok: the second start cancelled, changed and added just what differed"],
    "broadcast_cache": ["ok: a process that hung and missed 5 changes joined again, and believes the truth"],
}


def run(name: str, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The example as a reader would run it, but briefly."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), "--seconds", "0.5", *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def assert_good(done: subprocess.CompletedProcess[str], lines: list[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    printed = done.stdout.splitlines()
    assert [line for line in lines if line not in printed] == []


def test_every_example_is_run_here() -> None:
    assert sorted(LINES) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", sorted(LINES))
def test_it_does_on_sqlite_what_it_says(name: str, tmp_path: Path) -> None:
    """Without options: it makes its own file, and leaves nothing behind where it was started."""
    assert_good(run(name, cwd=tmp_path), LINES[name] + WHERE_IT_CAN_BE_SHARED.get(name, []))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(LINES))
def test_it_does_in_memory_what_it_says(name: str, tmp_path: Path) -> None:
    assert_good(run(name, "--url", "memory://", cwd=tmp_path), LINES[name])


@pytest.mark.parametrize("name", sorted(LINES))
def test_it_does_on_redis_what_it_says(name: str, redis_storage: RedisStorage, tmp_path: Path) -> None:
    lines = LINES[name] + WHERE_IT_CAN_BE_SHARED.get(name, [])
    assert_good(run(name, "--url", redis_storage.manager_url, cwd=tmp_path), lines)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(LINES))
def test_it_does_on_postgresql_what_it_says(
    name: str, tmp_path: Path, postgres_storage: PostgresStorage
) -> None:
    lines = LINES[name] + WHERE_IT_CAN_BE_SHARED.get(name, [])
    assert_good(run(name, "--url", postgres_storage.manager_url, cwd=tmp_path), lines)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(LINES))
def test_it_does_it_again_on_a_storage_where_it_was_before(name: str, tmp_path: Path) -> None:
    for _ in range(2):
        assert_good(run(name, "--url", "sqlite:///queue.db", cwd=tmp_path), LINES[name])


@pytest.mark.parametrize(("name", "missing"), [("reminders", "aiosmtpd"), ("fastapi_service", "fastapi")])
def test_without_what_it_needs_it_says_what_to_install(name: str, missing: str) -> None:
    program = str(EXAMPLES / f"{name}.py")
    code = f"import runpy, sys; sys.modules[{missing!r}] = None; runpy.run_path({program!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("add it with: pip install 'checkmate-queue[examples]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted(LINES))
@pytest.mark.parametrize(
    ("url", "said"),
    [("nonsense", "'nonsense' is no URL; "), ("sqlite:///no/such/folder/q.db", "The folder '")],
)
def test_a_wrong_url_is_told_of_in_one_line(name: str, url: str, said: str, tmp_path: Path) -> None:
    done = run(name, "--url", url, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
