"""`checkmate-queue failed`: what has used its tries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Annotated, Any, TypeAlias

import typer
from rich.progress import Progress

from checkmate_queue import FailedJob, JobExistsError, Queue, QueueManager
from checkmate_queue.cli.command import Command, CommandError, visible
from checkmate_queue.cli.options import MOST, JobName, Json, Limit, QueueName, Url, Yes
from checkmate_queue.cli.output import (
    brief,
    confirmed,
    console,
    counted,
    facts,
    mention_rest,
    show,
    show_json,
    table,
)
from checkmate_queue.cli.session import known_queue, listing, visit

app = typer.Typer(help="Look at what failed, run it again, or remove it.", rich_markup_mode=None)

PAGE = 200

Group: TypeAlias = Annotated[
    str | None, typer.Option("--group", help="Only those of this consumer group.", show_default=False)
]
Ids: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="The jobs' ids.", show_default=False)
]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All that have failed.")]


@app.command("list", cls=Command)
def list_failed(
    queue: QueueName,
    url: Url,
    group: Group = None,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option(metavar="ENTRY", help="Begin after this entry.")] = None,
    as_json: Json = False,
) -> None:
    """List failed deliveries, the newest first."""

    async def read(manager: QueueManager) -> list[FailedJob]:
        jobs = await _known(manager, queue, group)
        return await jobs.list_failed(group, limit=min(limit + 1, MOST), after=after)

    found = visit(url, read)
    entries = found[:limit]
    if as_json:
        show_json(entries)
        return
    columns = ("job", "group", "failed", "attempts", "error", "data")
    rows = ([e.job_id, e.consumer_group, e.failed_at, e.attempts, _error(e), brief(e.data)] for e in entries)
    show(table(columns, rows, short=("error", "data"), spare=("data", "attempts", "failed")))
    if entries:
        mention_rest(found[limit:], after=entries[-1].entry_id)


@app.command("show", cls=Command)
def show_failed(
    queue: QueueName, job_id: JobName, url: Url, group: Group = None, as_json: Json = False
) -> None:
    """Show why a job failed, in each group, with tracebacks."""

    async def read(manager: QueueManager) -> list[FailedJob]:
        jobs = await _known(manager, queue, group)
        return [entry async for entry in _entries(jobs, group) if entry.job_id == job_id]

    entries = visit(url, read)
    if not entries:
        raise CommandError(f"no failed job {job_id!r} is kept in queue {queue!r}")
    if as_json:
        show_json(entries)
        return
    for entry in entries:
        rows: list[tuple[str, object]] = [
            ("job", entry.job_id),
            ("group", entry.consumer_group),
            ("failed", entry.failed_at),
            ("attempts", entry.attempts),
            ("error", _error(entry)),
            ("data", brief(entry.data)),
        ]
        show(facts(rows))
        print(visible(entry.traceback))


@app.command("retry", cls=Command)
def retry(
    queue: QueueName,
    url: Url,
    ids: Ids = None,
    everything: All = False,
    group: Group = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Run failed jobs again, in the groups in which they failed.

    Of each id the newest failure is run. A job whose id is in use again is passed over.
    """

    async def again(jobs: Queue[Any], job_id: str) -> int | None:
        try:
            return await jobs.retry_failed(job_id, group)
        except JobExistsError:
            return None

    done = _in_bulk(queue, url, ids, everything, group, yes, "Retry", again)
    deliveries = sum(count or 0 for count in done.values())
    report = {
        "deliveries": deliveries,
        "in_use": [job_id for job_id, count in done.items() if count is None],
        "unknown": [job_id for job_id, count in done.items() if count == 0],
    }
    _conclude(report, as_json, f"{counted(deliveries, 'delivery is', 'deliveries are')} ready again")


@app.command("discard", cls=Command)
def discard(
    queue: QueueName,
    url: Url,
    ids: Ids = None,
    everything: All = False,
    group: Group = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove failed jobs for good, with all that is kept of these ids."""

    async def away(jobs: Queue[Any], job_id: str) -> int:
        return await jobs.discard_failed(job_id, group)

    done = _in_bulk(queue, url, ids, everything, group, yes, "Discard", away)
    deliveries = sum(count or 0 for count in done.values())
    report = {
        "deliveries": deliveries,
        "unknown": [job_id for job_id, count in done.items() if count == 0],
    }
    _conclude(report, as_json, f"{counted(deliveries, 'entry was', 'entries were')} removed")


def _in_bulk(
    queue: str,
    url: str,
    ids: list[str] | None,
    everything: bool,
    group: str | None,
    yes: bool,
    verb: str,
    treat: Callable[[Queue[Any], str], Awaitable[int | None]],
) -> dict[str, int | None]:
    """Treat each id, behind a progress bar, after asking; what came of each; of all, the oldest first."""
    if bool(ids) == everything:
        raise typer.BadParameter("give either ids or --all", param_hint="ID")

    async def work(manager: QueueManager) -> dict[str, int | None]:
        jobs = await _known(manager, queue, group)
        if ids:
            chosen = dict.fromkeys(ids)
        else:
            newest_first = [entry.job_id async for entry in _entries(jobs, group)]
            chosen = dict.fromkeys(reversed(newest_first))
            if not chosen:
                return {}
            confirmed(f"{verb} {counted(len(chosen), 'failed job', 'failed jobs')} of queue {queue!r}?", yes)
        screen = console(stderr=True)
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            return await _one_by_one(progress.track(list(chosen), description=verb), partial(treat, jobs))

    return visit(url, work)


async def _known(manager: QueueManager, queue: str, group: str | None) -> Queue[Any]:
    """The queue, if it has the group, or keeps failures of it; else raise `CommandError`."""
    jobs = await known_queue(manager, queue)
    if group is not None:
        names = [each.name for each in await jobs.list_groups()]
        if group not in names and not await jobs.list_failed(group, limit=1):
            raise CommandError(f"queue {queue!r} has no consumer group {group!r}; {listing(names)}")
    return jobs


async def _one_by_one(
    ids: Iterable[str], treat: Callable[[str], Awaitable[int | None]]
) -> dict[str, int | None]:
    """Treat each; raises `CommandError` that says how far it came when it is interrupted."""
    done: dict[str, int | None] = {}
    for job_id in ids:
        treatment = asyncio.ensure_future(treat(job_id))
        try:
            done[job_id] = await asyncio.shield(treatment)
        except asyncio.CancelledError:
            done[job_id] = await treatment
            raise CommandError(f"interrupted after {counted(len(done), 'job', 'jobs')}") from None
    return done


async def _entries(jobs: Queue[Any], group: str | None) -> AsyncIterator[FailedJob]:
    after: str | None = None
    while page := await jobs.list_failed(group, limit=PAGE, after=after):
        for entry in page:
            yield entry
        after = page[-1].entry_id


def _conclude(report: dict[str, Any], as_json: bool, message: str) -> None:
    if as_json:
        show_json(report)
    else:
        print(message)
    if in_use := report.get("in_use"):
        raise CommandError(f"passed over, since jobs of these ids are in the queue: {', '.join(in_use)}")
    if unknown := report["unknown"]:
        raise CommandError(f"no failed job is kept under: {', '.join(unknown)}")


def _error(entry: FailedJob) -> str:
    return f"{entry.error_type}: {entry.message}"
