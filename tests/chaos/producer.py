"""A producer process of the chaos tests, which goes on until it is killed.

`python -m tests.chaos.producer URL FOLDER ROUND`
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from checkmate_queue import QueueManager
from tests.chaos.ledger import Ledger
from tests.chaos.worker import QUEUE

CALLERS = 50


async def main(url: str, folder: str, round_number: str) -> None:
    ledger = Ledger(Path(folder), "producer")
    numbers = itertools.count()
    async with QueueManager(url) as manager:
        queue = manager.get_queue(QUEUE)

        async def call() -> None:
            for number in numbers:
                job_id = await queue.enqueue(number, job_id=f"{round_number}-{number}")
                ledger.say("accepted", job_id)

        await asyncio.gather(*(call() for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
