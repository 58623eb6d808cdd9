"""The ready deliveries of one consumer group, in starting order (J5)."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkmate_queue.backends.memory.state import Delivery
    from checkmate_queue.core.model import Millis

_SLACK = 64


class Level:
    """The ready deliveries of one priority: those that came back, by claim, then the others."""

    __slots__ = ("front", "normal")

    def __init__(self) -> None:
        self.front: list[tuple[int, Delivery]] = []
        self.normal: deque[Delivery] = deque()

    def take_into(self, taken: list[Delivery], want: int) -> None:
        """Move up to `want` deliveries over."""
        front, normal = self.front, self.normal
        while front and want:
            delivery = heappop(front)[1]
            if delivery.state == "pending":
                taken.append(delivery)
                want -= 1
        while normal and want:
            delivery = normal.popleft()
            if delivery.state == "pending":
                taken.append(delivery)
                want -= 1

    def oldest(self) -> list[Millis]:
        """Since when those are ready that may have been longest: the first, and the few that came back."""
        while self.normal and self.normal[0].state != "pending":
            self.normal.popleft()
        times = [delivery.ready_at for _, delivery in self.front if delivery.state == "pending"]
        return [*times, self.normal[0].ready_at] if self.normal else times

    def sweep(self) -> bool:
        """Throw garbage out; whether anything is left."""
        self.front = [entry for entry in self.front if entry[1].state == "pending"]
        heapify(self.front)
        self.normal = deque(delivery for delivery in self.normal if delivery.state == "pending")
        return bool(self.front or self.normal)


class ReadyLine:
    """All ready deliveries of a group. `len` counts them.

    A delivery that ends while it waits stays in line as garbage (its state is no longer "pending"), which
    never outgrows what waits. So a delivery is in line at most once.
    """

    __slots__ = ("_footprint", "_levels", "_priorities", "_size")

    def __init__(self) -> None:
        self._levels: dict[int, Level] = {}
        self._priorities: list[int] = []  # a heap of the levels' negated priorities
        self._size = 0
        self._footprint = 0

    def __len__(self) -> int:
        return self._size

    @property
    def footprint(self) -> int:
        """How many deliveries are held in memory at most, garbage included."""
        return self._footprint

    def append(self, delivery: Delivery) -> None:
        """Line a delivery up behind all others of its priority."""
        level = self._levels.get(delivery.job.priority) or self._new_level(delivery.job.priority)
        level.normal.append(delivery)
        self._size += 1
        self._footprint += 1

    def put_back(self, delivery: Delivery) -> None:
        """Line a delivery up at the front of its priority, by its claim."""
        level = self._levels.get(delivery.job.priority) or self._new_level(delivery.job.priority)
        heappush(level.front, (delivery.claim_number, delivery))
        self._size += 1
        self._footprint += 1

    def take(self, want: int) -> list[Delivery]:
        """Take the first `want` deliveries out."""
        taken: list[Delivery] = []
        while self._priorities and len(taken) < want:
            level = self._levels[-self._priorities[0]]
            level.take_into(taken, want - len(taken))
            if not level.front and not level.normal:
                del self._levels[-heappop(self._priorities)]
        self._size -= len(taken)
        self._footprint = self._footprint - len(taken) if self._priorities else 0
        return taken

    def discard(self) -> None:
        """Note that a delivery in line has ended."""
        self._size -= 1
        if self._footprint > 2 * self._size + _SLACK:
            self._sweep()

    def in_order(self) -> Iterator[tuple[Delivery, bool]]:
        """All deliveries in starting order, and whether each came back to the front."""
        for _, level in sorted(self._levels.items(), reverse=True):
            for _, delivery in sorted(level.front, key=itemgetter(0)):
                if delivery.state == "pending":
                    yield delivery, True
            for delivery in level.normal:
                if delivery.state == "pending":
                    yield delivery, False

    def oldest(self) -> Millis | None:
        """Since when the delivery that has been ready longest is ready."""
        return min((at for level in self._levels.values() for at in level.oldest()), default=None)

    def _new_level(self, priority: int) -> Level:
        level = self._levels[priority] = Level()
        heappush(self._priorities, -priority)
        return level

    def _sweep(self) -> None:
        self._levels = {priority: level for priority, level in self._levels.items() if level.sweep()}
        self._priorities = [-priority for priority in self._levels]
        heapify(self._priorities)
        self._footprint = self._size
