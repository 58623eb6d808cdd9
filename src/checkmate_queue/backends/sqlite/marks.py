"""The small numbers that rows carry."""

from __future__ import annotations

from typing import Final

DELAYED: Final = 0
UNCLAIMED: Final = 1
OPEN: Final = 2
"""`job.state`."""

FRESH: Final = 0
MOVED: Final = 1
STARTED: Final = 2
"""`ready.mark`."""

CANCELLED: Final = 1
LAPSED: Final = 2
"""`claimed.flags`."""

USERS: Final = 0
SCHEDULES: Final = 1
"""`job.namespace`."""

FRONT: Final = 2**52
"""What is given back or lapsed sorts by its claim's number less this, so before all others."""
