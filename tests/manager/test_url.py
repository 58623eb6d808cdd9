"""Which backend a manager uses: the URL it was made with, or one that replaces it."""

from __future__ import annotations

import pytest

from checkmate_queue import ConfigError, PluginNotFoundError, QueueManager


def test_the_url_may_be_replaced_before_the_start() -> None:
    manager = QueueManager("sqlite:///first.db?concurrency=3&lease_seconds=9", patience_seconds=1)
    manager.configure("sqlite:///second.db?concurrency=4")
    config = manager.get_active_config()
    assert manager.url == "sqlite:///second.db"
    assert (config["path"], config["concurrency"], config["patience_seconds"]) == ("second.db", 4, 1)
    assert config["lease_seconds"] == 30
    manager.configure("memory://", concurrency=5)
    assert (manager.get_active_plugin(), manager.get_active_config()["concurrency"]) == ("memory", 5)
    with pytest.raises(ConfigError, match="no URL"):
        manager.configure("nonsense")
    assert manager.url == "memory://"
    manager.configure("nosuch://host")
    with pytest.raises(PluginNotFoundError, match="nosuch"):
        manager.get_active_config()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////srv/a%20b.db?synchronous=FULL", "sqlite:////srv/a%20b.db"),
        ("sqlite:////srv/a@b.db", "sqlite:////srv/a@b.db"),
        ("nosuch://user:secret@host:1/name?password=secret", "nosuch://host:1/name"),
        ("nosuch://:secret@host", "nosuch://host"),
        ("nosuch://user:se@cret@host/name", "nosuch://host/name"),
        # A password that was not quoted may end the host where none is.
        ("nosuch://user:sec/ret@host/name", "nosuch://…"),
        ("nosuch://user:sec?ret=1@host/name", "nosuch://…"),
    ],
)
def test_the_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert QueueManager(url).url == shown
