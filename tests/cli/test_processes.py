"""Several worker processes under one command, and one that follows the code."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import pytest

from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import PATIENCE, Site, WorkerProgram
from tests.cli.test_worker import enqueue, health, numbers


def pids(worker: WorkerProgram) -> list[int]:
    """The processes that have said that they are ready."""
    return pids_in(worker.said)


def pids_in(text: str) -> list[int]:
    """The same, of what was shown."""
    return [int(pid) for pid in re.findall(r"worker: ready \(pid (\d+)\)", text)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(holds: Callable[[], object], description: str) -> None:
    await wait_until(holds, description=description, timeout=PATIENCE)


async def test_all_processes_work_and_drain_together(site: Site) -> None:
    site.application(concurrency=1)
    with site.worker("--processes", "2", "--health-port", "0") as worker:
        await worker.ready(2)
        await enqueue(site, "work", ("a", 2), ("b", 2), ("c", 0))
        await site.until_noted("start", "b")
        code, body = await health(worker)
        assert (code, body["status"]) == (200, "ok")
        assert {each["process"] for each in body["consumers"]} == set(pids(worker))
        worker.signal(signal.SIGTERM)
        # Whoever signals every process at once, as service managers do, must not cancel what drains.
        for pid in pids(worker):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        assert await worker.ended() == 0
    assert worker.said.endswith("worker: stopped\n")
    assert sorted(site.noted("end")) == ["a", "b"]
    assert len({pid for _, _, _, pid in site.ledger()}) == 2
    assert await numbers(site, "work") == (1, 0, 2, 0)
    assert not any(map(alive, pids(worker)))


async def test_a_second_signal_reaches_all_processes(site: Site) -> None:
    site.application(concurrency=1)
    with site.worker("--processes", "2") as worker:
        await worker.ready(2)
        await enqueue(site, "work", ("a", 600), ("b", 600))
        await site.until_noted("start", "b")
        worker.signal(signal.SIGTERM)
        await worker.says("worker: stopping")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 128 + signal.SIGTERM
    assert await numbers(site, "work") == (2, 0, 0, 0)
    assert not any(map(alive, pids(worker)))


async def test_a_process_that_dies_is_replaced(site: Site) -> None:
    with site.worker("--processes", "2") as worker:
        await worker.ready(2)
        victim, other = pids(worker)
        os.kill(victim, signal.SIGKILL)
        await worker.ready(3)
        assert f"(pid {victim}) ended by itself: signal SIGKILL; another one starts" in worker.said
        # One that is asked to stop, alone, makes room for another, too.
        os.kill(other, signal.SIGTERM)
        await worker.ready(4)
        assert f"(pid {other}) ended by itself: exit code 0; another one starts" in worker.said
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert not any(map(alive, pids(worker)))


DYING_ONCE = """
import os, signal
from contextlib import asynccontextmanager
from app import handle
from checkmate_queue import QueueManager

@asynccontextmanager
async def lifespan(manager):
    if not os.path.exists("died"):
        open("died", "x").close()
        {death}
    yield

manager = QueueManager("sqlite:///queue.db", lifespan=lifespan)
manager.get_queue("work").consumer("workers")(handle)
"""

POISONED = """
import os
from app import note
from checkmate_queue import QueueManager

manager = QueueManager("sqlite:///queue.db", lease_seconds=1, max_stalls=1)

@manager.get_queue("work").consumer("workers", concurrency=1)
async def handle(job):
    note("start", job)
    if job.id == "poison":
        os._exit(9)
"""


@pytest.mark.parametrize(
    ("death", "said"),
    [
        ("os._exit(9)", "exit code 9"),
        ("os._exit(1)", "exit code 1"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV"),
    ],
)
async def test_one_that_dies_before_it_is_ready_is_told_of_and_replaced(
    site: Site, death: str, said: str
) -> None:
    site.write("dying.py", DYING_ONCE.format(death=death))
    with site.worker("--processes", "2", target="dying:manager") as worker:
        await worker.ready(2)
        assert worker.said.count(f" ended by itself: {said}; another one starts in 1 s\n") == 1
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0


async def test_a_job_that_kills_its_process_does_not_end_the_worker(site: Site) -> None:
    """L1: it fails as stalled, and the others are done."""
    site.write("poisoned.py", POISONED)
    await enqueue(site, "work", ("poison", 0), ("healthy", 0))
    with site.worker("--processes", "2", target="poisoned:manager") as worker:
        await site.until_noted("start", "healthy")

        async def failed() -> bool:
            return await numbers(site, "work") == (0, 0, 1, 1)

        await wait_until(failed, description="one is done, one has failed", timeout=PATIENCE)
        assert "ended by itself: exit code 9; another one starts" in worker.said
        await worker.ready(2)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0


async def test_processes_drain_when_the_one_above_is_killed(site: Site) -> None:
    with site.worker("--processes", "2") as worker:
        await worker.ready(2)
        await enqueue(site, "work", ("a", 1))
        await site.until_noted("start", "a")
        worker.signal(signal.SIGKILL)
        await worker.ended()
        await until(lambda: not any(map(alive, pids(worker))), "both have gone")
    assert site.noted("end") == ["a"]
    assert await numbers(site, "work") == (0, 0, 1, 0)


def test_why_no_process_can_start_is_said_once(site: Site) -> None:
    assert "there is no module 'nobody'" in site.run("worker", "nobody:m", "--processes", "3", code=1)


@pytest.mark.full
async def test_a_process_that_hangs_makes_health_bad(site: Site) -> None:
    """L10."""
    site.application(lease=1)
    with site.worker("--processes", "2", "--health-port", "0") as worker:
        await worker.ready(2)
        assert (await health(worker))[0] == 200
        victim = pids(worker)[0]
        os.kill(victim, signal.SIGSTOP)
        try:

            async def stalled() -> bool:
                code, body = await health(worker)
                return code == 503 and body["status"] == "stalled"

            await wait_until(stalled, description="health is bad", timeout=PATIENCE)
            _, body = await health(worker)
            old = {c["process"] for c in body["consumers"] if c["last_contact_seconds"] > 10}
            assert old == {victim}
        finally:
            os.kill(victim, signal.SIGCONT)

        async def well() -> bool:
            return (await health(worker))[0] == 200

        await wait_until(well, description="health is good again", timeout=PATIENCE)


async def test_it_starts_again_when_the_code_changes(site: Site) -> None:
    text = (site.folder / "app.py").read_text()
    await enqueue(site, "work", ("a", 0))
    with site.worker("--reload") as worker:
        await site.until_noted("end", "a")
        await worker.ready()
        site.write("app.py", text.replace('note("end"', 'note("finished"'))
        await worker.says("worker: app.py changed; starting again")
        await worker.ready(2)
        await enqueue(site, "work", ("b", 0))
        await site.until_noted("finished", "b")
        site.write("app.py", "def broken(:")
        await worker.says("worker: importing 'app' failed: SyntaxError")
        await worker.says("worker: waiting for a change of the code")
        site.write("app.py", text)
        await worker.ready(3)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert not any(map(alive, pids(worker)))
