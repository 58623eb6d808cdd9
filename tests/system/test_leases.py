"""Leases: nothing is lost with its worker, and nothing is settled by one that lost it (G7 to G12)."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from checkmate_queue import Job, JobFailed, LeaseLost, Queue
from checkmate_queue.testing.waiting import wait_until
from tests.system.handlers import PATIENCE, Gate, Recorder, settled, still_works
from tests.system.storages import Link, ManagerFor, Storage

LEASE = 1.0
VERBS = ("heartbeat", "exchange", "tick", "join")

WORKER = """
import asyncio, sys
from checkmate_queue import QueueManager

async def handler(job):
    print(job.id, flush=True)
    await asyncio.sleep(3600)

async def main():
    async with QueueManager(sys.argv[1], lease_seconds=1, concurrency=3) as manager:
        await manager.get_queue("work").consume(handler, consumer_group="g")
        await asyncio.sleep(3600)

asyncio.run(main())
"""


async def lose_lease(link: Link, witness: Queue[Any], group: str, lost: list[Any]) -> None:
    """Cut a manager off until another one runs what it ran; then mend the line."""
    link.cut(*VERBS)

    async def taken_over() -> bool:
        stats = await witness.get_stats()
        return stats.groups[group].processing == 0

    await wait_until(taken_over, description="the lease ran out", timeout=PATIENCE)
    link.mend()
    await wait_until(lambda: lost, description="the worker noticed", timeout=PATIENCE)


async def test_what_a_dead_process_ran_is_delivered_again(manager_for: ManagerFor, storage: Storage) -> None:
    """G7, G9: after SIGKILL another worker gets it, first, in the order of its claims, as if never tried."""
    if storage.kind == "memory":
        # Its jobs die with the process; what is left to show is a worker that is cut off.
        return
    manager = await manager_for(lease_seconds=LEASE, concurrency=1)
    queue = manager.get_queue("work")
    worker = subprocess.Popen([sys.executable, "-c", WORKER, storage.url], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        started: list[str] = []
        for name in "abc":
            await queue.enqueue(name, job_id=name)
            started.append((await asyncio.to_thread(worker.stdout.readline)).strip())
        assert started == ["a", "b", "c"]
        await queue.enqueue("d", job_id="d")
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    await recorder.calls(4)
    assert set(recorder.ids) == {"a", "b", "c", "d"}
    assert recorder.ids.index("a") < recorder.ids.index("b") < recorder.ids.index("c")
    assert [job.attempts for job in recorder.jobs] == [0] * 4


async def test_a_worker_that_lost_its_lease_settles_nothing(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """G7, G8: its handlers are cancelled and their outcomes refused; others run them; it joins again."""
    link = Link()
    manager = await manager_for(link=link, lease_seconds=LEASE)
    other = await manager_for(link=Link(), lease_seconds=LEASE)
    queue, elsewhere = manager.get_queue("work"), other.get_queue("work")
    lost: list[LeaseLost] = []
    manager.on(LeaseLost, lost.append)
    gate, bystander, substitute, witness = Gate(), Gate(), Recorder(), Recorder()
    await queue.consume(gate, consumer_group="g")
    await queue.consume(bystander, consumer_group="h")
    await queue.enqueue("job")
    await gate.calls(1)
    await bystander.calls(1)
    await elsewhere.consume(substitute, consumer_group="g")
    await elsewhere.consume(witness, consumer_group="h")
    link.cut(*VERBS)
    await substitute.calls(1)
    await witness.calls(1)
    caplog.clear()
    link.mend()
    await wait_until(lambda: lost, description="the worker noticed", timeout=PATIENCE)
    await wait_until(lambda: gate.cancelled == bystander.cancelled == 1, description="both were cancelled")
    assert lost == [LeaseLost("work", 2)]
    await settled(queue)
    stats = await queue.get_stats()
    assert (stats.completed, stats.failed) == (2, 0)
    assert substitute.jobs[0].attempts == 0
    gate.open()
    bystander.open()
    await other.shutdown()
    await still_works(queue, gate)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_lost_answer_strands_nothing(manager_for: ManagerFor) -> None:
    """G7: claims whose answer was lost are handed out once more, and settlements count once."""
    link = Link()
    manager = await manager_for(link=link, concurrency=2)
    queue = manager.get_queue("work")
    recorder = Recorder()
    await queue.consume(recorder, consumer_group="g")
    for n in range(20):
        link.lose_answers("exchange", n % 3)
        link.lose_answers("tick", 1)
        link.lose_answers("heartbeat", 1)
        await queue.enqueue(n)
        await recorder.calls(n + 1)
    await settled(queue)
    assert recorder.data == list(range(20))
    assert (await queue.get_stats()).completed == 20


async def test_an_unexpected_error_of_the_store_strands_nothing(manager_for: ManagerFor) -> None:
    """G7: a loop that breaks begins again, with what it had to settle."""
    link = Link()
    manager = await manager_for(link=link)
    queue = manager.get_queue("work")
    gate = Gate()
    await queue.consume(gate, consumer_group="g")
    await queue.enqueue("first")
    await gate.calls(1)
    link.break_next("exchange", RuntimeError("out of the blue"))
    link.break_next("tick", RuntimeError("out of the blue"))
    gate.open()
    await settled(queue)
    await still_works(queue, gate)
    assert (await queue.get_stats()).completed >= 1


async def test_an_error_after_the_effect_settles_nothing_twice_and_forgets_nothing(
    manager_for: ManagerFor,
) -> None:
    """G7: what ends while a loop is broken is settled, too."""
    link = Link()
    manager = await manager_for(link=link)
    queue = manager.get_queue("work")
    events = {name: asyncio.Event() for name in "ab"}
    ended: list[str] = []

    async def handler(job: Job[str]) -> None:
        await events[job.data].wait()
        ended.append(job.data)

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue_many(["a", "b"])

    async def both_run() -> bool:
        return await queue.get_in_flight_count() == 2

    await wait_until(both_run, description="both run", timeout=PATIENCE)
    link.break_next("exchange", RuntimeError("out of the blue"), after=True)
    events["a"].set()

    async def one_is_settled() -> bool:
        return (await queue.get_stats()).completed == 1

    await wait_until(one_is_settled, description="the first is settled", timeout=PATIENCE)
    events["b"].set()
    await settled(queue)
    stats = await queue.get_stats()
    assert (stats.completed, ended) == (2, ["a", "b"])


async def test_lost_leases_do_not_use_up_retries_but_have_a_bound(manager_for: ManagerFor) -> None:
    """G9: after `max_stalls` of them the delivery fails as `stalled`; with 1, at the first."""
    link = Link()
    manager = await manager_for(link=link, lease_seconds=LEASE, max_stalls=2)
    other = await manager_for(link=Link(), lease_seconds=LEASE, max_stalls=2)
    queue, elsewhere = manager.get_queue("work"), other.get_queue("work")
    lost: list[LeaseLost] = []
    failed: list[JobFailed] = []
    manager.on(LeaseLost, lost.append)
    other.on(JobFailed, failed.append)
    await elsewhere.consume(Recorder(), consumer_group="somebody who ticks")
    gate = Gate()
    await queue.consume(gate, consumer_group="g", max_retries=0)
    await queue.enqueue("kills its worker")
    await gate.calls(1)
    await lose_lease(link, elsewhere, "g", lost)
    await gate.calls(2)
    assert gate.jobs[1].attempts == 0
    lost.clear()
    await lose_lease(link, elsewhere, "g", lost)
    await settled(queue)
    entry = (await queue.list_failed("g"))[0]
    assert (entry.error_type, entry.attempts, entry.data) == ("stalled", 0, "kills its worker")
    assert "max_stalls=2" in entry.message
    assert [event.error_type for event in failed] == ["stalled"]
    gate.open()
    await still_works(queue, gate)


async def test_giving_back_at_a_stop_is_no_stall(manager_for: ManagerFor) -> None:
    """G9, L1: however often it happens."""
    manager = await manager_for(max_stalls=1)
    queue = manager.get_queue("work")
    await queue.enqueue("job")
    for _ in range(3):
        queue = manager.get_queue("work")
        gate = Gate()
        await queue.consume(gate, consumer_group="g", max_retries=0)
        await gate.calls(1)
        assert gate.jobs[0].attempts == 0
        await queue.stop(timeout=0)
    assert (await queue.get_stats()).failed == 0


async def test_a_blocked_loop_keeps_its_lease(
    manager_for: ManagerFor, caplog: pytest.LogCaptureFixture
) -> None:
    """G11: the heartbeat has a thread of its own; the block is logged, with its place."""
    manager = await manager_for(link=Link(), lease_seconds=LEASE)
    queue = manager.get_queue("work")
    lost: list[LeaseLost] = []
    manager.on(LeaseLost, lost.append)
    recorder = Recorder()

    async def handler(job: Job[Any]) -> None:
        if job.data == "blocks":
            time.sleep(2)
        await recorder(job)

    await queue.consume(handler, consumer_group="g")
    await queue.enqueue("blocks")
    await recorder.calls(1)
    await still_works(queue, recorder)
    assert lost == []
    assert [job.attempts for job in recorder.jobs] == [0, 0]
    warnings = [record.message for record in caplog.records if "blocked" in record.message]
    assert len(warnings) == 1
    assert "time.sleep(2)" in warnings[0]


async def test_a_loop_that_is_blocked_for_too_long_loses_its_lease(
    manager_for: ManagerFor, storage: Storage, tmp_path: Path
) -> None:
    """G11: after `max_block_seconds` others get what it ran, though its process lives."""
    if storage.kind == "memory":
        return
    script = WORKER.replace(
        "await asyncio.sleep(3600)\n\nasync def main", "import time; time.sleep(60)\n\nasync def main"
    )
    script = script.replace("lease_seconds=1", "lease_seconds=1, max_block_seconds=1")
    manager = await manager_for(lease_seconds=LEASE)
    queue = manager.get_queue("work")
    worker = subprocess.Popen([sys.executable, "-c", script, storage.url], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        await queue.enqueue("job", job_id="job")
        assert (await asyncio.to_thread(worker.stdout.readline)).strip() == "job"
        recorder = Recorder()
        await queue.consume(recorder, consumer_group="g")
        await recorder.calls(1)
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.communicate()


async def test_an_outage_costs_nobody_a_lease(manager_for: ManagerFor) -> None:
    """G12: leases do not run while nobody can renew them."""
    links = [Link(), Link()]
    managers = [await manager_for(link=link, lease_seconds=LEASE) for link in links]
    queues = [manager.get_queue("work") for manager in managers]
    lost: list[LeaseLost] = []
    gates = [Gate(), Gate()]
    for manager, queue, gate in zip(managers, queues, gates, strict=True):
        manager.on(LeaseLost, lost.append)
        await queue.consume(gate, consumer_group="g", concurrency=1)
        await queue.consume(Recorder(), consumer_group=f"ephemeral {gate}", ephemeral=True)
    await queues[0].enqueue_many(["a", "b"])
    for gate in gates:
        await gate.calls(1)
    outage_ends = time.monotonic() + 2.5 * LEASE
    for link in links:
        link.cut()
    await wait_until(
        lambda: time.monotonic() > outage_ends, description="the outage lasted", timeout=PATIENCE
    )
    for link in links:
        link.mend()
    for gate in gates:
        gate.open()
    await settled(queues[0])
    assert lost == []
    assert sorted(gates[0].data + gates[1].data) == ["a", "b"]
    assert (await queues[0].get_stats()).consumer_groups == 3
