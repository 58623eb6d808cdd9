"""The commands that look and order, as programs and people call them."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from datetime import datetime

import pytest

from checkmate_queue import Discard, Job
from checkmate_queue.cli.command import execute
from checkmate_queue.cli.main import app
from checkmate_queue.testing.waiting import wait_until
from tests.cli.program import PATIENCE, PROGRAM, Site


async def fail(site: Site, *ids: str, group: str = "workers") -> None:
    """Have jobs of these ids fail for good in the queue `work`."""

    def handle(job: Job[object]) -> None:
        raise Discard("it is [bold]no[/bold] good\x1b[31m")

    async with site.manager() as manager:
        work = manager.get_queue("work")
        before = (await work.get_stats()).failed
        consumer = await work.consume(handle, consumer_group=group)
        await work.enqueue_many([{"n": 1}], job_id=ids[0])
        for job_id in ids[1:]:
            await work.enqueue({"n": 1}, job_id=job_id)

        async def failed() -> bool:
            return (await work.get_stats()).failed == before + len(ids)

        await wait_until(failed, description="all have failed", timeout=PATIENCE)
        await consumer.stop()


async def test_jobs_are_enqueued_listed_shown_and_cancelled(site: Site) -> None:
    stored = site.run_json(
        "enqueue", "work", '{"a": [1, "ü"]}', "--priority", "-5", "--delay", "3600", "--id", "a job",
        "--metadata", "trace=x=1", "--expires-in", "7200",
    )  # fmt: skip
    assert stored == {"id": "a job", "created": True}
    assert await site.call_json("enqueue", "work", "1", "--id", "a job") == {"id": "a job", "created": False}
    job_id = site.run("enqueue", "work", "-", stdin='"from stdin"\n').strip()

    listed = await site.call_json("jobs", "list", "work")
    assert [(job["id"], job["state"]) for job in listed] == [("a job", "delayed"), (job_id, "unclaimed")]
    assert [job["id"] for job in await site.call_json("jobs", "list", "work", "--state", "unclaimed")] == [
        job_id
    ]
    assert [job["id"] for job in await site.call_json("jobs", "list", "work", "--after", "a job")] == [job_id]
    shown = await site.call_json("jobs", "show", "work", "a job")
    assert datetime.fromisoformat(shown.pop("timestamp")).tzinfo is not None
    assert shown == {
        "id": "a job",
        "data": {"a": [1, "ü"]},
        "state": "delayed",
        "priority": -5,
        "metadata": {"trace": "x=1"},
        "groups": {},
    }
    table = site.run("jobs", "list", "work")
    assert table.splitlines()[0].split() == ["id", "state", "priority", "enqueued", "groups", "data"]
    assert '{"a": [1, "ü"]}' in table

    assert await site.call_json("jobs", "cancel", "work", "a job") == {
        "a job": {"removed": 1, "signalled": 0}
    }
    assert "'a job'" in await site.call("jobs", "cancel", "work", job_id, "a job", code=1)
    assert await site.call_json("jobs", "list", "work") == []
    async with site.manager() as manager:
        assert (await manager.get_queue("work").get_stats()).cancelled == 2


async def test_stats_name_every_queue_and_group(site: Site) -> None:
    await fail(site, "one", "two")
    await site.call("enqueue", "other", "1")
    assert site.run("pause", "other") == "other is paused\n"
    other, work = site.run_json("stats")
    assert (other["queue"], other["paused"], other["unclaimed"]) == ("other", True, 1)
    assert (work["queue"], work["paused"], work["failed"]) == ("work", False, 2)
    assert work["groups"]["workers"]["failed"] == 2
    table = await site.call("stats", "--groups")
    assert table.split("\n")[1].split()[:2] == ["other", "(paused)"]
    assert table.split("\n")[3].split()[0] == "workers"
    assert await site.call("resume", "other") == "other goes on\n"
    assert await site.call_json("pause", "other") == {"queue": "other", "paused": True}
    assert await site.call_json("resume", "other") == {"queue": "other", "paused": False}
    assert [row["paused"] for row in await site.call_json("stats", "other")] == [False]


async def test_what_failed_is_listed_shown_retried_and_discarded(site: Site) -> None:
    await fail(site, "one", "two", "three")
    listed = await site.call_json("failed", "list", "work")
    assert [entry["job_id"] for entry in listed] == ["three", "two", "one"]
    after = await site.call_json("failed", "list", "work", "--after", listed[0]["entry_id"], "--limit", "1")
    assert [entry["job_id"] for entry in after] == ["two"]
    shown = site.run("failed", "show", "work", "two")
    # What a handler says is shown as it is, and none of it acts on the terminal.
    assert "it is [bold]no[/bold] good\\x1b[31m" in shown
    assert "\x1b" not in shown
    assert "Traceback" in shown

    async with site.manager() as manager:
        await manager.get_queue("work").enqueue(0, job_id="two")
    said = await site.call("failed", "retry", "work", "one", "two", "nobody", code=1)
    assert said == "failed retry: passed over, since jobs of these ids are in the queue: two\n"
    assert {job["id"] for job in await site.call_json("jobs", "list", "work")} == {"one", "two"}
    assert "nobody" in await site.call("failed", "discard", "work", "nobody", code=1)
    assert "say --yes" in await site.call("failed", "discard", "work", "--all", code=1)
    assert site.run_json("failed", "discard", "work", "--all", "--yes") == {"deliveries": 2, "unknown": []}
    assert await site.call_json("failed", "list", "work") == []
    assert await site.call("failed", "retry", "work", "--all") == "0 deliveries are ready again\n"


async def test_a_slip_in_the_name_of_a_group_is_told_of(site: Site) -> None:
    await fail(site, "one")
    for arguments in (
        ("list", "work"),
        ("show", "work", "one"),
        ("retry", "work", "--all", "--yes"),
        ("discard", "work", "--all", "--yes"),
        ("discard", "work", "one"),
    ):
        said = await site.call("failed", *arguments, "--group", "typo", code=1)
        assert said.endswith("queue 'work' has no consumer group 'typo'; there are: workers\n")
    await fail(site, "two", group="others")
    assert await site.call_json("failed", "list", "work", "--group", "others") != []
    await site.call("failed", "discard", "work", "--all", "--yes", "--group", "others")
    # A group without failures is no slip, and the failures of one that is gone are still there.
    assert await site.call_json("failed", "list", "work", "--group", "others") == []
    await site.call("groups", "drop", "work", "workers", "--yes")
    for name in ("workers", "typo"):
        await site.call(
            "failed", "discard", "work", "--all", "--yes", "--group", name, code=int(name == "typo")
        )


async def test_a_list_that_is_cut_off_says_how_to_go_on(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    await fail(site, "one", "two", "three")
    for number in range(3):
        await site.call("enqueue", "work", str(number), "--id", f"job {number}")

    def listed(*arguments: str) -> tuple[list[str], str]:
        assert execute(app, [*arguments, "--url", site.url]) == 0
        shown = capsys.readouterr()
        return [line.split("  ")[0] for line in shown.out.splitlines()[1:]], shown.err

    for command, first, second in (
        (["failed", "list", "work", "--limit", "2"], ["three", "two"], ["one"]),
        (["jobs", "list", "work", "--limit", "2"], ["job 0", "job 1"], ["job 2"]),
    ):
        seen, said = await asyncio.to_thread(listed, *command)
        assert seen == first
        assert said.startswith("there is more: --after ") and said.count("\n") == 1
        after = shlex.split(said)[-1]
        assert await asyncio.to_thread(listed, *command, "--after", after) == (second, "")
        for limit in ("3", "10000"):
            assert (await asyncio.to_thread(listed, *command[:3], "--limit", limit))[1] == ""


async def test_recurring_jobs_are_listed_shown_run_and_cancelled(site: Site) -> None:
    async with site.manager() as manager:
        work = manager.get_queue("work")
        await work.schedule_recurring("hourly", {"n": 1}, interval_seconds=3600, start_delay=60, priority=3)
        await work.schedule_recurring("daily", None, cron_pattern="0 4 * * *", timezone="Europe/Berlin")
    daily, hourly = await site.call_json("recurring", "list")
    assert (daily["queue"], daily["job_id"], daily["cron_pattern"]) == ("work", "daily", "0 4 * * *")
    assert (hourly["interval_seconds"], hourly["last_run_at"]) == (3600, None)
    assert "0 4 * * * Europe/Berlin" in await site.call("recurring", "list", "work")
    made = site.run("recurring", "run-now", "work", "hourly").strip()
    (job,) = await site.call_json("jobs", "list", "work")
    assert (job["id"], job["data"], job["priority"]) == (made, {"n": 1}, 3)
    assert "no job was made" in await site.call("recurring", "run-now", "work", "hourly", code=1)
    shown = await site.call_json("recurring", "show", "work", "hourly")
    assert shown["next_run_at"] == hourly["next_run_at"]
    assert shown["last_run_at"] is not None
    assert await site.call_json("recurring", "cancel", "work", "hourly") == {"cancelled": "hourly"}
    for verb in ("show", "cancel", "run-now"):
        assert "'hourly'" in await site.call("recurring", verb, "work", "hourly", code=1)
    assert await site.call_json("jobs", "list", "work") == []


async def test_groups_are_listed_renamed_and_dropped(site: Site) -> None:
    await fail(site, "one", group="old name")
    async with site.manager() as manager:
        await manager.get_queue("work").enqueue(1)
    (group,) = await site.call_json("groups", "list")
    assert (group["queue"], group["name"], group["workers"], group["pending"]) == ("work", "old name", 0, 1)
    await site.call("groups", "rename", "work", "old name", "x")
    renamed = await site.call_json("groups", "rename", "work", "x", "new name")
    assert renamed == {"queue": "work", "old": "x", "new": "new name"}
    assert "new name" in await site.call("groups", "list", "work")
    assert "'old name'" in await site.call("groups", "drop", "work", "old name", "--yes", code=1)
    assert "1 delivery waits" in await site.call("groups", "drop", "work", "new name", code=1)
    dropped = site.run_json("groups", "drop", "work", "new name", "--yes")
    assert dropped == {"queue": "work", "dropped": "new name"}
    assert await site.call_json("groups", "list") == []


async def test_the_doctor_finds_nothing_then_what_is_wrong(site: Site) -> None:
    async with site.manager() as manager:
        work = manager.get_queue("work")
        await work.consume(print, consumer_group="alive")
        healthy = {finding["check"]: finding["status"] for finding in site.run_json("doctor")}
        assert healthy == dict.fromkeys(
            ("connection", "schema", "permissions", "clock", "settings", "queues"), "ok"
        )
        gone = await work.consume(print, consumer_group="gone")
        await gone.stop()
        await manager.get_queue("unheard").enqueue(1)
        await work.pause()
        await work.enqueue(1)
        ill = json.loads(doctor(site, "--max-age", "0"))
        found = {(f["check"], f["status"]): f["message"] for f in ill}
    assert "has been waiting" in found["queue work", "problem"]
    assert "it is paused" in found["queue work", "problem"]
    assert "no worker while other groups have; 1 delivery waits" in found["group work/gone", "problem"]
    assert "1 job waits for a first consumer group" in found["queue unheard", "warning"]


def doctor(site: Site, *arguments: str) -> str:
    """What a doctor that finds a problem prints."""
    done = subprocess.run(
        [PROGRAM, "doctor", "--json", *arguments],
        env=site.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


async def test_the_doctor_names_dangerous_settings_and_what_does_not_open(site: Site) -> None:
    dangerous = f"{site.url}?lease_seconds=1&delay_multiplier=2&max_stalls=1&patience_seconds=1"
    await site.call("enqueue", "work", "1")
    findings = await site.call_json("doctor", "--url", dangerous)
    settings = [f["message"].split()[0] for f in findings if f["check"] == "settings"]
    assert settings == ["delay_multiplier", "lease_seconds", "max_stalls"]
    for url, check in (
        ("sqlite:////no/such/folder/queue.db", "connection"),
        ("sqlite:///no-such-file.db", "connection"),
        ("sqlite:///queue.db?concurrency=0", "settings"),
        ("nonsense", "settings"),
    ):
        finding, *_ = json.loads(doctor(site, "--url", url))
        assert (finding["check"], finding["status"]) == (check, "problem"), url
    site.write("notes.db", "this is no database, and nothing that one could be made of")
    finding, settings = json.loads(doctor(site, "--url", f"sqlite:///{site.folder / 'notes.db'}"))
    assert (settings["check"], settings["status"]) == ("settings", "ok")
    assert (finding["check"], finding["status"]) == ("storage", "problem")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stats",), "stats: there is no file '"),
        (("jobs", "list", "work", "--url", "sqlite:///slip.db"), "jobs list: there is no file '"),
        (("stats", "--url", "nonsense"), "stats: 'nonsense' is no URL; "),
        (("stats", "--url", "amqp://x"), "stats: No registered plugin takes 'amqp://'"),
        (("enqueue", "q", "1", "--id", "a\nb"), "enqueue: job_id 'a\\nb' holds '\\n'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(site: Site, arguments: tuple[str, ...], said: str) -> None:
    assert site.run(*arguments, code=1).startswith(said)


def test_looking_makes_no_file(site: Site) -> None:
    """A slip in a path must not look like an empty queue, and leave one behind."""
    before = set(site.folder.iterdir())
    for arguments in (
        ["stats"],
        ["stats", "--watch"],
        ["jobs", "list", "q"],
        ["failed", "retry", "q", "x"],
        ["pause", "q"],
    ):
        said = site.run(*arguments, "--url", "sqlite:///slip.db", code=1)
        assert f"there is no file '{site.folder / 'slip.db'}'; a worker, or enqueue, makes it" in said
    assert set(site.folder.iterdir()) == before
    site.run("enqueue", "q", "1", "--url", "sqlite:///made.db")
    assert site.run("stats", "--url", "sqlite:///made.db").split()[-10:-8] == ["q", "0"]


@pytest.mark.parametrize("line", ["enqueue q 1", "stats", "groups list --json"])
def test_who_means_memory_is_told_that_it_ends_with_the_command(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(app, [*line.split(), "--url", "memory://"]) == 0
    shown = capsys.readouterr()
    assert (
        shown.err == "memory:// is this command's own: it was empty, and what is stored there now is lost\n"
    )
    assert shown.out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            f"enqueue q {'[' * 100_000}",
            "checkmate-queue enqueue: Invalid value for DATA: JSON that is nested",
        ),
        ("enqueue q {", "checkmate-queue enqueue: Invalid value for DATA: not JSON: "),
        (
            "enqueue q 1 --metadata x",
            "checkmate-queue enqueue: Invalid value for --metadata: 'x' is not KEY=",
        ),
        ("enqueue q", "checkmate-queue enqueue: Missing argument 'DATA'"),
        ("failed retry q", "checkmate-queue failed retry: Invalid value for ID: give either ids or --all"),
        ("failed retry q x --all", "checkmate-queue failed retry: Invalid value for ID: give either ids or"),
        ("jobs", "checkmate-queue jobs: Missing command; 'checkmate-queue jobs --help' shows how\n"),
        ("jbos", "checkmate-queue: No such command 'jbos'. Did you mean 'jobs'?"),
        ("stats --nonsense", "checkmate-queue stats: No such option"),
        ("worker app:manager --processes 0", "checkmate-queue worker: Invalid value for '--processes': "),
    ],
)
def test_wrong_usage_is_said_in_one_line(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHECKMATE_QUEUE_URL", "memory://")
    assert execute(app, line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(said)
    assert shown.err.count("\n") == 1


def test_tracebacks_are_for_those_who_ask() -> None:
    done = subprocess.run(
        [PROGRAM, "stats", "--url", "nonsense", "--verbose"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("stats: 'nonsense' is no URL")


def test_without_a_url_the_variable_is_named(site: Site) -> None:
    environment = {k: v for k, v in site.environment.items() if k != "CHECKMATE_QUEUE_URL"}
    done = subprocess.run([PROGRAM, "stats"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--url" in done.stderr
    assert "CHECKMATE_QUEUE_URL" in done.stderr


def test_a_reader_that_goes_away_is_no_error(site: Site) -> None:
    site.run("enqueue", "work", "1")
    shell = f"{PROGRAM} stats --watch --json --interval 0.1 | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"],
        env=site.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[", "")


def test_alone_it_shows_its_commands(site: Site) -> None:
    shown = site.run()
    assert shown == site.run("--help")
    for command in ("worker", "enqueue", "stats", "jobs", "failed", "recurring", "groups", "doctor", "demo"):
        assert f"\n  {command} " in shown


async def test_what_failed_first_is_retried_first(site: Site) -> None:
    await fail(site, "first", "second", "third")
    await site.call("failed", "retry", "work", "--all", "--yes")
    assert [job["id"] for job in await site.call_json("jobs", "list", "work")] == ["first", "second", "third"]


def test_an_encoding_that_lacks_a_character_is_no_bug(site: Site) -> None:
    site.run("enqueue", "ärger", "1")
    done = subprocess.run(
        [str(PROGRAM), "stats", "--url", site.url],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xe4rger" in done.stdout
