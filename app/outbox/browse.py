"""Looking at the outbox, and an operator's hand on one mail: cancel, send again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session, defer

from app import loglines
from app.alerts import close_alert
from app.alerts.words import OF_MAILS
from app.due import Reason
from app.models import ENDS, OPEN, UNSENT, Audit, Kind, MailEvent, Member, OutboxMail, State
from app.outbox import restored
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
    query = _wanted(state, on).order_by(OutboxMail.id)
    if email is not None:
        query = query.where(func.lower(OutboxMail.to_addr) == email.strip().lower())
    with services.db.read() as session:
        for mail in session.scalars(query.execution_options(yield_per=500)):
            yield _row(mail)


def newest(
    services: Services,
    *,
    limit: int,
    before: int | None = None,
    state: str | None = None,
    on: date | None = None,
    email: str | None = None,
) -> list[dict[str, Any]]:
    """Rows as `listing` gives them with subject and `held`, the newest first: at most `limit`.

    `before`: only those with a smaller id. `email` is that of a member, whichever address of
    theirs a mail went to; of an address that is no member's, the mails to that address.
    """
    query = _wanted(state, on)
    if before is not None:
        query = query.where(OutboxMail.id < before)
    # "+ 0": by the plain id PostgreSQL would walk back through all later days to find one day.
    query = query.order_by((OutboxMail.id if on is None else OutboxMail.id + 0).desc())
    with services.db.read() as session:
        if email is not None:
            query = query.where(_whose(session, email.strip().lower()))
        mails = session.scalars(query.limit(limit))
        return [_row(mail) | {"subject": mail.subject, "held": mail.held} for mail in mails]


def _wanted(state: str | None, on: date | None) -> Select[OutboxMail]:
    query = select(OutboxMail).options(defer(OutboxMail.sent_bytes))
    if on is not None:
        query = query.where(OutboxMail.local_date == on)
    if state is None:
        return query
    query = query.where(OutboxMail.state == state)
    # Said as the partial indexes say it: what is rare is found without reading all mails.
    if state not in ENDS:
        return query.where(OPEN)
    return query if state == State.ACCEPTED else query.where(UNSENT)


def _whose(session: Session, address: str) -> ColumnElement[bool]:
    member_id = session.scalar(select(Member.id).where(func.lower(Member.email) == address))
    if member_id is None:
        return func.lower(OutboxMail.to_addr) == address
    return OutboxMail.user_id == member_id


def copies_out(services: Services, mail_id: int) -> list[int]:
    """The mails of the same member, kind and date of which a copy is out, or may be.

    Raises NoSuchMail.
    """
    with services.db.read() as session:
        mail = _get(session, mail_id)
        return list(
            session.scalars(
                select(OutboxMail.id)
                .where(
                    OutboxMail.user_id == mail.user_id,
                    OutboxMail.kind == mail.kind,
                    OutboxMail.local_date == mail.local_date,
                    OutboxMail.state.in_([State.ACCEPTED, State.UNKNOWN]),
                )
                .order_by(OutboxMail.id)
            )
        )


def show(services: Services, mail_id: int) -> dict[str, Any]:
    """One mail with its history and, once it went out, its source. Raises NoSuchMail."""
    with services.db.read() as session:
        mail = _get(session, mail_id)
        events = session.scalars(
            select(MailEvent).where(MailEvent.outbox_id == mail_id).order_by(MailEvent.id)
        )
        return {
            **_row(mail),
            "user_id": mail.user_id,
            "held": mail.held,
            "subject": mail.subject,
            "tasks": mail.task_refs,
            "created_at": mail.created_at.isoformat(),
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
        loglines.ended(session, mail, State.CANCELLED, Reason.CANCELLED)
        if mail.n == 0:
            take_back(session, mail, Reason.CANCELLED)
        _audit(session, who, "outbox.cancel", mail_id, now)


def may_resend(state: str, user_id: int | None, kind: str) -> bool:
    """Only what has ended, to somebody still known; who wants a sign-in link asks for a new one."""
    return state in ENDS and user_id is not None and kind != Kind.SIGN_IN


def resend(services: Services, mail_id: int, *, who: str, now: datetime) -> int:
    """A new mail in place of one that has ended; returns its id. Raises NoSuchMail, NotPossible.

    It is read again and composed anew like any other, and may be sent for a day from now.
    """
    with services.db.write() as session:
        mail = _get(session, mail_id)
        if mail.user_id is None or not may_resend(mail.state, mail.user_id, mail.kind):
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
            n=max(restored.first_n(session, mail.local_date), (last or 0) + 1),
            clock_shift=timedelta(seconds=mail.clock_shift),
            resend_of=mail.id,
        )
        ids = enqueue(session, services, [again], now=now)
        if not ids:  # somebody else took the same number just now
            again = replace(again, n=again.n + 1)
            ids = enqueue(session, services, [again], now=now)
        record(session, mail_id, "resent", f"{who}: {ids[0]}", now=now)
        record(session, ids[0], f"resend of {mail_id}", who, now=now)
        if mail.state in OF_MAILS:
            close_alert(session, OF_MAILS[mail.state], mail_id, now=now)
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
