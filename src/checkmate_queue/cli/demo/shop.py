"""The business that the demo plays: a SQLite database of orders and of who may do what."""

from __future__ import annotations

import csv
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

COUNTRIES = ("AT", "CH", "DE", "FR", "IT", "NL")
MONTHS = tuple(f"2025-{month:02}" for month in range(1, 13))
ORDERS = 60_000
PRODUCTS = ("anvil", "bellows", "chisel", "drill", "file", "hammer", "pliers", "saw")
COLUMNS = ("order_id", "day", "customer", "product", "quantity", "cents")

PAGE_ROWS = 200
PAGE_PAUSE_SECONDS = 0.03
"""An export reads in pages and rests between them, as one does on a database that others use, too."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a set of orders adds up to."""

    rows: int
    cents: int


class Permission(NamedTuple):
    """A user's role, and the number of the change that gave it."""

    role: str
    change: int


def open_shop(path: Path) -> sqlite3.Connection:
    """A connection for this thread."""
    return sqlite3.connect(path, timeout=10.0)


def found(path: Path) -> None:
    """Make the database and fill it with orders."""
    with closing(open_shop(path)) as shop:
        shop.executescript(_statement("found"))
        with shop:
            shop.executemany(_statement("add_order"), _orders())


def _orders() -> Iterator[tuple[int, str, str, str, str, str, int, int]]:
    chance = random.Random(20250101)
    for number in range(1, ORDERS + 1):
        month, product = chance.choice(MONTHS), chance.randrange(len(PRODUCTS))
        quantity = chance.randint(1, 9)
        yield (
            number,
            chance.choice(COUNTRIES),
            month,
            f"{month}-{chance.randint(1, 28):02}",
            f"customer {chance.randint(1, 5_000)}",
            PRODUCTS[product],
            quantity,
            quantity * (499 + 250 * product),
        )


def totals(path: Path, country: str, month: str) -> Totals:
    """What an export of these orders must add up to."""
    with closing(open_shop(path)) as shop:
        row = shop.execute(_statement("total"), (country, month)).fetchone()
    return Totals(*row)


def export(path: Path, country: str, month: str, target: Path) -> Totals:
    """Write these orders to a CSV file, which appears under its name when it is whole."""
    rows = cents = 0
    draft = target.with_suffix(f".{os.getpid()}.part")
    with closing(open_shop(path)) as shop, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        orders = shop.execute(_statement("export"), (country, month))
        while page := orders.fetchmany(PAGE_ROWS):
            writer.writerows(page)
            rows += len(page)
            cents += sum(row[-1] for row in page)
            time.sleep(PAGE_PAUSE_SECONDS)
    draft.replace(target)
    return Totals(rows, cents)


def read_export(target: Path) -> Totals:
    """What a CSV file adds up to."""
    with target.open(encoding="utf-8", newline="") as file:
        cents = [int(row["cents"]) for row in csv.DictReader(file)]
    return Totals(len(cents), sum(cents))


def permit(path: Path, user: str, role: str, change: int) -> None:
    """Give a user a role; `change` is the number of the change."""
    with closing(open_shop(path)) as shop, shop:
        shop.execute(_statement("permit"), (user, role, change))


def permissions(path: Path) -> dict[str, Permission]:
    """Who may do what."""
    with closing(open_shop(path)) as shop:
        return {
            user: Permission(role, change) for user, role, change in shop.execute(_statement("permissions"))
        }


@cache
def _statement(name: str) -> str:
    return files("checkmate_queue.cli.demo").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
