"""Checks of arguments: what passes comes back as it is, what does not is named with its value."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkmate_queue.core.errors import InvalidArgumentError, QueueError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.validation import (
    MAX_METADATA_BYTES,
    check_int,
    check_metadata,
    check_name,
    check_priority,
    check_seconds,
)

FORBIDDEN = {*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)}


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=128))
def test_text_without_control_characters_is_a_name(name: str) -> None:
    """J1."""
    assert check_name("id", name) == name


@given(st.text(max_size=3), st.sampled_from(sorted(FORBIDDEN)), st.text(max_size=3))
def test_control_characters_and_surrogates_are_none(before: str, forbidden: int, after: str) -> None:
    """J1."""
    with pytest.raises(InvalidArgumentError, match="id"):
        check_name("id", before + chr(forbidden) + after)


@pytest.mark.parametrize(("character", "count"), [("x", 512), ("ä", 256), ("€", 170), ("🙂", 128)])
def test_the_length_counts_in_bytes(character: str, count: int) -> None:
    """J1: 512 of UTF-8."""
    assert check_name("id", character * count)
    with pytest.raises(InvalidArgumentError, match="512 bytes"):
        check_name("id", character * (count + 1))
    assert check_name("id", "x" * 480, 480)
    with pytest.raises(InvalidArgumentError, match="480"):
        check_name("id", "x" * 481, 480)


@pytest.mark.parametrize("value", ["", None, 1, b"x", [], object()])
def test_what_is_no_text_is_no_name(value: Any) -> None:
    """J1."""
    with pytest.raises(InvalidArgumentError, match="thing"):
        check_name("thing", value)


def test_subclasses_become_plain_text() -> None:
    """J1: the text that was checked, whatever their `__str__` says."""

    class Kind(str, enum.Enum):  # noqa: UP042 - its __str__ is what this is about
        ONE = "one"

    class Liar(str):
        def __str__(self) -> str:
            return "\n"

    for value in (Kind.ONE, Liar("one")):
        checked = check_name("id", value)
        assert (checked, type(checked)) == ("one", str)


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_priority_has_32_bits(value: int) -> None:
    """J4."""
    assert check_priority(value) == value


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 10**5000, 1.0, "1", None, True, [], 1j], ids=excerpt)
def test_other_priorities_are_refused(value: Any) -> None:
    """J4."""
    with pytest.raises(InvalidArgumentError, match="priority"):
        check_priority(value)


def test_bounds_are_named() -> None:
    with pytest.raises(InvalidArgumentError, match="limit must be from 1 to 9, not 10"):
        check_int("limit", 10, 1, 9)
    assert check_int("limit", 9, 1, 9) == 9


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), (1, 1.0), (0.5, 0.5), (timedelta(minutes=1), 60.0), (1e9, 1e9)]
)
def test_spans(value: Any, seconds: float | None) -> None:
    assert check_seconds("timeout", value) == seconds


@pytest.mark.parametrize(
    "value",
    [0, -1, float("nan"), float("inf"), "1", True, [], timedelta(), timedelta(-1), 10**400],
    ids=excerpt,
)
def test_other_spans_are_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="timeout"):
        check_seconds("timeout", value)


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=9))
def test_metadata_maps_texts(metadata: dict[str, str]) -> None:
    assert check_metadata(metadata) is metadata


@pytest.mark.parametrize(
    "value",
    [
        [],
        "text",
        7,
        {1: "a"},
        {"a": 1},
        {"a": None},
        {"a": ["b"]},
        {"a": "\ud800"},
        {"\udfff": "a"},
        {"a": "x" * MAX_METADATA_BYTES},
        {str(n): "€" * 30 for n in range(100)},
    ],
    ids=excerpt,
)
def test_other_metadata_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="metadata"):
        check_metadata(value)


def test_no_metadata_is_fine() -> None:
    assert check_metadata(None) is None
    assert check_metadata({"a": "x" * (MAX_METADATA_BYTES - 1)}) is not None


def test_an_invalid_argument_is_a_value_error_as_well() -> None:
    """Section 1."""
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(InvalidArgumentError, QueueError)
    assert str(InvalidArgumentError()) == "An argument is outside what the contract allows."
