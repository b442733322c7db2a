"""The same refusal for one recipient after the other: kept in the database, for all senders.

The row `refusals` names what was said, since when, and of which mails; a mail that is accepted
ends it. Senders that have accepted mails all the while do not look at it: whether they have is
asked when three are together.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, aliased, load_only

from app.alerts import Alarm, close_alert
from app.channel import key_of
from app.db import among, insert_new, put
from app.models import MailEvent, Member, OutboxMail, Service, State
from app.outbox.channels import Channel
from app.outbox.lease import Claimed, accepted_since, record

NAME = "refusals"
IN_A_ROW = 3
KEPT = 50  # mails that are remembered
READ_BACK = 2_000  # events that are looked through
RETURNED = "returned"  # the event of a mail that met a fault that is not its own
LATELY = timedelta(minutes=10)  # other senders may have met it first, and recorded it later


def add(session: Session, mail: Claimed, same: str, at: datetime) -> list[int]:
    """Counts a refusal; the mails that met it, once it is three recipients in a row, else [].

    `same`: what it has in common with others of its kind (`Channel.same_refusal`).
    """
    row = _locked(session, mail.channel, at)
    began: dict[str, Any] = {"same": same, "since": at.isoformat(), "mails": {}}
    data = dict(row.data) if row.data.get("same") == same else began
    if _is_a_row({**data["mails"], str(mail.id): _whom(mail)}) and accepted_since(
        session, datetime.fromisoformat(data["since"]), mail.channel
    ):
        data = began
    mails = {**data["mails"], str(mail.id): _whom(mail)}
    data["mails"] = dict(list(mails.items())[-KEPT:])
    put(session, Service, {"name": row.name}, {"at": at, "data": data})
    return [int(one) for one in data["mails"]] if _is_a_row(mails) else []


def forget(session: Session, channel: str) -> None:
    """A mail was accepted."""
    session.execute(delete(Service).where(Service.name == key_of(NAME, channel)))


def bring_back(
    session: Session, channel: Channel, met: Sequence[int], same: str, now: datetime
) -> None:
    """Mails that ended, or wait, by this refusal are ready: it was not about them.

    Each only once: what failed after it was put back had its own fault.
    """
    session.flush()
    ids = {*met, *_failed_lately(session, channel, same, now)}
    resent, before = aliased(OutboxMail), MailEvent.event == RETURNED
    mails = session.scalars(
        select(OutboxMail)
        .options(load_only(OutboxMail.state, OutboxMail.response, OutboxMail.user_id))
        .where(
            among(OutboxMail.id, ids),
            OutboxMail.channel == channel.name,
            OutboxMail.state.in_([State.FAILED, State.READY]),
            OutboxMail.expires_at > now,
            ~select(resent.id).where(resent.resend_of == OutboxMail.id).exists(),
            ~select(MailEvent.id).where(MailEvent.outbox_id == OutboxMail.id, before).exists(),
        )
        .execution_options(populate_existing=True)
    ).all()
    for mail in mails:
        if channel.same_refusal(mail.response or "") == same:
            _bring_back(session, mail, now)


def _failed_lately(session: Session, channel: Channel, same: str, now: datetime) -> list[int]:
    newest = select(MailEvent).order_by(MailEvent.id.desc()).limit(READ_BACK).subquery()
    failed = session.execute(
        select(newest.c.outbox_id, newest.c.detail).where(
            newest.c.event == State.FAILED, newest.c.at >= now - LATELY
        )
    )
    return [one.outbox_id for one in failed if channel.same_refusal(one.detail or "") == same]


def _bring_back(session: Session, mail: OutboxMail, now: datetime) -> None:
    mail.not_before = mail.updated_at = now
    if mail.state == State.READY:
        return
    mail.state, mail.reason, mail.claims = State.READY, None, 0
    mail.doubts, mail.sent_bytes = 0, None  # refused for good, so no copy is out
    record(session, mail.id, RETURNED, mail.response, now=now)
    session.flush()
    close_alert(session, Alarm.MAIL_FAILED, mail.id, now=now)
    lifted = session.execute(
        update(Member)
        .where(Member.id == mail.user_id, Member.suppressed_reason == mail.response)
        .values(suppressed_reason=None)
        .returning(Member.id)
    ).all()
    if lifted:
        close_alert(session, Alarm.ADDRESS, mail.user_id, now=now)


def _locked(session: Session, channel: str, at: datetime) -> Service:
    """The row, made where there is none; no other sender counts until this one has committed."""
    name = key_of(NAME, channel)
    new = {"name": name, "at": at, "data": {}}
    insert_new(session, Service, [new], returning=(Service.name,))
    return session.scalars(
        select(Service)
        .where(Service.name == name)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _whom(mail: Claimed) -> str:
    return str(mail.user_id or mail.to_addr)


def _is_a_row(mails: dict[str, str]) -> bool:
    return len(set(mails.values())) >= IN_A_ROW
