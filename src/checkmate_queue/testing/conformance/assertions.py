"""Has pytest explain the asserts of the suite; imported before the modules it names."""

import pytest

THEMES = (
    "abandonment",
    "concurrency",
    "delivery",
    "expiry",
    "fencing",
    "groups",
    "handover",
    "ingestion",
    "leases",
    "listing",
    "misfires",
    "moving",
    "names",
    "reception",
    "repair",
    "retries",
    "schedules",
    "settings",
    "statistics",
    "unclaimed",
)

pytest.register_assert_rewrite(*(f"{__package__}.{name}" for name in ("audit", "harness", *THEMES)))
