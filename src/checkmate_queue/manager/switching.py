"""The part of a manager that knows which backend is active, and changes it while everything runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.details import BackendStatus, SwitchPreview, SwitchResult
from checkmate_queue.manager.address import Address
from checkmate_queue.manager.settings import runtime_settings
from checkmate_queue.queue.queue import Queue
from checkmate_queue.runtime.runtime import Runtime
from checkmate_queue.store import Clock
from checkmate_queue.switching.backends import Backends, Place
from checkmate_queue.switching.sealing import redact

POLL_SECONDS = 5.0


class Switching(ABC):
    """Shows the backend, and switches it."""

    registry: QueuePluginRegistry
    _settings_address: Address | None
    _backends: Backends | None
    _runtime: Runtime | None
    _clock: Clock | None

    @abstractmethod
    def _resolve(self) -> tuple[QueuePlugin[Any], BackendConfig]: ...

    @abstractmethod
    async def _open_runtime(self) -> Runtime: ...

    @abstractmethod
    def get_queues(self) -> list[Queue[Any]]: ...

    def _home(self, given: Place) -> Place:
        """Where the settings are: in the backend that the URL names, if they have none of their own."""
        if self._settings_address is None:
            return given
        plugin = self._settings_address.plugin(self.registry)
        return Place(plugin, self._settings_address.config(plugin))

    def _present(self) -> Place:
        return Place(*self._resolve()) if self._backends is None else self._backends.active

    async def _open_backends(self) -> Backends:
        await self._open_runtime()
        assert self._backends is not None
        return self._backends

    def _config_changed(self, config: BackendConfig) -> None:
        if self._runtime is not None:
            self._runtime.settings.adopt(runtime_settings(config, self._clock))
            self._runtime.heart.max_block_seconds = config.max_block_seconds
            for queue in self.get_queues():
                queue.config_changed()

    def get_active_plugin(self) -> str:
        """The id of the active backend's plugin; raises `PluginNotFoundError`."""
        return self._present().plugin.id

    def get_active_config(self) -> dict[str, Any]:
        """The active backend's config with all defaults, secrets redacted."""
        return redact(self._present().config)

    async def set_active_backend(self, plugin_id: str, config: Mapping[str, Any]) -> SwitchResult:
        """Move everything to another backend while everything runs (B1 to B7).

        Jobs, deliveries that run, groups, schedules and counters move; all processes follow, and their
        callers notice a pause. Where `config` names the storage that is active already, only the config
        changes. What is redacted in it keeps the secret that is stored.

        Raises `PluginNotFoundError`, `ConfigError`, `BackendUnavailableError` where a backend can't be
        reached, and `BackendSwitchError` where the target is not empty or too small, or another switch is
        under way. Then nothing has changed.
        """
        return await (await self._open_backends()).switch(plugin_id, config)

    async def preview_switch(self, plugin_id: str, config: Mapping[str, Any]) -> SwitchPreview:
        """What `set_active_backend` would move; raises what that would raise, and changes nothing (B7)."""
        return await (await self._open_backends()).preview(plugin_id, config)

    async def get_backend_status(self) -> BackendStatus:
        """What the settings say now: the active backend, and whether a switch is under way."""
        document = await (await self._open_backends()).document()
        under = document.undertaking
        return BackendStatus(
            document.active.plugin, document.version, document.phase, under.other.plugin if under else None
        )

    def start_polling(self, interval_seconds: float = POLL_SECONDS) -> None:
        """Look for switches of other processes this often; started managers do so every 5 seconds (B5).

        Whoever meets the fence that a switch leaves follows it at once, polling or not.
        """
        if self._backends is not None:
            self._backends.start_polling(interval_seconds)

    def stop_polling(self) -> None:
        """Stop looking; a fence is followed all the same."""
        if self._backends is not None:
            self._backends.stop_polling()
