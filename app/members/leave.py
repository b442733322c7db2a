"""ROAD: a member's leave, and closures: spans that overlap become one, and days can be taken out again."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.members.changes import audit, locked
from app.members.settings import find, organisation, person
from app.models import Audit, DaysOff, Member
from app.services import Services
from app.workdays import DAY, Span, unite


class NoLeave(LookupError):
    """None of these days is a day of leave."""


def list_leave(services: Services, email: str) -> list[Span]:
    """The member's leave, the earliest first. Raises NoSuchMember."""
    with services.db.read() as session:
        return sorted(_spans(_rows(session, find(session, email).id)))


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
        rows = _rows(session, member.id)
        before = _spans(rows)
        left = [part for span in before for part in _without(span, days)]
        if left == before:
            raise NoLeave(email)
        _replace(session, member.id, rows, left)
        audit(session, member, "leave.remove", who, now, **_noted(days))
        return sorted(left)


def closures(services: Services, since: date) -> list[Span]:
    """The company's closures that do not end before `since`, the earliest first."""
    with services.db.read() as session:
        spans = _spans(_rows(session, None))
    return sorted(span for span in spans if span.last is None or span.last >= since)


def add_closure(services: Services, days: Span, who: str, now: datetime) -> None:
    """The company is closed on these days; a mail that is decided but not sent is not sent."""
    with services.db.write() as session:
        rows = _rows(session, None)
        _replace(session, None, rows, unite([*_spans(rows), days]))
        session.add(Audit(at=now, who=who, what="closure.add", data=_noted(days)))


def remove_closure(services: Services, days: Span, who: str, now: datetime) -> None:
    """The company is open on these days again. Raises NoLeave when it was."""
    with services.db.write() as session:
        rows = _rows(session, None)
        before = _spans(rows)
        left = [part for span in before for part in _without(span, days)]
        if left == before:
            raise NoLeave(str(days.first))
        _replace(session, None, rows, left)
        session.add(Audit(at=now, who=who, what="closure.remove", data=_noted(days)))


def leave_from(services: Services, since: date, limit: int) -> list[tuple[int, str, Span]]:
    """(member's id, name, days) of leave that does not end before `since`, the earliest first."""
    query = (
        select(Member.id, Member.name, DaysOff.first_day, DaysOff.last_day, DaysOff.name)
        .join(Member, Member.id == DaysOff.user_id)
        .where(Member.active.is_(True), or_(DaysOff.last_day.is_(None), DaysOff.last_day >= since))
        .order_by(DaysOff.first_day, Member.id)
        .limit(limit)
    )
    with services.db.read() as session:
        return [
            (member_id, who, Span(first, last, name))
            for member_id, who, first, last, name in session.execute(query)
        ]


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
    rows = _rows(session, member.id)
    spans = unite([*_spans(rows), leave])
    _replace(session, member.id, rows, spans)
    audit(session, member, "leave.add", who, now, **_noted(leave))
    return spans


def _rows(session: Session, owner: int | None) -> Sequence[DaysOff]:
    """A member's, or with None the company's."""
    return session.scalars(select(DaysOff).where(DaysOff.user_id == owner)).all()


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
    session: Session, owner: int | None, rows: Iterable[DaysOff], spans: Iterable[Span]
) -> None:
    wanted = {(span.first, span.last, span.name) for span in spans}
    for row in rows:
        kept = (row.first_day, row.last_day, row.name)
        if kept in wanted:
            wanted.discard(kept)
        else:
            session.delete(row)
    for first, last, name in wanted:
        session.add(DaysOff(user_id=owner, first_day=first, last_day=last, name=name))


def _noted(span: Span) -> dict[str, Any]:
    last = span.last.isoformat() if span.last else None
    return {"first_day": span.first.isoformat(), "last_day": last, "name": span.name}
