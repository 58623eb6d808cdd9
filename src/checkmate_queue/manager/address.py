"""From a URL and keywords to a plugin's config."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.errors import ConfigError, PluginNotFoundError


class Address:
    """Which backend a manager was told to use. A keyword wins over the URL's query."""

    def __init__(self, url: str | None, settings: Mapping[str, Any]) -> None:
        if not isinstance(url, str):
            raise ConfigError(f"The backend's URL must be a str, not {type(url).__name__}: {url!r:.200}")
        try:
            self.url: SplitResult = urlsplit(url)
            self._query = dict(
                parse_qsl(self.url.query, keep_blank_values=True, strict_parsing=bool(self.url.query))
            )
        except ValueError as error:
            raise ConfigError(f"The backend's URL can't be read: {error}: {_redacted(url)!r}") from None
        if "://" not in url or not self.url.scheme:
            raise ConfigError(
                f"{_redacted(url)!r} is no URL; write for example 'sqlite:///queue.db' or 'memory://'"
            )
        if self.url.fragment:
            raise ConfigError(
                f"The backend's URL has a '#' part; write '%23' for a '#' in a path: {_redacted(url)!r}"
            )
        self._text = url
        self._settings = settings

    def replaced(self, url: str | None, settings: Mapping[str, Any]) -> Address:
        """The same address with another URL, some settings replaced, or both."""
        return Address(self._text if url is None else url, {**self._settings, **settings})

    def settings_among(self, names: Container[str]) -> dict[str, Any]:
        """Those of the given settings that have one of these names."""
        return {name: value for name, value in {**self._query, **self._settings}.items() if name in names}

    @property
    def scheme(self) -> str:
        return self.url.scheme

    @property
    def shown(self) -> str:
        """The URL without user, password and query."""
        if self.url.netloc and "@" not in self.url.netloc and "@" in f"{self.url.path}{self.url.query}":
            return (
                f"{self.scheme}://…"  # A password with a character of URLs in it would be taken for the path.
            )
        return f"{self.scheme}://{self.url.netloc.rpartition('@')[2]}{self.url.path}"

    def plugin(self, registry: QueuePluginRegistry) -> QueuePlugin[Any]:
        """The plugin that the URL means; raises `PluginNotFoundError` that shows the line to add."""
        plugin = registry.for_scheme(self.scheme)
        if plugin is None:
            schemes = ", ".join(sorted(f"{s}://" for p in registry.get_plugins() for s in p.schemes))
            raise PluginNotFoundError(
                f"No registered plugin takes '{self.scheme}://' (there are: {schemes}). Install the package "
                "that brings it, or add: manager.registry.register(YourPlugin())"
            )
        return plugin

    def resolved(self, registry: QueuePluginRegistry) -> tuple[QueuePlugin[Any], BackendConfig] | None:
        """The plugin with its config, or None where it is not registered; raises `ConfigError`."""
        plugin = registry.for_scheme(self.scheme)
        return None if plugin is None else (plugin, self.config(plugin))

    def config(self, plugin: QueuePlugin[Any]) -> BackendConfig:
        """The validated config; raises `ConfigError`."""
        query = {name: text for name, text in self._query.items() if name not in plugin.address_parameters}
        values = {**query, **plugin.address_of(self.url), **self._settings}
        config: BackendConfig = plugin.validate(values)
        return config


def _redacted(url: str) -> str:
    """The URL without what may be a password."""
    head, at, tail = url.rpartition("@")
    return f"…@{tail}" if at else head + tail
