"""Where a server is: one, behind Sentinels, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from checkmate_queue.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Mapping[str, tuple[Literal["server", "sentinel", "cluster", "socket"], bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+unix": ("socket", False),
}
SCHEMES = tuple(_KINDS)

_FORMS = """\
A Redis URL is one of
  redis://[user[:password]@]host[:port][/database]           (rediss:// for TLS)
  redis+sentinel://[user[:password]@]host:port,host:port/service[/database]
  redis+cluster://[user[:password]@]host:port,host:port
  redis+unix:///path/to/socket"""


@dataclass(frozen=True, slots=True)
class Security:
    """Passwords and certificates, which are no part of an address."""

    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a URL says, without its password."""

    kind: Literal["server", "sentinel", "cluster", "socket"]
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""
    service: str = ""
    database: int = 0


def parse_endpoint(url: str) -> Endpoint:
    """Read a URL; raises `ConfigError` for one that can't be meant."""
    parts = urlsplit(url)
    if parts.scheme not in _KINDS:
        raise ConfigError(f"{parts.scheme!r} is no scheme of a Redis URL. {_FORMS}")
    kind, tls = _KINDS[parts.scheme]
    username, password, address = _split_login(parts.netloc)
    if kind == "socket":
        return Endpoint(kind, (), path=_path(parts, address), username=username, password=password)
    port = 26379 if kind == "sentinel" else 6379
    hosts = tuple(_host(part, port, parts) for part in address.split(","))
    if len(hosts) > 1 and kind == "server":
        raise _wrong(parts, "has several hosts; that is a cluster's or Sentinel's")
    service, database = _place(kind, [unquote(part) for part in parts.path.split("/")[1:] if part], parts)
    return Endpoint(kind, hosts, tls, username, password, service=service, database=database)


def _split_login(netloc: str) -> tuple[str | None, str | None, str]:
    login, at, address = netloc.rpartition("@")
    name, colon, password = login.partition(":")
    return unquote(name) or None, unquote(password) if at and colon else None, address


def _host(text: str, default_port: int, parts: SplitResult) -> tuple[str, int]:
    host, bracket, rest = text.rpartition("]") if "[" in text else ("", "", text)
    name, colon, port = rest.partition(":")
    host = host.removeprefix("[") if bracket else unquote(name)
    if (bracket and name) or not host:
        raise _wrong(parts, "lacks a host")
    if not colon:
        return host, default_port
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise _wrong(parts, "has a port that is none")
    return host, int(port)


def _place(kind: str, path: list[str], parts: SplitResult) -> tuple[str, int]:
    service = ""
    if kind == "sentinel":
        if not path:
            raise _wrong(parts, "lacks the service's name")
        service, *path = path
    if not path:
        return service, 0
    if len(path) > 1 or kind == "cluster" or not path[0].isdecimal():
        raise _wrong(parts, "has a path that is no database's number")
    return service, int(path[0])


def _path(parts: SplitResult, address: str) -> str:
    if address or len(parts.path) < 2:
        raise _wrong(parts, "lacks the socket's path")
    return unquote(parts.path)


def _wrong(parts: SplitResult, why: str) -> ConfigError:
    address = parts.netloc.rpartition("@")[2]
    return ConfigError(f"'{parts.scheme}://{address}{parts.path}' {why}. {_FORMS}")
