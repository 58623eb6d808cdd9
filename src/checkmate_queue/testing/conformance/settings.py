"""Small shared values, and the store as a whole."""

from __future__ import annotations

from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.names import LONG_NAMES, ODD_NAMES
from checkmate_queue.testing.conformance.selection import Theme, all_need


@all_need("load_setting", "save_setting")
class Settings(Theme):
    """`load_setting` and `save_setting`."""

    async def test_versions_count_from_one(self, h: Harness) -> None:
        """B5: a setting is unknown until it is saved, and each save is one version more."""
        assert await h.store.load_setting("k") is None
        for version in range(4):
            assert await h.store.save_setting("k", f"value {version}", version) is True
            assert await h.store.load_setting("k") == (f"value {version}", version + 1)

    async def test_other_versions_are_refused(self, h: Harness) -> None:
        """B6: a save that expects another version changes nothing."""
        assert await h.store.save_setting("k", "x", 1) is False
        assert await h.store.load_setting("k") is None
        await h.store.save_setting("k", "a", 0)
        await h.store.save_setting("k", "b", 1)
        for wrong in (0, 1, 3, -1):
            assert await h.store.save_setting("k", "x", wrong) is False
        assert await h.store.load_setting("k") == ("b", 2)

    async def test_shared_by_all_processes(self, h: Harness) -> None:
        """B5: what one process saved another loads; of two writers one wins."""
        second = await h.second_store()
        assert await h.store.save_setting("k", "mine", 0)
        assert not await second.save_setting("k", "yours", 0)
        assert await second.load_setting("k") == ("mine", 1)

    async def test_keys_and_values_are_any_text(self, h: Harness) -> None:
        """X1: keys mean only themselves, values come back as they were."""
        names = [*ODD_NAMES, *LONG_NAMES]
        for name in names:
            assert await h.store.save_setting(name, f"value of {name}", 0)
        for name in names:
            assert await h.store.load_setting(name) == (f"value of {name}", 1)
        assert await h.store.save_setting("empty", "", 0)
        assert await h.store.load_setting("empty") == ("", 1)
        assert await h.store.save_setting("large", "é" * 100_000, 0)
        assert await h.store.load_setting("large") == ("é" * 100_000, 1)


class Opening(Theme):
    """`open`, `close` and `ping`."""

    async def test_opening_twice_changes_nothing(self, h: Harness) -> None:
        """L1: `open` is idempotent."""
        await h.add("a")
        await h.store.open()
        assert not await h.accepts("a")

    async def test_closing_twice_is_no_error(self, h: Harness) -> None:
        """L1: `close` is idempotent, and another store on the same storage goes on."""
        second = await h.second_store()
        if second is h.store:
            return
        await second.close()
        await second.close()
        assert await h.accepts("a")

    async def test_ping_tells_the_engines_time(self, h: Harness) -> None:
        """J6: times are those of the engine's clock, here the travelling one."""
        assert await h.store.ping() == h.now
        h.clock.advance(5)
        assert await h.store.ping() == h.now

    async def test_second_store_sees_the_same(self, h: Harness) -> None:
        """J3: what one store took, another gives out."""
        second = await h.second_store()
        await h.add("a")
        worker = await h.through(second).worker("w", "g")
        claim = await worker.one()
        assert claim.job_id == "a"
        assert not await h.accepts("a")
        await worker.complete(claim)
        assert await h.accepts("a")

    async def test_listening_is_harmless(self, h: Harness) -> None:
        """J6: news are a hint: every verb works with a listener."""
        heard: list[str] = []
        h.store.listen(heard.append)
        worker = await h.worker("w", "g")
        assert await worker.ids() == []
        await h.add("a")
        assert await worker.ids() == ["a"]
        assert set(heard) <= {h.queue}
