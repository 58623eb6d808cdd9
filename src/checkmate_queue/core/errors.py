"""Every error that the library raises to its users, under one root.

The docstring of a class is its message where none is given.
"""

from __future__ import annotations


class QueueError(Exception):
    """The queue could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class InvalidArgumentError(QueueError, ValueError):
    """An argument is outside what the contract allows."""


class PayloadError(QueueError):
    """The payload is not what the queue's payload type takes, or is too large."""


class ScheduleError(QueueError):
    """The schedule can't be understood or would never run."""


class QueueFullError(QueueError):
    """The queue holds as many jobs as it may."""


class QueueStoppedError(QueueError):
    """The queue was stopped; ask the manager for it again."""


class JobExistsError(QueueError):
    """A job with this id is still in the queue."""


class ConfigError(QueueError):
    """The configuration is wrong."""


class PluginNotFoundError(QueueError):
    """No plugin of this id is registered."""


class BackendUnavailableError(QueueError):
    """The backend can't be reached."""


class BackendSwitchError(QueueError):
    """The backend could not be switched; nothing has changed."""
