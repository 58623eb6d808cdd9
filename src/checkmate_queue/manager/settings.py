"""From a backend's config to the settings of the runtime."""

from __future__ import annotations

from checkmate_queue.backends.plugin import BackendConfig
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.store import Clock


def runtime_settings(config: BackendConfig, clock: Clock | None) -> RuntimeSettings:
    """What the runtime needs to know; a clock that a test gave has no fractions of a millisecond to lose."""
    return RuntimeSettings(
        concurrency=config.concurrency,
        lease_seconds=config.lease_seconds,
        max_stalls=config.max_stalls,
        max_payload_bytes=config.max_payload_bytes,
        patience_seconds=config.patience_seconds,
        heartbeat_seconds=getattr(config, "heartbeat_interval_seconds", None),
        delay_multiplier=getattr(config, "delay_multiplier", 1.0),
        clock_step_ms=0 if clock else 1,
    )
