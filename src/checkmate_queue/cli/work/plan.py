"""What a worker process is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Plan:
    """`target` is `module:manager`; None stands for what the module says."""

    target: str
    url: str | None = None
    concurrency: int | None = None
    queues: tuple[str, ...] | None = None
    log_level: str = "info"
    verbose: bool = False

    def dump(self) -> str:
        """As text for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        """From such text."""
        values: dict[str, Any] = json.loads(text)
        queues = values.pop("queues")
        return cls(**values, queues=None if queues is None else tuple(queues))
