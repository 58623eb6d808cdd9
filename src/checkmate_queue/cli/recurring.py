"""`checkmate-queue recurring`: jobs that come again and again."""

from __future__ import annotations

from typing import Any

import typer

from checkmate_queue import Queue, QueueManager, RecurringJobDetails
from checkmate_queue.cli.command import Command, CommandError
from checkmate_queue.cli.options import JobName, Json, OnlyQueue, QueueName, Url
from checkmate_queue.cli.output import as_json as jsonable
from checkmate_queue.cli.output import brief, facts, report, show, show_json, table
from checkmate_queue.cli.session import chosen_queues, known_queue, visit

app = typer.Typer(help="Look at recurring jobs, cancel them, or run one now.", rich_markup_mode=None)


@app.command("list", cls=Command)
def list_recurring(
    url: Url,
    queue: OnlyQueue = None,
    as_json: Json = False,
) -> None:
    """List the recurring jobs of a queue, or of all queues."""

    async def read(manager: QueueManager) -> list[tuple[str, RecurringJobDetails]]:
        found = []
        for each in await chosen_queues(manager, queue):
            found += [(each.name, details) for details in await _all_details(each)]
        return found

    schedules = visit(url, read)
    if as_json:
        show_json([{"queue": name, **jsonable(details)} for name, details in schedules])
        return
    columns = ("queue", "job", "runs", "next", "last", "outcome", "data")
    rows = (
        [name, s.job_id, _timing(s), s.next_run_at, s.last_run_at, s.last_outcome, brief(s.data)]
        for name, s in schedules
    )
    show(table(columns, rows, short=("data",), spare=("data", "last", "outcome")))


@app.command("show", cls=Command)
def show_recurring(queue: QueueName, job_id: JobName, url: Url, as_json: Json = False) -> None:
    """Show a recurring job with all that is known of it."""

    async def read(manager: QueueManager) -> RecurringJobDetails | None:
        return await (await known_queue(manager, queue)).get_recurring_job_details(job_id)

    schedule = visit(url, read)
    if schedule is None:
        raise _unknown(queue, job_id)
    if as_json:
        show_json(schedule)
        return
    rows: list[tuple[str, object]] = [
        ("job", schedule.job_id),
        ("runs", _timing(schedule)),
        ("priority", schedule.priority),
        ("misfire", schedule.misfire),
        ("overlap", schedule.overlap),
        ("next", schedule.next_run_at),
        ("last", schedule.last_run_at),
        ("outcome", schedule.last_outcome),
        ("data", brief(schedule.data)),
    ]
    show(facts(rows))


@app.command("cancel", cls=Command)
def cancel(queue: QueueName, job_id: JobName, url: Url, as_json: Json = False) -> None:
    """Remove a recurring job.

    Its jobs that have not started go with it; running ones finish.
    """

    async def order(manager: QueueManager) -> bool:
        return await (await known_queue(manager, queue)).cancel_recurring(job_id)

    if not visit(url, order):
        raise _unknown(queue, job_id)
    report(as_json, {"cancelled": job_id}, f"{job_id} does not run any more")


@app.command("run-now", cls=Command)
def run_now(queue: QueueName, job_id: JobName, url: Url, as_json: Json = False) -> None:
    """Run a recurring job once more, now.

    It is a run off the grid: the next one stays where it is.

    The exit code is 1 where the run is held back, since an earlier one has not started or still runs.
    """

    async def order(manager: QueueManager) -> str | None:
        return await (await known_queue(manager, queue)).run_recurring_now(job_id)

    made = visit(url, order)
    if made is None:
        raise CommandError(f"no job was made: an earlier one of {job_id!r} has not started, or still runs")
    report(as_json, {"id": made}, made)


async def _all_details(queue: Queue[Any]) -> list[RecurringJobDetails]:
    found = [await queue.get_recurring_job_details(each) for each in await queue.list_recurring_jobs()]
    return [details for details in found if details is not None]


def _timing(schedule: RecurringJobDetails) -> str:
    if schedule.interval_seconds is not None:
        return f"every {schedule.interval_seconds:g} s"
    return f"{schedule.cron_pattern} {schedule.timezone}"


def _unknown(queue: str, job_id: str) -> CommandError:
    return CommandError(f"queue {queue!r} has no recurring job {job_id!r}")
