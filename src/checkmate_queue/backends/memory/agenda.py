"""What will be due, in order."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkmate_queue.core.model import Millis

T = TypeVar("T")

_SLACK = 64


class Agenda(Generic[T]):
    """Things by (time, order). Each is on it at most once; taking one off again is cheap.

    What is taken off stays in the heap as garbage, which never outgrows what is current.
    """

    __slots__ = ("_heap", "_serial", "_serials")

    def __init__(self) -> None:
        self._heap: list[tuple[Millis, int | str, int, T]] = []
        self._serials: dict[T, int] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._serials)

    @property
    def footprint(self) -> int:
        """How many entries are held in memory, garbage included."""
        return len(self._heap)

    def put(self, at: Millis, order: int | str, thing: T) -> None:
        """Enter a thing, or move it."""
        self._serial += 1
        self._serials[thing] = self._serial
        heappush(self._heap, (at, order, self._serial, thing))
        self._sweep()

    def remove(self, thing: T) -> None:
        """Take a thing off, if it is on."""
        if self._serials.pop(thing, None) is not None:
            self._sweep()

    def next_at(self) -> Millis | None:
        """The time of the first thing."""
        heap = self._heap
        while heap and self._serials.get(heap[0][3]) != heap[0][2]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now: Millis) -> T | None:
        """Take the first thing off, if it is due."""
        first = self.next_at()
        if first is None or first > now:
            return None
        thing = heappop(self._heap)[3]
        del self._serials[thing]
        return thing

    def due(self, now: Millis, limit: int) -> list[T]:
        """The first things that are due; they stay."""
        entries: list[tuple[Millis, int | str, int, T]] = []
        while len(entries) < limit and (first := self.next_at()) is not None and first <= now:
            entries.append(heappop(self._heap))
        for entry in entries:
            heappush(self._heap, entry)
        return [entry[3] for entry in entries]

    def in_order(self) -> Iterator[tuple[Millis, T]]:
        """All things with their times."""
        for at, _, serial, thing in sorted(self._heap, key=itemgetter(0, 1, 2)):
            if self._serials.get(thing) == serial:
                yield at, thing

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._serials) + _SLACK:
            self._heap = [entry for entry in self._heap if self._serials.get(entry[3]) == entry[2]]
            heapify(self._heap)
