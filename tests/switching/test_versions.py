"""Config versions and migrations (L5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from checkmate_queue.backends.plugin import Migration
from checkmate_queue.core.errors import ConfigError
from checkmate_queue.switching.versions import upgrade
from tests.switching.plugins import FarConfig, FarPlugin, far_with, rename_address, split_port


def test_migrations_are_applied_one_by_one_then_validated() -> None:
    """L5: from whichever version, up to the present one, defaults included (L7)."""
    far = FarPlugin()
    first = upgrade(far, 1, {"address": "a.example:7"})
    second = upgrade(far, 2, {"host": "a.example:7"})
    third = upgrade(far, 3, {"host": "a.example", "port": 7})
    assert first == second == third == FarConfig(host="a.example", port=7)
    assert upgrade(far, 3, {}) == FarConfig()


def test_step_may_skip_versions() -> None:
    """L5: the chain is what the steps say."""
    far = far_with(Migration(1, 3, lambda values: {"host": values["address"]}))
    assert upgrade(far, 1, {"address": "a"}) == FarConfig(host="a")


def test_what_is_stored_is_never_touched() -> None:
    """L5: not even by a step that writes into what it gets."""

    def spoil(values: Mapping[str, Any]) -> Mapping[str, Any]:
        assert isinstance(values, dict)
        values["main"]["host"] = values.pop("address")
        raise RuntimeError("half-way")

    stored = {"address": "a", "main": {"host": "b"}}
    with pytest.raises(ConfigError):
        upgrade(far_with(Migration(1, 3, spoil)), 1, stored)
    assert stored == {"address": "a", "main": {"host": "b"}}


def no_mapping(values: Mapping[str, Any]) -> Any:
    return [*values]


@pytest.mark.parametrize(
    ("migrations", "version", "told"),
    [
        ((Migration(2, 3, split_port),), 1, "no migration leads from version 1 on to version 3"),
        ((Migration(1, 2, rename_address),), 1, "no migration leads from version 2 on to version 3"),
        (
            (Migration(1, 2, split_port), Migration(2, 3, split_port)),
            1,
            "migration of version 1 of the Far config to version 2 failed: KeyError",
        ),
        ((Migration(1, 3, no_mapping),), 1, "version 1 of the Far config to version 3 gave no mapping"),
        ((Migration(1, 3, rename_address),), 1, "not valid for version 3 of the Far config: .*'odd'"),
        ((Migration(1, 1, rename_address),), 1, "can't be followed"),
        ((Migration(1, 4, rename_address),), 1, "can't be followed"),
        ((Migration(1, 2, rename_address), Migration(1, 3, rename_address)), 1, "can't be followed"),
        ((), 4, "has version 4, .* none above 3; upgrade it"),
        ((), 0, "no migration leads from version 0"),
    ],
)
def test_errors_name_the_step(migrations: tuple[Migration, ...], version: int, told: str) -> None:
    """L5: a gap, a failing step, an invalid result, and a version that is newer than the code."""
    with pytest.raises(ConfigError, match=told):
        upgrade(far_with(*migrations), version, {"address": "a", "odd": 1})


def test_errors_hide_secrets() -> None:
    """L6: what a step says of a secret is blotted out, and no cause carries it along."""

    def fail(values: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ValueError(f"can't use {values['token']}")

    with pytest.raises(ConfigError, match=r"ValueError: can't use \*+$") as caught:
        upgrade(far_with(Migration(1, 3, fail)), 1, {"token": "hush-hush"}, {"hush-hush"})
    assert caught.value.__suppress_context__
