"""A pytest plugin: name it in your `conftest.py`, `pytest_plugins = ["checkmate_queue.testing.plugin"]`."""

from __future__ import annotations

import pytest

from checkmate_queue.testing.inline import InlineQueues


@pytest.fixture
def inline_queues() -> InlineQueues:
    """Queues in memory under a travelling clock: `async with inline_queues as queues: ...`."""
    return InlineQueues()
