"""`checkmate-queue jobs`: what is in a queue."""

from __future__ import annotations

from typing import Annotated

import typer

from checkmate_queue import CancelResult, JobDetails, QueueManager
from checkmate_queue.cli.command import Command, CommandError
from checkmate_queue.cli.options import MOST, JobName, Json, Limit, QueueName, Url
from checkmate_queue.cli.output import NONE, brief, facts, mention_rest, show, show_json, table
from checkmate_queue.cli.session import known_queue, visit
from checkmate_queue.core.model import JobState

app = typer.Typer(help="Look at the jobs of a queue, and cancel them.", rich_markup_mode=None)


@app.command("list", cls=Command)
def list_jobs(
    queue: QueueName,
    url: Url,
    state: Annotated[JobState | None, typer.Option(help="Only those that are so in some group.")] = None,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Begin after this job.")] = None,
    as_json: Json = False,
) -> None:
    """List jobs that are not finished, the oldest first."""

    async def read(manager: QueueManager) -> list[JobDetails]:
        return await (await known_queue(manager, queue)).list_jobs(
            state, limit=min(limit + 1, MOST), after=after
        )

    found = visit(url, read)
    jobs = found[:limit]
    if as_json:
        show_json(jobs)
        return
    columns = ("id", "state", "priority", "enqueued", "groups", "data")
    rows = ([j.id, j.state, j.priority, j.timestamp, _groups(j), brief(j.data)] for j in jobs)
    show(table(columns, rows, short=("groups", "data"), spare=("groups", "priority", "enqueued")))
    if jobs:
        mention_rest(found[limit:], after=jobs[-1].id)


@app.command("show", cls=Command)
def show_job(queue: QueueName, job_id: JobName, url: Url, as_json: Json = False) -> None:
    """Show a job with all that is known of it."""

    async def read(manager: QueueManager) -> JobDetails | None:
        return await (await known_queue(manager, queue)).get_job(job_id)

    job = visit(url, read)
    if job is None:
        raise CommandError(f"queue {queue!r} has no job {job_id!r}; it may be finished, or have failed")
    if as_json:
        show_json(job)
        return
    metadata = [(f"metadata {key}", value) for key, value in job.metadata.items()]
    rows: list[tuple[str, object]] = [
        ("id", job.id),
        ("state", job.state),
        ("groups", _groups(job)),
        ("priority", job.priority),
        ("enqueued", job.timestamp),
        *metadata,
        ("data", brief(job.data)),
    ]
    show(facts(rows))


@app.command("cancel", cls=Command)
def cancel(
    queue: QueueName,
    job_ids: Annotated[list[str], typer.Argument(metavar="ID", help="The jobs' ids.")],
    url: Url,
    as_json: Json = False,
) -> None:
    """Remove jobs that wait, and tell those that run to end.

    A running one ends as cancelled, and is not retried. The exit code is 1 where an id is not in the queue.
    """

    async def order(manager: QueueManager) -> dict[str, CancelResult]:
        jobs = await known_queue(manager, queue)
        return {job_id: await jobs.cancel(job_id) for job_id in job_ids}

    results = visit(url, order)
    if as_json:
        show_json(results)
    else:
        rows = ([job_id, done.removed, done.signalled] for job_id, done in results.items())
        show(table(("id", "removed", "told to end"), rows))
    if missing := [job_id for job_id, done in results.items() if not done]:
        raise CommandError(f"queue {queue!r} has no job {', '.join(map(repr, missing))}")


def _groups(job: JobDetails) -> str:
    return ", ".join(f"{group}: {state}" for group, state in job.groups.items()) or NONE
