"""Whether a value that went through JSON is still the same, in value and in type, at every level."""

from __future__ import annotations

import dataclasses
from collections import deque
from datetime import datetime, timedelta
from functools import lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import BaseModel

from checkmate_queue.core.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Hashable

_ATOMS = frozenset({NoneType, bool, bytes, float, int, str})

_Path: TypeAlias = tuple[str, object, object]


def find_difference(sent: object, received: object) -> str | None:
    """Where and how the two differ, or None; an int that became the equal float is no difference."""
    found = _differing(sent, received)
    if found is None:
        return None
    path, before, after = found
    where = path.lstrip(".") or "the value"
    if type(before) is type(after):
        return f"{where} {excerpt(before)} would become {excerpt(after)}"
    return (
        f"{where} {excerpt(before)} of type {type(before).__name__} "
        f"would become {excerpt(after)} of type {type(after).__name__}"
    )


def _differing(sent: Any, received: Any) -> _Path | None:
    kind = type(sent)
    if kind is not type(received):
        widened = kind is int and type(received) is float and sent == received
        return None if widened else ("", sent, received)
    if kind in _ATOMS:
        return None if sent == received else ("", sent, received)
    if (names := _field_names(cast("Hashable", kind))) is not None:
        return _differing_fields(sent, received, names)
    if isinstance(sent, dict):
        return _differing_items(sent, received)
    if isinstance(sent, list | tuple | deque):
        return _differing_elements(sent, received)
    return None if _equal(sent, received) else ("", sent, received)


def _differing_fields(sent: object, received: object, names: tuple[str, ...]) -> _Path | None:
    for name in names:
        if found := _differing(getattr(sent, name), getattr(received, name)):
            return (f".{name}{found[0]}", *found[1:])
    return None


def _differing_items(sent: dict[Any, Any], received: dict[Any, Any]) -> _Path | None:
    if len(sent) != len(received):
        return ("", sent, received)
    for (key, value), (other_key, other_value) in zip(sent.items(), received.items(), strict=True):
        if found := _differing(key, other_key):
            return ("", *found[1:])
        if found := _differing(value, other_value):
            return (f"[{excerpt(key)}]{found[0]}", *found[1:])
    return None


def _differing_elements(sent: Any, received: Any) -> _Path | None:
    if len(sent) != len(received):
        return ("", sent, received)
    for index, (element, other) in enumerate(zip(sent, received, strict=True)):
        if found := _differing(element, other):
            return (f"[{index}]{found[0]}", *found[1:])
    return None


def _equal(sent: Any, received: Any) -> bool:
    if isinstance(sent, datetime) and sent.tzinfo is not None and received.tzinfo is not None:
        # `==` between zones is always False in an hour that the clocks show twice.
        return bool(sent - received == timedelta())
    if isinstance(sent, set | frozenset):
        return {(type(element), element) for element in sent} == {(type(other), other) for other in received}
    return bool(sent == received)


@lru_cache(maxsize=1_024)
def _field_names(kind: type) -> tuple[str, ...] | None:
    if issubclass(kind, BaseModel):
        return (*kind.model_fields, "__pydantic_extra__", "__pydantic_private__")
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.compare)
    return None
