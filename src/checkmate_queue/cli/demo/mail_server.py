"""The SMTP server of the demo: takes every mail and notes it."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.policy import default

from checkmate_queue.cli.demo.errors import DemoError
from checkmate_queue.cli.demo.ledger import Ledger
from checkmate_queue.cli.demo.plan import HOST

try:
    from aiosmtpd.smtp import SMTP, Envelope, Session
except ModuleNotFoundError:
    _MISSING = True
else:
    _MISSING = False

REMINDER_HEADER = "X-Reminder"


def check_installed() -> None:
    """Raise `DemoError` where the SMTP server of the `demo` extra is missing."""
    if _MISSING:
        raise DemoError("the demo needs an SMTP server; install it with: pip install 'checkmate-queue[demo]'")


class _Mailbox:
    """Called by the SMTP server, whose names these are."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        mail = message_from_bytes(raw, policy=default)
        body = mail.get_body()
        facts = {"to": envelope.rcpt_tos, "text": "" if body is None else body.get_content().strip()}
        await self._ledger.write(
            self._ledger.entry("effect", queue="reminders", job=str(mail[REMINDER_HEADER]), facts=facts)
        )
        return "250 OK"


class MailServer:
    """Serves on loopback, on a port that the system chooses."""

    def __init__(self, ledger: Ledger) -> None:
        self._mailbox = _Mailbox(ledger)
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _protocol(self) -> SMTP:
        return SMTP(self._mailbox, hostname="localhost", loop=asyncio.get_running_loop())
