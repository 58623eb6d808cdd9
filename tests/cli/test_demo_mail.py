"""The demo's mail server, as clients of other makes see it."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from checkmate_queue.cli.demo.ledger import Ledger, LedgerReader
from checkmate_queue.cli.demo.mail_server import REMINDER_HEADER, MailServer
from checkmate_queue.cli.demo.plan import HOST


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    server = MailServer(Ledger(tmp_path, "mail"))
    yield await server.start()
    await server.stop()


async def test_mails_are_noted_with_their_recipients_and_text(port: int, tmp_path: Path) -> None:
    lines = ["first", ".", ".. dots of all kinds", "last: grüße"]

    def send() -> None:
        mail = EmailMessage()
        mail["From"], mail["To"] = "demo@example.org", "ada@example.org, grace@example.org"
        mail[REMINDER_HEADER] = "some job"
        mail.set_content("\n".join(lines))
        with smtplib.SMTP(HOST, port, timeout=10) as client:
            client.send_message(mail)
            client.noop()
            client.send_message(mail)

    await asyncio.to_thread(send)
    notes = LedgerReader(tmp_path).news()
    assert [note.job for note in notes] == ["some job", "some job"]
    for note in notes:
        assert note.facts["to"] == ["ada@example.org", "grace@example.org"]
        assert note.facts["text"].splitlines() == lines


async def test_what_comes_out_of_order_is_refused_and_nothing_noted(port: int, tmp_path: Path) -> None:
    def talk() -> list[int]:
        with smtplib.SMTP(HOST, port, timeout=10) as client:
            commands = (
                "DATA",
                "RCPT TO:<a@b>",
                "MAIL FROM:<a@b>",
                "DATA",
                "RCPT TO:<a@b>",
                "RSET",
                "DATA",
                "X",
            )
            return [client.docmd(command)[0] for command in commands]

    assert await asyncio.to_thread(talk) == [503, 503, 250, 503, 250, 250, 503, 502]
    assert LedgerReader(tmp_path).news() == []


async def test_a_client_that_is_killed_in_the_middle_does_no_harm(port: int, tmp_path: Path) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nhalf of i")
    await reader.readuntil(b"354")
    writer.close()
    _, other = await asyncio.open_connection(HOST, port)
    other.close()
    assert LedgerReader(tmp_path).news() == []
