"""The backends of one process: the one that is active, the settings that say which, and the way to others."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from checkmate_queue.backends.plugin import BackendConfig, QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.details import SwitchPreview, SwitchResult
from checkmate_queue.core.errors import BackendSwitchError, BackendUnavailableError, QueueError
from checkmate_queue.moving import Limitable, MovableStore
from checkmate_queue.runtime.events import BackendSwitched, EventHub, SwitchProgressed
from checkmate_queue.runtime.patience import persevere
from checkmate_queue.store import Clock
from checkmate_queue.switching import plan
from checkmate_queue.switching.counts import count_jobs, count_schedules, warnings_of
from checkmate_queue.switching.document import Document, StoredConfig
from checkmate_queue.switching.mover import SILENCE_SECONDS, Mover, Progress
from checkmate_queue.switching.proxy import SwitchableStore
from checkmate_queue.switching.settings import ActiveBackend, BackendSettings

log = logging.getLogger("checkmate_queue.switch")

LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A backend that a config names."""

    plugin: QueuePlugin[Any]
    config: BackendConfig

    def is_same_storage(self, other: Place) -> bool:
        """Whether both name one storage (B1)."""
        return self.plugin.id == other.plugin.id and bool(
            self.plugin.storage_of(self.config) == other.plugin.storage_of(other.config)
        )

    def is_same_engine(self, other: Place) -> bool:
        """Whether one store serves both, if they name one storage."""
        return self.plugin.in_process or _engine_parts(self.config) == _engine_parts(other.config)


def _engine_parts(config: BackendConfig) -> object:
    """What a store was told of a config: the rest is the runtime's."""
    shared = set(BackendConfig.model_fields)
    return config.limits, config.patience_seconds, config.model_dump(mode="python", exclude=shared)


class Backends:
    """Opens what is active, and follows every switch. `home` is where the settings are."""

    def __init__(
        self,
        registry: QueuePluginRegistry,
        home: Place,
        initial: Place,
        hub: EventHub,
        clock: Clock | None,
        on_change: Callable[[BackendConfig], None],
    ) -> None:
        """`on_change` is told the config that holds from now on, whenever that is another one."""
        self._on_change = on_change
        self._registry = registry
        self._home = home
        self._initial = initial
        self._hub = hub
        self._clock = clock
        self._in_process: dict[str, MovableStore] = {}
        self._following = asyncio.Lock()
        self._watched: tuple[str, str, int] | None = None
        self._watched_since = 0.0
        self._poller: asyncio.Task[None] | None = None
        self._polls: set[asyncio.Task[None]] = set()
        self.active = initial
        self.version = 1
        self._moves = 0

    async def open(self) -> SwitchableStore:
        """Open the settings, and the backend that they name; raises what opening raises."""
        self._home_store = self._create(self._home)
        self._settings = self._settings_in(self._home_store)
        try:
            await persevere(self._home_store.open, self._home.config.patience_seconds)
            return await self._open_active()
        except BaseException:
            await self._home_store.close()
            raise

    async def _open_active(self) -> SwitchableStore:
        found = await persevere(self._settings.load_active, self._home.config.patience_seconds)
        if found is not None:
            self._note(found)
        store, kept = await self._opened(self.active)
        backend = self.active.plugin.id
        self._store = SwitchableStore(store, self._home_store, self._follow, kept, backend, self._look_after)
        return self._store

    async def close(self) -> None:
        """Close what `open` opened."""
        self.stop_polling()
        if self._polls:
            await asyncio.wait(self._polls)
        try:
            await self._store.close()
        finally:
            await self._home_store.close()

    def _settings_in(self, store: MovableStore) -> BackendSettings:
        return BackendSettings(
            store, self._registry, initial=lambda: self._settings.stored(*_parts(self._initial))
        )

    def _note(self, found: ActiveBackend) -> None:
        self.active = Place(found.plugin, found.config)
        self.version = found.document.version
        self._moves = found.document.moves

    # -- stores ----------------------------------------------------------------------------------

    def _create(self, place: Place) -> MovableStore:
        known = self._in_process.get(place.plugin.id)
        if known is not None:
            return known
        # Whoever is not `switchable` is never asked for the verbs of a move.
        store = cast("MovableStore", place.plugin.create_store(place.config, self._clock))
        if place.plugin.in_process:
            self._in_process[place.plugin.id] = store
        return store

    async def _opened(self, place: Place) -> tuple[MovableStore, bool]:
        """A store, open, and whether it is kept open by somebody else."""
        if place.is_same_storage(self._home) and place.is_same_engine(self._home):
            return self._home_store, True
        # Apart: the first store of an engine imports its driver, for which a loop that is busy has no time.
        store = await asyncio.to_thread(self._create, place)
        try:
            await persevere(store.open, place.config.patience_seconds)
        except BaseException:
            await store.close()
            raise
        return store, place.plugin.in_process

    @asynccontextmanager
    async def _borrowed(self, stored: StoredConfig) -> AsyncIterator[MovableStore]:
        """A store for a step of a switch."""
        plugin = self._registry.get_plugin(stored.plugin)
        store, kept = await self._opened(Place(plugin, self._settings.read(stored)))
        try:
            yield store
        finally:
            if not kept:
                await store.close()

    # -- following -------------------------------------------------------------------------------

    async def _follow(self, generation: int, successor: str) -> None:
        """Return when a call that met a fence may be repeated (B3)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.active.config.switch_patience_seconds
        async with self._following:
            while generation == self._store.generation:
                if await self._has_moved_on(successor):
                    return
                if loop.time() >= deadline:
                    raise BackendUnavailableError(
                        "The backend is being switched, and that takes longer than switch_patience_seconds "
                        f"({self.active.config.switch_patience_seconds:g} s)"
                    )
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _look_after(self, generation: int) -> bool:
        """Whether what comes after a generation is the active backend by now, and is worked with."""
        if generation == self._store.generation:
            document = (await self._settings.load()).document
            if document is None or document.version == self.version:
                return False
            await self._advance_now()
        return generation != self._store.generation

    async def _has_moved_on(self, successor: str) -> bool:
        await self._adopt_settings(successor)
        document = await self._settings.load_document()
        if document.phase in ("active", "clearing") and await self._advance():
            return True
        if document.undertaking is not None:
            await self._watch(document)
            if document.phase != "clearing":
                return False
            # The new backend accepts a moment after the pointer names it.
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            return True
        # The fence of a switch that was undone, or of one who was given up and came late.
        await self._store.active.reopen(successor)
        return True

    async def _adopt_settings(self, successor: str) -> None:
        """A fence may name settings elsewhere: those hold from now on."""
        try:
            told = json.loads(successor)["settings"]
            stored = StoredConfig(told["plugin"], told["config_version"], told["values"])
        except (ValueError, KeyError, TypeError):
            raise BackendSwitchError(
                f"The queue is closed, and what its fence says can't be followed: {successor!r:.200}"
            ) from None
        place = Place(self._registry.get_plugin(stored.plugin), self._settings.read(stored))
        if place.is_same_storage(self._home):
            return
        store = self._create(place)
        await persevere(store.open, place.config.patience_seconds)
        old, old_place = self._home_store, self._home
        self._home, self._home_store = place, store
        self._initial, self.version, self._moves = place, 0, 0
        self._settings = self._settings_in(store)
        self._store.keep_settings_in(store, closing=None if self._store.active is old else old)
        log.info(
            "The settings are in another place now: %s instead of %s", place.plugin.id, old_place.plugin.id
        )

    async def _advance(self) -> bool:
        """Work with the backend that the settings name, if that is another one; whether it is."""
        found = await self._settings.load_active()
        if found is None or found.document.version == self.version:
            return False
        before, place = self.active, Place(found.plugin, found.config)
        has_moved = found.document.moves != self._moves
        if has_moved or not place.is_same_storage(before) or not place.is_same_engine(before):
            store, kept = await self._opened(place)
            if has_moved or store is not self._store.active:
                self._store.switch_to(store, kept, place.plugin.id)
        if isinstance(self._store.active, Limitable):
            self._store.active.limit(place.config.limits)
        self._note(found)
        self._on_change(place.config)
        self._hub.emit(BackendSwitched("", place.plugin.id, self.version))
        return True

    async def _watch(self, document: Document) -> None:
        """Take over a switch whose owner has fallen silent (B6)."""
        under, now = document.undertaking, asyncio.get_running_loop().time()
        assert under is not None
        seen = (under.id, under.owner, under.beat)
        if seen != self._watched:
            self._watched, self._watched_since = seen, now
        elif now - self._watched_since > SILENCE_SECONDS:
            try:
                await self._mover(self._report).resume(document)
            except BackendSwitchError:
                self._watched = None  # Another process was first.

    # -- polling ---------------------------------------------------------------------------------

    def start_polling(self, interval_seconds: float) -> None:
        """Look every so often whether the settings name another backend (B5)."""
        self.stop_polling()
        self._poller = asyncio.get_running_loop().create_task(self._poll(interval_seconds))
        self._polls.add(self._poller)
        self._poller.add_done_callback(self._polls.discard)

    def stop_polling(self) -> None:
        """End that."""
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _poll(self, interval_seconds: float) -> None:
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                async with self._following:
                    await self._look()
            except Exception as error:
                log.warning("The settings could not be read: %s", error)

    async def _look(self) -> None:
        document = (await self._settings.load()).document
        if document is None:
            return
        if document.version != self.version:
            await self._advance()
        if document.undertaking is not None:
            await self._watch(document)

    # -- switching -------------------------------------------------------------------------------

    def _mover(self, report: Callable[[Progress], None]) -> Mover:
        home = self._settings.stored(*_parts(self._home))
        return Mover(self._settings, self._borrowed, home, report)

    def _report(self, progress: Progress) -> None:
        self._hub.emit(SwitchProgressed("", progress.step, progress.jobs, progress.total))

    async def document(self) -> Document:
        """What is stored of the backends."""
        return await persevere(self._settings.load_document, self._home.config.patience_seconds)

    async def preview(self, plugin_id: str, values: Mapping[str, Any]) -> SwitchPreview:
        """What `switch` would move; refuses what that would refuse, and changes nothing."""
        target, stored = await self._accept(plugin_id, values)
        await self._end_what_was_left()
        if target.is_same_storage(await self._present()):
            await self._check_reachable(stored)
            return SwitchPreview(0, 0, ("The config is for the same storage: nothing moves",))
        await self._check_vacant(target, stored)
        store = self._store
        stats = {queue: await store.stats(queue) for queue in await store.queues()}
        plan.check_capacity(stats, target.config.max_queue_size)
        jobs = schedules = 0
        for queue in stats:
            jobs += await count_jobs(store, queue)
            schedules += await count_schedules(store, queue)
        return SwitchPreview(jobs, schedules, warnings_of(sum(each.processing for each in stats.values())))

    async def _check_vacant(self, target: Place, stored: StoredConfig) -> None:
        """Raise where a switch would find no vacant storage, and could make none; makes none itself."""
        if target.plugin.absence(target.config) is not None:
            target.plugin.check_place(target.config)
            return
        async with self._borrowed(stored) as new:
            if not await new.is_vacant():
                raise BackendSwitchError(f"The {target.plugin.id} backend is not empty; name an empty one")

    async def _check_reachable(self, stored: StoredConfig) -> None:
        """Raise where an engine refuses what a config for the present storage says, such as its password."""
        async with self._borrowed(stored) as store:
            await store.ping()

    async def _end_what_was_left(self) -> None:
        """Raise `BackendSwitchError` where a switch is under way; end one whose process has died (B6)."""
        document, since = await self.document(), asyncio.get_running_loop().time()
        while document.undertaking is not None:
            if asyncio.get_running_loop().time() - since > SILENCE_SECONDS:
                await self._mover(self._report).resume(document, whatever_is_left=True)
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            before, document = document, await self.document()
            if document.undertaking not in (None, before.undertaking):
                plan.check_idle(document)

    async def switch(self, plugin_id: str, values: Mapping[str, Any]) -> SwitchResult:
        """Move everything to another backend; see `QueueManager.set_active_backend`."""
        await self._end_what_was_left()
        for queue in (await self._store.queues())[:1]:
            await self._store.register(queue)  # A fence that other settings left is followed first.
        target, stored = await self._accept(plugin_id, values)
        if target.is_same_storage(await self._present()):
            await self._check_reachable(stored)
            await self._settings.change_document(partial(plan.exchange_config, config=stored))
            await self._advance_now()
            return SwitchResult(True, 0, 0)
        store = self._store
        running = [(await store.stats(queue)).processing for queue in await store.queues()]
        mover = self._mover(self._report)
        try:
            progress = await mover.switch(stored, target.config.max_queue_size)
        except BaseException:
            with suppress(QueueError):
                await self._advance_now()  # A refusal may mean that others have switched.
            raise
        await self._advance_now()
        warnings = (*warnings_of(sum(running)), *mover.warnings)
        return SwitchResult(True, progress.jobs, progress.schedules, warnings)

    async def _advance_now(self) -> None:
        async with self._following:
            await self._advance()

    async def _present(self) -> Place:
        """The active backend, as the settings have it now."""
        await self._advance_now()
        return self.active

    async def _accept(self, plugin_id: str, values: Mapping[str, Any]) -> tuple[Place, StoredConfig]:
        document = await self.document()
        config, stored = self._settings.accept(plugin_id, values, document)
        target = Place(self._registry.get_plugin(plugin_id), config)
        for plugin in (self.active.plugin, target.plugin):
            if not plugin.switchable:
                raise BackendSwitchError(
                    f"The {plugin.display_name} backend can't be switched to or from yet"
                )
        return target, stored


def _parts(place: Place) -> tuple[QueuePlugin[Any], BackendConfig]:
    return place.plugin, place.config
