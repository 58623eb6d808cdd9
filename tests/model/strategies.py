"""The small world that random histories happen in: few names, so that they meet."""

from __future__ import annotations

from typing import Any, Final

import hypothesis.strategies as st

from checkmate_queue.core.model import GroupJoin, JobState, NewJob, NewSchedule, StoreLimits

LEASES: Final = {"w1": 30_000, "w2": 30_000, "w3": 10_000}
"""The roles of workers with their leases; a role lives on under a new name when its process crashes."""

GROUPS: Final = ("g1", "g2", "g3")
IDS: Final = tuple("abcdefgh")
SCHEDULES: Final = ("s1", "s2")

LIMITS: Final = (
    StoreLimits(),
    StoreLimits(
        max_queue_size=4,
        failed_retention_count=2,
        failed_retention_ms=30_000,
        unclaimed_retention_ms=20_000,
    ),
    StoreLimits(group_retention_ms=40_000),
)

rarely = st.sampled_from((False, False, True))
roles = st.sampled_from(sorted(LEASES))
groups = st.sampled_from(GROUPS)
some_groups = st.lists(groups, min_size=1, max_size=2, unique=True)
states: st.SearchStrategy[JobState] = st.sampled_from(
    ("delayed", "unclaimed", "pending", "processing", "retrying")
)
ids = st.sampled_from(IDS)
limits = st.sampled_from(LIMITS)

_SPANS: Final = ((0, None), (0, None), (0, None), (1500, None), (5000, None), (0, 3000), (2000, 30_000))
"""Start delay and expiry."""


@st.composite
def jobs(draw: st.DrawFn) -> NewJob:
    """A job with an id that others may have too."""
    delay_ms, expires_ms = draw(st.sampled_from(_SPANS))
    return NewJob(
        draw(ids),
        str(draw(st.integers(0, 99))).encode(),
        draw(st.sampled_from((0, 0, 5, -5))),
        draw(st.sampled_from((b"", b'{"k":"v"}'))),
        delay_ms,
        expires_ms,
        draw(st.sampled_from(("hold", "hold", "drop"))),
        draw(st.sampled_from(("", "", "t1", "t2"))),
    )


units = st.lists(st.lists(jobs(), min_size=1, max_size=3), min_size=1, max_size=2)

group_joins = st.builds(
    GroupJoin,
    groups,
    rarely,
    st.sampled_from(("now", "now", "earliest")),
    st.sampled_from((1, 3)),
)
joins = st.lists(group_joins, min_size=1, max_size=2, unique_by=lambda join: join.name)

OUTCOMES: Final = ("done", "retry", "retry now", "fail", "discard", "give back", "keep", "cancelled", "alien")
outcomes = st.lists(st.sampled_from(OUTCOMES), max_size=4)
some_outcomes = st.lists(st.sampled_from(OUTCOMES[:-1]), min_size=1, max_size=4)

verdicts = st.lists(st.sampled_from(("policy", "policy", "done", "keep")), max_size=3)


@st.composite
def schedule_specs(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of a `NewSchedule` but for its first time."""
    interval = draw(st.sampled_from((5.0, 10.0)))
    return {
        "id": draw(st.sampled_from(SCHEDULES)),
        "data": draw(st.sampled_from((b"1", b"2"))),
        "interval_seconds": interval,
        "priority": draw(st.sampled_from((0, 5))),
        "misfire": draw(st.sampled_from(("coalesce", "coalesce", "skip", "all"))),
        "overlap": draw(st.sampled_from((True, True, False))),
        "unclaimed": draw(st.sampled_from(("hold", "hold", "drop"))),
    }


def new_schedule(fields: dict[str, Any], first_at: int) -> NewSchedule:
    """The whole value, with texts of definition and timing as the core would write them."""
    definition = repr(sorted(fields.items()))
    return NewSchedule(
        **fields, definition=definition, timing=repr(fields["interval_seconds"]), first_at=first_at
    )
