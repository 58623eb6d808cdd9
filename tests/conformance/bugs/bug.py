"""What a seeded bug is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from checkmate_queue.backends.memory import MemoryStore


class Bug(MemoryStore):
    """A memory store whose subclass breaks `rule`."""

    rule: ClassVar[str]


class Change(NamedTuple):
    """`owner.name` is replaced."""

    owner: object
    name: str
    replacement: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Swap:
    """A bug inside of the memory store."""

    rule: str
    what: str
    changes: tuple[Change, ...]


def swap(rule: str, what: str, *changes: tuple[object, str, Callable[..., Any]]) -> Swap:
    """A bug that replaces parts of the memory store."""
    return Swap(rule, what, tuple(Change(*change) for change in changes))
