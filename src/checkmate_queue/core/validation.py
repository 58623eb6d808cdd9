"""Checks of what callers pass in; errors say what was wrong, with which value, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

from checkmate_queue.core.durations import MAX_SECONDS, is_number
from checkmate_queue.core.errors import InvalidArgumentError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import MAX_PRIORITY, MIN_PRIORITY

MAX_ID_BYTES = 512
MAX_SCHEDULE_ID_BYTES = 480
MAX_METADATA_BYTES = 8192

# Control characters (C0, DEL, C1) and lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENTRY_ID = re.compile("[0-9]{1,18}")

First = TypeVar("First")


def check_name(kind: str, value: object, max_bytes: int = MAX_ID_BYTES) -> str:
    """Return `value` if it may be a name or id (J1), else raise `InvalidArgumentError`."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{kind} must be a str, not {type(value).__name__}: {excerpt(value)}")
    if found := _FORBIDDEN.search(value):
        raise InvalidArgumentError(
            f"{kind} {excerpt(value)} holds {found.group()!r} at position {found.start()}; "
            "any text without control characters and lone surrogates will do"
        )
    size = len(value.encode())
    if not 1 <= size <= max_bytes:
        raise InvalidArgumentError(
            f"{kind} must be 1 to {max_bytes} bytes of UTF-8, not {size}: {excerpt(value)}"
        )
    # A plain str of the text that was checked, whatever subclass came in.
    return value if type(value) is str else str.__str__(value)


def entry_number(after: str, first: First) -> int | First:
    """The number in the `entry_id` of the failed entry that a page follows; `first` where there is none."""
    if not after:
        return first
    if not _ENTRY_ID.fullmatch(after):
        raise InvalidArgumentError(
            f"after must be the entry_id of a failed entry, as a listing shows it, not {excerpt(after)}"
        )
    return int(after)


def check_priority(value: object) -> int:
    """Return `value` if it is an int of 32 bits (J4), else raise `InvalidArgumentError`."""
    return check_int("priority", value, MIN_PRIORITY, MAX_PRIORITY)


def check_int(name: str, value: object, low: int, high: int) -> int:
    """Return `value` if it is an int from `low` to `high`, else raise `InvalidArgumentError`."""
    if type(value) is not int:
        raise InvalidArgumentError(f"{name} must be an int, not {type(value).__name__}: {excerpt(value)}")
    if not low <= value <= high:
        raise InvalidArgumentError(f"{name} must be from {low} to {high}, not {excerpt(value)}")
    return value


def check_seconds(name: str, value: object) -> float | None:
    """Return a positive span as seconds, None for None, else raise `InvalidArgumentError`."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgumentError(
            f"{name} must be seconds or a timedelta, not {type(value).__name__}: {excerpt(value)}"
        )
    if not is_number(value, 0, MAX_SECONDS) or value == 0:
        raise InvalidArgumentError(
            f"{name} must be a number of seconds above 0 and up to 100 years, not {excerpt(value)}"
        )
    return float(value)


def check_metadata(value: object) -> Mapping[str, str] | None:
    """Return `value` if it is None or maps str to str within 8 KiB, else raise `InvalidArgumentError`."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(
            f"metadata must map str to str, not be {type(value).__name__}: {excerpt(value)}"
        )
    size = 0
    for key, text in value.items():
        for part in (key, text):
            if not isinstance(part, str):
                raise InvalidArgumentError(
                    f"metadata must map str to str; {excerpt(part)} is {type(part).__name__}"
                )
            try:
                size += len(part.encode())
            except UnicodeEncodeError:
                raise InvalidArgumentError(f"metadata holds a lone surrogate: {excerpt(part)}") from None
    if size > MAX_METADATA_BYTES:
        raise InvalidArgumentError(f"metadata must be at most {MAX_METADATA_BYTES} bytes, not {size}")
    return value
