"""What the demo shows: a live table on a terminal, plain lines elsewhere, and the verdict at the end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from checkmate_queue.cli.demo.rules import Row
from checkmate_queue.cli.demo.snapshot import GroupLine, Snapshot, WorkerLine
from checkmate_queue.cli.demo.verdict import Verdict

LINE_EVERY_SECONDS = 2.0
NEWS_LINES = 3
ROOMY_LINES = 32
PROBLEM_LINES = 12

_STATES = {
    "starting": "yellow",
    "working": "green",
    "frozen": "bold cyan",
    "killed": "bold red",
    "stopping": "yellow",
    "stopped": "dim",
}


class Screen(Protocol):
    """Where a running demo is seen."""

    def show(self, snapshot: Snapshot) -> None:
        """A new moment."""

    def tell(self, news: str) -> None:
        """Something happened."""

    def close(self) -> None:
        """The run is over."""


class LiveScreen:
    """A table that is drawn over and over."""

    def __init__(self, console: Console, title: str, seconds: float) -> None:
        self._title = title
        self._seconds = seconds
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        self._snapshot: Snapshot | None = None
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._draw()

    def tell(self, news: str) -> None:
        self._news.append(news)
        self._draw()

    def close(self) -> None:
        self._live.stop()

    def _gap(self) -> Sequence[RenderableType]:
        return [""] if self._live.console.height >= ROOMY_LINES else []

    def _draw(self) -> None:
        parts: list[RenderableType] = [Text(self._title, style="bold")]
        if self._snapshot is not None:
            parts += [
                _progress(self._snapshot, self._seconds),
                *self._gap(),
                _groups_table(self._snapshot.groups),
                *self._gap(),
                _workers_table(self._snapshot.workers),
                *self._gap(),
            ]
        parts += [Text(f"  {news}", style="dim", overflow="ellipsis", no_wrap=True) for news in self._news]
        self._live.update(Group(*parts), refresh=True)


class PlainScreen:
    """A line now and then, for logs and pipes."""

    def __init__(self, write: Callable[[str], None], title: str) -> None:
        self._write = write
        self._last = float("-inf")
        write(title)

    def show(self, snapshot: Snapshot) -> None:
        if time.monotonic() - self._last < LINE_EVERY_SECONDS:
            return
        self._last = time.monotonic()
        stats = [line.stats for line in snapshot.groups]
        checks = snapshot.groups[0]
        alive = sum(worker.state in ("working", "frozen") for worker in snapshot.workers)
        self._write(
            f"{snapshot.elapsed:5.1f} s  {snapshot.phase:<9}  workers {alive}  "
            f"pending {sum(s.pending for s in stats):>5,}  delayed {sum(s.delayed for s in stats):>4,}  "
            f"running {sum(s.processing for s in stats):>3,}  done {sum(s.completed for s in stats):>6,}  "
            f"failed {sum(s.failed for s in stats):>3,}  "
            f"schedules {sum(line.schedules for line in snapshot.groups):>4,}  "
            f"{checks.queue} p50 {_millis(checks.latency.median)} "
            f"p99 {_millis(checks.latency.slowest)} ms"
        )

    def tell(self, news: str) -> None:
        self._write(f"         {news}")

    def close(self) -> None:
        pass


# -- the live table ------------------------------------------------------------------------------


def _progress(snapshot: Snapshot, seconds: float) -> Table:
    line = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=seconds, completed=min(snapshot.elapsed, seconds), width=40)
    over = snapshot.elapsed - seconds
    phase = f"{snapshot.phase}, {over:.1f} s more" if over > 0 else snapshot.phase
    line.add_row(
        bar, f"{snapshot.elapsed - max(0, over):4.1f} of {seconds:g} s", Text(phase, style="bold cyan")
    )
    return line


def _groups_table(lines: Sequence[GroupLine]) -> Table:
    table = Table(
        box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold cyan", show_footer=True,
        caption="latency: from ready to started", caption_justify="right",
    )  # fmt: skip
    table.add_column("queue", footer="all", width=13, no_wrap=True)
    table.add_column("group", width=14, no_wrap=True)
    totals = {
        "pending": sum(line.stats.pending for line in lines),
        "delayed": sum(line.stats.delayed for line in lines),
        "running": sum(line.stats.processing for line in lines),
        "done": sum(line.stats.completed for line in lines),
        "failed": sum(line.stats.failed for line in lines),
        "schedules": sum(line.schedules for line in lines),
    }
    for name, total in totals.items():
        table.add_column(
            name, footer=f"{total:,}", justify="right", min_width=max(6, len(name)), no_wrap=True
        )
    for name in ("p50 ms", "p99 ms"):
        table.add_column(name, justify="right", min_width=6, no_wrap=True)
    before = ""
    for line in lines:
        stats = line.stats
        table.add_row(
            line.queue if line.queue != before else "",
            line.group,
            _count(stats.pending),
            _count(stats.delayed),
            _count(stats.processing, "green"),
            _count(stats.completed),
            _count(stats.failed, "bold red"),
            _count(line.schedules),
            _millis(line.latency.median),
            _millis(line.latency.slowest),
        )
        before = line.queue
    return table


def _workers_table(workers: Sequence[WorkerLine]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold cyan")
    table.add_column("process", min_width=13, no_wrap=True)
    table.add_column("pid", justify="right", min_width=7, no_wrap=True)
    table.add_column("state", min_width=8, no_wrap=True)
    table.add_column("in hand", justify="right", min_width=7, no_wrap=True)
    table.add_column("", no_wrap=True)
    for worker in workers:
        state = Text(worker.state, style=_STATES.get(worker.state, ""))
        in_hand = f"{worker.in_hand:,}" if worker.state in ("working", "frozen") else ""
        table.add_row(worker.name, str(worker.pid), state, in_hand, worker.remark)
    return table


def _count(number: int, style: str = "") -> Text:
    return Text(f"{number:,}", style=style if number else "dim")


def _millis(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f}"


# -- the end -------------------------------------------------------------------------------------


AGAIN = (
    "again: allowed, since a killed worker had them in hand: its own ledger, read while it was frozen, has "
    "their start and not their end, or the backend still had them as claimed"
)


def show_verdict(console: Console, verdict: Verdict) -> None:
    """The final table, and what is wrong, if anything is."""
    console.print()
    console.print(_verdict_table(verdict.rows))
    console.print()
    for row in verdict.rows:
        console.print(Text(f"{row.pattern[:2]} {row.note}", style="dim"))
    for note in [*verdict.notes, *([AGAIN] if verdict.notes else [])]:
        console.print(Text(note, style="dim"))
    problems = [*verdict.general, *(problem for row in verdict.rows for problem in row.problems)]
    for problem in problems[:PROBLEM_LINES]:
        console.print(Text(f"! {problem}", style="bold red"), soft_wrap=True)
    if len(problems) > PROBLEM_LINES:
        console.print(Text(f"! … and {len(problems) - PROBLEM_LINES:,} more", style="bold red"))


def _verdict_table(rows: Sequence[Row]) -> Table:
    table = Table(
        title="What the producers' ledger expects, and what those who did the work have seen",
        title_justify="left", title_style="bold", box=None, padding=(0, 0, 0, 2), pad_edge=False,
        header_style="bold cyan",
    )  # fmt: skip
    table.add_column("pattern", width=35, no_wrap=True)
    for name in ("expected", "seen", "lost", "twice", "early", "order", "wrong", "again"):
        table.add_column(name, justify="right", width=max(5, len(name)))
    table.add_column("")
    for row in rows:
        bad = (len(row.lost), len(row.twice), len(row.early), len(row.disorder), len(row.wrong))
        table.add_row(
            row.pattern,
            f"{row.expected:,}",
            f"{row.seen:,}",
            *(_count(number, "bold red") for number in bad),
            _count(row.again, "yellow"),
            Text("ok", style="bold green") if row.ok else Text("BAD", style="bold red"),
        )
    return table
