"""The servers' fixtures; one starts when a test asks for it."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Known to the chaos tests."""
    config.pluginmanager.import_plugin("tests.servers.postgres")
    config.pluginmanager.import_plugin("tests.servers.valkey")
