"""`python -m benchmarks [SUITE …]`: run them, print a table, fail at a missed bar. See `SUITES`."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import backlog, drain, move, punctuality, soak
from benchmarks.measure import Result
from benchmarks.yardstick import yardstick

SUITES = {
    "drain": drain.run,
    "backlog": backlog.run,
    "punctuality": punctuality.run,
    "soak": soak.run,
    "move": move.run,
}


def table(results: list[Result]) -> Table:
    drawn = Table(title=f"Python {platform.python_version()}, {platform.machine()}")
    for column in ("measured", "value", "unit", "bar", ""):
        drawn.add_column(column, justify="right" if column in ("value", "bar") else "left")
    for result in results:
        bar = "" if result.bar is None else f"{'≤' if result.at_most else '≥'} {result.bar:,.2f}"
        verdict = {None: "", True: "ok", False: "MISSED"}[result.passed]
        drawn.add_row(result.name, f"{result.value:,.2f}", result.unit, bar, verdict)
    return drawn


async def measure(names: list[str], repeats: int) -> list[Result]:
    results = []
    with yardstick() as stick:
        for name in names:
            try:
                results += await SUITES[name](stick, repeats)
            except Exception as error:
                # What could not be measured has missed its bars; the other suites are measured all the same.
                results.append(Result(f"{name}: {error!r}", 0, "", bar=1))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of: {', '.join(SUITES)} (default: all)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median counts (default: 5)")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    options = parser.parse_args()
    names = options.suites or list(SUITES)
    if unknown := set(names) - set(SUITES):
        parser.error(f"there is no suite {unknown.pop()!r}; there are: {', '.join(SUITES)}")
    results = asyncio.run(measure(names, options.repeats))
    Console(width=120).print(table(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return int(any(result.passed is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
