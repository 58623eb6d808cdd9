"""The program as people meet it: on a terminal, with keys, live tables, questions and completion."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.cli.program import PROGRAM, Site
from tests.cli.terminal import Terminal
from tests.cli.test_commands import fail
from tests.cli.test_processes import pids_in
from tests.cli.test_worker import enqueue, numbers


def terminal(site: Site, *arguments: str | Path) -> Terminal:
    """The program on a terminal."""
    return Terminal([PROGRAM, *arguments], site.folder, site.environment)


async def test_live_statistics_follow_until_ctrl_c(site: Site) -> None:
    await enqueue(site, "work", ("a", 0))
    with terminal(site, "stats", "--watch", "--interval", "0.1") as shown:
        await shown.sees(r"queue +pending +processing .*oldest")
        await shown.sees(r"work +0 +0 +0 +1 ")
        await enqueue(site, "work", ("b", 0), ("c", 0))
        await shown.sees(r"work +0 +0 +0 +3 .*\b0\.0")
        # One table that changes, not one below the other: the cursor goes up, and lines are erased.
        assert b"\x1b[1A" in shown.raw
        assert b"\x1b[2K" in shown.raw
        shown.press("\x03")
        assert await shown.ended() == 0


async def test_bulk_retries_ask_and_show_progress(site: Site) -> None:
    await fail(site, "one", "two", "three")
    with terminal(site, "failed", "retry", "work", "--all") as shown:
        await shown.sees(r"Retry 3 failed jobs of queue 'work'\? \[y/N\]: ")
        shown.press("n\n")
        assert await shown.ended() == 1
        await shown.sees("nothing was changed")
    assert (await numbers(site, "work"))[0] == 0
    with terminal(site, "failed", "retry", "work", "--all") as shown:
        await shown.sees(r"\[y/N\]: ")
        shown.press("y\n")
        assert await shown.ended() == 0
        await shown.sees("3 deliveries are ready again")
        assert re.search(r"Retry .*100%", shown.text)
    assert (await numbers(site, "work"))[0] == 3


async def test_ctrl_c_lets_all_processes_finish_what_runs(site: Site) -> None:
    """The terminal sends its signal to every process of its foreground."""
    site.application(concurrency=1)
    with terminal(site, "worker", "app:manager", "--processes", "2") as shown:
        await shown.sees("(?s)worker: ready.*worker: ready")
        await enqueue(site, "work", ("a", 2), ("b", 2))
        await site.until_noted("start", "b")
        shown.press("\x03")
        await shown.sees("worker: stopping")
        assert await shown.ended() == 0
        assert len(pids_in(shown.text)) == 2
    assert sorted(site.noted("end")) == ["a", "b"]


async def test_a_second_ctrl_c_gives_back_what_runs(site: Site) -> None:
    await enqueue(site, "work", ("a", 600))
    with terminal(site, "worker", "app:manager") as shown:
        await site.until_noted("start", "a")
        shown.press("\x03")
        await shown.sees("worker: stopping")
        shown.press("\x03")
        assert await shown.ended() == 128 + signal.SIGINT
    assert await numbers(site, "work") == (1, 0, 0, 0)


async def test_bash_completes_commands_and_options(site: Site) -> None:
    site.write("inputrc", "set enable-bracketed-paste off\nset bell-style none\n")
    environment = {**site.environment, "INPUTRC": str(site.folder / "inputrc"), "PS1": "ready> "}
    shell: list[str | Path] = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, site.folder, environment) as shown:
        await shown.sees("ready> ")
        shown.press('eval "$(checkmate-queue --show-completion)"; echo "in""stalled"\n')
        await shown.sees("installed")
        shown.press("checkmate-queue fai\t")
        await shown.sees("checkmate-queue failed ")
        shown.press("ret\t")
        await shown.sees("checkmate-queue failed retry ")
        shown.press("--al\t")
        await shown.sees("checkmate-queue failed retry --all")
        shown.press("\x15exit\n")
        await shown.ended()


async def test_ctrl_c_at_a_question_changes_nothing(site: Site) -> None:
    await fail(site, "one", "two")
    with terminal(site, "failed", "discard", "work", "--all") as shown:
        await shown.sees(r"\[y/N\]: ")
        shown.press("\x03")
        assert await shown.ended() == 1
        await shown.sees("nothing was changed")
    assert len(await site.call_json("failed", "list", "work")) == 2


async def test_ctrl_c_in_the_middle_says_how_far_it_came(site: Site) -> None:
    await fail(site, *(f"job {number}" for number in range(1_500)))
    with terminal(site, "failed", "discard", "work", "--all", "--yes") as shown:
        await shown.sees(r"Discard .* [1-9]\d?%")
        shown.press("\x03")
        assert await shown.ended() == 1
        await shown.sees(r"failed discard: interrupted after [\d,]+ jobs?")
        assert "Traceback" not in shown.text
    left = len(await site.call_json("failed", "list", "work", "--limit", "2000"))
    said = re.search(r"interrupted after ([\d,]+) job", shown.text)
    assert said and 1_500 - left == int(said[1].replace(",", ""))
