"""Has pytest explain the asserts of the machines."""

import pytest

pytest.register_assert_rewrite("tests.model.views", "tests.model.world", "tests.model.machine")
