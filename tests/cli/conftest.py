"""A folder with an application for each test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder with an application."""
    return Site(tmp_path)
