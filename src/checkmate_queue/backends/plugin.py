"""How an engine is plugged in: an id, a config schema, and the factory of its store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_type_hints
from urllib.parse import SplitResult

from pydantic import BaseModel, ConfigDict, Field, Secret, SecretBytes, SecretStr, ValidationError
from typing_extensions import is_typeddict

from checkmate_queue.core.errors import ConfigError, PluginNotFoundError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import StoreLimits
from checkmate_queue.store import Clock, Store

DAY = 86_400
CENTURY = 36_525 * DAY
MOST = 2**31 - 1


class BackendConfig(BaseModel):
    """The settings that every backend has; a plugin's schema adds its own. Spans are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    concurrency: int = Field(
        10, ge=1, le=10_000, description="Deliveries of one group that one process runs at once"
    )
    lease_seconds: float = Field(
        30.0, ge=0.5, le=DAY, description="How long a worker may be silent before its deliveries go to others"
    )
    max_stalls: int = Field(
        3, ge=1, le=MOST, description="Lost leases after which a delivery fails as stalled"
    )
    max_payload_bytes: int = Field(1_048_576, ge=1, le=MOST, description="The largest payload, as JSON")
    max_queue_size: int | None = Field(
        None, ge=1, le=MOST, description="The most jobs a queue may hold; empty: no limit"
    )
    failed_retention_count: int = Field(10_000, ge=0, le=MOST, description="Failed entries kept per queue")
    failed_retention_seconds: float = Field(
        7 * DAY, gt=0, le=CENTURY, description="How long failed entries are kept"
    )
    group_retention_seconds: float = Field(
        7 * DAY, gt=0, le=CENTURY, description="How long an abandoned consumer group is kept"
    )
    unclaimed_retention_seconds: float = Field(
        7 * DAY, gt=0, le=CENTURY, description="How long jobs wait for a first group"
    )
    max_block_seconds: float = Field(
        300.0, gt=0, le=CENTURY, description="How long leases outlive a blocked event loop"
    )
    patience_seconds: float = Field(
        5.0, ge=0, le=CENTURY, description="How long a call waits for an unreachable backend"
    )
    switch_patience_seconds: float = Field(
        600.0, ge=0, le=CENTURY, description="How long a call waits for a switch of the backend"
    )

    @property
    def limits(self) -> StoreLimits:
        """What the engine applies by itself."""
        return StoreLimits(
            max_queue_size=self.max_queue_size,
            failed_retention_count=self.failed_retention_count,
            failed_retention_ms=round(self.failed_retention_seconds * 1000),
            group_retention_ms=round(self.group_retention_seconds * 1000),
            unclaimed_retention_ms=round(self.unclaimed_retention_seconds * 1000),
        )


C = TypeVar("C", bound=BackendConfig)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a plugin's stored config: `migrate` is a pure function of the stored mapping (L5)."""

    from_version: int
    to_version: int
    migrate: Callable[[Mapping[str, Any]], Mapping[str, Any]]


def import_engine(module: str, driver: str, extra: str) -> Any:
    """A module of an engine that needs a driver, imported when a store is made and not before.

    Raises `ConfigError` that names the extra to install where the driver is missing.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != driver:
            raise
        raise ConfigError(
            f"This backend needs the driver {driver}; install it by: pip install 'checkmate-queue[{extra}]'"
        ) from None


class QueuePlugin(ABC, Generic[C]):
    """An engine that queues can live in.

    Give the class attributes and the two methods, and register it by the entry-point group
    `checkmate_queue.plugins` or `manager.registry.register(plugin)`.
    """

    id: ClassVar[str]
    display_name: ClassVar[str]
    description: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    """The URL schemes that name this engine, such as `("sqlite",)`."""
    address_parameters: ClassVar[frozenset[str]] = frozenset()
    """What a URL's query may hold besides settings: parts of the address, which `address_of` reads."""
    config_version: ClassVar[int] = 1
    migrations: ClassVar[tuple[Migration, ...]] = ()
    config_schema: type[C]
    switchable: ClassVar[bool] = False
    """Whether its stores have the verbs of `checkmate_queue.moving`: it can be switched to and from."""
    in_process: ClassVar[bool] = False
    """Whether what is stored lives in the store object itself."""

    @abstractmethod
    def address_of(self, url: SplitResult) -> dict[str, Any]:
        """The config fields that a URL's own parts give; settings in its query are read elsewhere.

        Raises `ConfigError` for an address that can't be meant.
        """

    @abstractmethod
    def create_store(self, config: C, clock: Clock | None = None) -> Store:
        """A store for this config, not opened yet. With a clock it tells the time by that (tests)."""

    def storage_of(self, config: C) -> Hashable:
        """Which storage a config names: equal values, the same one (B1).

        By default, all that this plugin's schema adds to `BackendConfig`.
        """
        own = config.model_dump(mode="python", exclude=set(BackendConfig.model_fields))
        return tuple((name, repr(value)) for name, value in sorted(own.items()))

    def anchored(self, config: C) -> C:
        """The config as it is stored for other processes: relative paths are of this one's folder."""
        return config

    def absence(self, config: C) -> str | None:
        """Why no storage can be there yet, where that can be told without making one; None otherwise.

        A command that only looks ends with this sentence, and makes nothing.
        """
        return None

    def check_place(self, config: C) -> None:
        """Raise `ConfigError` where the storage that is absent can't be made either; makes nothing.

        Asked by a preview of a switch, which changes nothing, where `absence` names a reason.
        """

    def dangers(self, config: C) -> Sequence[str]:
        """What about this config may cost jobs: one sentence each, for `checkmate-queue doctor`."""
        return ()

    def validate(self, values: Mapping[str, Any]) -> C:
        """The config with all defaults; raises `ConfigError` that names each wrong field (L7)."""
        try:
            return self.config_schema.model_validate(dict(values))
        except ValidationError as error:
            wrong = "; ".join(self._explain(item) for item in error.errors())
            raise ConfigError(f"The {self.display_name} config is wrong: {wrong}") from None

    def _explain(self, item: Any) -> str:
        name = ".".join(str(part) for part in item["loc"]) or "config"
        if item["type"] == "extra_forbidden":
            fields = self.config_schema.model_fields
            known = ", ".join(sorted(field.alias or name for name, field in fields.items()))
            return f"there is no setting {name!r}; there are: {known}"
        field = self.config_schema.model_fields.get(str(item["loc"][0])) if item["loc"] else None
        if field is None or item["type"] == "missing" or holds_secret(field.annotation):
            return f"{name}: {item['msg']}"  # A secret stays one, even a wrong one (L6).
        return f"{name}: {item['msg']}, not {excerpt(item['input'])}"


def holds_secret(annotation: Any, known: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of this type may hold a secret, at whatever depth (L6)."""
    if annotation in known:
        return False
    known |= {annotation}
    inner = list(get_args(annotation))
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            inner += [field.annotation for field in annotation.model_fields.values()]
        elif issubclass(annotation, SecretStr | SecretBytes | Secret):
            return True
        elif is_dataclass(annotation) or is_typeddict(annotation):
            inner += get_type_hints(annotation).values()
    return any(holds_secret(each, known) for each in inner)


class QueuePluginRegistry:
    """The plugins of one manager, by id."""

    def __init__(self, plugins: tuple[QueuePlugin[Any], ...] = ()) -> None:
        self._plugins: dict[str, QueuePlugin[Any]] = {}
        for plugin in plugins:
            self.register(plugin)

    def register(self, plugin: QueuePlugin[Any]) -> None:
        """Add a plugin; raises `ConfigError` where its id or one of its URL schemes is taken by another."""
        if not isinstance(plugin, QueuePlugin):
            raise ConfigError(f"A plugin must be an object of a QueuePlugin, not {excerpt(plugin)}")
        for other in self._plugins.values():
            if other.id == plugin.id:
                raise ConfigError(f"A plugin of id {plugin.id!r} is registered already: {other.display_name}")
            if taken := set(other.schemes) & set(plugin.schemes):
                raise ConfigError(
                    f"The URL scheme {taken.pop()!r} belongs to the plugin {other.id!r} already"
                )
        self._plugins[plugin.id] = plugin

    def get_plugin(self, plugin_id: str) -> QueuePlugin[Any]:
        """The plugin of this id; raises `PluginNotFoundError`."""
        try:
            return self._plugins[plugin_id]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._plugins)) or "none"
            raise PluginNotFoundError(
                f"No plugin of id {plugin_id!r} is registered (there are: {known})"
            ) from None

    def get_plugins(self) -> list[QueuePlugin[Any]]:
        """All plugins, by id."""
        return [self._plugins[plugin_id] for plugin_id in sorted(self._plugins)]

    def for_scheme(self, scheme: str) -> QueuePlugin[Any] | None:
        """The plugin that a URL of this scheme means, if it is registered."""
        return next((p for p in self._plugins.values() if scheme in p.schemes), None)
