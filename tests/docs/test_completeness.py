"""Nothing that users can name is missing from the documentation."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import checkmate_queue
from checkmate_queue import Queue, QueueManager
from checkmate_queue.backends import discover
from docs.generate.pages import outdated
from tests.docs.command_line import all_commands
from tests.docs.pages import DOCS, ROOT, pages

TEXT = "\n".join(page.read_text() for page in pages())
API = (DOCS / "reference" / "api.md").read_text()

FOR_THE_LIBRARY = {
    QueueManager: {
        *("runtime", "check_caller", "loop_from_thread", "call_on_loop"),
        *("draining", "consuming", "forget"),
    },
    Queue: {
        *("worker", "config_changed", "work_came", "ended", "has_ended", "stopped"),
        *("starting", "declared", "declared_groups", "has_declared", "start_declared"),
        *("withdraw_declared", "rewind"),
    },
}
"""What the parts of the library ask of each other."""


@pytest.mark.parametrize("name", checkmate_queue.__all__)
def test_every_public_name_is_mentioned(name: str) -> None:
    assert re.search(rf"\b{name}\b", TEXT), f"no page mentions {name}"


@pytest.mark.parametrize("owner", [QueueManager, Queue])
def test_every_method_of_queues_and_managers_is_in_the_reference(owner: type[Any]) -> None:
    members = {name for name, _ in inspect.getmembers(owner) if not name.startswith("_")}
    listed = {name for name in members if re.search(rf"^        - \"?{name}\"?$", API, re.MULTILINE)}
    assert members - listed - {"registry"} == FOR_THE_LIBRARY[owner]


def test_every_setting_is_mentioned() -> None:
    schemas = [plugin.config_schema for plugin in discover().get_plugins()]
    names = {field.alias or name for schema in schemas for name, field in schema.model_fields.items()}
    assert {name for name in names if f"`{name}`" not in TEXT} == set()


def test_every_command_is_mentioned() -> None:
    text = TEXT + (ROOT / "README.md").read_text()
    commands = [path for path, _ in all_commands()]
    assert commands
    assert [path for path in commands if not re.search(rf"checkmate-queue {path}\b", text)] == []


def test_every_option_of_every_command_is_in_the_reference() -> None:
    reference = (DOCS / "reference" / "cli.md").read_text()
    options = {
        f"{path} {name}"
        for path, command in all_commands()
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--") and name not in reference
    }
    assert options == set()


def test_what_is_generated_is_current() -> None:
    assert outdated() == [], "run: python -m docs.generate"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [page for page in Path(DOCS).rglob("*.md") if f" {page.relative_to(DOCS)}\n" not in navigation]
    assert missing == []
