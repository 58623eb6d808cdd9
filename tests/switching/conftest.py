"""Switches go between real servers; one starts when a test asks for it."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The servers' fixtures."""
    config.pluginmanager.import_plugin("tests.servers.postgres")
    config.pluginmanager.import_plugin("tests.servers.valkey")
