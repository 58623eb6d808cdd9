"""`python -m benchmarks.moving_process URL CONFIG`: switch to Redis; print time, jobs and memory."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from checkmate_queue import QueueManager

MEGABYTE = 1_000_000


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def most_resident() -> int:
    """Bytes of memory that it had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def switch(url: str, config: dict[str, Any]) -> dict[str, float]:
    manager = QueueManager(url)
    await manager.start(consume=False)
    try:
        await manager.get_queue("bench").get_stats()
        idle = resident()
        started, used = time.perf_counter(), time.process_time()
        await manager.set_active_backend("redis", config)
        seconds, used = time.perf_counter() - started, time.process_time() - used
        megabytes = (most_resident() - idle) / MEGABYTE
        stats = await manager.get_queue("bench").get_stats()
    finally:
        await manager.shutdown()
    return {"seconds": seconds, "cpu_seconds": used, "jobs": stats.pending, "megabytes": megabytes}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(switch(sys.argv[1], json.loads(sys.argv[2])))))
