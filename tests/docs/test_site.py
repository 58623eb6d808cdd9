"""The site builds strictly, without a network, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

WITHOUT_NETWORK = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"the build wants the network: {event} {arguments}")

sys.addaudithook(refuse)
from mkdocs.__main__ import cli
cli(["build", "--quiet", "--strict", "--site-dir", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").stat().st_size > 1000, page
    assert not (site / "generate").exists()


def test_the_reference_shows_the_docstrings(site: Path) -> None:
    text = (site / "reference" / "api.html").read_text()
    for said in ("Store a job and return its id", "The exact numbers of the queue", "start_delay"):
        assert said in text


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures come from the site itself."""
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//|<link[^>]+rel=[\"']?stylesheet[^>]+href=[\"']?(?:https?:)?//"
        r"|@import[^;]+//|url\([\"']?(?:https?:)?//"
    )
    found = [
        f"{path.relative_to(site)}: {match.group()}"
        for path in site.rglob("*")
        if path.suffix in (".html", ".css")
        for match in loads.finditer(path.read_text())
    ]
    assert found == []
