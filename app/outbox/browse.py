"""The outbox as an operator reads it: the list, and one mail."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.orm import Session

from app.db import same_address
from app.locale import Both
from app.models import (
    ENDS,
    LARGEST_ID,
    OPEN,
    UNSENT,
    Kind,
    MailEvent,
    Member,
    OutboxMail,
    State,
)
from app.outbox.compression import unpack
from app.outbox.reasons import STATES
from app.people.lookup import with_address
from app.refused import Code, Refused
from app.services import Services


class NoSuchMail(Refused):
    """No outbox mail has this id."""

    def __init__(self, mail_id: int) -> None:
        sentence = Both(f"メール {mail_id} はありません。", f"There is no mail {mail_id}.")
        super().__init__(Code.NO_SUCH_MAIL, sentence)


class NotPossible(Refused):
    """The mail's state does not allow it."""

    def __init__(self, mail: OutboxMail) -> None:
        self.mail_id, self.state = mail.id, mail.state
        words = STATES[self.state]
        sentence = Both(
            f"メール {self.mail_id} は{words.ja}(状態: {self.state})。この操作はできません。",
            f"Mail {self.mail_id} {words.en} (state: {self.state}): that is not possible now.",
        )
        super().__init__(Code.NOT_POSSIBLE, sentence)


def listing(
    services: Services,
    *,
    state: str | None = None,
    on: date | None = None,
    email: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The mails as the contract's JSON rows, the oldest first."""
    query = select(*SHOWN).where(*wanted(state, on)).order_by(OutboxMail.id)
    with services.db.read() as session:
        if email is not None:
            query = query.where(whose(session, email))
        for mail in session.execute(query.execution_options(yield_per=500)):
            yield row(mail)


def newest(
    services: Services,
    *,
    limit: int,
    before: int | None = None,
    state: str | None = None,
    on: date | None = None,
    email: str | None = None,
    reason: str | None = None,
) -> list[dict[str, Any]]:
    """Rows as `listing` gives them with subject and `held`, the newest first: at most `limit`.

    `before`: only those with a smaller id. `email` is that of a member, whichever address of
    theirs a mail went to; of an address that is no member's, the mails to that address. `reason`:
    only those whose reason or server's answer has these words.
    """
    query = select(*SHOWN).where(*wanted(state, on))
    if reason is not None:
        query = query.where(says(reason))
    if before is not None:
        query = query.where(OutboxMail.id < before)
    # "+ 0": by the plain id PostgreSQL would walk back through all later days to find one day.
    query = query.order_by((OutboxMail.id if on is None else OutboxMail.id + 0).desc())
    with services.db.read() as session:
        if email is not None:
            query = query.where(whose(session, email))
        mails = session.execute(query.limit(limit))
        return [row(mail) | {"subject": mail.subject, "held": mail.held} for mail in mails]


# What `row` reads and lists show: columns, as entities take four times as long.
SHOWN: tuple[Any, ...] = (
    OutboxMail.id, OutboxMail.kind, OutboxMail.to_addr, OutboxMail.local_date, OutboxMail.state,
    OutboxMail.reason, OutboxMail.claims, OutboxMail.retries, OutboxMail.message_id,
    OutboxMail.not_before, OutboxMail.accepted_at, OutboxMail.response, OutboxMail.user_id,
    OutboxMail.held, OutboxMail.subject,
)  # fmt: skip


def wanted(state: str | None, on: date | None) -> list[ColumnElement[bool]]:
    """The mails in this state and of this date, as the indexes find them."""
    found = [] if on is None else [OutboxMail.local_date == on]
    if state is None:
        return found
    found.append(OutboxMail.state == state)
    # Said as the partial indexes say it: what is rare is found without reading all mails.
    if state not in ENDS:
        return [*found, OPEN]
    return found if state == State.ACCEPTED else [*found, UNSENT]


def whose(session: Session, email: str) -> ColumnElement[bool]:
    """The mails of the member with this address; without such a member, those to the address."""
    member_id: int | None = session.scalar(with_address(email).with_only_columns(Member.id))
    if member_id is None:
        return same_address(OutboxMail.to_addr, email)
    return OutboxMail.user_id == member_id


def show(services: Services, mail_id: int) -> dict[str, Any]:
    """One mail with its history and, once it went out, its source. Raises NoSuchMail."""
    with services.db.read() as session:
        mail = find(session, mail_id)
        events = session.scalars(
            select(MailEvent).where(MailEvent.outbox_id == mail_id).order_by(MailEvent.id)
        )
        return {
            **row(mail),
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


def _source(mail: OutboxMail) -> str | None:
    """The bytes that went out; never those of a sign-in mail, whose link is a key."""
    if mail.sent_bytes is None or mail.kind == Kind.SIGN_IN:
        return None
    return unpack(mail.sent_bytes).data.decode("ascii")


def says(words: str) -> ColumnElement[bool]:
    """The mails whose reason, or the server's answer to which, has these words."""
    return or_(
        OutboxMail.reason.icontains(words, autoescape=True),
        OutboxMail.response.icontains(words, autoescape=True),
    )


def find(session: Session, mail_id: int) -> OutboxMail:
    """The mail. Raises NoSuchMail."""
    mail = session.get(OutboxMail, mail_id) if mail_id <= LARGEST_ID else None
    if mail is None:
        raise NoSuchMail(mail_id)
    return mail


def row(mail: OutboxMail | Row[Any]) -> dict[str, Any]:
    """The contract's JSON of a mail."""
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
