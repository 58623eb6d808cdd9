"""How a worker ends where something is in its way: a blocked loop, a late signal, a failing lifespan."""

from __future__ import annotations

import os
import signal

import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import PATIENCE, Site
from tests.cli.terminal import Terminal
from tests.cli.test_processes import alive, pids, until
from tests.cli.test_terminal import terminal
from tests.cli.test_worker import enqueue, numbers

BLOCKING = """
import sqlite3, time
from app import manager, note, work

@work.consumer("blocking")
async def block(job):
    first = sqlite3.connect("lock.db", isolation_level=None)
    second = sqlite3.connect("lock.db", isolation_level=None, timeout=600)
    first.execute("begin immediate")
    note("blocked", job)
    if {in_c}:
        second.execute("begin immediate")
    time.sleep(600)
"""

LIFESPAN = """
import asyncio
from contextlib import asynccontextmanager
from app import handle
from checkmate_queue import QueueManager

@asynccontextmanager
async def lifespan(manager):
    yield
    raise {error}

manager = QueueManager("sqlite:///queue.db", lifespan=lifespan)
manager.get_queue("work").consumer("workers", concurrency=1)(handle)
"""


@pytest.mark.parametrize("in_c", [False, True], ids=["in Python", "in C"])
@pytest.mark.parametrize("processes", [1, 2])
async def test_a_third_signal_ends_a_worker_whose_event_loop_is_blocked(
    site: Site, processes: int, in_c: bool
) -> None:
    """In C, the interpreter runs no signal handler until the call returns."""
    site.write("blocking.py", BLOCKING.format(in_c=in_c))
    with site.worker("--processes", str(processes), target="blocking:manager") as worker:
        await worker.ready(processes)
        await enqueue(site, "work", ("x", 0))
        await site.until_noted("blocked", "x")
        (blocked,) = {pid for what, _, _, pid in site.ledger() if what == "blocked"}

        def once_more() -> bool:
            if worker.process.poll() is None:
                worker.signal(signal.SIGTERM)
            return worker.process.poll() is not None

        await wait_until(once_more, description="signals end the worker", timeout=PATIENCE)
        assert worker.process.returncode == 128 + signal.SIGTERM
        await until(lambda: not any(map(alive, {blocked, *pids(worker)})), "all have gone")
    assert "given back" not in worker.said


async def test_ctrl_c_three_times_ends_a_worker_whose_event_loop_is_blocked(site: Site) -> None:
    site.write("blocking.py", BLOCKING.format(in_c=False))
    await enqueue(site, "work", ("x", 0))
    with terminal(site, "worker", "blocking:manager") as shown:
        await site.until_noted("blocked", "x")
        await wait_until(lambda: _pressed(shown), description="Ctrl-C ends the worker", timeout=PATIENCE)
        assert shown.process.returncode == 128 + signal.SIGINT


def _pressed(shown: Terminal) -> bool:
    if shown.process.poll() is None:
        shown.press("\x03")
    return shown.process.poll() is not None


SLOW_TO_LEAVE = """
import atexit, os, time
from app import manager

@atexit.register
def leave():
    print("leaving", os.getpid(), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_signal_during_the_last_moments_does_not_change_the_exit_code(
    site: Site, processes: int
) -> None:
    site.write("slow.py", SLOW_TO_LEAVE)
    with site.worker("--processes", str(processes), target="slow:manager") as worker:
        await worker.ready(processes)
        worker.signal(signal.SIGTERM)
        await worker.says("leaving", processes)
        for pid in pids(worker):
            os.kill(pid, signal.SIGTERM)
        site.write("go", "")
        assert await worker.ended() == 0
    assert "worker: stopped\n" in worker.said


async def test_a_third_signal_ends_a_worker_that_does_not_come_to_its_end(site: Site) -> None:
    site.write("slow.py", SLOW_TO_LEAVE)
    with site.worker(target="slow:manager") as worker:
        await worker.ready()
        worker.signal(signal.SIGTERM)
        await worker.says("leaving")
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGINT)
        assert await worker.ended() in (128 + signal.SIGTERM, 128 + signal.SIGINT)


async def test_signals_to_a_process_that_a_handler_forks_are_not_for_the_worker(site: Site) -> None:
    site.write(
        "forking.py",
        """
import multiprocessing, os, signal, time
from app import manager, note, work

@work.consumer("forking")
def fork(job):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        os.kill(child.pid, number)
    child.join()
    note(f"child:{child.exitcode}", job)
""",
    )
    with site.worker(target="forking:manager") as worker:
        await worker.ready()
        await enqueue(site, "work", ("x", 0))
        await site.until_noted(f"child:{-signal.SIGTERM}", "x")
        assert "stopping" not in worker.said
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_lifespan_that_fails_at_the_end_fails_the_worker(site: Site, processes: int) -> None:
    site.write("life.py", LIFESPAN.format(error="OSError('the cache is still open')"))
    with site.worker("--processes", str(processes), target="life:manager") as worker:
        await worker.ready(processes)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 1
    line = "worker: stopping life:manager failed: OSError: the cache is still open ("
    assert worker.said.count(line) == processes
    assert f"{site.folder / 'life.py'}, line 10)" in worker.said
    assert "bug" not in worker.said
    assert "Traceback" not in worker.said
    assert "worker: stopped\n" not in worker.said
    if processes > 1:
        for pid in pids(worker):
            assert f"(pid {pid}): exit code 1" in worker.said.splitlines()[-1]


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_lifespan_that_fails_after_what_ran_was_given_back_is_told_of(
    site: Site, processes: int
) -> None:
    site.write("life.py", LIFESPAN.format(error="RuntimeError('the cache is still open')"))
    await enqueue(site, "work", ("long", 600))
    with site.worker("--processes", str(processes), target="life:manager") as worker:
        await worker.ready(processes)
        await site.until_noted("start", "long")
        worker.signal(signal.SIGTERM)
        await worker.says("worker: stopping when")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 128 + signal.SIGTERM
    assert "worker: stopping life:manager failed: RuntimeError: the cache is still open (" in worker.said
    assert "never retrieved" not in worker.said
    assert await numbers(site, "work") == (1, 0, 0, 0)


async def test_a_lifespan_that_fails_when_its_start_is_cancelled_fails_the_worker(site: Site) -> None:
    site.write(
        "life.py",
        """
import asyncio
from contextlib import asynccontextmanager
from app import handle
from checkmate_queue import QueueManager

@asynccontextmanager
async def lifespan(manager):
    try:
        print("opening", flush=True)
        await asyncio.sleep(600)
        yield
    finally:
        raise ConnectionError("half open")

manager = QueueManager("sqlite:///queue.db", lifespan=lifespan)
manager.get_queue("work").consumer("workers")(handle)
""",
    )
    with site.worker(target="life:manager") as worker:
        await worker.says("opening")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 1
    assert "worker: starting life:manager failed: ConnectionError: half open (" in worker.said


QUITTING = """
import asyncio, sys
from contextlib import asynccontextmanager
from app import handle
from checkmate_queue import QueueManager

@asynccontextmanager
async def lifespan(manager):
    if {start}:
        {quit}
    yield
    {quit}

manager = QueueManager("sqlite:///queue.db", lifespan=lifespan)
manager.get_queue("work").consumer("workers")(handle)
"""
QUITS = [
    ("sys.exit(3)", 3, "SystemExit: 3"),
    ("sys.exit()", 1, "SystemExit"),
    ("sys.exit('no cache')", 1, "SystemExit: no cache"),
    ("raise asyncio.CancelledError", 1, "CancelledError"),
]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("statement", "code", "said"), QUITS)
async def test_a_lifespan_that_quits_at_the_start_fails_the_worker(
    site: Site, processes: int, statement: str, code: int, said: str
) -> None:
    site.write("life.py", QUITTING.format(start=True, quit=statement))
    with site.worker("--processes", str(processes), target="life:manager") as worker:
        assert await worker.ended() == code
    where = f"({site.folder / 'life.py'}, line 10)"
    assert worker.said == f"worker: starting life:manager failed: the lifespan raised {said} {where}\n"


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("statement", "code", "said"), QUITS)
async def test_a_lifespan_that_quits_at_the_end_fails_the_worker(
    site: Site, processes: int, statement: str, code: int, said: str
) -> None:
    site.write("life.py", QUITTING.format(start=False, quit=statement))
    with site.worker("--processes", str(processes), target="life:manager") as worker:
        await worker.ready(processes)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == code
    where = f"({site.folder / 'life.py'}, line 12)"
    line = f"worker: stopping life:manager failed: the lifespan raised {said} {where}\n"
    assert worker.said.count(line) == processes
    assert "Traceback" not in worker.said
    assert "worker: stopped\n" not in worker.said
