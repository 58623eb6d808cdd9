"""Bringing a stored config to the version that its plugin knows (L5)."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from checkmate_queue.backends.plugin import BackendConfig, Migration, QueuePlugin
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.core.excerpt import excerpt

BLOT = "**********"
"""What is shown in a secret's place."""


def upgrade(
    plugin: QueuePlugin[Any], version: int, values: Mapping[str, Any], hidden: Collection[str] = ()
) -> BackendConfig:
    """Apply the plugin's migrations one by one, then validate; `values` stays as it is.

    Raises `ConfigError` that names the step: a gap in the chain, a step that fails, an invalid result, or a
    version that is newer than the plugin. No text of `hidden` comes up in it.
    """
    if version > plugin.config_version:
        raise ConfigError(
            f"The stored {plugin.display_name} config has version {version}, but this version of the plugin "
            f"knows none above {plugin.config_version}; upgrade it"
        )
    current: Mapping[str, Any] = values
    while version < plugin.config_version:
        step = _step_from(plugin, version)
        current = _take(plugin, step, current, hidden)
        version = step.to_version
    try:
        config: BackendConfig = plugin.validate(current)
    except ConfigError as error:
        raise ConfigError(
            f"The stored config is not valid for {_name(plugin, plugin.config_version)}: "
            f"{_blotted(str(error), hidden)}"
        ) from None
    return config


def _step_from(plugin: QueuePlugin[Any], version: int) -> Migration:
    steps = [step for step in plugin.migrations if step.from_version == version]
    if not steps:
        raise ConfigError(
            f"The stored config has {_name(plugin, version)}, but no migration leads from version {version} "
            f"on to version {plugin.config_version}"
        )
    step = steps[0]
    if len(steps) > 1 or not version < step.to_version <= plugin.config_version:
        raise ConfigError(
            f"The migrations from {_name(plugin, version)} can't be followed: they lead to "
            f"{', '.join(str(each.to_version) for each in steps)}, not to one version up to "
            f"{plugin.config_version}"
        )
    return step


def _take(
    plugin: QueuePlugin[Any], step: Migration, values: Mapping[str, Any], hidden: Collection[str]
) -> Mapping[str, Any]:
    name = f"The migration of {_name(plugin, step.from_version)} to version {step.to_version}"
    try:
        result: Any = step.migrate(copy.deepcopy(dict(values)))
    except Exception as error:
        # Without its cause, whose traceback may show a secret (L6).
        told = _blotted(f"{type(error).__name__}: {error}", hidden)
        raise ConfigError(f"{name} failed: {told}") from None
    if not isinstance(result, Mapping):
        raise ConfigError(f"{name} gave no mapping, but {_blotted(excerpt(result), hidden)}")
    return result


def _name(plugin: QueuePlugin[Any], version: int) -> str:
    return f"version {version} of the {plugin.display_name} config"


def _blotted(text: str, hidden: Collection[str]) -> str:
    for secret in sorted(hidden, key=len, reverse=True):
        if secret:
            text = text.replace(secret, BLOT)
    return text
