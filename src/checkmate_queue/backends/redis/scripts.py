"""Lua scripts: read from their files, with the pieces they include.

A piece is a file that returns a table, which the including file sees under the piece's name. A script runs
whole at each call, and what costs it most is making functions. So each piece has a scope of its own, which
keeps what its functions capture close at hand; and a piece that is included on demand is only made when
`get_<name>()` is called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INCLUDE = re.compile(r"^-- include( on demand)?: lib/(\w+)\.lua\n", re.MULTILINE)

_PIECE = """local NOUN = (function()
BODY
end)()
"""
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
    """The pieces that the file includes, and the file."""
    text = files(__package__).joinpath("lua", path).read_text(encoding="utf-8")
    for on_demand, noun in _INCLUDE.findall(text):
        if on_demand and not {noun, f"get_{noun}"} & included:
            included.add(f"get_{noun}")
            yield _fill(_GETTER, noun, _piece(noun, set(included)))
        elif not on_demand and noun not in included:
            yield from _piece(noun, included)
    yield _INCLUDE.sub("", text)


def _piece(noun: str, included: set[str]) -> Iterator[str]:
    included.add(noun)
    *needed, body = _assemble(f"lib/{noun}.lua", included)
    yield from needed
    yield _fill(_PIECE, noun, [body])


def _fill(template: str, noun: str, parts: Iterable[str]) -> str:
    return template.replace("NOUN", noun).replace("BODY", "".join(parts))
