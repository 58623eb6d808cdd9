"""What benchmarks share: engines to run on, payloads, percentiles, and results with their bars."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ENGINES = ("memory", "sqlite")
PAD = "x" * 72


def payload(number: int) -> dict[str, object]:
    """About 100 bytes of JSON."""
    return {"i": number, "kind": "bench", "pad": PAD}


@contextmanager
def engine_url(engine: str) -> Iterator[str]:
    """A fresh storage of this engine."""
    if engine == "memory":
        yield "memory://"
        return
    with tempfile.TemporaryDirectory(prefix="checkmate-bench-") as folder:
        yield f"sqlite:///{Path(folder) / 'queue.db'}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(frozen=True)
class Result:
    """One measured number. `bar` is what it must reach (`at_most`: must not exceed), None for information."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_most: bool = False
    details: dict[str, object] = field(default_factory=dict)

    @property
    def passed(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
