"""Sweeping: what is to be sent now, whoever forgot it; and what has ended without a sender."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.alerts import raise_alert
from app.db import database_now
from app.due import Reason
from app.models import OutboxMail, State
from app.outbox import breaker
from app.outbox.lease import claimable, record, take_back_decision
from app.services import Services

log = logging.getLogger(__name__)

AT_MOST = 5_000  # ids per sweep; the next one goes on


def sweep(services: Services, now: datetime, *, fresh: timedelta = timedelta()) -> list[int]:
    """Ends what cannot be sent any more; returns the ids of the mails to send, oldest first.

    Mails made less than `fresh` ago are left out: their ids are on the queue already.
    """
    with services.db.write() as session:
        _expire(session, now)
        _give_up_doubts(session, now)
        breaker.watch(session, now, services.config.test_time_scale)
    with services.db.read() as session:
        return list(
            session.scalars(
                select(OutboxMail.id)
                .where(claimable(now), OutboxMail.not_before <= now - fresh)
                .order_by(OutboxMail.not_before, OutboxMail.id)
                .limit(AT_MOST)
            )
        )


def _expire(session: Session, now: datetime) -> None:
    expired = session.execute(
        update(OutboxMail)
        .where(OutboxMail.state == State.READY, OutboxMail.expires_at <= now)
        .values(state=State.EXPIRED, reason=Reason.EXPIRED, held=None, updated_at=now)
        .returning(OutboxMail.id, OutboxMail.decision_id, OutboxMail.response)
    ).all()
    for mail_id, _, response in expired:
        record(session, mail_id, State.EXPIRED, response, now=now)
    if expired:
        log.warning("%d mails expired", len(expired))
        take_back_decision(session, [one.decision_id for one in expired], Reason.EXPIRED)
        raise_alert(session, f"{len(expired)} mails expired", "expired", now=now)


def _give_up_doubts(session: Session, now: datetime) -> None:
    """In doubt twice, or in doubt past its expiry: a copy may be out, nobody can know."""
    given_up = session.scalars(
        update(OutboxMail)
        .where(
            OutboxMail.state == State.IN_DOUBT,
            OutboxMail.lease_until < database_now(),
            (OutboxMail.doubts >= 2) | (OutboxMail.expires_at <= now),
        )
        .values(
            state=State.UNKNOWN,
            reason="no_answer_recorded",
            lease_token=None,
            lease_until=None,
            updated_at=now,
        )
        .returning(OutboxMail.id)
    ).all()
    for mail_id in given_up:
        record(session, mail_id, State.UNKNOWN, "no_answer_recorded", now=now)
        raise_alert(
            session, f"mail {mail_id} unknown", f"task-progress outbox show {mail_id}", now=now
        )
