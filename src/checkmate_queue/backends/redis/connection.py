"""The way to the server: scripts by their hash, and patience with outages."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from checkmate_queue.backends.redis.clients import Guarded, make_client, make_node_client
from checkmate_queue.backends.redis.keys import Keyspace
from checkmate_queue.backends.redis.scripts import load_script
from checkmate_queue.backends.redis.succession import Succession
from checkmate_queue.core.errors import BackendUnavailableError
from checkmate_queue.store import BATCH, FencedError, LeaseLostError, UnknownQueueError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from checkmate_queue.backends.redis.clients import Client
    from checkmate_queue.backends.redis.endpoint import Endpoint, Security
    from checkmate_queue.core.model import StoreLimits
    from checkmate_queue.store import Clock

T = TypeVar("T")
Argument: TypeAlias = str | bytes | int | float

_PASSING = (
    *(ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OSError),
    *(ClusterError, TryAgainError, RedisClusterException),
)
_FINAL = (AuthenticationError, AuthorizationError)
_PASSING_WORDS = re.compile(r"(?:^|-)(?:NOREPLICAS|BUSY|MISCONF|MASTERDOWN|READONLY)\b")
"""How servers begin what they say of a state that ends, and for which redis-py has no class; a script's
error has such a word inside, on old servers."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_SHORTEST_ATTEMPT = 1.0
_MOST_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """A script's answer. `readied` sums up what steps before the last one made ready."""

    values: list[Any]
    readied: int = 0


class Refusal(BackendUnavailableError):
    """A verb's own refusal, by its word; where the verb does not know it, a newer version's."""

    def __init__(self, word: bytes) -> None:
        super().__init__(f"Redis answered {word!r}, which this version doesn't know")
        self.word = word


class Connection:
    """Runs scripts. Every verb may be repeated, so an answer that was lost is simply asked for again."""

    def __init__(
        self,
        endpoint: Endpoint,
        security: Security,
        keys: Keyspace,
        *,
        limits: StoreLimits,
        clock: Clock | None,
        patience_ms: int,
    ) -> None:
        self.keys = keys
        self.limits = limits
        self._endpoint = endpoint
        self._security = security
        self._clock = clock
        self._patience = patience_ms / 1000
        self._slots = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client | None = None
        self._succession: Succession | None = None

    async def run(self, name: str, queue: str, *arguments: Argument) -> Reply:
        """Run a verb's script on a queue, as often as it says that a step was too long to be the last."""
        readied = 0
        while True:
            now = "" if self._clock is None else self._clock()
            common = (now, BATCH, self.limits.unclaimed_retention_ms)
            values = await self.evaluate(name, self.keys.script_keys(queue), *common, *arguments)
            match values[0]:
                case b"done":
                    return Reply(values[1:], readied)
                case b"again":
                    readied += sum(values[1:])
                case b"unknown":
                    raise await self._absence(queue)
                case refusal:
                    raise refused(refusal, values[1:], queue)

    async def _absence(self, queue: str) -> Exception:
        """Why there is no such queue: what was cleared has gone where the registry says (B3)."""
        successor = await self.ask("GET", self.keys.successor)
        return refused(b"unknown", [], queue) if successor is None else FencedError(successor.decode())

    async def evaluate(self, name: str, keys: Sequence[str], *arguments: Argument) -> list[Any]:
        """Run a script once."""
        script = load_script(name)

        async def attempt(client: Client) -> list[Any]:
            try:
                answer = await client.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                answer = await client.eval(script.text, len(keys), *keys, *arguments)
            return cast("list[Any]", answer)

        return await self.patiently(attempt)

    async def ask(self, *command: Argument) -> Any:
        """Run one command that reads."""
        return await self.patiently(lambda client: cast("Any", client).execute_command(*command))

    async def patiently(self, attempt: Callable[[Client], Awaitable[T]]) -> T:
        """Repeat what fails for the server's absence, until patience ends."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        deadline = start + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout_at(max(deadline, start + _SHORTEST_ATTEMPT)):
                    async with self._on(loop) as client:
                        return await attempt(client)
            except (RedisError, OSError) as error:
                if not _passes(error):
                    raise unavailable(error) from error
                await self._leave_a_replica(error)
                await asyncio.sleep(min(pause, max(0, deadline - loop.time())))
                if loop.time() >= deadline:
                    raise unavailable(error) from error
                pause = min(2 * pause, _LONGEST_PAUSE)

    def open(self) -> None:
        """Bind to the running loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or loop is not self._loop:
            self._loop, self._client = loop, make_client(self._endpoint, self._security)
            self._slots = asyncio.Semaphore(_MOST_CONNECTIONS)
            if isinstance(self._client, Guarded):
                self._succession = Succession(self._client, self._endpoint.service)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        succession, self._succession = self._succession, None
        if succession is not None:
            await succession.stop()
        if client is not None:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    async def connect_to_any(self) -> Redis:
        """A client of its own, which the caller closes; of one node, where the server is a cluster."""
        client = make_client(self._endpoint, self._security)
        if not isinstance(client, RedisCluster):
            return client
        try:
            await client.initialize()
            node = random.choice(client.get_primaries())
        finally:
            await client.aclose()
        return make_node_client(self._endpoint, self._security, node.host, int(node.port))

    async def _leave_a_replica(self, error: Exception) -> None:
        """A name or an address may lead to another master by now; connections to the old one stay."""
        if isinstance(error, ReadOnlyError) and isinstance(self._client, Redis):
            await self._client.connection_pool.disconnect()

    @contextlib.asynccontextmanager
    async def _on(self, loop: asyncio.AbstractEventLoop) -> AsyncIterator[Client]:
        if self._client is not None and loop is self._loop:
            async with self._slots:
                yield self._client
            return
        # a heartbeat's loop in another thread: nobody could close a client of that loop later
        client = make_client(self._endpoint, self._security)
        try:
            yield client
        finally:
            await client.aclose()


def _passes(error: Exception) -> bool:
    """Whether it makes sense to try again."""
    if isinstance(error, _PASSING):
        return not isinstance(error, _FINAL)
    return _PASSING_WORDS.search(str(error)) is not None


def unavailable(error: Exception) -> BackendUnavailableError:
    """What callers get when the server can't be reached or used."""
    said = str(error) or "no answer in time"
    return BackendUnavailableError(f"Redis can't be used: {type(error).__name__}: {said}")


def refused(refusal: bytes, details: list[Any], queue: str) -> Exception:
    """The error that a script's refusal stands for."""
    match refusal:
        case b"unknown":
            return UnknownQueueError(f"Queue {queue!r} was never registered with this backend.")
        case b"fenced":
            return FencedError(details[0].decode())
        case b"lost":
            return LeaseLostError()
        case b"misnumbered":
            return ValueError(f"the last exchange was number {int(details[0])}; repeat it or go on by one")
        case _:
            return Refusal(refusal)
