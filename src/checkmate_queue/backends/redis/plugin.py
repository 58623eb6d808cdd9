"""The Redis backend as a plugin."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import SplitResult, unquote

from pydantic import Field, SecretStr, field_validator, model_validator

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, import_engine
from checkmate_queue.backends.redis.endpoint import SCHEMES, Security, parse_endpoint
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.store import Clock, Store

FILES = ("ca_file", "certificate_file", "key_file")


class RedisConfig(BackendConfig):
    """Settings of the Redis backend."""

    url: str = Field(min_length=1, description="Where the server is, without the password")
    password: SecretStr | None = Field(None, description="The password of the URL's user, or the server's")
    prefix: str = Field(
        "checkmate", min_length=1, max_length=200, description="What the name of every key begins with"
    )
    sentinel_username: str | None = Field(None, description="The user at the Sentinels")
    sentinel_password: SecretStr | None = Field(None, description="The password at the Sentinels")
    ca_file: str | None = Field(None, description="Certificates of those that may sign the server's")
    certificate_file: str | None = Field(None, description="This client's certificate")
    key_file: str | None = Field(None, description="The key of this client's certificate")
    verify: bool = Field(True, description="Whether the server must prove by certificate who it is")

    @model_validator(mode="before")
    @classmethod
    def _part_password(cls, values: Any) -> Any:
        """A password in the URL becomes the secret that it is (L6)."""
        if not isinstance(values, dict) or not isinstance(values.get("url"), str):
            return values
        url, password = _without_password(values["url"])
        found = {"password": password} if password is not None and not values.get("password") else {}
        return {**values, **found, "url": url}

    @field_validator("url")
    @classmethod
    def _can_be_meant(cls, url: str) -> str:
        try:
            parse_endpoint(url)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return url


class RedisPlugin(QueuePlugin[RedisConfig]):
    """A server for many machines: Redis or Valkey, alone, behind Sentinels, or as a cluster."""

    id: ClassVar[str] = "redis"
    display_name: ClassVar[str] = "Redis"
    description: ClassVar[str] = (
        "A Redis or Valkey server for many machines: fast, as durable as it is set up"
    )
    schemes: ClassVar[tuple[str, ...]] = SCHEMES
    config_schema: type[RedisConfig] = RedisConfig
    switchable: ClassVar[bool] = True

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        bare = f"{url.scheme}://{url.netloc}{url.path}"  # urlunsplit drops the slashes before an empty host.
        parse_endpoint(bare)
        address, password = _without_password(bare)
        return {"url": address} if password is None else {"url": address, "password": password}

    def storage_of(self, config: RedisConfig) -> Hashable:
        place = parse_endpoint(config.url)
        hosts = frozenset(place.hosts)  # in any order, they lead to the same servers
        return place.kind, hosts, place.path, place.service, place.database, config.prefix

    def anchored(self, config: RedisConfig) -> RedisConfig:
        given = {name: value for name in FILES if (value := getattr(config, name)) is not None}
        return config.model_copy(update={name: str(Path(value).absolute()) for name, value in given.items()})

    def create_store(self, config: RedisConfig, clock: Clock | None = None) -> Store:
        engine = import_engine("checkmate_queue.backends.redis.store", "redis", "redis")
        store = engine.RedisStore(
            config.url,
            prefix=config.prefix,
            security=Security(
                password=_reveal(config.password),
                sentinel_username=config.sentinel_username,
                sentinel_password=_reveal(config.sentinel_password),
                ca_file=config.ca_file,
                certificate_file=config.certificate_file,
                key_file=config.key_file,
                verify=config.verify,
            ),
            limits=config.limits,
            clock=clock,
            patience_ms=round(config.patience_seconds * 1000),
        )
        return cast("Store", store)


def _without_password(url: str) -> tuple[str, str | None]:
    scheme, separator, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    login, at, hosts = netloc.rpartition("@")
    user, colon, password = login.partition(":")
    if not at or not colon:
        return url, None
    netloc = f"{user}@{hosts}" if user else hosts
    return f"{scheme}{separator}{netloc}{slash}{path}", unquote(password) or None


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
