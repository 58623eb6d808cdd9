"""Pattern 4a: reminders, sent by SMTP when they are due."""

from __future__ import annotations

import random
import smtplib
import time
from dataclasses import dataclass
from email.message import EmailMessage
from functools import partial

from checkmate_queue import Job, Queue, QueueManager
from checkmate_queue.cli.demo.handlers import noted_plain
from checkmate_queue.cli.demo.mail_server import REMINDER_HEADER
from checkmate_queue.cli.demo.plan import HOST
from checkmate_queue.cli.demo.site import Office, Workplace

QUEUE = "reminders"
GROUP = "mailers"
EVERY_SECONDS = 0.2
CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Reminder:
    """A mail to send, not before `due` (seconds since the epoch)."""

    to: str
    text: str
    due: float


def queue_of(manager: QueueManager) -> Queue[Reminder]:
    """The queue of this pattern."""
    return manager.get_queue(QUEUE, Reminder)


async def produce(office: Office) -> None:
    """Ask for reminders that are due while the demo lasts."""
    queue = queue_of(office.manager)
    chance = random.Random(5)
    longest = office.plan.seconds * 0.35
    number = 0
    while (at := 0.3 + number * EVERY_SECONDS) < office.plan.seconds * 0.6:
        await office.until(at)
        job_id = f"reminder:{number}"
        delay = round(chance.uniform(0.5, longest), 3)
        reminder = Reminder(
            f"user-{number}@example.org", f"Do not forget number {number}", time.time() + delay
        )
        await office.send(
            QUEUE,
            job_id,
            partial(queue.enqueue, reminder, start_delay=delay, job_id=job_id),
            delay=delay,
            facts={"to": [reminder.to], "text": reminder.text},
        )
        number += 1


async def consume(workplace: Workplace) -> None:
    """Send reminders from this process, on threads."""

    def send(job: Job[Reminder]) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "demo@example.org", job.data.to, "Reminder"
        mail[REMINDER_HEADER] = job.id
        mail.set_content(job.data.text)
        with smtplib.SMTP(HOST, workplace.plan.mail_port, local_hostname="localhost", timeout=10) as server:
            server.send_message(mail)

    def ready_at(job: Job[Reminder]) -> float:
        return 0.0 if job.attempts else job.data.due

    queue = queue_of(workplace.manager)
    await queue.consume(
        noted_plain(workplace.ledger, send, ready_at), consumer_group=GROUP, concurrency=CONCURRENCY
    )
