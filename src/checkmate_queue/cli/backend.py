"""`checkmate-queue backend`: which backend is active, and the switch to another one."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any, TypeAlias

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from checkmate_queue import (
    BackendStatus,
    ConfigError,
    QueueManager,
    SwitchPreview,
    SwitchProgressed,
    SwitchResult,
)
from checkmate_queue.backends import discover
from checkmate_queue.cli.command import Command, CommandError, say
from checkmate_queue.cli.options import Json, Url, Yes
from checkmate_queue.cli.output import confirmed, console, facts, show, show_json, table
from checkmate_queue.cli.session import visit
from checkmate_queue.manager.address import Address

app = typer.Typer(help="Look at the backend, and switch to another one.", rich_markup_mode=None)

CONFIG_VARIABLE = "CHECKMATE_QUEUE_TARGET_CONFIG"

Target: TypeAlias = Annotated[
    str, typer.Argument(metavar="TARGET", help="The new backend's URL, or the id of its plugin.")
]
Config: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--config",
        envvar=CONFIG_VARIABLE,
        help="Settings of the new backend as a JSON object; '-' reads them from stdin.",
        show_default=False,
        show_envvar=True,
    ),
]


@app.command("list", cls=Command)
def list_backends(as_json: Json = False) -> None:
    """List the backends that can be chosen."""
    plugins = discover().get_plugins()
    if as_json:
        show_json(
            [
                {
                    "id": plugin.id,
                    "name": plugin.display_name,
                    "schemes": list(plugin.schemes),
                    "switchable": plugin.switchable,
                    "description": plugin.description,
                }
                for plugin in plugins
            ]
        )
        return
    rows = (
        [p.id, ", ".join(f"{scheme}://" for scheme in p.schemes), p.switchable, p.description]
        for p in plugins
    )
    show(table(("id", "url", "switchable", "description"), rows, short=("url",), wraps=True))


@app.command("show", cls=Command)
def show_backend(url: Url, as_json: Json = False) -> None:
    """Show the active backend and its settings, secrets redacted."""

    async def read(manager: QueueManager) -> tuple[str, dict[str, Any]]:
        return manager.get_active_plugin(), manager.get_active_config()

    plugin, config = visit(url, read)
    if as_json:
        show_json({"plugin": plugin, "config": config})
        return
    show(facts([("plugin", plugin), *config.items()]))


@app.command("test", cls=Command)
def test_backend(target: Target, config: Config = None) -> None:
    """Try to reach a backend; a storage that does not exist yet is made."""
    plugin_id, values = _target(target, config)
    plugin = discover().get_plugin(plugin_id)
    store = plugin.create_store(plugin.validate(values))

    async def reach() -> None:
        try:
            await store.open()
            await store.ping()
        finally:
            await store.close()

    asyncio.run(reach())
    print(f"the {plugin_id} backend can be reached")


@app.command("status", cls=Command)
def status(url: Url, as_json: Json = False) -> None:
    """Show which backend is active, and whether a switch is under way."""

    async def read(manager: QueueManager) -> BackendStatus:
        return await manager.get_backend_status()

    found = visit(url, read)
    if as_json:
        show_json(found)
        return
    show(
        facts(
            [
                ("plugin", found.plugin),
                ("version", found.version),
                ("phase", found.phase),
                ("other backend", found.other_plugin),
            ]
        )
    )


@app.command("switch", cls=Command)
def switch(
    target: Target,
    url: Url,
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be moved.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Move everything to another backend while everything runs.

    Workers and producers follow by themselves, whichever URL they were started with. Where nothing can be
    moved, nothing is changed.
    """
    plugin_id, values = _target(target, config)
    if not dry_run and discover().get_plugin(plugin_id).in_process:
        raise CommandError(
            f"the {plugin_id} backend is the memory of one process: all would be lost with this command; "
            "have the process that works call manager.set_active_backend instead"
        )

    async def order(manager: QueueManager) -> SwitchResult | SwitchPreview:
        preview = await manager.preview_switch(plugin_id, values)
        if dry_run:
            return preview
        confirmed(
            f"Move {preview.migrated_jobs:,} jobs and {preview.migrated_recurring_jobs:,} recurring jobs "
            f"from {manager.get_active_plugin()} to {plugin_id}?",
            yes,
        )
        with _bar() as bar:
            task = bar.add_task("moving", total=max(1, preview.migrated_jobs))
            manager.on(
                SwitchProgressed, lambda event: bar.update(task, completed=event.jobs, description=event.step)
            )
            return await manager.set_active_backend(plugin_id, values)

    result = visit(url, order)
    for warning in result.warnings:
        say(warning)
    if as_json:
        show_json(result)
        return
    done = "would be moved" if dry_run else "were moved"
    print(f"{result.migrated_jobs} jobs and {result.migrated_recurring_jobs} recurring jobs {done}")


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console(stderr=True))


def _target(target: str, config: str | None) -> tuple[str, dict[str, Any]]:
    """The plugin that is meant, and its settings."""
    given = _settings(config)
    if "://" not in target:
        return target, given
    address = Address(target, given)
    plugin = address.plugin(discover())
    return plugin.id, address.config(plugin).model_dump(mode="python")


def _settings(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        given = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        # It may hold a secret, so it is not shown.
        raise ConfigError("--config must be a JSON object, such as '{\"concurrency\": 5}'")
    return given
