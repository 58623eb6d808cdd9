"""Which jobs to look at for a page of those in one state, whatever else the queue holds."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from checkmate_queue.backends.sqlite.marks import DELAYED, OPEN, UNCLAIMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.core.model import JobState

_LEAST_STEP: Final = 500
"""How many jobs a look at the next ones takes in at least."""

_BY_JOB: Final = {"delayed": (DELAYED, "delayed_keys"), "unclaimed": (UNCLAIMED, "unclaimed_keys")}
_BY_GROUP: Final = {"pending": "ready_keys", "processing": "claimed_keys", "retrying": "waiting_keys"}
_STORED_IN_ORDER: Final = ("processing", "retrying")


def key_pages(
    tx: Transaction, queue: int, state: JobState | None, after: int, limit: int
) -> Iterator[list[int]]:
    """Keys of all jobs that may be in this state (None: any), ascending, at most `limit` at once.

    What is claimed or waits for a retry is stored by key. For the rest that would cost each job an entry in
    one more index, so the keys of all that are in the state are gone through, and the first ones taken; jobs
    in other states don't count. Before, there is a look at the next jobs of whatever state, since where jobs
    of one state follow each other, that finds them at once.
    """
    after = max(after, queue << 42)
    while True:
        if state not in _STORED_IN_ORDER:
            step = limit if state is None else max(limit, _LEAST_STEP)
            rows = tx.all("next_keys", (queue, after, step))
            keys = [key for key, mark in rows if state is None or mark == _mark(state)][:limit]
            if keys:
                yield keys
            if len(rows) < step and len(keys) < limit:
                return
            after = keys[-1] if len(keys) == limit else rows[-1][0]
        if state is not None:
            keys = _keys(tx, queue, state, after, limit)
            if keys:
                yield keys
            if len(keys) < limit:
                return
            after = keys[-1]


def _mark(state: JobState) -> int:
    return _BY_JOB[state][0] if state in _BY_JOB else OPEN


def _keys(tx: Transaction, queue: int, state: JobState, after: int, limit: int) -> list[int]:
    if state in _BY_JOB:
        return [key for (key,) in tx.all(_BY_JOB[state][1], (queue, after, limit))]
    groups = tx.all("group_records", (queue,))
    found = merge(*(tx.all(_BY_GROUP[state], (group[0], after, limit)) for group in groups))
    return list(islice(dict.fromkeys(key for (key,) in found), limit))
