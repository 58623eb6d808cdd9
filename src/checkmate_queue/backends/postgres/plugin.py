"""The PostgreSQL backend as a plugin."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, import_engine
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.store import Clock, Store

_SCHEMES = ("postgresql", "postgres")
_LONGEST_NAME = 63
"""How many bytes PostgreSQL keeps of a name."""


class PostgresConfig(BackendConfig):
    """Settings of the PostgreSQL backend."""

    model_config = ConfigDict(serialize_by_alias=True)

    url: str = Field(description="The database, such as postgresql://user@host:5432/database")
    password: SecretStr | None = Field(None, description="The password, if it is not in the URL")
    schema_name: str = Field(
        "checkmate_queue",
        alias="schema",
        min_length=1,
        max_length=63,
        description="The schema that holds the queue's tables; it is made where it does not exist",
    )
    max_connections: int = Field(
        10, ge=1, le=1000, description="Connections per process, besides one for heartbeats and one for news"
    )
    migrate_on_start: bool = Field(
        True, description="Whether to make or migrate the schema at the start; else that takes a command"
    )

    @model_validator(mode="before")
    @classmethod
    def _part_password(cls, values: Any) -> Any:
        """A password in the URL becomes the secret that it is."""
        if not isinstance(values, dict) or not isinstance(values.get("url"), str):
            return values
        url, password = _without_password(urlsplit(values["url"]))
        found = {"password": password} if password is not None and not values.get("password") else {}
        return {**values, **found, "url": url}

    @field_validator("schema_name")
    @classmethod
    def _check_schema(cls, name: str) -> str:
        if len(name.encode()) > _LONGEST_NAME or not name.isprintable():
            raise ValueError(f"it must be at most {_LONGEST_NAME} bytes long, without control characters")
        if name == "$user" or name.startswith("pg_"):
            raise ValueError(f"{name} is a name of PostgreSQL's own; choose another one")
        return name

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if urlsplit(url).scheme not in _SCHEMES:
            raise ValueError("it must begin with postgresql://")
        return url


class PostgresPlugin(QueuePlugin[PostgresConfig]):
    """A database that many machines share."""

    id: ClassVar[str] = "postgres"
    display_name: ClassVar[str] = "PostgreSQL"
    description: ClassVar[str] = "A PostgreSQL database (15 or newer): durable, shared by many machines"
    schemes: ClassVar[tuple[str, ...]] = _SCHEMES
    address_parameters: ClassVar[frozenset[str]] = frozenset(
        (
            *("host", "port", "user", "passfile", "application_name", "target_session_attrs"),
            *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl"),
        )
    )
    config_schema: type[PostgresConfig] = PostgresConfig
    switchable: ClassVar[bool] = True

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        try:
            url.port  # noqa: B018
        except ValueError as error:
            raise ConfigError(f"The port of a PostgreSQL URL is a number from 0 to 65535: {error}") from None
        own = [pair for pair in parse_qsl(url.query) if pair[0] in self.address_parameters]
        address, password = _without_password(url._replace(query=urlencode(own)))
        return {"url": address} if password is None else {"url": address, "password": password}

    def storage_of(self, config: PostgresConfig) -> Hashable:
        url = urlsplit(config.url)
        query = dict(parse_qsl(url.query))
        user = unquote(url.username or query.get("user") or "")
        database = unquote(url.path.lstrip("/")) or user
        address = [part.rpartition("@")[2].lower() for part in url.netloc.split(",")]
        hosts = tuple(part if ":" in part.rpartition("]")[2] else f"{part}:5432" for part in address)
        return hosts, query.get("host"), query.get("port"), database, config.schema_name

    def create_store(self, config: PostgresConfig, clock: Clock | None = None) -> Store:
        store = import_engine("checkmate_queue.backends.postgres.store", "asyncpg", "postgres").PostgresStore(
            config.url,
            password=config.password.get_secret_value() if config.password else None,
            schema=config.schema_name,
            limits=config.limits,
            clock=clock,
            patience_ms=round(config.patience_seconds * 1000),
            max_connections=config.max_connections,
            migrate=config.migrate_on_start,
        )
        return cast("Store", store)


def _without_password(url: SplitResult) -> tuple[str, str | None]:
    user, at, host = url.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    if not colon:
        return urlunsplit(url), None
    return urlunsplit(url._replace(netloc=f"{name}{at}{host}")), unquote(password) or None
