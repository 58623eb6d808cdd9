"""The names of keys: all of a queue's lie under one hash tag, so that a cluster keeps them together."""

from __future__ import annotations

from urllib.parse import quote

_PLAIN = " :/.-_~@+"


def _escape(text: str) -> str:
    return quote(text, safe=_PLAIN)


class Keyspace:
    """Every key of a store. Names are escaped, so that none can end a hash tag or look like another's."""

    def __init__(self, prefix: str) -> None:
        self._prefix = _escape(prefix)

    def queue(self, name: str) -> str:
        """The hash of a queue; scripts derive its other keys from it."""
        return self.part(name, "queue")

    def script_keys(self, name: str) -> list[str]:
        """What a queue's script is called with: its hash, and a key that is never there.

        While a slot moves to another node, key by key, a server that finds one of several named keys and
        lacks another refuses the call as a whole. Of the many that scripts derive it would not know, and on
        the new node a script would take those that are still to come for empty.
        """
        return [self.queue(name), self.part(name, "whole")]

    def part(self, name: str, ending: str) -> str:
        """Another key of a queue."""
        return f"{self._prefix}:{{{_escape(name)}}}:{ending}"

    @property
    def settings(self) -> str:
        """The hash of shared settings."""
        return self._registry("settings")

    @property
    def format(self) -> str:
        """The format number of the whole storage."""
        return self._registry("format")

    @property
    def queues(self) -> str:
        """The set of registered names."""
        return self._registry("queues")

    @property
    def successor(self) -> str:
        """Where the registry went, once it is fenced."""
        return self._registry("successor")

    @property
    def reception(self) -> str:
        """The hash of the last move into this storage."""
        return self._registry("reception")

    @property
    def generation(self) -> str:
        """How often all queues were emptied."""
        return self._registry("generation")

    def _registry(self, name: str) -> str:
        # no escaped name of a queue contains the asterisk
        return f"{self._prefix}:{{*}}:{name}"
