"""What is built installs elsewhere and works, on every newer Python that is at hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEWER = ("3.12", "3.13", "3.14")

# Python 3.12.0 to 3.12.3 take `?1` for a named parameter and warn of it by mistake (CPython issue 117995).
MISTAKEN = "Binding \\d+ "

PROGRAM = f"""
import asyncio, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", message={MISTAKEN!r})
from checkmate_queue import Job, QueueManager

async def main() -> None:
    seen = []
    async with QueueManager("sqlite:///queue.db") as manager:
        queue = manager.get_queue("packaged", dict[str, int])

        @queue.consumer("workers")
        def handle(job: Job[dict[str, int]]) -> None:
            seen.append(job.data["n"])

        await queue.enqueue({{"n": 1}})
        while not seen:
            await asyncio.sleep(0.01)
    print(seen)

asyncio.run(main())
"""


# The tree is read by name, so that what an editor or a build left in it does not count.
SOURCES = ("src", "tests", "docs", "examples", "benchmarks")
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "mkdocs.yml",
    "constraints.txt",
)


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "venv", "builder", cwd=folder)
    builder = folder / "builder" / "bin" / "python"
    run(builder, "-m", "pip", "install", "--quiet", *_build_requirements(), cwd=folder)
    run(builder, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(params=["wheel", "sdist"])
def distribution(request: pytest.FixtureRequest) -> Path:
    built: Path = request.getfixturevalue(request.param)
    return built


def _build_requirements() -> list[str]:
    return re.findall(r'^requires = \["(.*)"\]$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def files_below(folder: Path) -> set[Path]:
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    }


def newer_pythons() -> list[str]:
    """Interpreters that are newer than ours and not the oldest supported one."""
    found = []
    for version in NEWER:
        candidates = [shutil.which(f"python{version}")]
        candidates += map(str, (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        found += [candidate for candidate in candidates if candidate and _starts(candidate, version)][:1]
    return found


def _starts(python: str, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


@pytest.mark.full
def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    files = {str(path.relative_to(ROOT / "src")) for path in files_below(ROOT / "src" / "checkmate_queue")}
    assert files <= set(zipfile.ZipFile(wheel).namelist())
    assert "checkmate_queue/py.typed" in files


@pytest.mark.full
def test_the_sdist_holds_what_its_tests_and_documentation_need(sdist: Path) -> None:
    """So that what was published can be tested where only that is at hand."""
    with tarfile.open(sdist) as archive:
        held = {member.partition("/")[2] for member in archive.getnames()}
    files = {str(path.relative_to(ROOT)) for name in SOURCES for path in files_below(ROOT / name)}
    assert (files | {*PAGES, "pyproject.toml"}) - held == set()


@pytest.mark.full
@pytest.mark.parametrize("python", [sys.executable, *newer_pythons()])
def test_it_works_in_an_empty_environment(python: str, distribution: Path, tmp_path: Path) -> None:
    """Without extras, with warnings as errors."""
    run(python, "-m", "venv", "venv", cwd=tmp_path)
    own = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(own, "-m", "pip", "install", "--quiet", "-c", constraints, distribution, cwd=tmp_path)
    assert run(own, "-c", PROGRAM, cwd=tmp_path).strip() == "[1]"
    installed = Path(
        run(own, "-c", "import checkmate_queue; print(checkmate_queue.__path__[0])", cwd=tmp_path).strip()
    )
    assert installed.is_relative_to(tmp_path)
    package = ROOT / "src" / "checkmate_queue"
    assert {path.relative_to(package) for path in files_below(package)} <= {
        path.relative_to(installed) for path in files_below(installed)
    }
    shown = run(own.with_name("checkmate-queue"), "demo", "--seconds", "6", cwd=tmp_path)
    assert "Everything was as it should be." in " ".join(shown.split())


@pytest.mark.full
@pytest.mark.parametrize("python", newer_pythons())
def test_the_suite_passes_on_newer_pythons(python: str, tmp_path: Path) -> None:
    """The core and the contract of the finished backends; warnings, deprecations included, are errors."""
    run(python, "-m", "venv", "venv", cwd=tmp_path)
    own = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(own, "-m", "pip", "install", "--quiet", "-c", constraints, f"{ROOT}[test]", cwd=tmp_path)
    suites = ["tests/core", "tests/conformance/test_memory.py", "tests/conformance/test_sqlite.py"]
    run(
        own,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not full",
        "-W",
        "ignore:Binding",
        *suites,
        cwd=ROOT,
    )
