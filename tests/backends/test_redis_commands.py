"""The scripts use no command that Redis 6.2 lacks; Redis 7.0 knows since when each has been there."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from tests.servers.debian import find_program
from tests.servers.redis_process import running

OLDEST = (6, 2)
CALL = re.compile(r"(?:call|send|redis\.call)\('([A-Z]+)'")


@pytest.mark.full
async def test_every_command_of_the_scripts_is_in_the_oldest_server() -> None:
    folder = files("checkmate_queue.backends.redis") / "lua"
    scripts = [*folder.iterdir(), *(folder / "lib").iterdir()]
    text = "".join(script.read_text() for script in scripts if script.is_file())
    commands = sorted(set(CALL.findall(text)))
    assert {"HGET", "ZADD", "LPOP"} <= set(commands)
    async with running(program=find_program("redis-server")) as server:
        with server.client() as client:
            documented = client.execute_command("COMMAND DOCS", *commands)
    since = {name.decode().upper(): facts[b"since"].decode() for name, facts in documented.items()}
    assert set(since) == set(commands)
    newer = {name: it for name, it in since.items() if tuple(map(int, it.split(".")[:2])) > OLDEST}
    assert newer == {}
