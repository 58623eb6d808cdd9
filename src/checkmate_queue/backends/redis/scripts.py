"""Lua scripts: read from their files, with the pieces they include, each piece once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_INCLUDE = re.compile(r"^-- include( on demand)?: lib/(\w+)\.lua\n", re.MULTILINE)

_GETTER = """local loaded_NOUN
local function get_NOUN()
if not loaded_NOUN then
BODY
loaded_NOUN = NOUN
end
return loaded_NOUN
end
"""


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


def _assemble(path: str, included: set[str]) -> Iterator[str]:
    """The file behind the pieces that it includes."""
    included.add(path)
    text = files(__package__).joinpath("lua", path).read_text(encoding="utf-8")
    for on_demand, noun in _INCLUDE.findall(text):
        piece = f"lib/{noun}.lua"
        if on_demand and f"get {piece}" not in included and piece not in included:
            included.add(f"get {piece}")
            yield _on_demand(noun, _assemble(piece, set(included)))
        elif not on_demand and piece not in included:
            yield from _assemble(piece, included)
    yield _INCLUDE.sub("", text)


def _on_demand(noun: str, pieces: Iterator[str]) -> str:
    """A function that makes the piece's table when first asked.

    A script runs whole at each call, and making functions that nobody calls is what would cost it most.
    """
    return _GETTER.replace("BODY", "".join(pieces)).replace("NOUN", noun)
