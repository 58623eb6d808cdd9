"""Bugs inside of the memory store, where a wrapper of its verbs can't put them."""

from __future__ import annotations

from typing import Any

from checkmate_queue.backends.memory import consumption, deliveries, leases, schedules, store, ticks
from checkmate_queue.backends.memory.ready import ReadyLine
from checkmate_queue.backends.memory.state import Delivery, Group, Job, QueueState, WorkerEpoch
from checkmate_queue.core.model import Millis, NewSchedule
from tests.conformance.bugs.bug import swap


def nothing(*_: Any) -> None:
    """Leave a step out."""


def front_by_return(line: ReadyLine, delivery: Delivery) -> None:
    """Order the front by when deliveries came back."""
    number = delivery.claim_number
    delivery.claim_number = line.footprint
    put_back(line, delivery)
    delivery.claim_number = number


put_back = ReadyLine.put_back


def ready_for_first(queue: QueueState, job: Job, groups: list[Group], now: Millis) -> None:
    """Deliver a job to one group."""
    make_ready(queue, job, groups[:1], now)


make_ready = deliveries.make_ready


def promote_first(queue: QueueState, now: Millis) -> None:
    """Make only what is due first ready."""
    first = queue.due.next_at()
    promote(queue, now if first is None else min(first, now))


promote = deliveries.promote


def registered(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> bool:
    """Take an epoch for living until it was reaped."""
    return epoch.number in queue.epochs


def move_all(queue: QueueState, now: Millis) -> None:
    """Move every lease on over a gap, those of the dead too."""
    for epoch in queue.epochs.values():
        epoch.expires_at += leases.shift(queue, epoch, now)
    queue.contact_at = now


def move_the_living(queue: QueueState, now: Millis) -> None:
    """Move the leases on that have not run out by now."""
    for epoch in queue.epochs.values():
        if epoch.expires_at > queue.contact_at:
            epoch.expires_at += leases.shift(queue, epoch, now)
    queue.contact_at = now


def not_out_of_date(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> bool:
    """Compare a lease with the clock alone."""
    return epoch.expires_at + leases.shift(queue, epoch, now) > now


def no_shift(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> Millis:
    """Know no gaps."""
    return 0


def forward_shift(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> Millis:
    """Know no clock that goes back."""
    return max(0, shift(queue, epoch, now))


def minute_shift(queue: QueueState, epoch: WorkerEpoch, now: Millis) -> Millis:
    """Take only long silences for gaps, whatever the lease."""
    gap = now - queue.contact_at
    return gap if gap > 7_200_000 or gap < -1000 else 0


shift = leases.shift


def member_exists(queue: QueueState, group: Group, now: Millis) -> bool:
    """Take a group for attended that has members, dead or not."""
    return bool(group.members)


def stall_again(queue: QueueState, delivery: Delivery, heir: WorkerEpoch) -> None:
    """Count a stall for a claim that was lapsed already."""
    delivery.stalls += delivery.lapsed
    inherit(queue, delivery, heir)


def inherit_cancelled(queue: QueueState, delivery: Delivery, heir: WorkerEpoch) -> None:
    """Hand cancelled claims on as if nothing had been."""
    delivery.cancelled = False
    inherit(queue, delivery, heir)


inherit = ticks._inherit


def age_always(queue: QueueState, now: Millis) -> None:
    """Count time in which no group had a worker, too."""
    since, queue.attended_at = queue.attended_at, now
    for group in queue.groups.values():
        if not group.members:
            group.unattended_ms += now - since


def end_started(queue: QueueState, job: Job, outcome: Any) -> None:
    """End what waits, whether it was claimed before or not."""
    if not job.open_deliveries:
        end_waiting(queue, job, outcome)
    for delivery in queue.deliveries_of(job):
        if delivery.state != "processing":
            deliveries.end(queue, delivery, outcome)


end_waiting = deliveries.end_waiting


def all_groups(spec: NewSchedule, series: Any, live: list[Group]) -> list[Group]:
    """Pile up."""
    return live


def groups_not_waiting(spec: NewSchedule, series: Any, live: list[Group]) -> list[Group]:
    """Ignore `overlap`."""
    return [group for group in live if not series.waiting[group]]


def groups_without(spec: NewSchedule, series: Any, live: list[Group]) -> list[Group]:
    """Never overlap."""
    return [group for group in live if not series.existing[group]]


def all_or_none(spec: NewSchedule, series: Any, live: list[Group]) -> list[Group]:
    """Let one busy group stop the others."""
    free = free_groups(spec, series, live)
    return free if len(free) == len(live) else []


free_groups = schedules._free_groups


def lapse_in_ready_order(delivery: Delivery) -> Any:
    """Give lapsed claims no stall."""
    delivery.stalls = 0
    return as_lapsed(delivery)


as_lapsed = ticks._as_lapsed


SWAPS = (
    swap("J5", "given-back deliveries go to the end", (ReadyLine, "put_back", ReadyLine.append)),
    swap("J5", "the front is in the order of returning", (ReadyLine, "put_back", front_by_return)),
    swap("J5", "due jobs wait for a tick", (consumption, "promote", nothing)),
    swap("L8", "a claim makes one due time ready", (consumption, "promote", promote_first)),
    swap("G1", "one group gets each job", (deliveries, "make_ready", ready_for_first)),
    swap("J9", "an id is free only when it was swept", (store, "expire", nothing)),
    swap("J9", "retries expire", (deliveries, "end_waiting", end_started)),
    swap("G4", "dead ephemeral groups get jobs", (leases, "is_attended", member_exists)),
    swap(
        "G4",
        "the time without any worker counts",
        (ticks, "account_attendance", age_always),
        (consumption, "account_attendance", age_always),
    ),
    swap("G8", "epochs live until they are reaped", (consumption, "lives", registered)),
    swap("G8", "the dead are moved on over a gap", (leases, "contact", move_all)),
    swap(
        "G8",
        "a step back brings the dead to life",
        (consumption, "lives", not_out_of_date),
        (leases, "contact", move_the_living),
    ),
    swap("G9", "stalls are not counted", (ticks, "_as_lapsed", lapse_in_ready_order)),
    swap("G9", "a second hand-over counts a stall", (ticks, "_inherit", stall_again)),
    swap("G12", "gaps are not known", (leases, "shift", no_shift)),
    swap("G12", "clocks that go back are not known", (leases, "shift", forward_shift)),
    swap("G12", "gaps are the same for all leases", (leases, "shift", minute_shift)),
    swap("L12", "cancelled claims are handed on", (ticks, "_inherit", inherit_cancelled)),
    swap("R4", "replacing keeps unstarted jobs", (schedules, "_end_waiting_jobs", nothing)),
    swap("R7", "dropping keeps unstarted jobs", (schedules, "_end_waiting_jobs", nothing)),
    swap("R5", "occurrences pile up", (schedules, "_free_groups", all_groups)),
    swap("R5", "what runs hinders", (schedules, "_free_groups", groups_without)),
    swap("R6", "overlap is ignored", (schedules, "_free_groups", groups_not_waiting)),
    swap("R6", "one group stops the others", (schedules, "_free_groups", all_or_none)),
)
