"""The SMTP server of the demo: takes every mail and notes it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default

from checkmate_queue.cli.demo.ledger import Ledger
from checkmate_queue.cli.demo.plan import HOST

REMINDER_HEADER = "X-Reminder"


@dataclass(slots=True)
class _Envelope:
    """A mail under way: who sends it to whom."""

    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


class MailServer:
    """Serves on loopback, on a port that the system chooses, and notes each mail before it accepts it.

    It knows the commands that RFC 5321 demands of every server, and no extension.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        envelope = _Envelope()
        try:
            writer.write(b"220 localhost at your service\r\n")
            while line := await reader.readline():
                verb, _, rest = line.decode("latin-1").strip().partition(" ")
                answer, envelope = await self._obey(verb.upper(), rest, envelope, reader, writer)
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()
                if verb.upper() == "QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # a client that was killed, or that speaks nothing like SMTP
        finally:
            writer.close()

    async def _obey(
        self,
        verb: str,
        rest: str,
        envelope: _Envelope,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> tuple[str, _Envelope]:
        """What to answer, and the mail that is under way afterwards."""
        match verb:
            case "EHLO" | "HELO":
                return "250 localhost", _Envelope()
            case "RSET":
                return "250 forgotten", _Envelope()
            case "MAIL":
                return "250 go on", _Envelope(_address(rest))
            case "RCPT" if envelope.sender is not None:
                envelope.recipients.append(_address(rest))
                return "250 go on", envelope
            case "DATA" if envelope.recipients:
                writer.write(b"354 end with a dot\r\n")
                await self._note(envelope, await _content(reader))
                return "250 taken", _Envelope()
            case "RCPT" | "DATA":
                return "503 not yet", envelope
            case "NOOP":
                return "250 still here", envelope
            case "VRFY":
                return "252 try it", envelope
            case "QUIT":
                return "221 goodbye", envelope
            case _:
                return "502 no such command", envelope

    async def _note(self, envelope: _Envelope, content: bytes) -> None:
        mail = message_from_bytes(content, policy=default)
        body = mail.get_body()
        facts = {"to": envelope.recipients, "text": "" if body is None else body.get_content().strip()}
        await self._ledger.write(
            self._ledger.entry("effect", queue="reminders", job=str(mail[REMINDER_HEADER]), facts=facts)
        )


def _address(rest: str) -> str:
    """The address in `FROM:<address>` or `TO:<address>`, parameters left out."""
    return rest.partition("<")[2].partition(">")[0]


async def _content(reader: asyncio.StreamReader) -> bytes:
    """A mail up to the dot that stands alone; a line's first dot was doubled on the way."""
    lines = []
    while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)
