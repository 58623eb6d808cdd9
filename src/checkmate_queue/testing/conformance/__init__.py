'''The contract of `checkmate_queue.store` as tests: a backend that passes them may call itself one.

A backend's test file gives a `storage` fixture and subclasses `Conformance` (pytest with pytest-asyncio in
auto mode)::

    class MyStorage:
        """One empty storage for one test."""

        async def connect(self, clock: Clock, limits: StoreLimits) -> MyStore:
            return MyStore(self.path, clock=clock, limits=limits)

        async def destroy(self) -> None:
            self.path.unlink()


    class TestMyStore(Conformance, verbs=ALL_VERBS):
        @pytest.fixture
        def storage(self, tmp_path: Path) -> MyStorage:
            return MyStorage(tmp_path / "queue.db")

A second `connect` on a storage gives a second store on the same jobs (an engine that lives in one object
gives the same object). A backend that has only some verbs says so, `verbs=CORE_VERBS | {"stats"}`, and gets
the tests that need no others: tests are never skipped by name.

The rule a test proves stands first in its docstring.
'''

from checkmate_queue.testing.conformance.assertions import THEMES
from checkmate_queue.testing.conformance.harness import Harness, Storage, Worker
from checkmate_queue.testing.conformance.selection import ALL_VERBS, CORE_VERBS, MOVING_VERBS, Check
from checkmate_queue.testing.conformance.suite import Conformance, checks, perform

__all__ = [
    "ALL_VERBS",
    "CORE_VERBS",
    "MOVING_VERBS",
    "THEMES",
    "Check",
    "Conformance",
    "Harness",
    "Storage",
    "Worker",
    "checks",
    "perform",
]
