"""A worker process: what it runs, how it stops, and why it can't start."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from checkmate_queue.cli.work.health import ConsumerHealth, Health
from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import PATIENCE, Site, WorkerProgram


async def enqueue(site: Site, queue: str, *jobs: tuple[str, float]) -> None:
    """Jobs by id, with the seconds that their handlers take."""
    async with site.manager() as manager:
        for job_id, seconds in jobs:
            await manager.get_queue(queue).enqueue(seconds, job_id=job_id)


async def numbers(site: Site, queue: str) -> tuple[int, int, int, int]:
    """How many deliveries are pending, processing, completed, failed."""
    async with site.manager() as manager:
        stats = await manager.get_queue(queue).get_stats()
    return stats.pending, stats.processing, stats.completed, stats.failed


@pytest.mark.parametrize("queue", ["work", "plain"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_finishes_what_runs_and_starts_nothing_new(
    site: Site, queue: str, number: signal.Signals
) -> None:
    """L1: a handler of 2 s is finished, and the next job stays where it is."""
    site.application(concurrency=1)
    await enqueue(site, queue, ("running", 2), ("waiting", 0))
    with site.worker("--concurrency", "1") as worker:
        await site.until_noted("start", "running")
        worker.signal(number)
        await worker.says("worker: stopping")
        assert "running" not in site.noted("end")
        assert await worker.ended() == 0
    assert worker.said.endswith("worker: stopped\n")
    assert site.noted("end") == ["running"]
    assert await numbers(site, queue) == (1, 0, 1, 0)


@pytest.mark.parametrize("queue", ["work", "plain"])
async def test_a_second_signal_gives_back_what_runs(site: Site, queue: str) -> None:
    """L1, F6: at the front, no attempt counted, and the next worker runs it at once."""
    await enqueue(site, queue, ("long", 600))
    with site.worker() as worker:
        await site.until_noted("start", "long")
        worker.signal(signal.SIGTERM)
        await worker.says("worker: stopping")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 128 + signal.SIGTERM
    assert "worker: stopped; what ran was given back\n" in worker.said
    assert site.noted("end") == []
    assert await numbers(site, queue) == (1, 0, 0, 0)
    with site.worker() as worker:
        await site.until_noted("start", "long", 2)
    assert [attempts for _, _, attempts, _ in site.ledger()] == [0, 0]


async def test_a_third_signal_ends_a_worker_that_does_not_end(site: Site) -> None:
    site.write(
        "stubborn.py",
        """
import asyncio
from app import manager, note, work

@work.consumer("stubborn")
async def never(job):
    note("stubborn", job)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            note("refused", job)
""",
    )
    await enqueue(site, "work", ("x", 0))
    with site.worker(target="stubborn:manager") as worker:
        await site.until_noted("stubborn", "x")
        worker.signal(signal.SIGTERM)
        await worker.says("worker: stopping")
        worker.signal(signal.SIGTERM)
        await site.until_noted("refused", "x")
        worker.signal(signal.SIGINT)
        assert await worker.ended() == 128 + signal.SIGINT


async def test_only_the_queues_that_were_asked_for_are_consumed(site: Site) -> None:
    await enqueue(site, "plain", ("plain", 0))
    await enqueue(site, "work", ("work", 0))
    with site.worker("--queues", "work") as worker:
        await site.until_noted("end", "work")
        await worker.ready()
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert "work/workers\n" in worker.said
    assert site.noted("start") == ["work"]


async def test_concurrency_is_the_default_of_consumers_that_name_none(site: Site) -> None:
    """G10."""
    for queue in ("plain", "work"):
        await enqueue(site, queue, *((f"{queue}-{n}", 600.0) for n in range(6)))
    with site.worker("--concurrency", "2"):
        # `work` names 4, `plain` none.
        await wait_until(lambda: len(site.noted("start")) == 6, description="6 run", timeout=PATIENCE)

        async def claimed() -> bool:
            return [(await numbers(site, queue))[1] for queue in ("plain", "work")] == [2, 4]

        await wait_until(claimed, description="no more are claimed", timeout=PATIENCE)


async def test_a_lifespan_may_start_the_consumers(site: Site) -> None:
    site.write(
        "life.py",
        """
from contextlib import asynccontextmanager
from app import handle
from checkmate_queue import QueueManager

def make():
    @asynccontextmanager
    async def lifespan(manager):
        print("lifespan begins", flush=True)
        await manager.get_queue("work").consume(handle, consumer_group="later")
        yield
        print("lifespan ends", flush=True)

    return QueueManager("sqlite:///queue.db", lifespan=lifespan)
""",
    )
    await enqueue(site, "work", ("x", 0))
    with site.worker(target="life:make") as worker:
        await site.until_noted("end", "x")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert re.search(r"lifespan begins\n.*worker: ready .*work/later\n(.|\n)*lifespan ends\n", worker.said)


@pytest.mark.parametrize(
    ("target", "text", "said"),
    [
        ("nobody:manager", "", "there is no module 'nobody' in "),
        ("other", "", "'other' is not MODULE:MANAGER, such as app:manager"),
        ("other.py:m", "", "'other.py' is a file; name the module: other:m"),
        ("other:m", "import app", "'other' has no 'm'; it has no QueueManager"),
        ("other:m", "from app import manager", "'other' has no 'm'; its managers are: manager"),
        ("other:m", "m = 3", "other:m is no QueueManager, but a int"),
        (
            "other:m",
            "import nothing_like_it",
            "importing 'other' failed: ModuleNotFoundError: No module named",
        ),
        ("other:m", "x =", "importing 'other' failed: SyntaxError: "),
        ("other:m", "raise SystemExit('no\\nway')", "importing 'other' failed: SystemExit: no way ("),
        ("other:m", "def m(): return 1 / 0", "calling other:m failed: ZeroDivisionError: division by zero"),
        (
            "other:m",
            "from checkmate_queue import QueueManager; m = QueueManager('memory://')",
            "other:m has no consumer; declare one with @queue.consumer('group'), or in its lifespan",
        ),
        (
            "other:m",
            "from checkmate_queue import QueueManager\nclass L:\n def __init__(self, m): pass\n"
            " async def __aenter__(self): raise RuntimeError('no cache')\n"
            " async def __aexit__(self, *_): pass\nm = QueueManager('memory://', lifespan=L)",
            "starting other:m failed: RuntimeError: no cache (",
        ),
    ],
)
def test_why_it_cannot_start_is_said_in_one_line(site: Site, target: str, text: str, said: str) -> None:
    if text:
        site.write("other.py", text)
    assert site.run("worker", target, code=1).startswith(f"worker: {said}")


@pytest.mark.parametrize(
    "wrong",
    [
        "queue.consumer('g', concurrency=0)(print)",
        "queue.consumer('g', retry=7)(print)",
        "manager.get_queue('')",
    ],
)
def test_what_a_module_says_wrong_is_told_with_its_own_line(site: Site, wrong: str) -> None:
    """Neither this package's file nor one of Python's is where users find it."""
    site.write(
        "other.py",
        "import contextlib\nfrom checkmate_queue import QueueManager\n"
        "manager = QueueManager('memory://')\nqueue = manager.get_queue('q')\n"
        f"with contextlib.ExitStack() as stack:\n    stack.callback(lambda: {wrong})\n",
    )
    said = site.run("worker", "other:manager", code=1)
    assert said.endswith(f" ({site.folder / 'other.py'}, line 6)\n")


def test_wrong_options_are_said_in_one_line(site: Site) -> None:
    assert site.run("worker", "app:manager", "--queues", "work,nobody", code=1) == (
        "worker: app:manager declares no consumer of queue 'nobody'; it does of: plain, work\n"
    )
    for names in ("", "work,", " "):
        assert f"Invalid value for --queues: {names!r} is not QUEUE,QUEUE" in site.run(
            "worker", "app:manager", "--queues", names, code=2
        )
    assert "concurrency: Input should be greater" in site.run(
        "worker", "app:manager", "--concurrency", "0", code=1
    )


# -- the backend's URL -------------------------------------------------------------------------------


async def test_the_variable_names_the_backend_of_workers_as_of_every_command(site: Site) -> None:
    """What is enqueued under it must not wait in one file while the worker looks into another."""
    site.write("app.py", (site.folder / "app.py").read_text().replace("queue.db", "other.db"))
    site.run("enqueue", "work", "0", "--id", "x")
    with site.worker() as worker:
        await site.until_noted("end", "x")
        await worker.says(f") on {site.url} (the module names sqlite:///other.db): ")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert not (site.folder / "other.db").exists()


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_the_option_wins_over_the_variable_and_the_module(site: Site, processes: str) -> None:
    url = f"sqlite:///{site.folder / 'third.db'}"
    site.run("enqueue", "work", "0", "--id", "x", "--url", url)
    with site.worker("--url", f"{url}?lease_seconds=7&concurrency=3", "--processes", processes) as worker:
        await site.until_noted("end", "x")
        await worker.ready()
        assert f") on {url} (the module names sqlite:///queue.db): " in worker.said
    assert not (site.folder / "queue.db").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "'nonsense' is no URL; "),
        ("sqlite:////no/such/folder/x", "The folder '/no/such/folder' of the SQLite database"),
        ("nosuch://x", "No registered plugin takes 'nosuch://'"),
        ("sqlite:///x?concurrency=0", "The SQLite config is wrong: concurrency: "),
    ],
)
def test_a_wrong_url_is_told_of_in_one_line(site: Site, url: str, said: str) -> None:
    assert site.run("worker", "app:manager", "--url", url, code=1).startswith(f"worker: {said}")


# -- health (L10) ------------------------------------------------------------------------------------


async def health(worker: WorkerProgram) -> tuple[int, dict[str, Any]]:
    """What the worker answers."""
    found = re.search(r"worker: health at (http://\S+)", worker.said)
    assert found is not None
    return await asyncio.to_thread(_get, found[1])


def _get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_health_is_served_from_the_start_to_the_end(site: Site) -> None:
    site.write(
        "life.py",
        """
import asyncio, os
from contextlib import asynccontextmanager
import app
from checkmate_queue import QueueManager

@asynccontextmanager
async def lifespan(manager):
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    yield

manager = QueueManager("sqlite:///queue.db", lifespan=lifespan, lease_seconds=20)
manager.get_queue("work").consumer("workers")(app.handle)
""",
    )
    await enqueue(site, "work", ("long", 600))
    with site.worker("--health-port", "0", target="life:manager") as worker:
        await worker.says("worker: health at http://127.0.0.1:")
        assert await health(worker) == (503, {"status": "starting", "limit_seconds": 20, "consumers": []})
        site.write("go", "")
        await site.until_noted("start", "long")
        await worker.ready()
        code, body = await health(worker)
        (consumer,) = body["consumers"]
        assert (code, body["status"], body["limit_seconds"]) == (200, "ok", 20)
        assert (consumer["queue"], consumer["consumer_group"]) == ("work", "workers")
        assert consumer["process"] == worker.process.pid
        assert 0 <= consumer["last_contact_seconds"] < 20
        worker.signal(signal.SIGTERM)
        await worker.says("worker: stopping")
        code, body = await health(worker)
        assert (code, body["status"]) == (200, "stopping")
        port = re.search(r"127.0.0.1:(\d+)", worker.said)
        assert port is not None
        said = site.run("worker", "app:manager", "--health-port", port[1], code=1)
    assert (
        said == f"worker: the health endpoint can't listen on 127.0.0.1:{port[1]}: Address already in use\n"
    )


def test_health_is_bad_when_a_contact_is_older_than_the_lease_and_than_ten_seconds() -> None:
    def look(lease: float, *ages: float | None) -> tuple[int, str]:
        consumers = [ConsumerHealth(1, "q", "g", age) for age in ages]
        code, body = Health("running", lease, consumers).response()
        return code, json.loads(body)["status"]

    assert look(30, 29.9, 0) == (200, "ok")
    assert look(30, 0, 30.1) == (503, "stalled")
    assert look(1, 9.9) == (200, "ok")
    assert look(1, 10.1) == (503, "stalled")
    assert look(30, None) == (503, "stalled")
    assert look(30) == (503, "idle")
