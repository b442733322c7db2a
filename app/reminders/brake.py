"""The volume brake: an unusual number of reminders waits for an admin's confirmation.

A tick with more than 50 reminders that brings its day above 3 times the largest day of the last 10
workdays is held. Mails of such a tick are stored as held, and released when the count says that all
is well. Reminders that leads and programs ask for count beside those of their day: beyond 50 of them,
what brings both above the limit is held, and never a reminder of the morning because of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alert, is_open, raise_alert
from app.db import put
from app.models import OPEN, DecisionRow, Kind, OutboxMail, Setting, State
from app.people.settings import organisation
from app.services import Services

ALWAYS_ALLOWED = 50  # mails a day
TIMES = 3
WORKDAYS_BACK = 10
TALLY = "brake_tally"  # settings key: the day's count, and its limit
COUNTED_FOR = timedelta(hours=1)
RELEASED = "brake_released"  # settings key: the local dates that an admin let go

_HELD = (OPEN, OutboxMail.state == State.READY, OutboxMail.held == "brake")
_SENDS = (DecisionRow.verdict == "send", DecisionRow.slot == "reminder")


@dataclass
class Settled:
    """What became of the held mails."""

    released: list[int] = field(default_factory=list)
    held: int = 0


def must_count(services: Services, now: datetime, due_members: int) -> bool:
    """True when the members due could exceed what the day may send, or mails are held already."""
    with services.db.read() as session:
        if session.scalar(select(OutboxMail.id).where(*_HELD).limit(1)) is not None:
            return True
        over = is_open(session, Alarm.UNUSUAL_NUMBER)
    if over:  # nothing is held any more: sent, expired or cancelled
        with services.db.write() as session:
            close_alert(session, Alarm.UNUSUAL_NUMBER, now=now)
    if due_members <= ALWAYS_ALLOWED:
        return False
    day = services.config.day_of(now)
    with services.db.write() as session:
        tally = _tally(services, session, day, now)
    return bool(due_members + tally["sends"] > tally["limit"])


def _tally(services: Services, session: Session, day: date, now: datetime) -> dict[str, Any]:
    """The day's reminders so far, and its limit.

    All of them are counted once an hour; in between only the rows that came since, so that a tick
    costs what is due and not what the organisation has. (A row that another planner is committing
    right now may be missed until then: the members of one tick are always counted exactly.)
    """
    row = session.get(Setting, TALLY)
    newest = session.scalar(select(func.max(DecisionRow.id))) or 0
    fresh = row is not None and timedelta() <= now - row.changed_at < COUNTED_FOR
    if row is None or not fresh or row.value["day"] != day.isoformat():
        counted_at, sends, limit = now, sends_of(session, day), limit_for(services, session, day)
    else:
        counted_at, limit = row.changed_at, row.value["limit"]
        sends = row.value["sends"] + sends_of(session, day, after=row.value["through"])
    tally = {"day": day.isoformat(), "sends": sends, "limit": limit, "through": newest}
    values = {"value": tally, "changed_by": "brake", "changed_at": counted_at}
    put(session, Setting, {"key": TALLY}, values)
    return tally


def settle(services: Services, now: datetime) -> Settled:
    """Lets held mails go whose day's number is usual; raises the alert for the others."""
    settled = Settled()
    with services.db.write() as session:
        days = session.execute(
            select(OutboxMail.local_date, OutboxMail.kind, func.count())
            .where(*_HELD)
            .group_by(OutboxMail.local_date, OutboxMail.kind)
        ).all()
        for day, kind, waiting in days:
            number, limit = sends_of(session, day), limit_for(services, session, day)
            if kind == Kind.ASKED_REMINDER:
                number += _asked_of(session, day)
            if number <= limit or day.isoformat() in _released(session):
                settled.released += _let_go(session, day, now, kind)
            else:
                settled.held += waiting
                facts: dict[str, Any] = {"day": day.isoformat(), "number": number, "limit": limit}
                raise_alert(session, Alarm.UNUSUAL_NUMBER, now=now, **facts)
        if not settled.held:
            close_alert(session, Alarm.UNUSUAL_NUMBER, now=now)
    return settled


def holds_asked(services: Services, session: Session, day: date, now: datetime) -> bool:
    """Whether one more reminder of this local date, asked for by hand, has to wait."""
    asked = _asked_of(session, day)
    if asked < ALWAYS_ALLOWED or day.isoformat() in _released(session):
        return False
    tally = _tally(services, session, services.config.day_of(now), now)
    return bool(asked + 1 + tally["sends"] > tally["limit"])


def _asked_of(session: Session, day: date) -> int:
    asked = (OutboxMail.local_date == day, OutboxMail.kind == Kind.ASKED_REMINDER)
    never = OutboxMail.state.in_([State.CANCELLED, State.SUPPRESSED])
    return session.scalar(select(func.count()).where(*asked, ~never)) or 0


def release(session: Session, *, who: str, now: datetime) -> list[int]:
    """Confirmed by an admin: all held mails go, and further ones of those dates are not held."""
    days = session.scalars(select(OutboxMail.local_date).where(*_HELD).distinct()).all()
    ids: list[int] = []
    for day in days:
        ids += _let_go(session, day, now, *Kind)
    allow(session, [day.isoformat() for day in days], who=who, now=now)
    close_alert(session, Alarm.UNUSUAL_NUMBER, now=now)
    return ids


def allow(session: Session, days: list[str], *, who: str, now: datetime) -> None:
    """Remembers that an admin let these local dates go, whatever their number."""
    if not days:
        return
    keep = sorted({*_released(session), *days})[-WORKDAYS_BACK:]
    put(session, Setting, {"key": RELEASED}, {"value": keep, "changed_by": who, "changed_at": now})


def sends_of(session: Session, day: date, *, after: int = 0) -> int:
    """How many reminders were decided for the local date, by rows with an id above `after`."""
    ours = and_(DecisionRow.local_date == day, *_SENDS)
    if not after:
        return session.scalar(select(func.count()).where(ours)) or 0
    # FILTER, not WHERE: only the range of ids shall choose the index.
    new = select(func.count().filter(ours)).select_from(DecisionRow).where(DecisionRow.id > after)
    return session.scalar(new) or 0


def limit_for(services: Services, session: Session, day: date) -> int:
    """How many reminders the local date may have without a confirmation."""
    company = organisation(session, services.config).company()
    days: list[date] = []
    before = day
    while len(days) < WORKDAYS_BACK:
        before -= timedelta(days=1)
        if company.day_off(before) is None:
            days.append(before)
    largest = session.execute(
        select(func.count())
        .where(DecisionRow.local_date.in_(days), *_SENDS)
        .group_by(DecisionRow.local_date)
    ).scalars()
    return max(ALWAYS_ALLOWED, TIMES * max(largest, default=0))


def above_limit(services: Services, numbers: Mapping[date, int]) -> dict[date, int]:
    """The limit of each local date that this many reminders would go beyond. Changes nothing."""
    found: dict[date, int] = {}
    with services.db.read() as session:
        for day, number in sorted(numbers.items()):
            if number > ALWAYS_ALLOWED and number > (limit := limit_for(services, session, day)):
                found[day] = limit
    return found


def _released(session: Session) -> list[str]:
    row = session.get(Setting, RELEASED)
    return list(row.value) if row else []


def _let_go(session: Session, day: date, now: datetime, *kinds: str) -> list[int]:
    return list(
        session.scalars(
            update(OutboxMail)
            .where(*_HELD, OutboxMail.local_date == day, OutboxMail.kind.in_(kinds))
            .values(held=None, updated_at=now)
            .returning(OutboxMail.id)
        )
    )
