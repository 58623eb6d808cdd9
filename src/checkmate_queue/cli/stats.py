"""`checkmate-queue stats`: the numbers of the queues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from checkmate_queue import BackendUnavailableError, GroupStats, QueueManager, QueueStats
from checkmate_queue.cli.command import one_line
from checkmate_queue.cli.options import Json, Url
from checkmate_queue.cli.output import as_json as jsonable
from checkmate_queue.cli.output import console, show, show_json, span, table
from checkmate_queue.cli.session import check_known, visit

COLUMNS = (
    "queue", "pending", "processing", "delayed", "unclaimed", "completed", "failed", "expired", "cancelled",
    "oldest",
)  # fmt: skip
RATE = "done/s"
SPARE = ("cancelled", "expired", "unclaimed", "delayed", "completed")


@dataclass(frozen=True, slots=True)
class Row:
    """A queue's numbers."""

    queue: str
    paused: bool
    stats: QueueStats


@dataclass(frozen=True, slots=True)
class Sample:
    """All numbers at one moment."""

    at: float
    rows: list[Row]

    def rates_since(self, before: Sample | None) -> dict[str, float]:
        """Completed deliveries per second, by queue."""
        if before is None or self.at <= before.at:
            return {}
        earlier = {row.queue: row.stats.completed for row in before.rows}
        return {
            row.queue: (row.stats.completed - earlier.get(row.queue, 0)) / (self.at - before.at)
            for row in self.rows
        }


def stats(
    url: Url,
    queues: Annotated[
        list[str] | None, typer.Argument(metavar="QUEUE", help="Only these.", show_default=False)
    ] = None,
    groups: Annotated[bool, typer.Option("--groups", help="Show each consumer group, too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Show the numbers of all queues.

    Pending, processing and what comes after count deliveries, one for each consumer group. With --watch
    and --json, each look is one line.
    """
    names = queues or []
    if watch:
        try:
            visit(url, lambda manager: _watch(manager, names, groups, interval, as_json))
        except KeyboardInterrupt:
            return
    sample = visit(url, lambda manager: _read(manager, names))
    if as_json:
        show_json(_plain(sample))
    else:
        show(_table(sample, groups, {}))


async def _read(manager: QueueManager, names: list[str]) -> Sample:
    await check_known(manager, names)
    found = await manager.get_all_stats()
    chosen = names or list(found)
    rows = [Row(name, await manager.get_queue(name).is_paused(), found[name]) for name in chosen]
    return Sample(time.monotonic(), rows)


async def _watch(
    manager: QueueManager, names: list[str], groups: bool, interval: float, as_json: bool
) -> None:
    screen = console()
    if as_json or not screen.is_terminal:
        async for sample, view in _looks(manager, names, groups, interval):
            if as_json and sample is not None:
                show_json(_plain(sample), indent=None)
            elif not as_json:
                screen.print(view)
        return
    with Live(console=screen, auto_refresh=False) as live:
        async for _, view in _looks(manager, names, groups, interval):
            live.update(view, refresh=True)


async def _looks(
    manager: QueueManager, names: list[str], groups: bool, interval: float
) -> AsyncIterator[tuple[Sample | None, RenderableType]]:
    """What there is to see, again and again; a backend that goes away is seen, too."""
    before: Sample | None = None
    while True:
        try:
            sample = await _read(manager, names)
        except BackendUnavailableError as error:
            yield None, Text(one_line(f"the backend can't be reached: {error}"))
        else:
            yield sample, _table(sample, groups, sample.rates_since(before))
            before = sample
        await asyncio.sleep(interval)


def _plain(sample: Sample) -> list[dict[str, object]]:
    return [{"queue": row.queue, "paused": row.paused, **jsonable(row.stats)} for row in sample.rows]


def _table(sample: Sample, groups: bool, rates: dict[str, float]) -> RenderableType:
    if not sample.rows:
        return Text("The backend has no queue yet.")
    rows: list[list[object]] = []
    for row in sample.rows:
        name = f"{row.queue} (paused)" if row.paused else row.queue
        rate = [f"{rates.get(row.queue, 0):.1f}"] if rates else []
        rows.append([name, *_numbers(row.stats, row.stats.unclaimed), *rate])
        if groups:
            rows += [
                [f"  {each}", *_numbers(n, "")] + [""] * len(rate) for each, n in row.stats.groups.items()
            ]
    return table((*COLUMNS, RATE) if rates else COLUMNS, rows, spare=SPARE)


def _numbers(numbers: QueueStats | GroupStats, unclaimed: object) -> list[object]:
    return [
        numbers.pending,
        numbers.processing,
        numbers.delayed,
        unclaimed,
        numbers.completed,
        numbers.failed,
        numbers.expired,
        numbers.cancelled,
        span(numbers.oldest_pending_seconds),
    ]
