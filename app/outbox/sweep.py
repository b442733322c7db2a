"""Sweeping: finds what is to be sent now, also where its message was lost, and ends what no sender ended."""

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alerts, keep_alert
from app.channel import both_of
from app.db import database_now
from app.models import OPEN, UNSENT, Kind, OutboxMail, State
from app.outbox import breaker, log_records, restored
from app.outbox.claim import claimable
from app.outbox.lease import (
    DOUBTS_AT_MOST,
    AnyMail,
    alert_of,
    record,
    some,
    take_back,
    take_back_decision,
)
from app.rules.decision import Reason
from app.services import Services

_NO_ANSWER = "no_answer_recorded"
log = logging.getLogger(__name__)

AT_MOST = 5_000  # ids per sweep; senders find the others by themselves
ENDED_AT_ONCE = 1_000  # mails of one transaction
ENDED_AT_MOST = 20_000  # of one sweep and one kind of end; the next one goes on
ALONE = 20  # mails of a date whose end is not known: more than that have one alert
NAMED = 3  # addresses in an alert about many mails


def sweep(services: Services, now: datetime, *, fresh: timedelta = timedelta()) -> list[int]:
    """Ends what cannot be sent any more; returns the ids of the mails to send, oldest first.

    Mails made less than `fresh` ago are left out: their ids are on the queue already.
    """
    for end in (restored.give_up, _expire, _give_up_doubts):
        for _ in range(ENDED_AT_MOST // ENDED_AT_ONCE):
            with services.db.write() as session:
                if end(session, now, ENDED_AT_ONCE) < ENDED_AT_ONCE:
                    break
    with services.db.write() as session:
        breaker.watch(session, now, services.config.test_time_scale)
    with services.db.read() as session:
        return list(
            session.scalars(
                select(OutboxMail.id)
                .where(OPEN, claimable(now), OutboxMail.not_before <= now - fresh)
                .order_by(OutboxMail.not_before, OutboxMail.id)
                .limit(AT_MOST)
            )
        )


def urgent(services: Services, now: datetime) -> list[int]:
    """The mails that wait for no clock: alerts and sign-in links."""
    which = and_(
        OPEN,
        claimable(now),
        OutboxMail.kind.in_([Kind.ALERT, Kind.SIGN_IN]),
        OutboxMail.expires_at > now,
    )
    with services.db.read() as session:
        return list(session.scalars(select(OutboxMail.id).where(which).order_by(OutboxMail.id)))


def _expire(session: Session, now: datetime, at_most: int) -> int:
    """Ends what is ready and too late, up to so many; its decision says so too. Returns how many."""
    too_late = and_(
        OPEN,
        OutboxMail.state == State.READY,
        OutboxMail.expires_at <= now,
        OutboxMail.doubts == 0,
        restored.NOT_HELD,
    )
    piece = some(too_late, at_most)
    expired = session.execute(
        update(OutboxMail)
        .where(OutboxMail.id == piece.c.id)
        .values(state=State.EXPIRED, reason=Reason.EXPIRED, held=None, updated_at=now)
        .returning(
            OutboxMail.id, OutboxMail.decision_id, OutboxMail.n, OutboxMail.local_date,
            OutboxMail.to_addr,
            OutboxMail.response, OutboxMail.kind, OutboxMail.user_id, OutboxMail.claims,
            OutboxMail.retries,
        )
    ).all()  # fmt: skip
    for one in expired:
        record(session, one.id, State.EXPIRED, one.response, now=now)
        log_records.ended(session, one, State.EXPIRED, Reason.EXPIRED)
    for day in sorted({one.local_date for one in expired}):
        late = [one for one in expired if one.local_date == day]
        number = _number(session, _ended(day, State.EXPIRED, Reason.EXPIRED))
        why = next((both_of(one.response) for one in late if one.response), None)
        _alert_of_all(session, Alarm.MAILS_EXPIRED, late, now, number=number, why=why)
    first = [one.decision_id for one in expired if one.n <= 0 and one.decision_id is not None]
    if first:
        take_back_decision(session, first, Reason.EXPIRED)
    for one in expired:
        if one.n <= 0 and one.decision_id is None:
            take_back(session, one, Reason.EXPIRED)
    return len(expired)


def _alert_of_all(
    session: Session, alarm: Alarm, mails: Sequence[AnyMail], now: datetime, **facts: Any
) -> None:
    """One alert about the mails of a date that ended so; it names the first of these."""
    facts["members"] = [one.to_addr for one in mails[:NAMED]]
    keep_alert(session, alarm, mails[0].local_date, now=now, **facts)


def _ended(day: date, state: State, reason: str) -> Select[int]:
    """The mails of that date that ended so, by this piece and those before it."""
    ours = (OutboxMail.state == state, OutboxMail.reason == reason, OutboxMail.local_date == day)
    return select(OutboxMail.id).where(UNSENT, *ours)


def _number(session: Session, mails: Select[int]) -> int:
    return session.scalar(select(func.count()).select_from(mails.subquery())) or 0


def _give_up_doubts(session: Session, now: datetime, at_most: int) -> int:
    """In doubt twice, or a copy may be out and it is too late for another: the end is not known.

    Up to so many; returns how many. An alert for each mail; for all of a date, where they are many.
    """
    in_doubt = and_(
        OutboxMail.state == State.IN_DOUBT,
        OutboxMail.lease_until < database_now(),
        or_(OutboxMail.doubts >= DOUBTS_AT_MOST, OutboxMail.expires_at <= now),
    )
    ready = and_(OutboxMail.state == State.READY, OutboxMail.expires_at <= now)
    piece = some(
        and_(OPEN, restored.NOT_HELD, OutboxMail.doubts > 0, or_(in_doubt, ready)), at_most
    )
    ended = restored.end_unknown(session, OutboxMail.id == piece.c.id, now=now, reason=_NO_ANSWER)
    for day in sorted({one.local_date for one in ended}):
        doubtful = [one for one in ended if one.local_date == day]
        number = _number(session, _ended(day, State.UNKNOWN, _NO_ANSWER))
        if number > ALONE:
            _alert_of_all(session, Alarm.MAILS_UNKNOWN, doubtful, now, number=number)
            if number - len(doubtful) <= ALONE:  # in place of those about the mails before
                earlier = session.scalars(_ended(day, State.UNKNOWN, _NO_ANSWER)).all()
                close_alerts(session, Alarm.MAIL_UNKNOWN, earlier, now=now)
            continue
        for one in doubtful:
            alert_of(session, one.id, State.UNKNOWN, now=now)
    return len(ended)
