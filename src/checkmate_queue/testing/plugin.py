"""A pytest plugin: name it in your `conftest.py`, `pytest_plugins = ["checkmate_queue.testing.plugin"]`."""

from __future__ import annotations

import pytest

from checkmate_queue.manager import QueueManager
from checkmate_queue.testing.inline import InlineQueues


@pytest.fixture
def inline_manager() -> QueueManager | None:
    """Your application's manager, for `inline_queues` to run: override this in your `conftest.py`."""
    return None


@pytest.fixture
def inline_queues(inline_manager: QueueManager | None) -> InlineQueues:
    """Queues in memory under a travelling clock: `async with inline_queues as queues: ...`."""
    return InlineQueues(inline_manager)
