"""Claiming: which mails a sender takes next, and how many of them at once.

A claim is a lease with a fencing token, by the database's clock. No dispatcher exists: each sender
takes the next ones from the database, so that no message on the queue need hold an id.
"""

import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, tuple_, update
from sqlalchemy.orm import Session

from app.db import among, database_now
from app.models import OPEN, URGENT, OutboxMail, State
from app.outbox.lease import DOUBTS_AT_MOST, NOT_PAUSED, OUTBOX, Claimed
from app.services import Services

SENDING_SECONDS = 100.0  # all before the dot takes at most 90 s
A_FEW = 8  # mails claimed together that lost their sender once: 128 of them are 16 claims
IDS_AT_ONCE = 500  # ids looked at in one claim
LOST_EVERY = 10.0  # seconds between two looks for mails of dead senders


def claimable(now: datetime) -> ColumnElement[bool]:
    """The condition for a mail that may be worked on at `now`."""
    lapsed = OutboxMail.lease_until < database_now()
    # In doubt twice, or past its time: no third copy, the sweep ends it as unknown.
    once_more = and_(OutboxMail.doubts < DOUBTS_AT_MOST, OutboxMail.expires_at > now)
    return and_(
        or_(
            and_(OutboxMail.state == State.READY, OutboxMail.not_before <= now),
            and_(OutboxMail.state == State.SENDING, lapsed),
            and_(OutboxMail.state == State.IN_DOUBT, lapsed, once_more),
        ),
        OutboxMail.held.is_(None),
    )


def claim(
    session: Session,
    ids: Sequence[int],
    channel: str,
    *,
    now: datetime,
    scale: float,
    at_most: int,
) -> list[Claimed]:
    """Leases up to `at_most` of these mails of a channel; [] when none is due, free and not paused.

    Mails that lost their sender come after the others: a few at a time at first, alone from the
    second time on. So whatever kills its sender reaches CLAIMS_AT_MOST by itself, and the mails
    that were claimed with it lose two claims at most.
    """
    due = and_(among(OutboxMail.id, ids), OutboxMail.channel == channel, claimable(now))
    claims = OutboxMail.claims
    for which, most in ((claims == 0, at_most), (claims == 1, A_FEW), (claims > 1, 1)):
        wanted = select(OutboxMail.id).where(due, which).order_by(OutboxMail.id)
        if mails := _lease(session, wanted, min(most, at_most), now=now, scale=scale):
            return mails
    return []


class Source(Protocol):
    """Where a sender's next mails come from."""

    ids: Sequence[int] | None  # those alone; None: all

    def claim(self, session: Session, *, now: datetime, at_most: int) -> list[Claimed]:
        """Leases up to `at_most` mails; [] when none is due, free and not paused."""


class NamedMails:
    """Those of these mails that leave by a channel."""

    def __init__(self, channel: str, scale: float, ids: Sequence[int]) -> None:
        self.ids: Sequence[int] | None = ids
        self._channel = channel
        self._scale = scale

    def claim(self, session: Session, *, now: datetime, at_most: int) -> list[Claimed]:
        """The next of these mails."""
        mails = self.ids or ()
        return claim(session, mails, self._channel, now=now, scale=self._scale, at_most=at_most)


class NextMails:
    """The mails of a channel in the order in which one delivery takes them.

    First those that a person waits for (`URGENT`), then those whose ids it was given, then all by
    their hour; those of dead senders come in between every ten seconds, and last.
    """

    def __init__(self, channel: str, scale: float, first: Sequence[int] = ()) -> None:
        self.ids: Sequence[int] | None = None
        self._channel = channel
        self._scale = scale
        self._given = list(first)
        self._lost: list[int] = []
        self._look_again = time.monotonic() + LOST_EVERY * scale
        self._after: tuple[datetime, int] | None = None

    def claim(self, session: Session, *, now: datetime, at_most: int) -> list[Claimed]:
        """Leases up to `at_most` mails; [] when none at all is due, free and not paused."""
        by_hour = _by_hour(self._channel, now)
        return (
            _lease(session, by_hour.where(URGENT), at_most, now=now, scale=self._scale)
            or self._of(self._given, session, now, at_most)
            or self._of(self._lost, session, now, at_most)
            or (self._now_and_then() and self._found(session, now, at_most))
            or self._further(session, by_hour.where(OPEN), now, at_most)
            or self._found(session, now, at_most)
        )

    def _now_and_then(self) -> bool:
        return time.monotonic() >= self._look_again

    def _found(self, session: Session, now: datetime, at_most: int) -> list[Claimed]:
        """Mails of dead senders: looking for them reads every open mail."""
        again = and_(OutboxMail.claims > 0, OutboxMail.channel == self._channel, claimable(now))
        lost = select(OutboxMail.id).where(OPEN, again)
        self._lost += session.scalars(lost.order_by(OutboxMail.id).limit(IDS_AT_ONCE))
        self._look_again = time.monotonic() + LOST_EVERY * self._scale
        return self._of(self._lost, session, now, at_most)

    def _of(self, ids: list[int], session: Session, now: datetime, at_most: int) -> list[Claimed]:
        """The next of these ids; those of which none can be claimed any more are taken off."""
        while ids:
            some = ids[:IDS_AT_ONCE]
            mails = claim(session, some, self._channel, now=now, scale=self._scale, at_most=at_most)
            if mails:
                return mails
            del ids[: len(some)]
        return []

    def _further(
        self, session: Session, by_hour: Select[int], now: datetime, at_most: int
    ) -> list[Claimed]:
        """From where the last claim ended, then once from the beginning.

        On PostgreSQL the index still holds what was sent a moment ago: beginning anew each time
        would walk past all mails of the morning.
        """
        starts = [by_hour]
        if self._after is not None:
            hour = literal(self._after[0], OutboxMail.not_before.type)
            place = tuple_(OutboxMail.not_before, OutboxMail.id)
            starts.insert(0, by_hour.where(place > tuple_(hour, literal(self._after[1]))))
        for start in starts:
            mails = _lease(session, start, at_most, now=now, scale=self._scale)
            self._after = max(((mail.not_before, mail.id) for mail in mails), default=None)
            if mails:
                return mails
        return []


def _by_hour(channel: str, now: datetime) -> Select[int]:
    """New mails that may be sent, the earliest first."""
    return (
        select(OutboxMail.id)
        .where(
            OutboxMail.state == State.READY,
            OutboxMail.not_before <= now,
            OutboxMail.expires_at > now,
            OutboxMail.held.is_(None),
            OutboxMail.claims == 0,
            OutboxMail.channel == channel,
        )
        .order_by(OutboxMail.not_before, OutboxMail.id)
    )


def next_hour(services: Services, now: datetime) -> datetime | None:
    """When the next mail may be sent that waits for its hour; None when there is none."""
    with services.db.read() as session:
        return session.scalar(
            select(OutboxMail.not_before)
            .where(
                OPEN,
                OutboxMail.not_before > now,
                OutboxMail.state == State.READY,
                OutboxMail.held.is_(None),
            )
            .order_by(OutboxMail.not_before)
            .limit(1)
        )


def ready_number(services: Services, now: datetime) -> int:
    """How many mails a sender could claim at `now`."""
    with services.db.read() as session:
        mails = select(func.count()).select_from(OutboxMail).where(OPEN, claimable(now))
        return session.scalar(mails) or 0


def _lease(
    session: Session,
    wanted: Select[int],
    at_most: int,
    *,
    now: datetime,
    scale: float,
) -> list[Claimed]:
    # MATERIALIZED: PostgreSQL would run a plain subquery again for each row, and lock more rows
    # than asked for. SKIP LOCKED: two senders that want the same mails share them.
    chosen = (
        wanted.where(NOT_PAUSED)
        .limit(at_most)
        .with_for_update(skip_locked=True, of=OutboxMail)
        .cte("chosen")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    rows = session.connection().execute(
        update(OUTBOX)
        .where(OUTBOX.c.id == chosen.c.id)
        .values(
            state=State.SENDING,
            lease_token=secrets.token_hex(16),
            lease_until=database_now(SENDING_SECONDS * scale),
            claims=OUTBOX.c.claims + 1,
            updated_at=now,
        )
        .returning(*(OUTBOX.c[name] for name in Claimed._fields))
    )
    return sorted((Claimed(*row) for row in rows), key=lambda mail: (mail.not_before, mail.id))
