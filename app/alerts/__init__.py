"""Alerts: a row is opened once, and closed when its cause is gone.

A row holds a name and facts; `catalogue` makes sentences of them. app/monitoring/checks.py looks for
what no program reports: mails that do not leave, ticks that do not come.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from app import audit
from app.alerts.catalogue import EVENTS, NUMEROUS, STOPS_MAIL, Alarm, name_of
from app.db import among, insert_new
from app.models import Alert
from app.services import Services

__all__ = [
    "IS_OPEN",
    "Alarm",
    "acknowledge",
    "close_alert",
    "close_alerts",
    "first_of",
    "is_open",
    "keep_alert",
    "name_of",
    "open_alerts",
    "open_names",
    "raise_alert",
    "recent",
    "update_alert",
]

log = logging.getLogger(__name__)

_SHOWN = 20
IS_OPEN: ColumnElement[bool] = Alert.closed_at.is_(None)


def raise_alert(
    session: Session,
    alarm: Alarm,
    about: object = None,
    *,
    now: datetime,
    by_mail: bool = True,
    **facts: Any,
) -> None:
    """Opens the alert, or leaves it as it is when it is open already.

    `about`: the member, mail or date it is about, where there can be several; `facts`: what
    `catalogue` says of it, as JSON. `by_mail`: the admins are mailed, too.
    """
    name = name_of(alarm, about)
    row = {"name": name, "data": facts, "detail": "", "opened_at": now}
    if not by_mail:
        row |= {"mailed_at": now, "over_mailed_at": now}
    if insert_new(session, Alert, [row], returning=(Alert.id,)):
        log.error("alert opened: %s", name)


def keep_alert(
    session: Session, alarm: Alarm, about: object = None, *, now: datetime, **facts: Any
) -> None:
    """Opens the alert, or lets the open one say what is the matter now."""
    raise_alert(session, alarm, about, now=now, **facts)
    update_alert(session, alarm, about, **facts)


def update_alert(session: Session, alarm: Alarm, about: object = None, **facts: Any) -> None:
    """Lets the alert say what is the matter now, if it is open."""
    session.execute(
        update(Alert)
        .where(Alert.name == name_of(alarm, about), Alert.closed_at.is_(None))
        .values(data=facts)
    )


def close_alert(session: Session, alarm: Alarm, about: object = None, *, now: datetime) -> None:
    """Closes the alert if it is open."""
    close_alerts(session, alarm, [about], now=now)


def close_alerts(
    session: Session, alarm: Alarm, abouts: Sequence[object], *, now: datetime
) -> None:
    """Closes those of these alerts that are open."""
    names = [name_of(alarm, about) for about in abouts]
    closed = session.scalars(
        update(Alert)
        .where(among(Alert.name, names), Alert.closed_at.is_(None))
        .values(closed_at=now)
        .returning(Alert.name)
    ).all()
    if closed:
        session.expire_all()
        for name in closed:
            log.warning("alert closed: %s", name)


def is_open(session: Session, alarm: Alarm, about: object = None) -> bool:
    """Whether this alert is open."""
    which = (Alert.name == name_of(alarm, about), IS_OPEN)
    return session.scalar(select(Alert.id).where(*which)) is not None


def open_names(session: Session, alarms: Collection[Alarm]) -> list[str]:
    """The names of the open alerts of these alarms."""
    return list(session.scalars(select(Alert.name).where(IS_OPEN, _of(alarms))))


def open_alerts(session: Session) -> list[Alert]:
    """All open alerts, the oldest first."""
    return list(session.scalars(select(Alert).where(IS_OPEN).order_by(Alert.opened_at, Alert.id)))


def first_of(
    session: Session, which: ColumnElement[bool], then: ColumnElement[Any]
) -> tuple[list[Alert], int]:
    """What a letter or a page shows of these alerts, and how many others there are.

    What stops mail comes first, what is about one of many last; among these in the order `then`.
    """
    order = case((_of(STOPS_MAIL), 0), (_of(NUMEROUS), 2), else_=1)
    found = list(session.scalars(select(Alert).where(which).order_by(order, then).limit(_SHOWN)))
    number = session.scalar(select(func.count()).select_from(Alert).where(which)) or 0
    return found, number - len(found)


def _of(alarms: Collection[Alarm]) -> ColumnElement[bool]:
    about = (Alert.name.startswith(f"{alarm}:", autoescape=True) for alarm in alarms)
    return or_(Alert.name.in_(alarms), *about)


def recent(services: Services, *, everything: bool, at_most: int = 500) -> list[Alert]:
    """The open alerts, the oldest first; with `everything` also those that are over."""
    with services.db.read() as session:
        if not everything:
            return open_alerts(session)
        newest = select(Alert).order_by(Alert.id.desc()).limit(at_most)
        return list(session.scalars(newest))[::-1]


def acknowledge(services: Services, ids: list[int], *, who: str, now: datetime) -> list[Alert]:
    """Marks these open alerts as seen; returns them.

    What happened once (a mail that failed) is over with that. What lasts stays open until its
    cause is gone.
    """
    with services.db.write() as session:
        seen = [one for one in open_alerts(session) if one.id in ids]
        for one in seen:
            one.acked_at, one.acked_by = now, who
            alarm = one.name.partition(":")[0]
            if alarm in EVENTS or alarm not in set(Alarm):  # or of a version that had other names
                one.closed_at = now
            audit.note(session, who=who, what="alert.ack", now=now, alert=one.name)
    return seen
