"""Storages for whole managers: one place to keep jobs, and lines to it that can be cut."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast
from urllib.parse import SplitResult, urlsplit

from checkmate_queue import BackendConfig, BackendUnavailableError, QueueManager, QueuePlugin
from checkmate_queue.backends.postgres.plugin import PostgresPlugin
from checkmate_queue.store import Clock, Store

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresStorage
    from tests.servers.redis_storage import RedisStorage

Kind = Literal["memory", "sqlite", "redis", "postgres"]

ALL = frozenset({"*"})


class Link:
    """The line from one manager to its storage: it can be cut, whole or for some verbs, and lose answers."""

    def __init__(self) -> None:
        self.refused = 0
        self._cut: frozenset[str] = frozenset()
        self._losing: dict[str, int] = {}
        self._errors: dict[str, list[tuple[Exception, bool]]] = {}

    def cut(self, *verbs: str) -> None:
        """From now on these verbs (or all) raise `BackendUnavailableError`."""
        self._cut = frozenset(verbs) or ALL

    def mend(self) -> None:
        """Everything works again."""
        self._cut = frozenset()

    def lose_answers(self, verb: str, count: int = 1) -> None:
        """The next calls of the verb take effect, and raise `BackendUnavailableError` all the same."""
        self._losing[verb] = count

    def break_next(self, verb: str, error: Exception, *, after: bool = False) -> None:
        """The next call of the verb raises this, without effect, or after it has taken effect."""
        self._errors.setdefault(verb, []).append((error, after))

    async def carry(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make the call as the line permits."""
        if verb in self._cut or self._cut == ALL:
            self.refused += 1
            raise BackendUnavailableError(f"the line is cut ({verb})")
        if errors := self._errors.get(verb):
            error, after = errors.pop(0)
            if after:
                await call()
            raise error
        answer = await call()
        if self._losing.get(verb):
            self._losing[verb] -= 1
            raise BackendUnavailableError(f"the answer was lost ({verb})")
        return answer


class LinkedStore:
    """A store at the other end of a `Link`."""

    def __init__(self, inner: Store, link: Link) -> None:
        self._inner = inner
        self._link = link

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(verb) or name == "close":
            return verb

        async def call(*args: Any, **options: Any) -> Any:
            return await self._link.carry(name, lambda: verb(*args, **options))

        return call


class LinkedPlugin(QueuePlugin[BackendConfig]):
    """A built-in plugin, reached over a `Link`."""

    id: ClassVar[str] = "linked"
    display_name: ClassVar[str] = "Linked"
    description: ClassVar[str] = "A backend at the other end of a line"
    schemes: ClassVar[tuple[str, ...]] = ("linked",)
    address_parameters: ClassVar[frozenset[str]] = PostgresPlugin.address_parameters

    def __init__(self, storage: Storage, inner: QueuePlugin[Any], link: Link) -> None:
        self.config_schema = inner.config_schema
        self._storage = storage
        self._inner = inner
        self._link = link

    def address_of(self, url: SplitResult) -> dict[str, Any]:
        """See `QueuePlugin`."""
        return self._inner.address_of(url._replace(scheme=urlsplit(self._storage.url).scheme))

    def create_store(self, config: BackendConfig, clock: Clock | None = None) -> Store:
        """See `QueuePlugin`."""
        store = self._storage.keep(lambda: self._inner.create_store(config, clock))
        return cast("Store", LinkedStore(store, self._link))


class Storage:
    """What managers of one test share: a database, keys on a server, or a store in memory."""

    def __init__(
        self, kind: Kind, folder: Path, server: PostgresStorage | RedisStorage | None = None
    ) -> None:
        self.kind = kind
        self.server = server
        self.path = folder / "queue.db"
        self._kept: Store | None = None

    @property
    def url(self) -> str:
        """What a manager of its own is given."""
        if self.server is not None:
            return self.server.manager_url
        return "memory://" if self.kind == "memory" else f"sqlite:///{self.path}"

    def url_with(self, query: str) -> str:
        """The same with settings in its query."""
        return f"{self.url}{'&' if '?' in self.url else '?'}{query}"

    def keep(self, make: Callable[[], Store]) -> Store:
        """A store in memory is the storage itself; one over a database is each manager's own."""
        if self.kind != "memory":
            return make()
        self._kept = self._kept or make()
        return self._kept

    def manager(self, *, link: Link | None = None, **options: Any) -> QueueManager:
        """A manager of this storage; over `link` where given, else by its URL alone."""
        if link is None:
            return QueueManager(self.url, **options)
        address = "linked" + self.url[self.url.index(":") :]
        manager = QueueManager(address, **options)
        manager.registry.register(LinkedPlugin(self, manager.registry.get_plugin(self.kind), link))
        return manager


class ManagerFor(Protocol):
    """Makes managers of the test's storage, and shuts them down after it."""

    async def __call__(
        self,
        *,
        link: Link | None = None,
        start: bool = True,
        consume: bool = True,
        **options: Any,
    ) -> QueueManager:
        """A manager, started unless told otherwise."""
