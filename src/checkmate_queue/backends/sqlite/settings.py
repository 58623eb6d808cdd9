"""Small shared values under compare-and-set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.store import Setting

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.transaction import Transaction


def load_setting(tx: Transaction, key: str) -> Setting | None:
    """See `SettingsStore.load_setting`."""
    row = tx.one("setting", (key,))
    return None if row is None else Setting(row[0], row[1])


def save_setting(tx: Transaction, key: str, value: str, expected_version: int) -> bool:
    """See `SettingsStore.save_setting`."""
    if expected_version == 0:
        return tx.run("insert_setting", (key, value)) > 0
    return tx.run("update_setting", (key, value, expected_version)) > 0
