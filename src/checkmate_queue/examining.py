"""A part of the seam that a store may have besides: a look at its server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Examinable(Protocol):
    """A store that can say what about its server is dangerous."""

    async def dangers(self) -> Sequence[str]:
        """What about the server's settings may cost jobs: one sentence each, for `checkmate-queue doctor`.

        What this user may not ask the server stays out. Changes nothing.
        """
