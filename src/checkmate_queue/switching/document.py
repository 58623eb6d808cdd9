"""The settings document: which backend is active, its config, and a switch under way. One value, so that
a pointer and a config that do not belong together can't be read or written together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from checkmate_queue.core.errors import ConfigError

DOCUMENT_FORMAT = 1
"""The format number that the stored document carries (U1)."""

Phase: TypeAlias = Literal["active", "moving", "clearing", "undoing"]
"""`active`: nothing is under way. `moving`: the old backend is being fenced and copied. `clearing`: the new
one accepts, the old one is being emptied. `undoing`: the old one accepts again, the new one is emptied."""


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """A plugin's config as it is stored: with its version, its secrets sealed."""

    plugin: str
    config_version: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which backend is active; `version` grows with each change of the backend or its config."""

    plugin: str
    version: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class Undertaking:
    """A switch under way. `other` is the backend that is not active: where to, or where from.

    `beat` grows while `owner` is at work; where it stands still, another process takes over. `fence` is what
    the fences of this switch say, whoever ends it.
    """

    id: str
    owner: str
    beat: int
    other: StoredConfig
    fence: str


@dataclass(frozen=True, slots=True)
class Document:
    """All that is stored of the backends. `configs` are the last ones of plugins that are not active.

    `moves` counts how often everything went to another storage: after two of them that may be the same one
    again, but what a process knows of it holds no more.
    """

    version: int
    active: StoredConfig
    phase: Phase = "active"
    undertaking: Undertaking | None = None
    configs: Mapping[str, StoredConfig] = field(default_factory=dict)
    moves: int = 0

    def __post_init__(self) -> None:
        if (self.phase == "active") != (self.undertaking is None):
            raise ConfigError(f"The phase {self.phase!r} and the switch under way contradict each other")

    @property
    def pointer(self) -> Pointer:
        """Which backend is active."""
        return Pointer(self.active.plugin, self.version, self.phase)

    def config_of(self, plugin: str) -> StoredConfig | None:
        """The config of a plugin, active or not."""
        return self.active if self.active.plugin == plugin else self.configs.get(plugin)


def dump(document: Document) -> str:
    """The document as it is stored."""
    undertaking = document.undertaking
    return json.dumps(
        {
            "format": DOCUMENT_FORMAT,
            "pointer": {
                "plugin": document.active.plugin,
                "version": document.version,
                "phase": document.phase,
            },
            "active": _dump_config(document.active),
            "switch": undertaking
            and {
                "id": undertaking.id,
                "owner": undertaking.owner,
                "beat": undertaking.beat,
                "other": _dump_config(undertaking.other),
                "fence": undertaking.fence,
            },
            "moves": document.moves,
            "configs": {name: _dump_config(config) for name, config in sorted(document.configs.items())},
        }
    )


def parse(text: str) -> Document:
    """The document that was stored; raises `ConfigError` for what can't be read or is of a newer format."""
    try:
        stored = json.loads(text)
        found = stored["format"]
        if not isinstance(found, int) or found > DOCUMENT_FORMAT:
            raise ConfigError(
                f"The stored settings have format {found!r}, but this version of Checkmate Queue knows none "
                f"above {DOCUMENT_FORMAT}; upgrade it"
            )
        return _parse(stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"The stored settings can't be read: {type(error).__name__}: {error}") from None


def _dump_config(config: StoredConfig) -> dict[str, Any]:
    return {
        "plugin": config.plugin,
        "config_version": config.config_version,
        "values": dict(config.values),
    }


def _parse(stored: Any) -> Document:
    pointer, active, switch = stored["pointer"], _parse_config(stored["active"]), stored["switch"]
    if pointer["plugin"] != active.plugin:
        raise ConfigError(
            f"The stored pointer names the plugin {pointer['plugin']!r}, the stored config is one of "
            f"{active.plugin!r}; they don't belong together"
        )
    if pointer["phase"] not in get_args(Phase) or not isinstance(pointer["version"], int):
        raise ValueError("its pointer is malformed")
    undertaking = switch and Undertaking(
        str(switch["id"]),
        str(switch["owner"]),
        int(switch["beat"]),
        _parse_config(switch["other"]),
        str(switch["fence"]),
    )
    configs = {str(name): _parse_config(config) for name, config in stored["configs"].items()}
    moves = int(stored.get("moves", 0))
    return Document(pointer["version"], active, pointer["phase"], undertaking, configs, moves)


def _parse_config(stored: Any) -> StoredConfig:
    plugin, version, values = stored["plugin"], stored["config_version"], stored["values"]
    if not (isinstance(plugin, str) and isinstance(version, int) and isinstance(values, dict)):
        raise ValueError("a config in it is malformed")
    return StoredConfig(plugin, version, values)
