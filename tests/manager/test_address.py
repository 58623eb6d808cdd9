"""From a URL and keywords to a plugin's config (section 1, L7)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from checkmate_queue.backends import discover
from checkmate_queue.backends.redis.plugin import RedisPlugin
from checkmate_queue.core.errors import ConfigError, PluginNotFoundError
from checkmate_queue.manager.address import Address


def config_of(url: str, **settings: Any) -> dict[str, Any]:
    """The config that a manager would use."""
    registry = discover()
    address = Address(url, settings)
    return address.config(address.plugin(registry)).model_dump()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///queue.db", "queue.db"),
        ("sqlite:////var/lib/queue.db", "/var/lib/queue.db"),
        ("sqlite:///./queue.db", "./queue.db"),
        ("sqlite:///with%20space%3F%23.db", "with space?#.db"),
        ("sqlite:///ümlaut.db", "ümlaut.db"),
        ("sqlite:///C:/queue.db", "C:/queue.db"),
        ("SQLite:///queue.db", "queue.db"),
    ],
)
def test_a_path_is_read(url: str, path: str) -> None:
    assert config_of(url)["path"] == path


def test_settings_come_from_the_query_and_keywords() -> None:
    config = config_of("memory://?concurrency=3&lease_seconds=9.5", lease_seconds=7)
    assert (config["concurrency"], config["lease_seconds"]) == (3, 7)
    assert config_of("sqlite:///a.db?path=b.db")["path"] == "a.db"
    assert config_of("sqlite:///a.db", path="c.db")["path"] == "c.db"


@pytest.mark.parametrize(
    "url",
    [
        "", "memory", "memory:", "://", "queue.db", "/queue.db", "sqlite:///", "sqlite://host/queue.db",
        "memory://host", "memory://?concurrency", "memory://?concurrency=", "memory://?=1", "memory://#x",
        "http://[half",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises((ConfigError, PluginNotFoundError)):
        config_of(url)


@pytest.mark.parametrize("url", [None, 7, b"memory://", ["memory://"]])
def test_a_url_is_text(url: Any) -> None:
    with pytest.raises(ConfigError, match="must be a str"):
        Address(url, {})


@pytest.mark.parametrize(
    "url", ["redis://user:secret@host#x", "://user:secret@host", "redis://user:secret@[half"]
)
def test_passwords_are_left_out_of_errors(url: str) -> None:
    """L6."""
    with pytest.raises(ConfigError) as raised:
        Address(url, {})
    assert "secret" not in str(raised.value)


def test_an_unknown_scheme_shows_the_line_to_add() -> None:
    """L7."""
    with pytest.raises(
        PluginNotFoundError, match=r"'nats://'.*memory://.*registry\.register\(YourPlugin\(\)\)"
    ):
        Address("nats://host", {}).plugin(discover())


def test_the_address_of_a_socket_can_be_given_again() -> None:
    url = "redis+unix:///run/redis.sock"
    assert RedisPlugin().address_of(urlsplit(f"{url}?prefix=p")) == {"url": url}
