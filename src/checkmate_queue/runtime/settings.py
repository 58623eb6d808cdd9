"""What the runtime is told of a backend's config."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class RuntimeSettings:
    """What the runtime needs of a backend's config. Spans in seconds. All who read it share one."""

    concurrency: int = 10
    lease_seconds: float = 30.0
    max_stalls: int = 3
    max_payload_bytes: int = 1_048_576
    patience_seconds: float = 5.0
    stop_patience_seconds: float = 30.0
    heartbeat_seconds: float | None = None
    delay_multiplier: float = 1.0
    clock_step_ms: int = 1
    """By how much the engine's clock may lag behind the time: it is cut to whole milliseconds."""

    def adopt(self, other: RuntimeSettings) -> None:
        """Hold what another config says. A worker that has joined keeps its lease until it joins again."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))
