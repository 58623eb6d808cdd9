"""Names are text, nothing more: whatever they contain, they mean only themselves."""

from __future__ import annotations

from checkmate_queue.core.model import GroupJoin, NewJob
from checkmate_queue.testing.conformance.harness import Harness
from checkmate_queue.testing.conformance.selection import Theme, needs

ODD_NAMES = (
    *("a", "A", " a", "a ", "a:b", "a:", ":a", "::", "a.b", "a/b", "../a", "*", "?", "%", "_", "a%", "a_"),
    *("'", "''", '"', "`", "\\", "\\'", "'; DROP TABLE jobs; --", "' OR '1'='1", "$1", "$$", ":id", "@p"),
    *("{", "}", "{}", "{a}", "{0}", "%s", "%(a)s", "[a]", "(a)", "]]", "#", "--", "/*", "*/", ";", "|", "&"),
    *(
        "é",
        "e\u0301",
        "ß",
        "ss",
        "ＡＢ",
        "İ",
        "日本語",
        "🦆",
        "👩\u200d👩\u200d👧",
        "\u202ea",
        "\ufeffa",
        "\u00a0",
    ),
    *("0", "00", "-1", "1e3", "null", "None", "nil", "true", "NaN", "inf", "<script>", "a\u2028b"),
)
LONG_NAMES = ("x" * 511 + "a", "x" * 511 + "b", "é" * 256, "🦆" * 128)


class Names(Theme):
    """Queues, groups, workers, jobs, schedules and settings under odd names."""

    async def test_job_ids(self, h: Harness) -> None:
        """J1: job ids are any text up to 512 bytes; each is one id, equal only to itself."""
        worker = await h.worker("w", "g")
        names = [*ODD_NAMES, *LONG_NAMES]
        assert all(added.created for added in await h.add(*names))
        assert not any(added.created for added in await h.add(*names))
        claims = await worker.claim(len(names))
        assert [claim.job_id for claim in claims] == names
        await worker.complete(*claims)
        assert all(added.created for added in await h.add(*names))

    async def test_queues(self, h: Harness) -> None:
        """J1: queues of odd names hold their own jobs only."""
        workers = {}
        for name in (*ODD_NAMES, *LONG_NAMES):
            queue = await h.on(name)
            workers[name] = await queue.worker("w", "g")
            await queue.add(NewJob("job", name.encode()))
        for name, worker in workers.items():
            assert [claim.data for claim in await worker.claim(9)] == [name.encode()]

    async def test_groups(self, h: Harness) -> None:
        """J1: groups of odd names get each job once, and don't touch each other."""
        names = [*ODD_NAMES, *LONG_NAMES]
        worker = await h.worker("w", *names)
        await h.add("a")
        for name in names:
            assert await worker.ids(group=name) == ["a"]

    async def test_ephemeral_groups(self, h: Harness) -> None:
        """J1: leaving one group of an odd name leaves all others alone."""
        names = [*ODD_NAMES, *LONG_NAMES]
        worker = await h.worker("w", *(GroupJoin(name, ephemeral=True) for name in names))
        await h.add("a")
        for position, name in enumerate(names):
            assert await worker.ids(group=name) == ["a"]
            await worker.leave(name)
            assert await h.accepts("a") == (position == len(names) - 1)

    async def test_workers(self, h: Harness) -> None:
        """J1: workers of odd names are different workers."""
        workers = [await h.worker(name, "g") for name in (*ODD_NAMES, *LONG_NAMES)]
        assert len({worker.epoch.number for worker in workers}) == len(workers)
        await h.add("a")
        assert [len(await worker.claim(1)) for worker in workers] == [1] + [0] * (len(workers) - 1)

    async def test_boundaries_between_names(self, h: Harness) -> None:
        """X1: a queue `a:b` with a group `c` is not a queue `a` with a group `b:c`."""
        pairs = [
            ("a:b", "c"),
            ("a", "b:c"),
            ("a:b:c", "d"),
            ("a", "b"),
            ("a:b", "b"),
            ("a}b", "c"),
            ("{a", "c"),
        ]
        workers = []
        for queue, group in pairs:
            workers.append(await (await h.on(queue)).worker("w:w", group))
        for position, (worker, (queue, _)) in enumerate(zip(workers, pairs, strict=True)):
            await (await h.on(queue)).add(NewJob(f"job {position}", b"", priority=position))
            assert f"job {position}" in await worker.ids()

    async def test_tokens(self, h: Harness) -> None:
        """X1: a token is compared as it is."""
        for number, name in enumerate(ODD_NAMES):
            await h.add(NewJob(f"{number}", b"", token=name))
        for number, name in enumerate(ODD_NAMES):
            (mine,) = await h.add(NewJob(f"{number}", b"", token=name))
            (other,) = await h.add(NewJob(f"{number}", b"", token=name + "x"))
            assert (mine.created, other.created) == (True, False)

    @needs("queues", "stats")
    async def test_names_in_listings(self, h: Harness) -> None:
        """X1: listings show names as they were given, queues sorted."""
        names = [*ODD_NAMES, *LONG_NAMES]
        for name in names:
            await h.store.register(name)
        await h.worker("w", *names)
        assert await h.store.queues() == sorted({*names, h.queue})
        assert set((await h.store.stats(h.queue)).groups) == set(names)

    @needs("job", "cancel")
    async def test_lookup_and_cancel(self, h: Harness) -> None:
        """X1: an odd id is found, and cancelling it takes nothing else along."""
        names = [*ODD_NAMES, *LONG_NAMES]
        await h.add(*names)
        for position, name in enumerate(names):
            record = await h.store.job(h.queue, name)
            assert record is not None
            assert record.id == name
            assert (await h.store.cancel(h.queue, name)).removed == 1
            assert await h.store.job(h.queue, name) is None
            assert all([await h.store.job(h.queue, other) for other in names[position + 1 : position + 4]])

    @needs("rename_group", "groups")
    async def test_renaming_through_odd_names(self, h: Harness) -> None:
        """X1: a group keeps its delivery through every odd name."""
        worker = await h.worker("w", "first")
        await h.add("a")
        await worker.leave()
        current = "first"
        for name in (*ODD_NAMES, *LONG_NAMES):
            await h.store.rename_group(h.queue, current, name)
            current = name
        assert [group.name for group in await h.store.groups(h.queue)] == [current]
        assert await (await h.worker("w", current)).ids() == ["a"]
