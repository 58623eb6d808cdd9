"""The turnstile by itself."""

from __future__ import annotations

import time
from pathlib import Path

from checkmate_queue.backends.sqlite.turnstile import Turnstile


def test_one_that_stays_in_it_is_passed_by(tmp_path: Path) -> None:
    """Whoever was suspended there costs the others one wait, and not one for each transaction."""
    (tmp_path / "queue.db-wal").touch()
    suspended, other = (Turnstile(str(tmp_path / "queue.db")) for _ in range(2))
    assert suspended.try_enter()
    assert not other.try_enter()
    other.enter(time.monotonic())
    assert not other.try_enter(), "it was in a hurry, and has not waited"
    other.enter(time.monotonic() + 30)
    assert other.try_enter()
    other.leave()
    suspended.leave()
    suspended.close()
    other.close()
