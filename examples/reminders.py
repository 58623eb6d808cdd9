"""Delayed reminders by mail, and deliveries to a server that limits its rate.

    python examples/reminders.py [--url sqlite:///queue.db] [--seconds 4]

Look at

- `start_delay=` in `main`: the reminder is stored now and sent when it is due, whichever process is up
  then; never early.
- `remind`: a mail by SMTP. An error there, such as a refused connection, is a failed attempt, tried again
  after 2, 4, 8 … seconds without a line of ours.
- `deliver`: a server that answers 429 says when to come back, so `raise Retry(delay=…)` chooses the delay.
  An answer that no repeating will change ends it at once: `raise Discard(…)`. A little chance in the delay
  keeps those that were refused together from coming back together.

It starts an SMTP server and an HTTP server that accepts a few requests a second, and looks at what arrived
there.
Needs: pip install 'checkmate-queue[examples]'
"""

from __future__ import annotations

import argparse
import asyncio
import random
import smtplib
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from checkmate_queue import Discard, Job, QueueError, QueueManager, Retry
from checkmate_queue.testing.waiting import wait_until

try:
    from aiosmtpd.smtp import SMTP, Envelope, Session
except ModuleNotFoundError:
    sys.exit("this example needs an SMTP server; add it with: pip install 'checkmate-queue[examples]'")

ACCEPTED_PER_SECOND = 8


@dataclass(frozen=True)
class Reminder:
    """What to remind whom of."""

    to: str
    text: str


@dataclass(frozen=True)
class Delivery:
    """News for somebody else's server."""

    path: str


def remind(job: Job[Reminder], port: int) -> None:
    """Send the mail."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "clock@example.org", job.data.to, "Reminder"
    # A run may be repeated, a mail not be taken back: by its id, who reads it can tell it from another.
    mail["Message-ID"] = f"<{job.id}@example.org>"
    mail.set_content(job.data.text)
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost", timeout=10) as server:
        server.send_message(mail)


def deliver(job: Job[Delivery], port: int) -> None:
    """Post it, as slowly as the server wants it."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", job.data.path)
        answer = connection.getresponse()
    match answer.status:
        case 204:
            return
        case 429:
            wait = float(answer.headers["Retry-After"])
            raise Retry(delay=wait + random.uniform(0, 0.5), message=f"told to wait for {wait:g} s")
        case 404:
            raise Discard(f"nobody takes {job.data.path}")
        case status:
            raise RuntimeError(f"{job.data.path} was answered with {status}")


class Mailbox:
    """Takes every mail and notes when it came."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by the SMTP server, whose name this is."""
        content = envelope.content or b""
        mail = message_from_bytes(content.encode() if isinstance(content, str) else content)
        self.came[str(mail["To"])] = time.monotonic()
        print(f"mail to {mail['To']}: {str(mail.get_payload()).strip()}")
        return "250 OK"


class Limited(ThreadingHTTPServer):
    """A server that accepts so many requests a second since the first, and has the others wait."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.accepted: list[str] = []
        self.come_back: dict[str, float] = {}
        self.refused = self.impatient = 0
        self._allowance = 0.0
        self._last: float | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def decide(self, path: str) -> int:
        """The status of the answer."""
        if path.startswith("/gone"):
            return 404
        with self._lock:
            now = time.monotonic()
            self.impatient += now < self.come_back.get(path, 0)
            grown = (now - (self._last or now)) * ACCEPTED_PER_SECOND
            self._allowance, self._last = min(self._allowance + grown, ACCEPTED_PER_SECOND), now
            if self._allowance >= 1:
                self._allowance -= 1
                self.accepted.append(path)
                return 204
            self.refused += 1
            self.come_back[path] = now + 1
            return 429


class Answer(BaseHTTPRequestHandler):
    """How the limited server answers a request."""

    server: Limited

    def do_POST(self) -> None:
        """Called by the server, whose name this is."""
        status = self.server.decide(self.path)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the screen for what is to be seen."""


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}")


async def main(url: str, seconds: float) -> None:
    """Ask for reminders and deliveries, and look at what arrived."""
    loop, mailbox, limited = asyncio.get_running_loop(), Mailbox(), Limited()
    mail_server = await loop.create_server(lambda: SMTP(mailbox, loop=loop), "127.0.0.1", 0)
    mail_port = mail_server.sockets[0].getsockname()[1]
    not_before: dict[str, float] = {}
    async with mail_server, QueueManager(url) as manager:
        reminders = manager.get_queue("reminders", Reminder)
        deliveries = manager.get_queue("deliveries", Delivery)
        await reminders.consume(partial(remind, port=mail_port), consumer_group="mailers")
        handler = partial(deliver, port=limited.server_port)
        await deliveries.consume(handler, consumer_group="couriers", max_retries=100)

        for number in range(8):
            delay = seconds * (8 - number) / 8
            to = f"user-{number}@example.org"
            not_before[to] = time.monotonic() + delay
            await reminders.enqueue(Reminder(to, f"You asked for it {delay:.1f} s ago"), start_delay=delay)
        news = [Delivery(f"/news/{number}") for number in range(10)]
        *_, gone = await deliveries.enqueue_many([*news, Delivery("/gone/1")])

        async def all_settled() -> bool:
            failed = [each.job_id for each in await deliveries.list_failed(limit=1)]
            return len(mailbox.came) == 8 and len(set(limited.accepted)) == len(news) and failed == [gone]

        await wait_until(all_settled, description="all has arrived or failed", timeout=seconds + 60)
        (failed,) = await deliveries.list_failed(limit=1)

    late = [mailbox.came[to] - at for to, at in not_before.items()]
    print(f"reminders came {min(late) * 1000:.0f} to {max(late) * 1000:.0f} ms after their time")
    expect(min(late) > -0.002, "no reminder came early")
    expect(mailbox.came.keys() == not_before.keys(), "each reminder came")
    print(f"the limited server told {limited.refused} times to come back later")
    expect(limited.refused > 0, "the server had to refuse some deliveries")
    expect(limited.impatient == 0, "nobody came back before the time they were told")
    expect(sorted(limited.accepted) == sorted(each.path for each in news), "each delivery was accepted once")
    expect(failed.attempts == 1, f"kept as failed, not tried again: {failed.message}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--seconds", type=float, default=4.0, help="the delay of the last reminder")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(main(options.url or f"sqlite:///{directory}/queue.db", options.seconds))
    except QueueError as error:
        sys.exit(str(error))
