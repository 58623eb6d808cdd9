"""The hot path: exchange and heartbeat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checkmate_queue.backends.sqlite.backfill import backfill
from checkmate_queue.backends.sqlite.leases import keep_renewed, membership, renew
from checkmate_queue.backends.sqlite.promotion import promote
from checkmate_queue.backends.sqlite.session import Session
from checkmate_queue.backends.sqlite.settlement import settle_claims
from checkmate_queue.core.model import Claim, Exchange, Orders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.sqlite.leases import Membership
    from checkmate_queue.backends.sqlite.session import Group
    from checkmate_queue.backends.sqlite.transaction import Row, Transaction
    from checkmate_queue.core.model import Epoch, Settlement


def exchange(
    tx: Transaction, epoch: Epoch, group: str, n: int, settlements: Sequence[Settlement], want: int
) -> Exchange:
    """See `Consumption.exchange`."""
    session = Session.enter(tx, epoch.queue)
    member = membership(session, epoch, group)
    if n not in (member.exchanges, member.exchanges + 1) or n < 1:
        raise ValueError(f"exchange {n} of {group!r} is neither {member.exchanges} again nor the next")
    promote(session)
    keep_renewed(session, epoch, member)
    if n == member.exchanges:
        claims = _repeat(session, epoch, member)
        refused = json.loads(member.refused)
    else:
        claims, refused = _exchange(session, epoch, member, n, settlements, want)
    session.save()
    if want > 0 and not claims:
        session.sleep()
    cancelled = session.all("cancelled_claims", (epoch.number, member.group)) if member.has_orders else []
    return Exchange(
        session.now, claims, refused, [row[0] for row in cancelled], session.next_due(), bool(session.paused)
    )


def _exchange(
    session: Session, epoch: Epoch, member: Membership, n: int, settlements: Sequence[Settlement], want: int
) -> tuple[list[Claim], list[int]]:
    group = next(row for row in session.group_rows if row.id == member.group)
    refused = settle_claims(session, group, epoch.number, settlements)
    promote(session)
    backfill(session)
    claims = _claim(session, epoch, group, n, want) if want > 0 and not session.paused else []
    session.run("note_exchange", (epoch.number, group.id, n, json.dumps(refused) if refused else "[]"))
    return claims, refused


def _claim(session: Session, epoch: Epoch, group: Group, n: int, want: int) -> list[Claim]:
    """Claim the first ready deliveries. Nothing among them has expired: that has just been swept."""
    claims: list[Claim] = []
    while len(claims) < want and (rows := session.all("first_ready", (group.id, want - len(claims)))):
        session.run("delete_first_ready", (group.id, rows[-1][9], rows[-1][10]))
        session.tallies[group.id].pending -= len(rows)
        whole = [row for row in rows if row[1] is not None]
        claims += _hold(session, epoch, group, n, whole)
        if len(whole) == len(rows):
            break
        # Some jobs were removed by hand: their deliveries end.
        session.tallies[group.id].end("expired", len(rows) - len(whole))
    return claims


def _hold(session: Session, epoch: Epoch, group: Group, n: int, rows: Sequence[Row]) -> list[Claim]:
    first = session.last_claim + 1
    session.run_many(
        "insert_claim",
        [
            (group.id, row[0], epoch.number, n, number, row[9], row[5], row[6], row[11], row[12])
            for number, row in enumerate(rows, first)
        ],
    )
    session.last_claim += len(rows)
    session.tallies[group.id].processing += len(rows)
    return [Claim._make(row[:9]) for row in rows]


def _repeat(session: Session, epoch: Epoch, member: Membership) -> list[Claim]:
    rows = session.all("repeat_claims", (member.group, epoch.number, member.exchanges))
    return [Claim._make(row) for row in rows]


def heartbeat(tx: Transaction, epoch: Epoch, report: bytes) -> Orders:
    """See `Consumption.heartbeat`."""
    session = Session.enter(tx, epoch.queue)
    renew(session, epoch)
    session.run("note_report", (epoch.number, report))
    session.save()
    return Orders([(row[0], row[1]) for row in session.all("orders", (epoch.number,))])
