"""Mails as one member may look at them: an admin at all; others at their own, and at the reminders of
whom they lead.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.access.rights import of_visible, visible_ids
from app.access.sessions import Me
from app.db import among
from app.models import REMINDERS, OutboxMail
from app.outbox.browse import SHOWN, NoSuchMail, find, row, show, wanted
from app.services import Services


def mails(
    services: Services,
    me: Me,
    *,
    limit: int,
    before: int | None = None,
    member_id: int | None = None,
    on: date | None = None,
    state: str | None = None,
) -> Sequence[dict[str, Any]]:
    """Rows as the commands show them, with `user_id`, `held` and subject; the newest first."""
    query = select(*SHOWN).where(*wanted(state, on))
    if member_id is not None:
        query = query.where(OutboxMail.user_id == member_id)
    if before is not None:
        query = query.where(OutboxMail.id < before)
    with services.db.read() as session:
        may = _may(session, me)
        few = may is not None or on is not None or member_id is not None
        query = query if may is None else query.where(may)
        # "+ 0": see `browse.newest`.
        query = query.order_by((OutboxMail.id + 0 if few else OutboxMail.id).desc())
        found = session.execute(query.limit(limit))
        return [
            row(mail) | {"user_id": mail.user_id, "held": mail.held, "subject": mail.subject}
            for mail in found
        ]


def mail(services: Services, me: Me, mail_id: int) -> dict[str, Any]:
    """One mail with its history. Raises NoSuchMail, for others too."""
    with services.db.read() as session:
        one = find(session, mail_id)
        mine = one.user_id == me.id
        theirs = select(OutboxMail.id).where(
            OutboxMail.id == mail_id, REMINDERS, of_visible(OutboxMail.user_id, me)
        )
        if not (me.is_admin or mine or session.scalar(theirs) is not None):
            raise NoSuchMail(mail_id)
    return show(services, mail_id)


def _may(session: Session, me: Me) -> ColumnElement[bool] | None:
    ids = visible_ids(session, me)
    if ids is None:
        return None
    others = [one for one in ids if one != me.id]
    mine = OutboxMail.user_id == me.id
    return or_(mine, among(OutboxMail.user_id, others) & REMINDERS) if others else mine
