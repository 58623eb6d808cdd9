"""Tables that fit a terminal without breaking what people copy from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = "  "
USEFUL = 16
LEAST = 8
"""How far a text is shortened: first, and where that is not enough."""

LEAST_WRAPPED = 30
BLANK = frozenset(("", "-", "0"))


@dataclass(frozen=True, slots=True)
class Column:
    """A name and what stands below it.

    `brief` says the same as `cells` in less room. A column that is not `short` is as wide as what stands in
    it; the words of one that `wraps`, which must be the last one, go on in the next line.
    """

    name: str
    cells: Sequence[str]
    brief: Sequence[str]
    numeric: bool = False
    short: bool = False
    wraps: bool = False
    width: int = 0

    @property
    def natural(self) -> int:
        """The width that shows all of it."""
        return max(map(cell_len, (self.name, *self.cells)))

    @property
    def blank(self) -> bool:
        """Whether nothing stands in it."""
        return BLANK.issuperset(self.cells)

    def least(self, text: int) -> int:
        """The width that it needs where texts get so much."""
        if self.wraps:
            text = LEAST_WRAPPED
        return min(self.natural, max(text, cell_len(self.name))) if self.short or self.wraps else self.natural

    def line(self, text: str) -> Text:
        """One cell in its place."""
        cell = Text(text)
        cell.truncate(self.width, overflow="ellipsis")
        cell.align("right" if self.numeric else "left", self.width)
        return cell


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Names in `spare` may be left out where room is short, the first ones first.

    Where room is short, texts are shortened, times lose their seconds, and columns are left out, first those
    in which nothing stands. If that is not enough, lines are longer than the terminal is wide.
    """

    columns: Sequence[Column]
    spare: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self._fitted(options.max_width)
        for line in _lines(console, shown):
            line.rstrip()
            line.no_wrap, line.overflow = True, "ignore"
            yield line
        left_out = [c.name for c in self.columns if c.name not in {each.name for each in shown}]
        if left_out:
            yield Text(f"(too narrow for: {', '.join(left_out)})", style="dim")

    def _fitted(self, room: int) -> list[Column]:
        full = list(self.columns)
        brief = [replace(column, cells=column.brief) for column in full]
        attempts = [
            (full, USEFUL),
            *((choice, USEFUL) for choice in self._without_spare(brief)),
            *((choice, LEAST) for choice in self._without_spare(brief)),
        ]
        fitting = next((each for each in attempts if _needed(*each) <= room), (brief, USEFUL))
        return _widened(*fitting, room)

    def _without_spare(self, columns: Sequence[Column]) -> Iterator[list[Column]]:
        """All columns, then one less each time."""
        blank = {column.name for column in columns if column.blank}
        left = list(columns)
        yield left
        for name in sorted(self.spare, key=lambda name: name not in blank):
            left = [column for column in left if column.name != name]
            yield left


def _needed(columns: Sequence[Column], text: int) -> int:
    return sum(column.least(text) for column in columns) + len(GAP) * (len(columns) - 1)


def _widened(columns: Sequence[Column], text: int, room: int) -> list[Column]:
    """What room is left goes to what was shortened, evenly."""
    widths = [column.least(text) for column in columns]
    left = room - _needed(columns, text)
    while left > 0:
        growing = [i for i, column in enumerate(columns) if widths[i] < column.natural]
        if not growing:
            break
        for index in growing[:left]:
            widths[index] += 1
        left -= len(growing)
    return [replace(column, width=width) for column, width in zip(columns, widths, strict=True)]


def _lines(console: Console, columns: Sequence[Column]) -> Iterator[Text]:
    gap = Text(GAP)
    header = gap.join(column.line(column.name) for column in columns)
    header.stylize("bold")
    yield header
    for row in zip(*(column.cells for column in columns), strict=True):
        *firsts, last = zip(columns, row, strict=True)
        before = gap.join([*(column.line(text) for column, text in firsts), Text("")])
        yield from _last(console, before, *last)


def _last(console: Console, before: Text, column: Column, text: str) -> Iterator[Text]:
    """The end of a row, which may go on below."""
    if not column.wraps:
        yield before + column.line(text)
        return
    for index, part in enumerate(Text(text).wrap(console, column.width) or [Text()]):
        yield (Text(" " * before.cell_len) if index else before) + part
