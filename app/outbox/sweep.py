"""Sweeping: finds what is to be sent now, also where its message was lost, and ends what no sender ended."""

import logging
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, keep_alert
from app.db import database_now
from app.models import OPEN, UNSENT, Kind, OutboxMail, State
from app.outbox import breaker, log_records, restored
from app.outbox.claim import claimable
from app.outbox.lease import DOUBTS_AT_MOST, alert_of, record, take_back, take_back_decision
from app.rules.decision import Reason
from app.services import Services

log = logging.getLogger(__name__)

AT_MOST = 5_000  # ids per sweep; senders find the others by themselves
EXPIRED_AT_ONCE = 1_000  # mails of one transaction
EXPIRED_AT_MOST = 20_000  # of one sweep; the next one goes on
NAMED = 3  # addresses in an alert about many mails


def sweep(services: Services, now: datetime, *, fresh: timedelta = timedelta()) -> list[int]:
    """Ends what cannot be sent any more; returns the ids of the mails to send, oldest first.

    Mails made less than `fresh` ago are left out: their ids are on the queue already.
    """
    with services.db.write() as session:
        restored.give_up(session, now=now)
    for _ in range(EXPIRED_AT_MOST // EXPIRED_AT_ONCE):
        with services.db.write() as session:
            if _expire(session, now) < EXPIRED_AT_ONCE:
                break
    with services.db.write() as session:
        _give_up_doubts(session, now)
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


def _expire(session: Session, now: datetime) -> int:
    """Ends what is ready and too late, a bounded piece; its decision says so too."""
    too_late = (
        select(OutboxMail.id)
        .where(
            OPEN,
            OutboxMail.state == State.READY,
            OutboxMail.expires_at <= now,
            OutboxMail.doubts == 0,
        )
        .limit(EXPIRED_AT_ONCE)
        .with_for_update(skip_locked=True)
        .cte("too_late")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    expired = session.execute(
        update(OutboxMail)
        .where(OutboxMail.id == too_late.c.id)
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
    for day in {one.local_date for one in expired}:
        late = [one for one in expired if one.local_date == day]
        facts: dict[str, Any] = {"number": _expired_of(session, day)}
        facts["members"] = [one.to_addr for one in late[:NAMED]]
        facts["why"] = next((one.response for one in late if one.response), None)
        keep_alert(session, Alarm.MAILS_EXPIRED, day, now=now, **facts)
    first = [one.decision_id for one in expired if one.n <= 0 and one.decision_id is not None]
    if first:
        take_back_decision(session, first, Reason.EXPIRED)
    for one in expired:
        if one.n <= 0 and one.decision_id is None:
            take_back(session, one, Reason.EXPIRED)
    return len(expired)


def _expired_of(session: Session, day: date) -> int:
    """The mails of that date that ended so, by this piece and those before it."""
    ours = (UNSENT, OutboxMail.state == State.EXPIRED, OutboxMail.local_date == day)
    return session.scalar(select(func.count()).select_from(OutboxMail).where(*ours)) or 0


def _give_up_doubts(session: Session, now: datetime) -> None:
    """In doubt twice, or a copy may be out and it is too late for another: the end is not known."""
    in_doubt = and_(
        OutboxMail.state == State.IN_DOUBT,
        OutboxMail.lease_until < database_now(),
        or_(OutboxMail.doubts >= DOUBTS_AT_MOST, OutboxMail.expires_at <= now),
    )
    ready = and_(OutboxMail.state == State.READY, OutboxMail.expires_at <= now)
    which = and_(OPEN, OutboxMail.doubts > 0, or_(in_doubt, ready))
    for mail_id in restored.end_unknown(session, which, now=now, reason="no_answer_recorded"):
        alert_of(session, mail_id, State.UNKNOWN, now=now)
