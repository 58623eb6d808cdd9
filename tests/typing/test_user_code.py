"""Users' code under `mypy --strict` and pyright's strict mode, as their editors check it.

The snippets are text, since our own checks would stumble over the mistakes. They see the library as
installed, with its `py.typed`, and none of our configuration. pyright comes as basedpyright, the build that
needs no download.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SNIPPETS = Path(__file__).parent / "snippets"
NAMES = ("right", "wrong")
STRICT = {"typeCheckingMode": "strict", "reportMissingTypeStubs": False}

Report = set[tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The snippets as programs in a folder of their own."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text((SNIPPETS / f"{name}.py.txt").read_text())
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(STRICT))
    return tmp_path


def expected(name: str, tool: str) -> Report:
    found: Report = set()
    for number, line in enumerate((SNIPPETS / f"{name}.py.txt").read_text().splitlines(), start=1):
        if mark := re.search(rf"# {tool}: ([\w -]+?)\s*(#|$)", line):
            found |= {(number, code) for code in mark[1].split()}
    return found


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode in (0, 1), f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_mypy_finds_the_mistakes_and_nothing_else(folder: Path) -> None:
    options = ("--strict", "--enable-error-code=unused-awaitable", "--config-file=", "--output=json")
    said = run(folder, "mypy", *options, *(f"{name}.py" for name in NAMES))
    reports: dict[str, Report] = {name: set() for name in NAMES}
    for line in said.splitlines():
        found: dict[str, Any] = json.loads(line)
        if found["severity"] == "error":
            reports[Path(found["file"]).stem].add((found["line"], found["code"]))
    assert reports == {name: expected(name, "mypy") for name in NAMES}


def test_pyright_finds_the_mistakes_and_nothing_else(folder: Path) -> None:
    said = run(folder, "basedpyright", "--outputjson", "--pythonpath", sys.executable)
    reports: dict[str, Report] = {name: set() for name in NAMES}
    for found in json.loads(said)["generalDiagnostics"]:
        line = found["range"]["start"]["line"] + 1
        reports[Path(found["file"]).stem].add((line, found.get("rule", found["message"])))
    assert reports == {name: expected(name, "pyright") for name in NAMES}


def test_there_are_mistakes_to_find() -> None:
    assert len(expected("wrong", "mypy")) == 20
    assert len({line for line, _ in expected("wrong", "pyright")}) == 20
    assert expected("right", "mypy") == expected("right", "pyright") == set()
