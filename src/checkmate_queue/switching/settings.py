"""The stored settings: reading them with migrations applied, and writing them by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.store import SettingsStore
from checkmate_queue.switching.document import Document, StoredConfig, dump, parse
from checkmate_queue.switching.keys import SecretBox
from checkmate_queue.switching.sealing import (
    check_no_blots,
    keep_secrets,
    seal,
    secrets_of,
    tokens,
    unseal,
)
from checkmate_queue.switching.versions import upgrade

BACKEND_KEY = "backend"
"""The setting that holds the document."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The document at one moment, with the version that a save of another one must expect."""

    document: Document | None
    setting_version: int


@dataclass(frozen=True, slots=True)
class ActiveBackend:
    """The active backend, as it can be used: document, plugin and config belong together."""

    snapshot: Snapshot
    document: Document
    plugin: QueuePlugin[Any]
    config: BackendConfig


class BackendSettings:
    """The document in a settings store, its configs in the form that plugins understand."""

    def __init__(
        self,
        store: SettingsStore,
        registry: QueuePluginRegistry,
        box: SecretBox | None = None,
        initial: Callable[[], StoredConfig] | None = None,
    ) -> None:
        """`initial` gives the backend that is active as long as nothing is stored."""
        self._initial = initial
        self._store = store
        self._registry = registry
        self._box = box or SecretBox()

    async def load(self) -> Snapshot:
        """What is stored; raises `ConfigError` for what can't be read."""
        setting = await self._store.load_setting(BACKEND_KEY)
        return Snapshot(None, 0) if setting is None else Snapshot(parse(setting.value), setting.version)

    async def save(self, document: Document, over: Snapshot) -> bool:
        """Store a document in the place of `over`; False where somebody else was first."""
        return await self._store.save_setting(BACKEND_KEY, dump(document), over.setting_version)

    async def load_active(self) -> ActiveBackend | None:
        """The active backend; None where none was ever stored.

        A config of an older version is migrated, validated and written back, and so are secrets that were
        encrypted with an older key. Raises `ConfigError` (L5) and `PluginNotFoundError`; the stored config
        then stays as it was.
        """
        while True:
            snapshot = await self.load()
            document = snapshot.document
            if document is None:
                return None
            plugin = self._registry.get_plugin(document.active.plugin)
            config = self.read(document.active)
            current = self._current(document.active, plugin, config)
            if current == document.active:
                return ActiveBackend(snapshot, document, plugin, config)
            # Somebody else may write it back at the same time: then there is something else to be read.
            await self.save(replace(document, active=current), snapshot)

    async def change(self, change: Callable[[Document | None], Document]) -> Document:
        """Store `change(document)` in place of the document, again and again until nobody comes between."""
        while True:
            snapshot = await self.load()
            document = change(snapshot.document)
            if document == snapshot.document or await self.save(document, snapshot):
                return document

    async def load_document(self) -> Document:
        """The document, or the one to begin with."""
        return self._required((await self.load()).document)

    async def change_document(self, change: Callable[[Document], Document]) -> Document:
        """As `change`, of the stored document or the one to begin with."""
        return await self.change(lambda document: change(self._required(document)))

    def _required(self, document: Document | None) -> Document:
        if document is not None:
            return document
        if self._initial is None:
            raise ConfigError("No backend is stored in these settings yet")
        return Document(1, self._initial())

    # -- configs ---------------------------------------------------------------------------------

    def read(self, stored: StoredConfig) -> BackendConfig:
        """A stored config as its plugin knows it now, secrets in plain text within `SecretStr`."""
        plugin = self._registry.get_plugin(stored.plugin)
        values = unseal(stored.values, self._box)
        return upgrade(plugin, stored.config_version, values, secrets_of(stored.values, self._box))

    def stored(self, plugin: QueuePlugin[Any], config: BackendConfig) -> StoredConfig:
        """A config as it is to be stored."""
        return StoredConfig(plugin.id, plugin.config_version, seal(plugin.anchored(config), self._box))

    def accept(
        self, plugin_id: str, values: Mapping[str, Any], document: Document | None
    ) -> tuple[BackendConfig, StoredConfig]:
        """A config that somebody gives: validated, and as it is to be stored.

        What is redacted in it keeps the secret that is stored for this plugin. Raises `ConfigError`, and
        `PluginNotFoundError`.
        """
        plugin = self._registry.get_plugin(plugin_id)
        if not isinstance(values, Mapping):
            raise ConfigError(f"A config is a mapping of settings, not {type(values).__name__}")
        known = document.config_of(plugin_id) if document else None
        if known is not None:
            known = self._current(known, plugin, self.read(known))
        config = plugin.validate(keep_secrets(values, known.values if known else {}, self._box))
        check_no_blots(config)
        return config, self.stored(plugin, config)

    def _current(self, stored: StoredConfig, plugin: QueuePlugin[Any], config: BackendConfig) -> StoredConfig:
        if stored.config_version == plugin.config_version and all(
            self._box.is_current(token) for token in tokens(stored.values)
        ):
            return stored
        return self.stored(plugin, config)
