"""Which store is the active one, and how whoever calls it gets from one to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from checkmate_queue.moving import MovableStore

Follow: TypeAlias = Callable[[int, str], Awaitable[None]]
"""Given the generation that is fenced, and what the fence says: return when the call may be repeated."""

Look: TypeAlias = Callable[[int], Awaitable[bool]]
"""Whether what comes after this generation is the active backend by now, and is worked with."""


class OvertakenError(Exception):
    """The worker has gone on under another engine meanwhile: this answer is as good as lost."""


@dataclass(slots=True, eq=False)
class Generation:
    """A store that is, or was, the active one. It is closed when it is retired and nobody calls it."""

    number: int
    store: MovableStore
    calls: int = 0
    retired: bool = False
    kept: bool = False
    backend: str = ""
