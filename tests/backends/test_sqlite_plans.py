"""No statement looks at more rows than it needs: what SQLite plans to do for each of them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources

import pytest

from checkmate_queue.backends.sqlite.statements import PACKAGE, migrations, split, statement

NAMES = sorted(
    file.name.removesuffix(".sql")
    for file in resources.files(PACKAGE).joinpath("sql").iterdir()
    if file.name.endswith(".sql")
)

SMALL = {"registry", "next", "sleeper", "CONSTANT ROW", "json_each", "level"}
"""What is read whole: it has few rows, or those that were asked for."""

SORTING = {
    "attended", "dead_epochs", "epochs", "group_expiries", "members",  # a queue's workers and groups
    "export_claims", "export_epochs", "held_in_order",  # what workers hold, once in a move
    "lapsed_claims", "orders", "repeat_claims",  # what one worker holds
    "due", "oldest_ready", "schedules_of",  # a batch; a row for each priority; a set of ids
    "delayed_keys", "ready_keys", "unclaimed_keys",  # of all that are in one state, the first ones
}  # fmt: skip

WHOLE = {
    "queue_names", "admit_epochs", "admit_queues", "reopen_queues",  # all queues
    *(name for name in NAMES if name.startswith("empty_")),  # whatever comes first
}  # fmt: skip


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        for _, script in migrations():
            for part in split(script):
                opened.execute(part)
        yield opened


def plan(connection: sqlite3.Connection, name: str) -> list[str]:
    text = statement(name)
    count = max([0, *map(int, re.findall(r"\?(\d+)", text))])
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", [1] * count)]


@pytest.mark.parametrize("name", NAMES)
def test_plan(connection: sqlite3.Connection, name: str) -> None:
    """Rows are found by index, and in the order in which they are wanted."""
    for step in plan(connection, name):
        scanned = re.match(r"SCAN (\(subquery|CONSTANT ROW|\w+)", step)
        if scanned and name not in WHOLE:
            assert scanned[1] in SMALL | {"(subquery"}, step
        assert "AUTOMATIC" not in step, step
        if name not in SORTING:
            assert "TEMP B-TREE" not in step, step


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("first_ready", "ready USING PRIMARY KEY (grp=?)"),
        ("delete_first_ready", "ready USING PRIMARY KEY (grp=? AND (rank,pos)<(?,?))"),
        ("held_claims", "claimed USING PRIMARY KEY (grp=? AND key=?)"),
        ("membership", "claimed USING INDEX claimed_flagged (epoch=? AND grp=?)"),
        ("heads", "job USING COVERING INDEX job_due (queue=? AND due_at>?)"),
        ("heads", "job USING COVERING INDEX job_sweep (queue=? AND sweep_at>?)"),
        ("heads", "waiting USING COVERING INDEX waiting_due (queue=?)"),
        ("heads", "schedule USING COVERING INDEX schedule_due (queue=? AND next_at>?)"),
        ("due", "job USING INDEX job_due (queue=? AND due_at<?)"),
        ("sweepable", "job USING INDEX job_sweep (queue=? AND sweep_at<?)"),
    ],
)
def test_hot_statements(connection: sqlite3.Connection, name: str, index: str) -> None:
    """The statements of an exchange go by these indexes, and none reads what it does not return."""
    assert f"SEARCH {index}" in plan(connection, name)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("next_keys", ["job USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
        ("delayed_keys", ["job USING COVERING INDEX job_due (queue=? AND due_at>?)"]),
        ("unclaimed_keys", ["job USING INDEX job_unclaimed (queue=?)"]),
        ("ready_keys", ["ready USING PRIMARY KEY (grp=?)"]),
        ("claimed_keys", ["claimed USING PRIMARY KEY (grp=? AND key>?)"]),
        ("waiting_keys", ["waiting USING PRIMARY KEY (grp=? AND key>?)"]),
        ("job_records", ["job USING INTEGER PRIMARY KEY (rowid=?)"]),
    ],
)
def test_listings(connection: sqlite3.Connection, name: str, steps: list[str]) -> None:
    """A listing reads what is in the state that it is asked for, and no job before its page is known."""
    found = [step.removeprefix("SEARCH ") for step in plan(connection, name) if step.startswith("SEARCH")]
    assert found == steps
