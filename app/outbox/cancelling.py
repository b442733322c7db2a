"""Mails that are ready, taken out of the outbox; never one of which a copy may be out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from app import audit
from app.models import OutboxMail, State
from app.outbox import log_records
from app.outbox.browse import NotPossible, find
from app.outbox.lease import AnyMail, record, take_back
from app.rules.decision import Reason
from app.services import Services


def cancel(services: Services, mail_id: int, *, who: str, now: datetime) -> None:
    """An operator takes a mail out. Raises NoSuchMail, NotPossible where it is not ready."""
    with services.db.write() as session:
        mail = find(session, mail_id)
        if not end_ready(session, OutboxMail.id == mail_id, why=who, now=now):
            session.refresh(mail)
            raise NotPossible(mail)
        audit.note(session, who=who, what="outbox.cancel", now=now, mail=mail_id)


def end_ready(
    session: Session,
    *which: ColumnElement[bool],
    why: str,
    now: datetime,
    state: State = State.CANCELLED,
    reason: Reason = Reason.CANCELLED,
) -> Sequence[AnyMail]:
    """Ends those of these mails that are ready, with the decisions behind them; returns them.

    `why` stands in their history. A copy that an operator asked for (n above 0) takes no decision back.
    """
    ended = session.execute(
        update(OutboxMail)
        .where(*which, OutboxMail.state == State.READY, OutboxMail.doubts == 0)
        .values(state=state, reason=reason, held=None, updated_at=now)
        .returning(
            OutboxMail.id, OutboxMail.decision_id, OutboxMail.n, OutboxMail.kind,
            OutboxMail.user_id, OutboxMail.local_date, OutboxMail.claims, OutboxMail.retries,
        )
    ).all()  # fmt: skip
    for mail in ended:
        record(session, mail.id, state, why, now=now)
        log_records.ended(session, mail, state, reason)
        if mail.n <= 0:
            take_back(session, mail, reason)
    return ended
