"""The site builds strictly, without a network, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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


LOADS = re.compile(
    r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//"
    r"|<link[^>]+rel=[\"']?stylesheet[^>]+href=[\"']?(?:https?:)?//"
    r"|@import[^;]+//|url\([\"']?(?:https?:)?//"
)


def test_the_site_builds_without_a_network_and_needs_none(tmp_path: Path) -> None:
    """Strictly, every page, the docstrings in the reference; whatever it loads is its own."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in DOCS.rglob("*.md"):
        assert (tmp_path / page.relative_to(DOCS)).with_suffix(".html").stat().st_size > 1000, page
    assert not (tmp_path / "generate").exists()
    reference = (tmp_path / "reference" / "api.html").read_text()
    for said in ("Store a job and return its id", "The exact numbers of the queue", "start_delay"):
        assert said in reference
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".html", ".css")]
    assert [f"{path}: {match[0]}" for path in files for match in LOADS.finditer(path.read_text())] == []


def test_what_a_page_would_load_from_elsewhere_is_noticed() -> None:
    assert LOADS.search('<script src="https://cdn.example/x.js">')
    assert LOADS.search('<link rel="stylesheet" href="//fonts.example/css">')
    assert LOADS.search("@import url(https://fonts.example/css)")
    assert not LOADS.search('<script src="../assets/x.js"><a href="https://example.com/">')
