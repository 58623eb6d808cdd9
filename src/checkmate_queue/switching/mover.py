"""Applying the plan: everything goes from one store to another, in repeatable steps (B2, B3, B6)."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias, assert_never

from checkmate_queue.core.errors import BackendSwitchError, BackendUnavailableError, QueueError
from checkmate_queue.core.moving import MovedJob, MovedSchedule
from checkmate_queue.moving import MovableStore
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.store import BATCH, FencedError
from checkmate_queue.switching import plan
from checkmate_queue.switching.document import Document, StoredConfig
from checkmate_queue.switching.settings import BackendSettings

log = logging.getLogger("checkmate_queue.switch")

BEAT_SECONDS = 2.0
"""How often a mover shows that it is at work."""

SILENCE_SECONDS = 12.0
"""After how long without a beat another process takes a switch over."""

PATIENCE_SECONDS = 5.0
"""How long one step waits for a backend that can't be reached."""

OpenStore: TypeAlias = Callable[[StoredConfig], AbstractAsyncContextManager[MovableStore]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a switch is: `jobs` of about `total` have been copied."""

    step: plan.Step
    jobs: int = 0
    schedules: int = 0
    total: int = 0


def successor_of(switch_id: str, settings: StoredConfig) -> str:
    """What a fence says: which switch it belongs to, and where the settings are that name the new backend."""
    return json.dumps(
        {
            "switch": switch_id,
            "settings": {
                "plugin": settings.plugin,
                "config_version": settings.config_version,
                "values": dict(settings.values),
            },
        }
    )


class Mover:
    """Carries out switches of one settings store. `home` is where that store is, as fences tell it."""

    def __init__(
        self,
        settings: BackendSettings,
        open_store: OpenStore,
        home: StoredConfig,
        report: Callable[[Progress], None],
    ) -> None:
        self._settings = settings
        self._open = open_store
        self._home = home
        self._report = report
        self._owner = uuid.uuid4().hex
        self._progress = Progress("copy")
        self._at_hand: list[tuple[StoredConfig, MovableStore]] = []
        self._accepting = False
        self.warnings: list[str] = []

    async def switch(self, target: StoredConfig, most: int | None) -> Progress:
        """Move everything to `target`, whose queues hold at most `most` jobs, and make it the active backend.

        Raises `BackendSwitchError` where another switch is under way, or the target is not empty or too
        small; `BackendUnavailableError` where a backend can't be reached. Nothing has changed then.
        """
        switch_id = uuid.uuid4().hex
        async with self._use(target) as new:
            document = await self._settings.load_document()
            await self._check_capacity(document, most)
            # Before anything is written: what is refused leaves no trace.
            if not await new.is_vacant():
                raise BackendSwitchError(f"The {target.plugin} backend is not empty; name an empty one")
            begun = partial(
                plan.begin,
                target=target,
                switch_id=switch_id,
                owner=self._owner,
                fence=successor_of(switch_id, self._home),
            )
            await self._settings.change_document(begun)
            # Open throughout: connecting anew would make the pause longer.
            self._at_hand.append((target, new))
            async with self._use(document.active) as old:
                self._at_hand.append((document.active, old))
                await self._carry_out(switch_id)
        return self._progress

    async def _carry_out(self, switch_id: str) -> None:
        beating = asyncio.create_task(self._beat(switch_id))
        try:
            await self._copy_or_give_up(switch_id)
        finally:
            beating.cancel()
            self._at_hand.clear()

    @asynccontextmanager
    async def _use(self, config: StoredConfig) -> AsyncIterator[MovableStore]:
        """A store for a step: one that is at hand, or else a new one."""
        for known, store in self._at_hand:
            if known == config:
                yield store
                return
        async with self._open(config) as store:
            yield store

    async def resume(self, document: Document, whatever_is_left: bool = False) -> None:
        """Finish or undo what a process that died has left.

        Where all is on the new backend already and only the old one can't be reached to be emptied, that is
        tried again later by whoever comes; with `whatever_is_left` it is left as it is, closed.
        """
        assert document.undertaking is not None
        seen = document.undertaking

        def take_over(current: Document) -> Document:
            if current.undertaking != seen:
                raise BackendSwitchError("The switch goes on by itself")
            return plan.take_over(current, self._owner)

        taken = await self._settings.change_document(take_over)
        log.warning("A switch was left half-way; it is being %s", _to_be_done(taken))
        try:
            await self._end(taken)
        except BackendUnavailableError:
            if not (whatever_is_left and self._accepting):
                raise
            log.warning("What is left in the %s backend was not removed; it stays closed", seen.other.plugin)
            await self._settings.change_document(partial(plan.end, switch_id=seen.id))

    # -- copying ---------------------------------------------------------------------------------

    async def _copy_or_give_up(self, switch_id: str) -> None:
        document: Document | None
        try:
            document = await self._settings.load_document()
            await self._copy(document, switch_id)
            flip = partial(plan.flip, switch_id=switch_id, owner=self._owner)
            document = await self._settings.change_document(flip)
        except (Exception, asyncio.CancelledError):
            give_up = partial(plan.give_up, switch_id=switch_id, owner=self._owner)
            try:
                # The flip may have taken effect though its answer was lost: then it is finished.
                document = await persevere(partial(self._settings.change_document, give_up), PATIENCE_SECONDS)
            except BackendSwitchError:
                document = None  # Another process has ended it already.
            if document is None or document.phase != "clearing":
                if document is not None:
                    await self._end(document)
                raise
        try:
            await self._end(document)
        except BackendUnavailableError as error:
            if not self._accepting:
                raise
            # Everything is on the new backend, so the switch has succeeded.
            self.warnings.append(f"The old backend is still to be emptied, which others try again: {error}")
            log.warning("%s", self.warnings[-1])

    async def _copy(self, document: Document, switch_id: str) -> None:
        under = plan.owned(document, switch_id, self._owner)
        successor = under.fence
        async with self._use(document.active) as old, self._use(under.other) as new:
            if not await new.receive(switch_id, successor):
                raise BackendSwitchError(f"The {under.other.plugin} backend is not empty; name an empty one")
            await old.fence(None, successor)
            queues = await old.queues()
            for queue in queues:
                await old.fence(queue, successor)
            number = 0
            for queue in queues:
                number = await self._copy_queue(old, new, switch_id, queue, number)
            # The registry tells its fence to a name that it does not know.
            await _check_closed(old, [f"switch {switch_id}", *queues[:1]], successor)

    async def _copy_queue(
        self, old: MovableStore, new: MovableStore, switch_id: str, queue: str, number: int
    ) -> int:
        cursor: str | None = ""
        while cursor is not None:
            records, cursor = await persevere(partial(old.export, queue, cursor, BATCH), PATIENCE_SECONDS)
            number += 1
            await persevere(partial(new.restore, switch_id, queue, number, records), PATIENCE_SECONDS)
            self._count(
                sum(isinstance(record, MovedJob) for record in records),
                sum(isinstance(record, MovedSchedule) for record in records),
            )
        return number

    def _count(self, jobs: int, schedules: int) -> None:
        self._progress = replace(
            self._progress, jobs=self._progress.jobs + jobs, schedules=self._progress.schedules + schedules
        )
        self._report(self._progress)

    # -- ending ----------------------------------------------------------------------------------

    async def _end(self, document: Document) -> None:
        """Do what is left to be done: empty the old backend, or open it again."""
        under, step = document.undertaking, plan.next_step(document)
        if under is None:
            return
        successor = under.fence
        self._report(replace(self._progress, step=step or "finish"))
        match step:
            case "finish":
                await self._finish(document.active, under.other, under.id, successor)
            case "undo":
                await self._empty_target(under.other, successor)
                async with self._use(document.active) as old:
                    await old.reopen(successor)
            case "copy" | None:
                raise AssertionError(document.phase)
            case _:
                assert_never(step)
        await self._settings.change_document(partial(plan.end, switch_id=under.id))

    async def _finish(
        self, active: StoredConfig, other: StoredConfig, switch_id: str, successor: str
    ) -> None:
        async with self._use(active) as new:
            await new.admit(switch_id)
        self._accepting = True
        async with self._use(other) as old:
            await old.clear(successor)

    async def _empty_target(self, target: StoredConfig, successor: str) -> None:
        """Leave it as it was found. One that can't be reached stays closed, and counts as empty (B1)."""
        try:
            async with self._use(target) as new:
                if await new.is_vacant():
                    await new.clear(successor)
                    await new.reopen(successor)
        except QueueError as error:
            log.warning("What was copied to the %s backend could not be removed: %s", target.plugin, error)

    async def _check_capacity(self, document: Document, most: int | None) -> None:
        async with self._use(document.active) as old:
            stats = {queue: await old.stats(queue) for queue in await old.queues()}
        total = sum(map(plan.about_jobs, stats.values()))
        self._progress = replace(self._progress, total=total)
        plan.check_capacity(stats, most)

    async def _beat(self, switch_id: str) -> None:
        beat = partial(plan.beat, switch_id=switch_id, owner=self._owner)
        # Whoever takes over is met at the next step.
        with suppress(BackendSwitchError):
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                with suppress(BackendUnavailableError):
                    await self._settings.change_document(beat)


async def _check_closed(old: MovableStore, queues: Sequence[str], successor: str) -> None:
    """Raise where the fence is not this switch's any more: what was copied may have changed since."""
    for queue in queues:
        try:
            await old.register(queue)
        except FencedError as fence:
            if fence.successor == successor:
                continue
        raise BackendSwitchError(
            "The old backend was closed by another switch meanwhile, or opened; are the settings of some "
            "process in another place than those of this one?"
        )


def _to_be_done(document: Document) -> str:
    return "undone" if document.phase == "undoing" else "finished"
