"""Where the keys for secrets come from, and what is encrypted with them (L6)."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from checkmate_queue.core.errors import ConfigError

KEY_VARIABLE = "CHECKMATE_QUEUE_SECRET_KEY"
FILE_VARIABLE = "CHECKMATE_QUEUE_SECRET_KEY_FILE"

HOW_TO_MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


def load_keys() -> list[str]:
    """The keys, the one that encrypts first; raises `ConfigError` that shows how to give one.

    They come from `CHECKMATE_QUEUE_SECRET_KEY`, or from the file that `CHECKMATE_QUEUE_SECRET_KEY_FILE`
    names, which nobody but its owner may read. Older keys, which decrypt, follow after a space, a comma or
    a line break.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    if not text.strip():
        path = os.environ.get(FILE_VARIABLE, "")
        text = _read(Path(path)) if path else ""
    keys = text.replace(",", " ").split()
    if not keys:
        raise ConfigError(
            f"A secret needs a key: set {KEY_VARIABLE}, or {FILE_VARIABLE} to a file of mode 600, on every "
            f"machine the same. To make one: {HOW_TO_MAKE_ONE}"
        )
    return keys


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            # The open file is asked, lest another one takes its place meanwhile.
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise ConfigError(
                    f"The key file {str(path)!r} has mode {stat.S_IMODE(status.st_mode):o}, others could "
                    f"read it: chmod 600 {path}"
                )
            return file.read()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds more than ASCII text"
        raise ConfigError(f"The key file {str(path)!r} can't be read: {reason}") from None


class SecretBox:
    """Encrypts and decrypts values, with keys that it loads when the first secret comes."""

    def __init__(self, load: Callable[[], Sequence[str]] = load_keys) -> None:
        self._load = load
        self._ciphers: list[Fernet] | None = None

    def seal(self, value: Any) -> str:
        """Encrypt a JSON value with the current key."""
        return self._loaded()[0].encrypt(json.dumps(value).encode()).decode()

    def unseal(self, token: str) -> Any:
        """The value again; raises `ConfigError` where no key fits."""
        try:
            return json.loads(MultiFernet(self._loaded()).decrypt(token))
        except (InvalidToken, ValueError, TypeError):
            raise ConfigError(
                f"A stored secret can't be decrypted. {KEY_VARIABLE} (or the key file) must hold the key "
                "that it was encrypted with: as the only key, or after the current one"
            ) from None

    def is_current(self, token: str) -> bool:
        """Whether it was encrypted with the current key, not with one that is to be retired."""
        try:
            self._loaded()[0].decrypt(token)
        except (InvalidToken, TypeError):
            return False
        return True

    def _loaded(self) -> list[Fernet]:
        if self._ciphers is None:
            try:
                self._ciphers = [Fernet(key) for key in self._load()]
            except ValueError:
                raise ConfigError(
                    f"{KEY_VARIABLE} (or the key file) holds something that is no key: 32 bytes in URL-safe "
                    f"base64. To make one: {HOW_TO_MAKE_ONE}"
                ) from None
        return self._ciphers
