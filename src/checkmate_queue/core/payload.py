"""Payloads: from a user's value to JSON bytes and back, with proof that nothing changes on the way (J2)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, Generic, TypeAlias, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from checkmate_queue.core.errors import ConfigError, PayloadError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.model import RECORD_FORMAT
from checkmate_queue.core.sameness import find_difference
from checkmate_queue.core.typed_dicts import with_known_typed_dicts

__all__ = ["RECORD_FORMAT", "PayloadCodec", "canonical_json", "check_format"]

T = TypeVar("T")
_Place: TypeAlias = "tuple[_Place, object] | None"

MAX_DEPTH = 200
"""How deep lists and dicts may be nested; the JSON parser reads no deeper ones."""

# The JSON parser, like Python's int(), reads no longer integers.
_INTEGER_END = 10**4300
_PLAIN_JSON = "without a payload type only dict, list, str, int, float, bool and None are taken"


class PayloadCodec(Generic[T]):
    """Turns payloads of `payload_type` into JSON bytes of at most `max_bytes`, and back.

    `Any` takes exact JSON values only. Another type takes what pydantic validates as it, provided that
    what it validates to survives JSON with value and type (an int where a float is declared may become
    one). A type that pydantic can't handle raises `ConfigError`.
    """

    __slots__ = ("_adapter", "max_bytes", "payload_type")

    def __init__(self, payload_type: Any = Any, *, max_bytes: int = 1_048_576) -> None:
        self.payload_type = payload_type
        self.max_bytes = max_bytes
        self._adapter: TypeAdapter[T] | None = None if payload_type is Any else _adapt(payload_type)

    def encode(self, data: object) -> bytes:
        """The payload as JSON; what isn't of the type, would change or is too big raises `PayloadError`."""
        try:
            if self._adapter is None:
                return self._encode_plain(data)
            return self._encode_typed(self._adapter, data)
        except PayloadError:
            raise
        except Exception as error:
            raise self._refusal("Payload", data, error) from error

    def decode(self, raw: bytes) -> T:
        """A fresh value from stored JSON; what is malformed or not of the type raises `PayloadError` (X3)."""
        try:
            if self._adapter is None:
                return cast("T", from_json(raw, allow_inf_nan=False))
            return self._adapter.validate_json(raw, by_alias=False, by_name=True)
        except Exception as error:
            raise self._refusal("Stored payload", raw, error) from error

    def _encode_plain(self, data: object) -> bytes:
        if _is_plain(data, self.max_bytes):
            try:
                return self._sized(to_json(data))
            except PydanticSerializationError:
                # What is left to refuse is a lone surrogate, which the search below finds.
                pass
        raise PayloadError(_plain_fault(data, self.max_bytes))

    def _encode_typed(self, adapter: TypeAdapter[T], data: object) -> bytes:
        value = adapter.validate_python(data)
        # By field names, which exist and are distinct for every type, whatever aliases it declares.
        raw = self._sized(adapter.dump_json(value, by_alias=False, round_trip=True, warnings=False))
        back = adapter.validate_json(raw, by_alias=False, by_name=True)
        if difference := find_difference(value, back):
            raise PayloadError(
                f"Payload {excerpt(value)} would not come back from JSON as it is: {difference}; "
                "give values of exactly the declared types, and keep secrets out of payloads"
            )
        return raw

    def _refusal(self, subject: str, data: object, error: Exception) -> PayloadError:
        return PayloadError(f"{subject} {excerpt(data)} is no {self._type_name()}: {_reason(error)}")

    def _sized(self, raw: bytes) -> bytes:
        if len(raw) > self.max_bytes:
            raise PayloadError(_too_large(f"{len(raw):,}", self.max_bytes))
        return raw

    def _type_name(self) -> str:
        if self._adapter is None:
            return "JSON"
        kind = self.payload_type
        return kind.__name__ if isinstance(kind, type) else excerpt(kind)


def canonical_json(raw: bytes, *, ordered: bool = True) -> str:
    """One text for equal JSON: keys sorted, no spaces; compares the data of schedules (R4).

    With `ordered` False lists are sorted too, as a set makes another list in each process.
    """
    try:
        value = from_json(raw, allow_inf_nan=False)
        return _canonical(value if ordered else _sorted(value))
    except ValueError as error:
        raise PayloadError(f"Stored payload {excerpt(raw)} is no JSON: {error}") from error


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _sorted(value: object) -> object:
    match value:
        case dict():
            return {key: _sorted(item) for key, item in value.items()}
        case list():
            return sorted(map(_sorted, value), key=_canonical)
        case _:
            return value


def check_format(found: int) -> None:
    """Raises `PayloadError` for a record of a newer format than this version reads (U1)."""
    if found > RECORD_FORMAT:
        raise PayloadError(
            f"The record has format {found}, and this version reads formats up to {RECORD_FORMAT}: "
            "upgrade checkmate_queue to the version that wrote it"
        )


def _adapt(payload_type: Any) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter(with_known_typed_dicts(payload_type))
        if not adapter.pydantic_complete:
            adapter.rebuild(raise_errors=True)
    except Exception as error:
        raise ConfigError(
            f"Payload type {excerpt(payload_type)} can't be used: {_reason(error)}; it must be a dataclass, "
            "a TypedDict, a pydantic model or another type that pydantic validates"
        ) from error
    return adapter


def _is_plain(data: object, budget: int) -> bool:
    # Breadth first: no recursion, the number of rounds is the depth, and `budget` (each value takes a byte,
    # each character of a str another) ends the walk over what is huge or refers to itself.
    level: list[Any] = [[data]]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for container in level:
            budget -= len(container)
            if budget < 0:
                return False
            values = container
            if type(container) is dict:
                for key in container:
                    if type(key) is not str:
                        return False
                    budget -= len(key)
                values = container.values()
            budget = _sift(values, inner, budget)
        if not inner:
            return budget >= 0
        level = inner
    return False


def _sift(values: Iterable[Any], inner: list[Any], budget: int) -> int:
    for value in values:
        kind = type(value)
        if kind is str:
            budget -= len(value)
        elif kind is dict or kind is list:
            inner.append(value)
        elif not (
            kind is bool
            or value is None
            or (kind is int and -_INTEGER_END < value < _INTEGER_END)
            or (kind is float and isfinite(value))
        ):
            return -1
    return budget


def _plain_fault(data: object, max_bytes: int) -> str:
    pending: list[tuple[_Place, object, int]] = [(None, data, 1)]
    size = 0
    while pending:
        place, value, depth = pending.pop()
        size += 1
        if type(value) is str:
            size += len(value)
        elif type(value) is dict:
            size += sum(len(key) for key in value if type(key) is str)
        if size > max_bytes:
            return _too_large(f"at least {size:,}", max_bytes)
        if fault := _own_fault(value, depth):
            return f"{_render(place)} is {fault}"
        if type(value) is dict:
            pending.extend(((place, key), inner, depth + 1) for key, inner in reversed(value.items()))
        elif type(value) is list:
            pending.extend(((place, index), value[index], depth + 1) for index in reversed(range(len(value))))
    return f"Payload {excerpt(data)} can't be stored as JSON; {_PLAIN_JSON}"


def _own_fault(value: object, depth: int) -> str | None:
    if type(value) is dict or type(value) is list:
        if depth > MAX_DEPTH:
            return (
                f"nested more than {MAX_DEPTH} levels deep, or contains itself; at most {MAX_DEPTH} are taken"
            )
        for key in value if type(value) is dict else ():
            if type(key) is not str:
                return f"a dict with the key {excerpt(key)} of type {type(key).__name__}; keys must be str"
            if not _is_text(key):
                return f"a dict with the key {excerpt(key)}; a key must not have lone surrogates"
        return None
    if type(value) is str:
        return None if _is_text(value) else f"{excerpt(value)}; text must not have lone surrogates"
    if type(value) is int and abs(value) >= _INTEGER_END:
        return f"{excerpt(value)}; an int must have at most 4,300 digits"
    if type(value) is float and not isfinite(value):
        return f"{excerpt(value)}; a number must be finite"
    if value is None or type(value) in (bool, int, float):
        return None
    return f"{excerpt(value)} of type {type(value).__name__}; {_PLAIN_JSON}"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _render(place: _Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f"[{excerpt(step)}]")
    steps.append("Payload")
    steps.reverse()
    return "".join(steps if len(steps) <= 12 else [*steps[:6], "...", *steps[-5:]])


def _too_large(size: str, max_bytes: int) -> str:
    return f"Payload takes {size} bytes as JSON; at most {max_bytes:,} are allowed (max_payload_bytes)"


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return (str(error) or type(error).__name__).split("\n", 1)[0]
    found = error.errors(include_url=False, include_context=False)
    shown = [
        f"{'.'.join(map(str, detail['loc'])) or 'the value'}: {detail['msg']}, got {excerpt(detail['input'])}"
        for detail in found[:3]
    ]
    return "; ".join(shown) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
