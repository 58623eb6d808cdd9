"""Watches the lag of queues and signals its changes once across instances (L4)."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict

from checkmate_queue.core.details import LagThresholds
from checkmate_queue.core.lag import LagState, check_state, check_thresholds, next_lag
from checkmate_queue.core.model import Millis
from checkmate_queue.runtime.events import EventHub, LagChanged
from checkmate_queue.store import Setting, SettingsStore

log = logging.getLogger("checkmate_queue.lag")

THRESHOLDS_KEY = "lag-thresholds"
REFRESH_SECONDS = 5.0


def state_key(queue: str) -> str:
    return f"lag-state:{queue}"


async def load_thresholds(store: SettingsStore) -> LagThresholds:
    """The thresholds that hold for all instances; the defaults where what is stored can't be read (X3)."""
    setting = await store.load_setting(THRESHOLDS_KEY)
    if setting is None:
        return LagThresholds()
    try:
        stored = json.loads(setting.value)
        return check_thresholds(stored["warning"], stored["critical"])
    except (ValueError, KeyError, TypeError) as error:
        log.error("The stored lag thresholds can't be read, set them again: %s: %r", setting.value, error)
        return LagThresholds()


async def save_thresholds(store: SettingsStore, thresholds: LagThresholds) -> None:
    """Store them for all; the last writer wins."""
    value = json.dumps({"warning": thresholds.warning, "critical": thresholds.critical})
    saved = False
    while not saved:
        setting = await store.load_setting(THRESHOLDS_KEY)
        saved = await store.save_setting(THRESHOLDS_KEY, value, setting.version if setting else 0)


class LagWatch:
    """The lag of one queue, as all instances see it: its state is stored, and changed by compare-and-set."""

    def __init__(self, store: SettingsStore, queue: str, hub: EventHub) -> None:
        self._store = store
        self._queue = queue
        self._hub = hub
        self._thresholds = LagThresholds()
        self._setting: Setting | None = None
        self._refresh_at = 0.0

    async def observe(self, pending: int, now: Millis) -> tuple[LagState, LagThresholds]:
        """Take note of a number that was measured at `now`, or a little later.

        Whoever changes the stored severity emits `LagChanged`.
        """
        await self._refresh()
        state = self._state()
        following = next_lag(state, pending, self._thresholds, now)
        while following != state:
            if await self._save(following):
                if following.severity != state.severity:
                    self._hub.emit(LagChanged(self._queue, state.severity, following.severity))
                break
            # Another instance was first: look again at what it stored.
            await self._load()
            state = self._state()
            following = next_lag(state, pending, self._thresholds, now)
        return self._state(), self._thresholds

    async def _refresh(self) -> None:
        if (now := time.monotonic()) >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            self._thresholds = await load_thresholds(self._store)
            await self._load()

    def forget(self) -> None:
        """Read what is stored at the next observation."""
        self._refresh_at = 0.0

    async def _load(self) -> None:
        self._setting = await self._store.load_setting(state_key(self._queue))

    async def _save(self, state: LagState) -> bool:
        version = self._setting.version if self._setting else 0
        value = json.dumps(asdict(state))
        saved = await self._store.save_setting(state_key(self._queue), value, version)
        if saved:
            self._setting = Setting(value, version + 1)
        return saved

    def _state(self) -> LagState:
        if self._setting is None:
            return LagState()
        try:
            stored = json.loads(self._setting.value)
            return check_state(stored["severity"], stored["below_since"], stored.get("measured_at"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return LagState()
