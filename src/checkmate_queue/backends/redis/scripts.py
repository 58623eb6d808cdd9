"""Lua scripts: read from their files, with the pieces they include, each piece once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

_INCLUDE = re.compile(r"^-- include: (lib/\w+\.lua)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server knows it."""

    name: str
    text: str
    sha: str


@cache
def load_script(name: str) -> Script:
    """The script of a verb, ready to be sent."""
    text = "".join(_assemble(f"{name}.lua", set()))
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _assemble(path: str, included: set[str]) -> list[str]:
    included.add(path)
    text = files(__package__).joinpath("lua", path).read_text(encoding="utf-8")
    parts = []
    for piece in _INCLUDE.findall(text):
        if piece not in included:
            parts += _assemble(piece, included)
    return [*parts, _INCLUDE.sub("", text)]
