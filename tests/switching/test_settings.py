"""The settings document (L5, L6, B5, B6)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from checkmate_queue.backends.memory.store import MemoryStore
from checkmate_queue.backends.plugin import QueuePluginRegistry
from checkmate_queue.core.errors import ConfigError, PluginNotFoundError
from checkmate_queue.switching.document import Document, StoredConfig, Undertaking, dump, parse
from checkmate_queue.switching.keys import SecretBox
from checkmate_queue.switching.settings import BACKEND_KEY, BackendSettings
from checkmate_queue.switching.versions import BLOT
from tests.switching.plugins import FarConfig, FarPlugin

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
FAR = StoredConfig("far", 3, {"host": "h", "port": 1})
NEAR = StoredConfig("near", 1, {})
MOVING = Document(7, FAR, "moving", Undertaking("id", "me", 3, NEAR, "fence"), {"near": NEAR})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def settings(store: MemoryStore, *keys: str) -> BackendSettings:
    return BackendSettings(store, QueuePluginRegistry((FarPlugin(),)), SecretBox(lambda: keys or [NEW]))


async def stored_text(store: MemoryStore) -> str:
    setting = await store.load_setting(BACKEND_KEY)
    assert setting is not None
    return setting.value


@pytest.mark.parametrize("document", [Document(1, FAR), MOVING, replace(MOVING, phase="clearing")])
def test_documents_are_read_as_they_were_written(document: Document) -> None:
    """B6: the pointer, its config and a switch under way."""
    assert parse(dump(document)) == document
    assert document.pointer.plugin == "far"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "format 2, .* none above 1"),
        ({"format": "x"}, "format 'x'"),
        ({"pointer": {"plugin": "near", "version": 1, "phase": "active"}}, "don't belong together"),
        ({"pointer": {"plugin": "far", "version": 1, "phase": "odd"}}, "malformed"),
        ({"pointer": {"plugin": "far", "version": 1, "phase": "moving"}}, "contradict"),
        ({"active": {"plugin": "far"}}, "can't be read: KeyError"),
        ({"active": []}, "can't be read"),
        ({"configs": []}, "can't be read"),
    ],
)
def test_malformed_documents_are_refused(change: dict[str, Any], told: str) -> None:
    """X3, U1: with an error that says what is wrong."""
    with pytest.raises(ConfigError, match=told):
        parse(json.dumps({**json.loads(dump(Document(1, FAR))), **change}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}"])
def test_other_texts_are_refused(text: str) -> None:
    """X3: likewise."""
    with pytest.raises(ConfigError, match="can't be read"):
        parse(text)


async def test_first_save_wins(store: MemoryStore) -> None:
    """B6: of two that start from the same document the second changes nothing."""
    one, other = settings(store), settings(store)
    assert await one.load_active() is None
    first, second = await one.load(), await other.load()
    assert await one.save(Document(1, FAR), first)
    assert not await other.save(Document(1, NEAR), second)
    assert (await other.load()).document == Document(1, FAR)


async def test_change_is_repeated_until_nobody_comes_between(store: MemoryStore) -> None:
    """B6: no change is lost."""
    here = settings(store)
    await here.save(Document(1, FAR), await here.load())
    calls = 0

    def add_one(document: Document | None) -> Document:
        nonlocal calls
        calls += 1
        assert document is not None
        if calls == 1:
            store._settings[BACKEND_KEY] = store._settings[BACKEND_KEY]._replace(
                value=dump(Document(10, FAR)), version=5
            )
        return replace(document, version=document.version + 1)

    assert (await here.change(add_one)).version == 11
    assert calls == 2


async def test_old_configs_are_migrated_and_written_back(store: MemoryStore) -> None:
    """L5: once; the next load finds the present version."""
    here = settings(store)
    await here.save(Document(4, StoredConfig("far", 1, {"address": "h:7"})), await here.load())
    active = await here.load_active()
    assert active is not None
    assert active.config == FarConfig(host="h", port=7)
    assert active.document.version == 4
    written = parse(await stored_text(store)).active
    assert written.config_version == 3
    assert written.values["port"] == 7
    assert await here.load_active() == active


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (StoredConfig("far", 4, {}), "upgrade"),
        (StoredConfig("far", 1, {}), "failed: KeyError"),
        (StoredConfig("far", 3, {"odd": 1}), "'odd'"),
    ],
)
async def test_what_can_not_be_loaded_stays_as_it_was(
    store: MemoryStore, config: StoredConfig, told: str
) -> None:
    """L5: byte for byte."""
    here = settings(store)
    await here.save(Document(1, config), await here.load())
    before = await store.load_setting(BACKEND_KEY)
    with pytest.raises(ConfigError, match=told):
        await here.load_active()
    assert await store.load_setting(BACKEND_KEY) == before


async def test_unknown_plugin(store: MemoryStore) -> None:
    """B1: an error, and nothing changes."""
    here = settings(store)
    await here.save(Document(1, NEAR), await here.load())
    with pytest.raises(PluginNotFoundError, match="near"):
        await here.load_active()
    with pytest.raises(PluginNotFoundError, match="nowhere"):
        here.accept("nowhere", {}, None)


async def test_given_configs_are_validated_and_sealed(store: MemoryStore) -> None:
    """L6: nothing readable is stored; a redacted form keeps the secret, through a change of the key too."""
    before = settings(store, OLD)
    config, stored = before.accept("far", {"token": "hush-hush"}, None)
    assert config == FarConfig(token=SecretStr("hush-hush"))
    await before.save(Document(1, stored), await before.load())
    assert "hush-hush" not in await stored_text(store)
    after = settings(store, NEW, OLD)
    active = await after.load_active()
    assert active is not None
    assert active.config == config
    rotated = await settings(store, NEW).load_active()  # It was encrypted again.
    assert rotated is not None
    assert (rotated.config, rotated.document) == (config, active.document)
    again, _ = after.accept("far", {"token": BLOT, "port": 7}, active.document)
    assert again == FarConfig(token=SecretStr("hush-hush"), port=7)
    with pytest.raises(ConfigError, match="no such secret is stored"):
        after.accept("far", {"main": {"host": "h", "password": BLOT}}, active.document)
    wrong: list[Any] = [{"odd": 1}, [], None]
    for each in wrong:
        with pytest.raises(ConfigError):
            after.accept("far", each, active.document)


async def test_secret_survives_a_redacted_save_over_an_old_config(store: MemoryStore) -> None:
    """L5, L6: what is kept is found after the migrations, not before."""
    here = settings(store)
    _, sealed = here.accept("far", {"token": "hush-hush"}, None)
    old = StoredConfig("far", 2, {"host": "h:7", "token": sealed.values["token"]})
    config, _ = here.accept("far", {"token": BLOT}, Document(1, NEAR, configs={"far": old}))
    assert config == FarConfig(token=SecretStr("hush-hush"))
