"""What type checkers see of the public interface (section 1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import checkmate_queue

SNIPPET = """
from dataclasses import dataclass
from datetime import timedelta

from checkmate_queue import Enqueue, Exponential, Fixed, Job, JobCompleted, QueueManager

@dataclass
class Check:
    config: str

manager = QueueManager("memory://", concurrency=5)
checks = manager.get_queue("checks", Check)
anything = manager.get_queue("anything")
mixed = manager.get_queue("mixed", int | str)
numbers = manager.get_queue("numbers", list[int], unclaimed="drop")
reveal_type(checks)
reveal_type(anything)
reveal_type(mixed)
reveal_type(numbers)

async def run(job: Job[Check]) -> None:
    reveal_type(job.data)
    reveal_type(job.metadata)

def plain(job: Job[Check]) -> int:
    return 7

async def wrong(job: Job[int]) -> None: ...

@checks.consumer("g", max_retries=0)
async def decorated(job: Job[Check]) -> None: ...

async def main() -> None:
    reveal_type(await checks.enqueue(Check("c"), start_delay=timedelta(seconds=1), metadata={"a": "b"}))
    reveal_type(await checks.enqueue_many([Check("c"), Enqueue(Check("d"), priority=1)]))
    reveal_type(checks.enqueue_sync(Check("c")))
    reveal_type(await checks.consume(run, consumer_group="g", backoff=Fixed(1)))
    await checks.consume(plain, consumer_group="g", backoff=Exponential(jitter=0.5), timeout=timedelta(1))
    await checks.consume(lambda job: None, consumer_group="g", backoff=lambda retry, error: 2.5 * retry)
    reveal_type(await checks.schedule_recurring("s", Check("c"), interval_seconds=30))
    reveal_type(await checks.get_stats())
    reveal_type(await checks.cancel("x"))
    reveal_type(await checks.get_job("x"))
    reveal_type(await manager.list_all_recurring_jobs())
    manager.on(JobCompleted, lambda event: print(event.seconds))
    async with manager as entered:
        reveal_type(entered)

    await checks.enqueue("text")  # error
    await checks.enqueue(Check("c"), priority="high")  # error
    await checks.enqueue(Check("c"), 5)  # error
    await checks.enqueue_many([7])  # error
    await checks.consume(wrong, consumer_group="g")  # error
    await checks.consume(run)  # error
    await checks.consume(run, consumer_group="g", start_from="tomorrow")  # error
    await checks.schedule_recurring("s", 7, interval_seconds=30)  # error
    await checks.schedule_recurring("s", Check("c"), misfire="explode", interval_seconds=1)  # error
    manager.get_queue("checks", Check, unclaimed="maybe")  # error
"""

REVEALED = [
    "Queue[Check]",
    "Queue[Any]",
    "Queue[Any]",
    "Queue[list[int]]",
    "Check",
    "Mapping[str, str]",
    "JobId",
    "list[JobId]",
    "JobId",
    "Consumer",
    "str",
    "QueueStats",
    "CancelResult",
    "JobDetails | None",
    "dict[str, list[str]]",
    "QueueManager",
]


def test_types_flow_through_the_interface(tmp_path: Path) -> None:
    """Section 1: payload types reach handlers and callers, and wrong calls are found; all of it typed."""
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context",
            "--no-color-output", "--config-file", str(root / "pyproject.toml"), str(snippet),
        ],
        capture_output=True, text=True, cwd=root, timeout=110, check=False,
    )  # fmt: skip
    lines = [line.split(":", 2) for line in ran.stdout.splitlines() if "snippet.py" in line]
    revealed = [text.split('"')[1] for _, _, text in lines if "Revealed type is" in text]
    short = [
        text.replace("checkmate_queue.", "").replace("snippet.", "").replace("builtins.", "")
        for text in revealed
    ]
    assert [_last_parts(text) for text in short] == REVEALED
    wrong = {int(number) for _, number, text in lines if " error: " in text}
    expected = {
        number for number, line in enumerate(SNIPPET.splitlines(), start=1) if line.endswith("# error")
    }
    assert wrong == expected, ran.stdout


def _last_parts(text: str) -> str:
    """Names without their modules."""
    words = []
    for word in text.replace("[", " [ ").replace("]", " ] ").replace(",", " , ").split():
        words.append(word.rsplit(".", 1)[-1])
    joined = " ".join(words)
    return joined.replace(" [ ", "[").replace(" ]", "]").replace(" , ", ", ")


def test_the_package_says_that_it_is_typed() -> None:
    """Section 1: with a marker that travels with it."""
    assert (Path(checkmate_queue.__file__).parent / "py.typed").exists()
    for name in checkmate_queue.__all__:
        assert getattr(checkmate_queue, name).__doc__, name
