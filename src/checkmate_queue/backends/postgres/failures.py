"""What the driver raises, in our words."""

from __future__ import annotations

import asyncpg

from checkmate_queue.core.errors import BackendUnavailableError, ConfigError, InvalidArgumentError
from checkmate_queue.store import FencedError, UnknownQueueError

UNKNOWN = "CQ001"
FENCED = "CQ002"
WRONG_ISOLATION = "CQ004"
NAMELESS = ("26000", "42P05")
AGAIN = ("40001", "40P01", WRONG_ISOLATION, *NAMELESS)

_PASSING = (*AGAIN, "08", "53", "57", "58", "25006", "25P03", "25P04", "55P03")
_REFUSED = ("28", "3D")
_MISSING = ("3F", "42P01", "42883", "42703")
_NO_RIGHT = "42501"


class UnusableError(BackendUnavailableError):
    """The server answers, and no patience helps: a right or a table is missing."""


def state_of(error: Exception) -> str:
    """The five characters that PostgreSQL gives an error; none for those of the network and the driver."""
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def translated(error: Exception, address: str, schema: str) -> Exception:
    """What to raise when patience is over. Raises what no patience can help."""
    if isinstance(error, asyncpg.InternalClientError):
        raise error
    if isinstance(error, asyncpg.ClientConfigurationError):
        raise ConfigError(f"The PostgreSQL URL is wrong: {error}") from error
    if isinstance(error, asyncpg.DataError):
        raise InvalidArgumentError(f"PostgreSQL can't hold a value: {error}") from error
    if not isinstance(error, asyncpg.PostgresError):
        reason = str(error) or type(error).__name__
        return BackendUnavailableError(f"PostgreSQL at {address} can't be reached: {reason}")
    state = state_of(error)
    if state == UNKNOWN:
        raise UnknownQueueError from error
    if state == FENCED:
        raise FencedError(error.detail or "") from error
    if state.startswith(_PASSING):
        return BackendUnavailableError(f"PostgreSQL at {address} can't be used: {error}")
    if state.startswith(_REFUSED):
        raise ConfigError(f"PostgreSQL at {address} refuses the connection: {error}") from error
    raise UnusableError(f"PostgreSQL at {address} can't be used: {error}{_advice(state, schema)}") from error


def _advice(state: str, schema: str) -> str:
    if state == _NO_RIGHT:
        return f"; grant this role its rights on the schema {schema!r}, or migrate it as a role that has them"
    if state.startswith(_MISSING):
        return f"; the schema {schema!r} is gone or incomplete: run checkmate-queue migrate, or start again"
    return ""
