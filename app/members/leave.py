"""ROAD: a member's leave: spans that overlap become one, and days can be taken out again."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.members.changes import audit, locked
from app.members.settings import find, organisation, person
from app.models import DaysOff, Member
from app.services import Services
from app.workdays import DAY, Span, unite


class NoLeave(LookupError):
    """None of these days is a day of leave."""


def list_leave(services: Services, email: str) -> list[Span]:
    """The member's leave, the earliest first. Raises NoSuchMember."""
    with services.db.read() as session:
        return sorted(_spans(_rows(session, find(session, email))))


def add_leave(services: Services, email: str, leave: Span, who: str, now: datetime) -> list[Span]:
    """Adds days of leave (`last` None: until further notice); returns all leave as it stands.

    A reminder that is decided but not yet sent is not sent on such a day. Raises NoSuchMember.
    """
    with services.db.write() as session:
        member = locked(session, email)
        return _add(session, member, leave, who, now)


def remove_leave(services: Services, email: str, days: Span, who: str, now: datetime) -> list[Span]:
    """Takes these days out of the leave, the rest stays; returns all leave as it stands.

    Raises NoSuchMember; NoLeave when none of them is a day of leave.
    """
    with services.db.write() as session:
        member = locked(session, email)
        rows = _rows(session, member)
        before = _spans(rows)
        left = [part for span in before for part in _without(span, days)]
        if left == before:
            raise NoLeave(email)
        _replace(session, member, rows, left)
        audit(session, member, "leave.remove", who, now, **_noted(days))
        return sorted(left)


def off_today(services: Services, email: str, who: str, now: datetime) -> date:
    """Today, in the member's time zone, is a day of leave; returns the date.

    Raises NoSuchMember.
    """
    with services.db.write() as session:
        member = locked(session, email)
        one = person(session, organisation(session, services.config), member)
        today = now.astimezone(one.rhythm.zone).date()
        _add(session, member, Span(today, today), who, now)
        return today


def _add(session: Session, member: Member, leave: Span, who: str, now: datetime) -> list[Span]:
    rows = _rows(session, member)
    spans = unite([*_spans(rows), leave])
    _replace(session, member, rows, spans)
    audit(session, member, "leave.add", who, now, **_noted(leave))
    return spans


def _rows(session: Session, member: Member) -> Sequence[DaysOff]:
    return session.scalars(select(DaysOff).where(DaysOff.user_id == member.id)).all()


def _spans(rows: Iterable[DaysOff]) -> list[Span]:
    return [Span(row.first_day, row.last_day, row.name) for row in rows]


def _without(span: Span, days: Span) -> list[Span]:
    """What is left of `span` before and after `days`."""
    left = []
    if span.first < days.first:
        last = days.first - DAY if span.last is None else min(span.last, days.first - DAY)
        left.append(Span(span.first, last, span.name))
    if days.last is not None and (span.last is None or span.last > days.last):
        left.append(Span(max(span.first, days.last + DAY), span.last, span.name))
    return left


def _replace(
    session: Session, member: Member, rows: Iterable[DaysOff], spans: Iterable[Span]
) -> None:
    wanted = {(span.first, span.last, span.name) for span in spans}
    for row in rows:
        kept = (row.first_day, row.last_day, row.name)
        if kept in wanted:
            wanted.discard(kept)
        else:
            session.delete(row)
    for first, last, name in wanted:
        session.add(DaysOff(user_id=member.id, first_day=first, last_day=last, name=name))


def _noted(span: Span) -> dict[str, Any]:
    last = span.last.isoformat() if span.last else None
    return {"first_day": span.first.isoformat(), "last_day": last, "name": span.name}
