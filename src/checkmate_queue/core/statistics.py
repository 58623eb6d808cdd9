"""From the numbers of a queue's groups to those of the queue (L3)."""

from __future__ import annotations

from collections.abc import Mapping

from checkmate_queue.core.model import GroupStats, QueueStats


def queue_stats(
    groups: Mapping[str, GroupStats],
    *,
    delayed: int,
    unclaimed: int,
    completed: int,
    failed: int,
    expired: int,
    cancelled: int,
) -> QueueStats:
    """The sums over the groups, by their names, and what the queue itself counts.

    That is: jobs that no group has yet, and the lifetime counts of groups that are gone.
    """
    each = groups.values()
    ages = [group.oldest_pending_seconds for group in each if group.oldest_pending_seconds is not None]
    return QueueStats(
        pending=sum(group.pending for group in each),
        delayed=delayed + sum(group.delayed for group in each),
        unclaimed=unclaimed,
        processing=sum(group.processing for group in each),
        completed=completed + sum(group.completed for group in each),
        failed=failed + sum(group.failed for group in each),
        expired=expired + sum(group.expired for group in each),
        cancelled=cancelled + sum(group.cancelled for group in each),
        consumer_groups=len(groups),
        oldest_pending_seconds=max(ages, default=None),
        groups=groups,
    )
