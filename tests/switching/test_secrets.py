"""Secrets in configs (L6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from checkmate_queue.core.errors import ConfigError
from checkmate_queue.switching.keys import FILE_VARIABLE, KEY_VARIABLE, SecretBox
from checkmate_queue.switching.sealing import (
    check_no_blots,
    keep_secrets,
    redact,
    redact_stored,
    seal,
    unseal,
)
from checkmate_queue.switching.versions import BLOT
from tests.switching.plugins import FarConfig, FarPlugin, Server, far_with

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRETS = ("hush-1", "hush-2", "hush-3", "hush-4")
FULL = FarConfig(
    token=SecretStr("hush-1"),
    main=Server(host="m", password=SecretStr("hush-2")),
    others=[Server(host="o"), Server(host="p", password=SecretStr("hush-3"))],
    by_name={"x": SecretStr("hush-4")},
)


@pytest.fixture
def box() -> SecretBox:
    return SecretBox(lambda: [NEW])


# -- at rest, and shown --------------------------------------------------------------------------


def test_secrets_at_any_depth_are_encrypted_and_come_back(box: SecretBox) -> None:
    """L6: what is stored is JSON without a secret in it, and loads as it was."""
    stored = json.loads(json.dumps(seal(FULL, box)))
    assert not [secret for secret in SECRETS if secret in json.dumps(stored)]
    assert FarConfig.model_validate(unseal(stored, box)) == FULL
    assert seal(FULL, box) != stored  # Equal secrets don't look equal.


def test_every_reading_is_redacted(box: SecretBox) -> None:
    """L6: whether from the config or from what is stored; what is not set shows as not set."""
    shown = redact(FULL)
    assert shown == redact_stored(seal(FULL, box))
    assert shown["token"] == shown["main"]["password"] == shown["by_name"]["x"] == BLOT
    assert [server["password"] for server in shown["others"]] == [None, BLOT]
    text = json.dumps(shown) + repr(FULL) + str(FULL)
    assert not [secret for secret in SECRETS if secret in text]
    assert redact(FarConfig())["token"] == ""


def test_other_kinds_of_secrets(box: SecretBox) -> None:
    """L6: bytes, and pydantic's generic one."""

    class Odd(BaseModel):
        raw: SecretBytes
        pin: Secret[int]

    odd = Odd(raw=SecretBytes(b"hush"), pin=Secret(4711))
    stored = json.dumps(seal(odd, box))
    assert "hush" not in stored
    assert "4711" not in stored
    assert Odd.model_validate(unseal(json.loads(stored), box)) == odd
    with pytest.raises(ConfigError, match="can't be stored as JSON") as caught:
        seal(Odd(raw=SecretBytes(b"\xff\xfe"), pin=Secret(1)), box)
    assert caught.value.__suppress_context__


def test_mark_can_not_be_forged(box: SecretBox) -> None:
    """L6: a value that looks like an encrypted one is refused."""

    class Free(BaseModel):
        extra: dict[str, str]

    with pytest.raises(ConfigError, match=r"\$encrypted"):
        seal(Free(extra={"$encrypted": "x"}), box)


@pytest.mark.parametrize(
    "values",
    [
        {"main": {"password": "hush-2"}},
        {"main": {"host": "m", "password": ["hush-2"]}},
        {"others": [{"password": "hush-2"}]},
        {"others": "hush-2"},
        {"token": ["hush-2"]},
        {"by_name": {"x": 1, "y": ["hush-2"]}},
        {"main": {"host": ["hush-2"]}},
    ],
)
def test_errors_of_wrong_configs_hide_secrets(values: dict[str, Any]) -> None:
    """L6: at any depth, and where a field beside the secret is wrong."""
    with pytest.raises(ConfigError) as caught:
        FarPlugin().validate(values)
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_missing_field_does_not_show_what_is_there() -> None:
    """L6: nor does a field that is missing show its neighbours."""

    class Needy(FarConfig):
        needed: str

    with pytest.raises(ConfigError, match="needed: Field required") as caught:
        far_with(schema=Needy).validate({"token": "hush-1"})
    assert "hush" not in str(caught.value)


# -- saving a redacted form ----------------------------------------------------------------------


def saved(changes: dict[str, Any], box: SecretBox) -> FarConfig:
    """What is used after the redacted form of `FULL` was saved with these changes."""
    values = keep_secrets({**redact(FULL), **changes}, seal(FULL, box), box)
    config = FarConfig.model_validate(values)
    check_no_blots(config)
    return config


def test_redacted_form_keeps_the_secrets(box: SecretBox) -> None:
    """L6: beside whatever else is changed."""
    assert saved({}, box) == FULL
    assert saved({"port": 7}, box) == FULL.model_copy(update={"port": 7})
    assert saved({"main": {"host": "new", "password": BLOT}}, box).main == Server(
        host="new", password=SecretStr("hush-2")
    )


def test_secret_is_cleared_or_replaced_on_request(box: SecretBox) -> None:
    """L6: by None, an empty text, another text, or by leaving it out."""
    assert saved({"token": ""}, box).token == SecretStr("")
    assert saved({"token": "other"}, box).token == SecretStr("other")
    for main in ({"host": "m", "password": None}, {"host": "m"}):
        assert saved({"main": main}, box).main == Server(host="m")
    assert saved({"by_name": {}}, box).by_name == {}


def test_secrets_follow_their_items(box: SecretBox) -> None:
    """L6: where items move, secrets move along; none goes to another item."""
    first, second = redact(FULL)["others"]
    assert saved({"others": [second, first]}, box).others == FULL.others[::-1]
    assert saved({"others": [second]}, box).others == FULL.others[1:]
    assert saved({"others": [{"host": "new"}, second]}, box).others[1] == FULL.others[1]
    assert saved({"others": [first, {**second, "host": "new"}]}, box).others[1] == Server(
        host="new", password=SecretStr("hush-3")
    )
    with pytest.raises(ConfigError, match=r"others.0 can't be told"):
        saved({"others": [{**second, "host": "new"}]}, box)


def test_equal_looking_items_are_not_guessed(box: SecretBox) -> None:
    """L6: of two servers that differ in their passwords alone, one was removed: which?"""
    twins = FarConfig(
        others=[Server(host="h", password=SecretStr("a")), Server(host="h", password=SecretStr("b"))]
    )
    shown = redact(twins)
    assert keep_secrets(shown, seal(twins, box), box)["others"][1]["password"] == "b"
    with pytest.raises(ConfigError, match="can't be told"):
        keep_secrets({**shown, "others": shown["others"][:1]}, seal(twins, box), box)


def test_blot_is_never_taken_for_a_secret(box: SecretBox) -> None:
    """L6: nothing is stored in its place."""
    values = keep_secrets({"token": BLOT}, {}, box)
    with pytest.raises(ConfigError, match="no such secret is stored"):
        check_no_blots(FarConfig.model_validate(values))


# -- keys ----------------------------------------------------------------------------------------


def test_keys_rotate() -> None:
    """L6: the first key encrypts, the others still decrypt; without the old one it can't be read."""
    token = SecretBox(lambda: [OLD]).seal("hush")
    both = SecretBox(lambda: [NEW, OLD])
    assert both.unseal(token) == "hush"
    assert not both.is_current(token)
    again = both.seal("hush")
    assert both.is_current(again)
    assert SecretBox(lambda: [NEW]).unseal(again) == "hush"
    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        SecretBox(lambda: [NEW]).unseal(token)


def test_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """L6: one key, or several."""
    monkeypatch.setenv(KEY_VARIABLE, OLD)
    token = SecretBox().seal("hush")
    monkeypatch.setenv(KEY_VARIABLE, f"{NEW}, {OLD}")
    assert SecretBox().unseal(token) == "hush"


def test_key_comes_from_a_file_of_mode_600(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """L6: and from no file that others can read."""
    path = tmp_path / "key"
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    with pytest.raises(ConfigError, match="No such file"):
        SecretBox().seal("hush")
    path.write_text(f"{NEW}\n{OLD}\n")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"has mode 640.*chmod 600") as caught:
        SecretBox().seal("hush")
    assert NEW not in str(caught.value)
    path.chmod(0o600)
    assert SecretBox(lambda: [NEW]).unseal(SecretBox().seal("hush")) == "hush"


def test_missing_or_wrong_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """L6: with the command that makes one, and without the wrong one."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"generate_key"):
        SecretBox().seal("hush")
    monkeypatch.setenv(KEY_VARIABLE, "not-a-key")
    with pytest.raises(ConfigError, match=r"no key.*generate_key") as caught:
        SecretBox().seal("hush")
    assert "not-a-key" not in str(caught.value)


def test_config_without_secrets_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """L6: keys are asked for when the first secret comes."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    stored = seal(FarConfig(), SecretBox())
    assert FarConfig.model_validate(unseal(stored, SecretBox())) == FarConfig()
