"""Many callers at once, through two stores on one storage."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from checkmate_queue.core.model import Done, Epoch, GroupJoin, NewJob, RetryLater, Settlement
from checkmate_queue.testing.conformance.harness import Harness, Worker, ids
from checkmate_queue.testing.conformance.leases import give_back, lapsed_of
from checkmate_queue.testing.conformance.schedules import firing, put, spec
from checkmate_queue.testing.conformance.selection import Theme, needs

GROUP = "g"


def epochs(workers: Iterable[Worker]) -> set[Epoch]:
    """Their epochs."""
    return {worker.epoch for worker in workers}


class Concurrency(Theme):
    """Whatever happens at once, happens as if one after the other."""

    async def both(self, h: Harness) -> tuple[Harness, Harness]:
        """The queue through two stores."""
        return h, h.through(await h.second_store())

    async def test_one_of_many_equal_ids_wins(self, h: Harness) -> None:
        """J7: concurrent callers in many processes make one job for each id."""
        sides = await self.both(h)
        calls = [sides[n % 2].add(NewJob(f"job {n // 10}", f"{n}".encode())) for n in range(100)]
        answers = [added for (added,) in await asyncio.gather(*calls)]
        assert len(answers) == 100
        created = Counter(added.id for added in answers if added.created)
        assert created == {f"job {number}": 1 for number in range(10)}
        assert sorted(await (await h.worker("w", GROUP)).ids()) == sorted(created)

    async def test_no_delivery_is_claimed_twice(self, h: Harness) -> None:
        """G1: ten workers drain one group at once: every job comes to exactly one of them."""
        sides = await self.both(h)
        workers = [await sides[n % 2].worker(f"w{n}", GROUP) for n in range(10)]
        names = [f"job {number}" for number in range(400)]
        await h.add(*names)
        drained = await asyncio.gather(*(worker.drain(batch=7) for worker in workers))
        drained.append(await workers[0].drain())
        assert sorted(name for part in drained for name in part) == sorted(names)

    async def test_producers_and_consumers_at_once(self, h: Harness) -> None:
        """G7: jobs that are added while others are claimed all come, once in each group."""
        sides = await self.both(h)
        workers = [await sides[n % 2].worker(f"w{n}", f"g{n // 2}") for n in range(4)]
        got: dict[str, list[str]] = {"g0": [], "g1": []}

        async def produce(side: Harness, part: int) -> None:
            for number in range(20):
                await side.add(f"{part}.{number}.a", f"{part}.{number}.b", priority=number % 3)

        async def consume(worker: Worker) -> None:
            for _ in range(15):
                got[worker.groups[0]] += await worker.drain(batch=5)

        await asyncio.gather(
            *(produce(sides[part % 2], part) for part in range(4)), *(consume(worker) for worker in workers)
        )
        for worker in workers:
            got[worker.groups[0]] += await worker.drain()
        expected = sorted(f"{part}.{number}.{x}" for part in range(4) for number in range(20) for x in "ab")
        assert sorted(got["g0"]) == expected
        assert sorted(got["g1"]) == expected

    async def test_last_two_groups_settle_at_once(self, h: Harness) -> None:
        """J7: whoever comes last, the id is free when both are done."""
        sides = await self.both(h)
        workers = [await sides[0].worker("w1", "g1"), await sides[1].worker("w2", "g2")]
        names = [f"job {number}" for number in range(30)]
        await h.add(*names)
        claims = [await worker.claim(30) for worker in workers]
        calls = [
            worker.complete(*part)
            for start in range(0, 30, 5)
            for worker, part in zip(workers, [held[start : start + 5] for held in claims], strict=True)
        ]
        for start in range(0, len(calls), 2):
            await asyncio.gather(*calls[start : start + 2])
        assert all(added.created for added in await h.add(*names))

    async def test_adding_while_the_first_group_joins(self, h: Harness) -> None:
        """G2: no job falls between unclaimed and the group that registers at that moment."""
        sides = await self.both(h)
        names = [f"job {number}" for number in range(40)]
        calls = [sides[number % 2].add(name) for number, name in enumerate(names)]
        *_, worker = await asyncio.gather(*calls, sides[1].worker("w", GROUP))
        assert isinstance(worker, Worker)
        await worker.sweep()
        assert sorted(await worker.drain()) == sorted(names)

    async def test_workers_join_at_once(self, h: Harness) -> None:
        """G8: each worker gets an epoch of its own, one name gets one."""
        sides = await self.both(h)
        await h.add("a")
        workers = await asyncio.gather(*(sides[n % 2].worker(f"w{n}", GROUP) for n in range(12)))
        assert len(epochs(workers)) == 12
        same = await asyncio.gather(*(sides[n % 2].worker("same", GROUP) for n in range(6)))
        assert len(epochs(same)) == 1
        claimed = await asyncio.gather(*(worker.ids() for worker in workers))
        assert [name for part in claimed for name in part] == ["a"]

    async def test_unclaimed_jobs_and_two_first_groups(self, h: Harness) -> None:
        """G2: of two groups that register first at once one gets all unclaimed jobs."""
        sides = await self.both(h)
        names = [f"job {number}" for number in range(20)]
        await h.add(*names)
        first, second = await asyncio.gather(sides[0].worker("w1", "g1"), sides[1].worker("w2", "g2"))
        assert sorted([await first.drain(), await second.drain()]) == [[], names]

    async def test_each_due_time_fires_once_in_many_instances(self, h: Harness) -> None:
        """R3: however many instances fire it."""
        sides = await self.both(h)
        worker = await h.worker("w", GROUP)
        schedules = [await put(h, f"s{number}") for number in range(5)]
        h.clock.advance(60)
        calls = [sides[n % 2].store.fire(h.queue, [firing(s) for s in schedules]) for n in range(8)]
        answers = await asyncio.gather(*calls)
        assert [sum(column) for column in zip(*answers, strict=True)] == [1] * 5
        assert len(await worker.ids()) == 5

    async def test_instances_that_start_up_make_one_schedule(self, h: Harness) -> None:
        """R4: a hundred instances that put the same definition make one revision."""
        sides = await self.both(h)
        calls = [sides[n % 2].store.put_schedule(h.queue, spec(h, first_at=h.now + n)) for n in range(100)]
        assert len({(s.revision, s.anchor, s.next_at) for s in await asyncio.gather(*calls)}) == 1

    async def test_lapsed_claims_go_to_one_of_many_tickers(self, h: Harness) -> None:
        """G7: ticks at once hand each lapsed claim to one holder, with one stall."""
        sides = await self.both(h)
        dying = [await h.worker(f"dying {n}", GROUP) for n in range(3)]
        keepers = [await sides[n % 2].worker(f"keeper {n}", GROUP) for n in range(4)]
        names = [f"job {number}" for number in range(30)]
        await h.add(*names)
        for worker in dying:
            await worker.claim(10)
        await h.travel(31, *keepers)
        handed = await asyncio.gather(*(lapsed_of(keeper) for keeper in keepers))
        found = [(lapsed.claim.job_id, lapsed.claim.stalls) for part in handed for lapsed in part]
        assert sorted(found) == sorted((name, 1) for name in names)
        for keeper, part in zip(keepers, handed, strict=True):
            await keeper.tick(*map(give_back, part))
        assert await keepers[0].ids() == names

    async def test_due_jobs_are_made_ready_once(self, h: Harness) -> None:
        """G1: many who promote at once make each due job ready once in each group."""
        sides = await self.both(h)
        workers = [await sides[n % 2].worker(f"w{n}", f"g{n % 2}") for n in range(6)]
        names = [f"job {number}" for number in range(60)]
        await h.add(*names, delay_ms=1000)
        h.clock.advance(1)
        ticks = await asyncio.gather(*(worker.tick() for worker in workers))
        assert sum(tick.readied for tick in ticks) == 120
        assert await workers[0].drain() == names
        assert await workers[1].drain() == names

    async def test_repeated_exchange_at_once(self, h: Harness) -> None:
        """G7: a repeat that overtakes or meets the first call gets the same claims."""
        sides = await self.both(h)
        worker = await h.worker("w", GROUP)
        await h.add("a", "b", "c", "d")
        calls = [sides[n % 2].store.exchange(worker.epoch, GROUP, 1, [], 2) for n in range(6)]
        answers = await asyncio.gather(*calls)
        assert [ids(answer.claims) for answer in answers] == [["a", "b"]] * 6
        claims = answers[0].claims
        settlements: list[Settlement] = [RetryLater(claims[0].key, 0), Done(claims[1].key)]
        calls = [sides[n % 2].store.exchange(worker.epoch, GROUP, 2, settlements, 3) for n in range(6)]
        for answer in await asyncio.gather(*calls):
            assert [(claim.job_id, claim.attempts) for claim in answer.claims] == [
                ("c", 0),
                ("d", 0),
                ("a", 1),
            ]

    async def test_groups_come_and_go_under_load(self, h: Harness) -> None:
        """G5: ephemeral groups that join and leave take nothing from a durable one."""
        sides = await self.both(h)
        worker = await h.worker("w", GROUP)
        names = [f"job {number}" for number in range(60)]

        async def visit(side: Harness, number: int) -> None:
            visitor = await side.worker(f"v{number}", GroupJoin(f"e{number % 3}", ephemeral=True))
            await visitor.ids(3)
            await visitor.leave()

        await asyncio.gather(
            *(sides[n % 2].add(name) for n, name in enumerate(names)),
            *(visit(sides[n % 2], n) for n in range(12)),
        )
        assert sorted(await worker.drain()) == sorted(names)
        assert all(added.created for added in await h.add(*names))

    @needs("drop_group", "groups")
    async def test_ids_of_a_group_that_is_being_dropped(self, h: Harness) -> None:
        """J7, G4: what a dropped group leaves behind holds no id, however long it takes to clear away."""
        sides = await self.both(h)
        worker, leaving = await h.worker("w", GROUP), await h.worker("leaving", "gone")
        names = [f"job {number}" for number in range(2500)]
        for first in range(0, len(names), 500):
            await h.add(*names[first : first + 500])
        assert sorted(await worker.drain()) == sorted(names)
        await leaving.leave()
        dropping = asyncio.ensure_future(sides[1].store.drop_group(h.queue, "gone"))
        while "gone" in [group.name for group in await h.store.groups(h.queue)]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        again = names[::-125]
        answers = [added for name in again for added in await h.add(name)]
        assert await dropping
        assert [added.id for added in answers if added.created] == again
        assert sorted(await worker.drain()) == sorted(again)

    @needs("save_setting", "load_setting")
    async def test_one_of_many_settings_wins(self, h: Harness) -> None:
        """B6: of writers that expect the same version one wins."""
        sides = await self.both(h)
        for version in range(5):
            calls = [sides[n % 2].store.save_setting("k", f"{version}.{n}", version) for n in range(8)]
            answers = await asyncio.gather(*calls)
            assert answers.count(True) == 1
            assert await h.store.load_setting("k") == (f"{version}.{answers.index(True)}", version + 1)

    @needs("cancel")
    async def test_cancelling_while_claiming(self, h: Harness) -> None:
        """L12: a job is either removed or its claim is told, never both, never neither."""
        sides = await self.both(h)
        worker = await h.worker("w", GROUP)
        names = [f"job {number}" for number in range(20)]
        await h.add(*names)
        cancelling = [sides[n % 2].store.cancel(h.queue, name) for n, name in enumerate(names)]
        claims, results = await asyncio.gather(worker.claim(20), asyncio.gather(*cancelling))
        assert [result.removed + result.signalled for result in results] == [1] * 20
        told = {key for _, key in (await worker.heartbeat()).cancelled}
        assert told == {claim.key for claim in claims}
        await worker.complete(*claims)
        assert all(added.created for added in await h.add(*names))
