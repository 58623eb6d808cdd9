"""`checkmate-queue groups`: who consumes what."""

from __future__ import annotations

from typing import Annotated

import typer

from checkmate_queue import GroupDetails, GroupStats, QueueManager
from checkmate_queue.cli.command import Command, CommandError
from checkmate_queue.cli.options import Json, OnlyQueue, QueueName, Url, Yes
from checkmate_queue.cli.output import WAITING, confirmed, counted, report, show, show_json, span, table
from checkmate_queue.cli.output import as_json as jsonable
from checkmate_queue.cli.session import chosen_queues, known_queue, visit

app = typer.Typer(help="Look at consumer groups, drop and rename them.", rich_markup_mode=None)


@app.command("list", cls=Command)
def list_groups(
    url: Url,
    queue: OnlyQueue = None,
    as_json: Json = False,
) -> None:
    """List the consumer groups of a queue, or of all queues."""

    async def read(manager: QueueManager) -> list[tuple[str, GroupDetails, GroupStats]]:
        found = []
        for each in await chosen_queues(manager, queue):
            numbers = (await each.get_stats()).groups
            found += [
                (each.name, group, numbers.get(group.name, GroupStats()))
                for group in await each.list_groups()
            ]
        return found

    groups = visit(url, read)
    if as_json:
        show_json(
            [{"queue": name, **jsonable(group), **jsonable(numbers)} for name, group, numbers in groups]
        )
        return
    columns = (
        "queue",
        "group",
        "workers",
        "pending",
        "processing",
        "retrying",
        "oldest",
        "ephemeral",
        "since",
    )
    rows = (
        [
            name,
            g.name,
            g.workers,
            n.pending,
            n.processing,
            n.delayed,
            span(n.oldest_pending_seconds),
            g.ephemeral,
            g.registered_at,
        ]
        for name, g, n in groups
    )
    show(table(columns, rows, spare=("since", "ephemeral", "retrying", "oldest")))


@app.command("drop", cls=Command)
def drop(
    queue: QueueName,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")],
    url: Url,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a consumer group; what waits for it ends as expired.

    One that a worker consumes can't be dropped.
    """

    async def order(manager: QueueManager) -> None:
        jobs = await known_queue(manager, queue)
        numbers = (await jobs.get_stats()).groups.get(group)
        if numbers is None:
            raise CommandError(f"queue {queue!r} has no consumer group {group!r}")
        waiting = numbers.pending + numbers.delayed
        confirmed(f"Drop group {group!r} of queue {queue!r}, for which {counted(waiting, *WAITING)}?", yes)
        await jobs.drop_group(group)

    visit(url, order)
    report(as_json, {"queue": queue, "dropped": group}, f"{group} was dropped")


@app.command("rename", cls=Command)
def rename(
    queue: QueueName,
    old: Annotated[str, typer.Argument(metavar="OLD", help="Its present name.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    url: Url,
    as_json: Json = False,
) -> None:
    """Rename a consumer group, with all that waits for it.

    One that a worker consumes can't be renamed.
    """

    async def order(manager: QueueManager) -> None:
        await (await known_queue(manager, queue)).rename_group(old, new)

    visit(url, order)
    report(as_json, {"queue": queue, "old": old, "new": new}, f"{old} is {new} now")
