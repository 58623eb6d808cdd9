"""A store whose answers get lost on their way back, as they do when a network or a server fails."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.store import Store

_NEVER_DROPPED = frozenset({"open", "close"})


class DroppedAnswers:
    """Performs a verb on the store behind it, and then loses its answer when it was told to.

    `through(store)` is the store to use; `drop(2)` has the next two calls take effect and raise
    `BackendUnavailableError` all the same. So a test can prove what the contract says of lost answers:
    whoever repeats the call, with the same arguments, does no harm.
    """

    def __init__(self) -> None:
        self._left = 0
        self._lost: list[object] = []

    @property
    def dropped(self) -> int:
        """How many answers were lost so far."""
        return len(self._lost)

    @property
    def lost(self) -> Sequence[object]:
        """The answers that were lost so far, the oldest first."""
        return tuple(self._lost)

    def drop(self, times: int = 1) -> None:
        """Lose the answers of this many calls from now on, instead of what was asked for before."""
        self._left = times

    def through(self, store: Store) -> Store:
        """The same store behind a connection that loses answers."""
        return cast("Store", _Connection(store, self._lose))

    def _lose(self, verb: str, answer: object) -> None:
        if self._left > 0 and verb not in _NEVER_DROPPED:
            self._left -= 1
            self._lost.append(answer)
            raise BackendUnavailableError(f"The answer to {verb!r} was lost; the call took effect.")


class _Connection:
    def __init__(self, store: Store, lose: Callable[[str, object], None]) -> None:
        self._store = store
        self._lose = lose

    def __getattr__(self, verb: str) -> object:
        attribute = getattr(self._store, verb)
        if not inspect.iscoroutinefunction(attribute):
            return attribute
        perform = cast("Callable[..., Awaitable[object]]", attribute)

        @functools.wraps(perform)
        async def performed(*arguments: object, **keywords: object) -> object:
            answer = await perform(*arguments, **keywords)
            self._lose(verb, answer)
            return answer

        return performed
