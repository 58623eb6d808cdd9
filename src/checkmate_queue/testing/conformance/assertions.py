"""Has pytest explain the asserts of the suite; imported before the modules it names."""

import pytest

THEMES = (
    "concurrency",
    "delivery",
    "expiry",
    "fencing",
    "groups",
    "ingestion",
    "leases",
    "repair",
    "retries",
    "schedules",
    "settings",
    "statistics",
)

pytest.register_assert_rewrite(*(f"{__package__}.{name}" for name in ("audit", "harness", *THEMES)))
