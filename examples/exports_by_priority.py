"""CSV exports by priority: one that a user waits for overtakes the routine ones.

    python examples/exports_by_priority.py [--url sqlite:///queue.db] [--seconds 3]

Look at

- `ask_for_exports`: the same `enqueue` for both, with another `priority`; higher starts first, and among
  equals the one that came first.
- `export`: a plain function, so it runs on a thread and may block. It writes beside its goal and renames at
  the end: a run that is killed leaves no half file, and one that is repeated does no harm.
- `concurrency=1`: one export at a time, which makes the order visible. What runs is never interrupted, so a
  user waits for the one that runs, not for the backlog.

It fills a table with orders, lets a batch of routine exports and two users come every second, and compares
each file with the table.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from checkmate_queue import Job, Queue, QueueError, QueueManager
from checkmate_queue.testing.waiting import wait_until

ROUTINE, WAITED_FOR = 0, 100
CUSTOMERS = [f"customer-{number:02}" for number in range(20)]


@dataclass(frozen=True)
class Export:
    """Write a customer's orders, as they are in this database, to this file."""

    customer: str
    database: str
    file: str


@dataclass(frozen=True)
class Asked:
    """A user asked for this file when so many exports had started."""

    name: str
    started_before: int


def export(job: Job[Export], started: list[str]) -> None:
    """Write the file, at once whole."""
    goal = Path(job.data.file)
    started.append(goal.stem)
    draft = goal.with_suffix(".draft")
    with closing(sqlite3.connect(job.data.database)) as database, draft.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "article", "cents"])
        query = "SELECT id, article, cents FROM purchase WHERE customer = ? ORDER BY id"
        writer.writerows(database.execute(query, (job.data.customer,)))
    draft.replace(goal)


async def ask_for_exports(queue: Queue[Export], second: int, folder: Path, started: list[str]) -> list[Asked]:
    """A batch of routine exports, and two users who want theirs meanwhile."""

    def order(name: str, customer: str) -> Export:
        return Export(customer, str(folder / "shop.db"), str(folder / f"{name}.csv"))

    routine = [order(f"routine-{second}-{customer}", customer) for customer in CUSTOMERS]
    await queue.enqueue_many(routine, priority=ROUTINE)
    asked = []
    for customer in random.sample(CUSTOMERS, 2):
        name = f"user-{second}-{customer}"
        await queue.enqueue(order(name, customer), priority=WAITED_FOR)
        asked.append(Asked(name, len(started)))
    return asked


def fill(path: Path) -> None:
    """Orders to export."""
    chance = random.Random(7)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer TEXT, article TEXT, cents INTEGER)"
        )
        for _ in range(20_000):
            article = f"article, no. {chance.randrange(500)}"
            row = (chance.choice(CUSTOMERS), article, chance.randrange(90_000))
            database.execute("INSERT INTO purchase (customer, article, cents) VALUES (?, ?, ?)", row)


def holds_the_orders(file: Path, shop: Path) -> bool:
    """Whether the export is what the table says."""
    with file.open(newline="") as lines:
        written = [int(row["cents"]) for row in csv.DictReader(lines)]
    with closing(sqlite3.connect(shop)) as database:
        customer = file.stem.split("-", 2)[2]
        rows = database.execute("SELECT cents FROM purchase WHERE customer = ? ORDER BY id", (customer,))
        return written == [cents for (cents,) in rows]


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}")


async def main(url: str, seconds: float, folder: Path) -> None:
    """Ask for exports, and look at the order they started in and at the files."""
    fill(folder / "shop.db")
    started: list[str] = []
    asked: list[Asked] = []
    batches = max(1, round(seconds))
    async with QueueManager(url) as manager:
        queue = manager.get_queue("exports", Export)
        await queue.consume(partial(export, started=started), consumer_group="exporters", concurrency=1)
        for second in range(batches):
            asked += await ask_for_exports(queue, second, folder, started)
            await asyncio.sleep(1)
        total = batches * (len(CUSTOMERS) + 2)
        await wait_until(
            lambda: len(list(folder.glob("*.csv"))) == total, description="all is exported", timeout=60
        )

    behind, overtaken = [], []
    for each in asked:
        place = started.index(each.name)
        behind.append(sum(name.startswith("routine") for name in started[each.started_before : place]))
        overtaken.append(sum(name.startswith("routine") for name in started[place:]))
        print(f"{each.name}: started behind {behind[-1]} routine exports, before {overtaken[-1]}")
    expect(max(behind) <= 1, "a user waited for no more than one routine export that was about to start")
    expect(overtaken[0] and overtaken[1], "routine exports that were asked for before them came after them")
    whole = [holds_the_orders(file, folder / "shop.db") for file in folder.glob("*.csv")]
    expect(all(whole), f"{len(whole)} files hold what the table does")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--seconds", type=float, default=3.0, help="for how long exports are asked for")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(
                main(options.url or f"sqlite:///{directory}/queue.db", options.seconds, Path(directory))
            )
    except QueueError as error:
        sys.exit(str(error))
