"""Values as error messages show them."""

from __future__ import annotations

import reprlib

_MAX_LENGTH = 100


def excerpt(value: object) -> str:
    """A `repr` of at most 100 characters that costs little for a huge value and never raises."""
    try:
        shown = _SHORTENED.repr(value)
    except Exception:
        shown = f"<{type(value).__name__}>"
    return shown if len(shown) <= _MAX_LENGTH else f"{shown[: _MAX_LENGTH - 3]}..."


class _Shortened(reprlib.Repr):
    def repr_int(self, value: int, _level: int) -> str:
        return repr(value) if value.bit_length() <= 256 else f"<int of {value.bit_length()} bits>"


_SHORTENED = _Shortened()
_SHORTENED.maxstring = _SHORTENED.maxother = 60
_SHORTENED.maxlevel = 3
