"""Mails the owners of API tokens two weeks before the tokens end, once for each."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, select, update

from app.db import among
from app.models import ApiToken, Kind, Member
from app.outbox.enqueue import NewMail, enqueue
from app.rules.workdays import DAY
from app.services import Services

BEFORE = timedelta(days=14)


def notify_owners(services: Services, now: datetime) -> None:
    """A mail for each token that ends soon; not on the day on which it was made.

    Raises DatabaseDown.
    """
    with services.db.read() as session:
        if session.scalar(select(ApiToken.id).where(_due(services, now)).limit(1)) is None:
            return
    with services.db.write() as session:
        noted = update(ApiToken).where(_due(services, now)).values(notified_at=now)
        ids = session.scalars(noted.returning(ApiToken.id)).all()
        rows: Sequence[Any] = session.execute(
            select(ApiToken, Member)
            .join(Member, Member.id == ApiToken.user_id)
            .where(among(ApiToken.id, ids), Member.suppressed_reason.is_(None))
        ).all()
        mails = [_mail(services, token, member, now) for token, member in rows]
        made = enqueue(session, services, mails, now=now)
    services.publish(made)


def _due(services: Services, now: datetime) -> ColumnElement[bool]:
    today = services.config.day_of(now)
    return and_(
        ApiToken.revoked_at.is_(None),
        ApiToken.notified_at.is_(None),
        ApiToken.expires_on.between(today, today + BEFORE),
        ApiToken.created_at < now - DAY,  # who made it knows
    )


def _mail(services: Services, token: ApiToken, member: Member, now: datetime) -> NewMail:
    zone = ZoneInfo(services.config.app_timezone)
    return NewMail(
        kind=Kind.TOKEN_NOTICE,
        user_id=member.id,
        to_addr=member.email,
        local_date=now.astimezone(zone).date(),
        not_before=now,
        expires_at=datetime.combine(token.expires_on + DAY, time(), zone),
        n=token.id,
    )
