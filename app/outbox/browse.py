"""Looking at the outbox, and an operator's hand on one mail: cancel, send again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.alerts import close_alert
from app.due import Reason
from app.models import ENDS, Audit, Kind, MailEvent, OutboxMail, State
from app.outbox.lease import record, take_back
from app.outbox.packing import unpack
from app.outbox.rows import NewMail, enqueue
from app.services import Services


class NoSuchMail(LookupError):
    """No outbox mail has this id."""


class NotPossible(Exception):
    """The mail's state does not allow it; the text is the state."""


def listing(
    services: Services,
    *,
    state: str | None = None,
    on: date | None = None,
    email: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The mails as the contract's JSON rows, the oldest first."""
    query = select(OutboxMail).order_by(OutboxMail.id)
    if state is not None:
        query = query.where(OutboxMail.state == state)
    if on is not None:
        query = query.where(OutboxMail.local_date == on)
    if email is not None:
        query = query.where(func.lower(OutboxMail.to_addr) == email.strip().lower())
    with services.db.read() as session:
        for mail in session.scalars(query.execution_options(yield_per=500)):
            yield _row(mail)


def show(services: Services, mail_id: int) -> dict[str, Any]:
    """One mail with its history and, once it went out, its source. Raises NoSuchMail."""
    with services.db.read() as session:
        mail = _get(session, mail_id)
        events = session.scalars(
            select(MailEvent).where(MailEvent.outbox_id == mail_id).order_by(MailEvent.id)
        )
        return {
            **_row(mail),
            "held": mail.held,
            "subject": mail.subject,
            "tasks": mail.task_refs,
            "expires_at": mail.expires_at.isoformat(),
            "resend_of": mail.resend_of,
            "history": [
                {"at": one.at.isoformat(), "event": one.event, "detail": one.detail}
                for one in events
            ],
            "source": _source(mail),
        }


def cancel(services: Services, mail_id: int, *, who: str, now: datetime) -> None:
    """Takes a mail that is ready out of the outbox. Raises NoSuchMail, NotPossible."""
    with services.db.write() as session:
        mail = _get(session, mail_id)
        changed = session.scalars(
            update(OutboxMail)
            .where(
                OutboxMail.id == mail_id, OutboxMail.state == State.READY, OutboxMail.doubts == 0
            )
            .values(state=State.CANCELLED, reason=Reason.CANCELLED, held=None, updated_at=now)
            .returning(OutboxMail.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if changed is None:
            raise NotPossible(mail.state)
        record(session, mail_id, State.CANCELLED, who, now=now)
        if mail.n == 0:
            take_back(session, mail, Reason.CANCELLED)
        _audit(session, who, "outbox.cancel", mail_id, now)


def resend(services: Services, mail_id: int, *, who: str, now: datetime) -> int:
    """A new mail in place of one that has ended; returns its id. Raises NoSuchMail, NotPossible.

    It is read again and composed anew like any other, and may be sent for a day from now.
    """
    with services.db.write() as session:
        mail = _get(session, mail_id)
        # A sign-in link is asked for anew by whoever wants it.
        if mail.state not in ENDS or mail.user_id is None or mail.kind == Kind.SIGN_IN:
            raise NotPossible(mail.state)
        last = session.scalar(
            select(func.max(OutboxMail.n)).where(
                OutboxMail.user_id == mail.user_id,
                OutboxMail.kind == mail.kind,
                OutboxMail.local_date == mail.local_date,
            )
        )
        again = NewMail(
            kind=mail.kind,
            user_id=mail.user_id,
            to_addr=mail.to_addr,
            local_date=mail.local_date,
            date_header=now + timedelta(seconds=mail.clock_shift),
            not_before=now,
            expires_at=now + timedelta(days=1),
            decision_id=mail.decision_id,
            n=(last or 0) + 1,
            clock_shift=timedelta(seconds=mail.clock_shift),
            resend_of=mail.id,
        )
        ids = enqueue(session, services.config, [again], now=now)
        if not ids:  # somebody else took the same number just now
            again = replace(again, n=again.n + 1)
            ids = enqueue(session, services.config, [again], now=now)
        record(session, mail_id, "resent", f"{who}: {ids[0]}", now=now)
        record(session, ids[0], f"resend of {mail_id}", who, now=now)
        close_alert(session, f"mail {mail_id} {mail.state}", now=now)
        _audit(session, who, "outbox.resend", mail_id, now)
    services.publish(ids)
    return ids[0]


def _source(mail: OutboxMail) -> str | None:
    """The bytes that went out; never those of a sign-in mail, whose link is a key."""
    if mail.sent_bytes is None or mail.kind == Kind.SIGN_IN:
        return None
    return unpack(mail.sent_bytes).data.decode("ascii")


def _get(session: Session, mail_id: int) -> OutboxMail:
    mail = session.get(OutboxMail, mail_id)
    if mail is None:
        raise NoSuchMail(mail_id)
    return mail


def _audit(session: Session, who: str, what: str, mail_id: int, now: datetime) -> None:
    session.add(Audit(at=now, who=who, what=what, data={"mail": mail_id}))


def _row(mail: OutboxMail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "kind": mail.kind,
        "email": mail.to_addr,
        "local_date": mail.local_date.isoformat(),
        "state": mail.state,
        "reason": mail.reason,
        "attempts": mail.claims + mail.retries,
        "message_id": mail.message_id,
        "not_before": mail.not_before.isoformat(),
        "accepted_at": mail.accepted_at.isoformat() if mail.accepted_at else None,
        "response": mail.response,
    }
