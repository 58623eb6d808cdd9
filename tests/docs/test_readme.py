"""What the README shows works as it says."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from checkmate_queue.testing.waiting import wait_until
from tests.docs.pages import ROOT, blocks_of, commands_of

README = ROOT / "README.md"
UNTIL = {"jobs show": "retrying", "failed list": "broken"}
"""What a reader waits for who repeats a command."""


def test_the_example_runs_as_a_program_and_starts_the_higher_priority_first(tmp_path: Path) -> None:
    (example,) = [block.text for block in blocks_of(README) if block.runs]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "somebody waits: 10 rows (priority 100)",
        "routine: 1000 rows (priority 0)",
    ]
    assert done.stderr == ""


async def test_its_worker_runs_and_every_command_that_it_shows_does_what_it_says(tmp_path: Path) -> None:
    """In the order of the page, as somebody types them; only the waiting is ours."""
    for block in blocks_of(README):
        if block.is_file:
            (tmp_path / block.title).write_text(block.text)
    consoles = [block for block in blocks_of(README) if block.language == "console"]
    shown = [command for block in consoles for command, _ in commands_of(block)]
    (worker,) = [command for command in shown if " worker " in command]
    setting = [command for command in shown if command.startswith("export ")]
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, _, value in (command.removeprefix("export ").partition("=") for command in setting):
        environment[name] = value
    log = tmp_path / "worker.log"

    def run(command: str) -> str:
        done = subprocess.run(
            shlex.split(command),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        return done.stdout

    async def until_it_prints(sign: str, command: str) -> str:
        printed = [run(command)]

        def printed_now() -> bool:
            if sign not in printed[-1]:
                printed.append(run(command))
            return sign in printed[-1]

        await wait_until(
            printed_now,
            description=f"{command} prints {sign!r}",
            timeout=60,
        )
        return printed[-1]

    with log.open("w") as output:
        process = subprocess.Popen(
            shlex.split(worker), cwd=tmp_path, env=environment, stdout=output, stderr=output
        )
    try:
        printed = {}
        for command in shown:
            if command in (worker, *setting):
                continue
            sign = next((sign for part, sign in UNTIL.items() if part in command), "")
            printed[command] = await until_it_prints(sign, command)
        assert printed["checkmate-queue failed retry exports broken"] == "1 delivery is ready again\n"
        assert "later" in printed["checkmate-queue jobs list exports"]
        assert "ValueError: -1 rows?" in printed["checkmate-queue failed show exports broken"]
        expected = {"routine: 1000 rows", "somebody waits: 10 rows", "ada: 3 rows"}
        assert expected <= set(log.read_text().splitlines())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_the_readme_names_only_commands_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^ +make ([a-z-]+)|`make ([a-z-]+)`", README.read_text(), re.MULTILINE))
    assert {a or b for a, b in named} <= targets


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target
