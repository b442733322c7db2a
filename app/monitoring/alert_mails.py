"""Alert mails to every admin: what is open after two minutes, and that it is over.

One mail lists all alerts, and the next one comes ten minutes later at the earliest, so that a
thousand failed mails are no thousand mails more. It says how things stand when it is composed, right
before it goes out. Like all mail it waits while sending is paused.
"""

from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.db import among
from app.models import Alert, Kind, Member, Role
from app.outbox.enqueue import NewMail, enqueue
from app.people.settings import organisation
from app.services import Services

GRACE = timedelta(minutes=2)  # what mends itself so soon is not worth a mail
SPACING = timedelta(minutes=10)
EXPIRES = timedelta(days=1)


def notify_admins(services: Services, now: datetime) -> None:
    """Mails the admins what they have not been mailed. Raises DatabaseDown."""
    scale = services.config.test_time_scale
    with services.db.read() as session:
        if not _news(session, now, scale):
            return
    with services.db.write() as session:
        ids = _enqueue(services, session, now, scale)
    services.publish(ids)


def _news(session: Session, now: datetime, scale: float) -> list[Alert]:
    """Alerts to mail now: open, not mailed and not seen by an admin; or mailed before, and over."""
    latest = select(func.max(Alert.mailed_at), func.max(Alert.over_mailed_at))
    told = [moment for moment in session.execute(latest).one() if moment is not None]
    if told and abs(now - max(told)) < SPACING * scale:  # mailed in the future: a clock was ahead
        return []
    opened = and_(
        Alert.closed_at.is_(None),
        Alert.acked_at.is_(None),
        Alert.mailed_at.is_(None),
        Alert.opened_at <= now - GRACE * scale,
        Alert.opened_at > now - EXPIRES,
    )
    over = and_(
        Alert.closed_at.is_not(None),
        Alert.mailed_at.is_not(None),
        Alert.over_mailed_at.is_(None),
    )
    return list(session.scalars(select(Alert).where(or_(opened, over))))


def _enqueue(services: Services, session: Session, now: datetime, scale: float) -> list[int]:
    admins = session.scalars(
        select(Member).where(
            Member.active.is_(True), Member.role == Role.ADMIN, Member.suppressed_reason.is_(None)
        )
    ).all()
    news = _news(session, now, scale) if admins else []
    mine = [*_mark(session, news, now, over=False), *_mark(session, news, now, over=True)]
    if not mine:  # no admin, or another program was quicker
        return []
    today = organisation(session, services.config).today(now)
    mails = [
        NewMail(
            kind=Kind.ALERT,
            user_id=admin.id,
            to_addr=admin.email,
            local_date=today,
            not_before=now,
            expires_at=now + EXPIRES,
            n=max(mine),
        )
        for admin in admins
    ]
    return enqueue(session, services, mails, now=now)


def _mark(session: Session, news: list[Alert], now: datetime, *, over: bool) -> list[int]:
    """Notes what this letter tells; returns its numbers, of which no other letter has one.

    An alert is new once and over once, so twice its id, and one more, are two such numbers.
    """
    column = Alert.over_mailed_at if over else Alert.mailed_at
    ids = [one.id for one in news if (one.closed_at is not None) == over]
    marked = session.scalars(
        update(Alert)
        .where(among(Alert.id, ids), column.is_(None))
        .values({column: now})
        .returning(Alert.id)
    ).all()
    return [2 * one + over for one in marked]
