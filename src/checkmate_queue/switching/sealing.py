"""Secrets within a config, at any depth: sealed in storage, redacted in every reading (L6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, to_jsonable_python

from checkmate_queue.core.errors import ConfigError
from checkmate_queue.switching.keys import SecretBox
from checkmate_queue.switching.versions import BLOT

MARK = "$encrypted"
"""The only key of a mapping that stands in a secret's place in storage."""


def seal(config: BaseModel, box: SecretBox) -> dict[str, Any]:
    """A validated config as it is stored: JSON, each secret encrypted."""
    return _mapped(config, lambda secret: {MARK: box.seal(secret)} if secret else secret)


def redact(config: BaseModel) -> dict[str, Any]:
    """A validated config as it is shown: JSON, each secret that is set blotted out."""
    return _mapped(config, lambda secret: BLOT if secret else secret)


def unseal(stored: Any, box: SecretBox) -> Any:
    """What was stored, its secrets in plain text."""
    if is_sealed(stored):
        return box.unseal(stored[MARK])
    if isinstance(stored, Mapping):
        return {key: unseal(value, box) for key, value in stored.items()}
    if isinstance(stored, list):
        return [unseal(value, box) for value in stored]
    return stored


def redact_stored(stored: Any) -> Any:
    """What was stored, as it is shown; it needs no key."""
    if is_sealed(stored):
        return BLOT
    if isinstance(stored, Mapping):
        return {key: redact_stored(value) for key, value in stored.items()}
    if isinstance(stored, list):
        return [redact_stored(value) for value in stored]
    return stored


def is_sealed(value: Any) -> bool:
    """Whether it stands in a secret's place."""
    return isinstance(value, Mapping) and set(value) == {MARK}


def tokens(stored: Any) -> Iterator[str]:
    """All that is encrypted in what was stored."""
    if is_sealed(stored):
        yield stored[MARK]
    elif isinstance(stored, Mapping):
        for value in stored.values():
            yield from tokens(value)
    elif isinstance(stored, list):
        for value in stored:
            yield from tokens(value)


def secrets_of(stored: Any, box: SecretBox) -> set[str]:
    """The plain texts, to be blotted out of messages."""
    return {str(box.unseal(token)) for token in tokens(stored)}


def keep_secrets(values: Mapping[str, Any], stored: Mapping[str, Any], box: SecretBox) -> dict[str, Any]:
    """New values in which what is redacted has become the stored secret again.

    Anything else is taken as it is given: another text replaces the secret, None or "" clears it. Raises
    `ConfigError` where it can't be told which secret is meant.
    """
    kept: dict[str, Any] = _kept(values, stored, box, "config")
    return kept


def check_no_blots(config: BaseModel) -> None:
    """Raise `ConfigError` where a redacted secret is about to be taken for the secret itself."""

    def check(secret: Any) -> Any:
        if secret == BLOT:
            raise ConfigError(
                f"The config holds '{BLOT}' in a secret's place, but no such secret is stored; give it"
            )
        return secret

    _mapped(config, check)


# -- walking -------------------------------------------------------------------------------------


def _mapped(config: BaseModel, change: Callable[[Any], Any]) -> dict[str, Any]:
    plain = config.model_dump(mode="python", round_trip=True, by_alias=True)
    try:
        mapped: dict[str, Any] = _walk(plain, change)
    except (PydanticSerializationError, UnicodeError) as error:
        # Without its cause, whose traceback may show a secret.
        raise ConfigError(f"The config can't be stored as JSON: {type(error).__name__}") from None
    return mapped


def _walk(value: Any, change: Callable[[Any], Any]) -> Any:
    match value:
        case SecretStr() | SecretBytes() | Secret():
            return change(to_jsonable_python(value.get_secret_value()))
        case BaseModel():
            return _walk(value.model_dump(mode="python", round_trip=True, by_alias=True), change)
        case Mapping():
            if MARK in value:
                raise ConfigError(f"A config can't have a key {MARK!r}; it marks what is encrypted")
            return {str(to_jsonable_python(key)): _walk(each, change) for key, each in value.items()}
        case list() | tuple() | Set():
            return [_walk(each, change) for each in value]
        case _:
            return to_jsonable_python(value)


def _kept(value: Any, stored: Any, box: SecretBox, path: str) -> Any:
    if value == BLOT and is_sealed(stored):
        return box.unseal(stored[MARK])
    if isinstance(value, Mapping):
        known = stored if isinstance(stored, Mapping) else {}
        return {key: _kept(each, known.get(key), box, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return _kept_items(value, stored if isinstance(stored, list) else [], box, path)
    return value


def _kept_items(items: Sequence[Any], stored: Sequence[Any], box: SecretBox, path: str) -> list[Any]:
    """Items may have moved: a secret must not go to a neighbour's item."""
    shown = [redact_stored(each) for each in stored]
    in_place = len(items) == len(stored) and sum(map(_differ, items, shown)) <= 1
    kept = []
    for index, item in enumerate(items):
        if in_place:
            source = stored[index]
        else:
            alike = [each for each, show in zip(stored, shown, strict=True) if show == item]
            if len(alike) != 1 and _holds_blot(item):
                raise ConfigError(
                    f"Which secret is meant by '{BLOT}' in {path}.{index} can't be told, as the items "
                    "around it have changed; give it again"
                )
            source = alike[0] if alike else None
        kept.append(_kept(item, source, box, f"{path}.{index}"))
    return kept


def _differ(item: Any, other: Any) -> bool:
    return bool(item != other)


def _holds_blot(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_blot(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_blot(each) for each in value)
    return bool(value == BLOT)
