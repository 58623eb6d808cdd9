"""Notices when the code changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

LOOK_AGAIN_SECONDS = 0.3
PASSED_OVER = frozenset({"__pycache__", "node_modules", "site-packages"})


def code_files(folder: Path) -> dict[Path, int]:
    """The Python files below a folder, with their times, but for virtual environments and hidden folders."""
    return dict(_walk(folder))


async def first_change(folder: Path, before: Mapping[Path, int]) -> Path:
    """Wait until a file differs from `before`, is new or gone, and return it."""
    while True:
        now = await asyncio.to_thread(code_files, folder)
        changed = {path for path, _ in before.items() ^ now.items()}
        if changed:
            return min(changed)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    for parent, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in PASSED_OVER and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                path = Path(parent, name)
                try:
                    yield path, path.stat().st_mtime_ns
                except FileNotFoundError:
                    continue
