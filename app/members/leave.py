"""A member's leave, and closures: spans that overlap become one, and days can be taken out again."""

from datetime import date, datetime

from app.locale import Both
from app.members import spans
from app.members.changes import audit, locked
from app.models import Audit, DaysOff
from app.people.lookup import find
from app.people.settings import organisation, person
from app.refused import Code, Refused
from app.rules.workdays import Span
from app.services import Services


class NoLeave(Refused):
    """None of these days is a day of leave."""

    def __init__(self) -> None:
        sentence = Both("その間に休暇はありません。", "There is no leave on these days.")
        super().__init__(Code.NO_SUCH_DAYS, sentence)


def list_leave(services: Services, email: str) -> list[Span]:
    """The member's leave, the earliest first. Raises NoSuchMember."""
    with services.db.read() as session:
        return spans.owned(session, DaysOff, find(session, email).id)


def add_leave(services: Services, email: str, leave: Span, who: str, now: datetime) -> list[Span]:
    """Adds days of leave (`last` None: until further notice); returns all leave as it stands.

    A reminder that is decided but not yet sent is not sent on such a day. Raises NoSuchMember.
    """
    with services.db.write() as session:
        member = locked(session, email)
        audit(session, member, "leave.add", who, now, **spans.noted(leave))
        return spans.add(session, DaysOff, member.id, leave)


def remove_leave(services: Services, email: str, days: Span, who: str, now: datetime) -> list[Span]:
    """Takes these days out of the leave, the rest stays; returns all leave as it stands.

    Raises NoSuchMember; NoLeave when none of them is a day of leave.
    """
    with services.db.write() as session:
        member = locked(session, email)
        left = spans.remove(session, DaysOff, member.id, days)
        if left is None:
            raise NoLeave
        audit(session, member, "leave.remove", who, now, **spans.noted(days))
        return left


def closures(services: Services, since: date) -> list[Span]:
    """The company's closures that do not end before `since`, the earliest first."""
    with services.db.read() as session:
        found = spans.owned(session, DaysOff, None)
    return [span for span in found if span.last is None or span.last >= since]


def add_closure(services: Services, days: Span, who: str, now: datetime) -> None:
    """The company is closed on these days; a mail that is decided but not sent is not sent."""
    with services.db.write() as session:
        spans.add(session, DaysOff, None, days)
        session.add(Audit(at=now, who=who, what="closure.add", data=spans.noted(days)))


def remove_closure(services: Services, days: Span, who: str, now: datetime) -> None:
    """The company is open on these days again. Raises NoLeave when it was."""
    with services.db.write() as session:
        if spans.remove(session, DaysOff, None, days) is None:
            raise NoLeave
        session.add(Audit(at=now, who=who, what="closure.remove", data=spans.noted(days)))


def leave_from(services: Services, since: date, limit: int) -> list[tuple[int, str, Span]]:
    """(member's id, name, days) of leave that does not end before `since`, the earliest first."""
    with services.db.read() as session:
        return spans.of_members(session, DaysOff, since, limit)


def off_today(services: Services, email: str, who: str, now: datetime) -> date:
    """Today, in the member's time zone, is a day of leave; returns the date.

    Raises NoSuchMember.
    """
    with services.db.write() as session:
        member = locked(session, email)
        one = person(session, organisation(session, services.config), member)
        today = now.astimezone(one.rhythm.zone).date()
        audit(session, member, "leave.add", who, now, **spans.noted(Span(today, today)))
        spans.add(session, DaysOff, member.id, Span(today, today))
        return today
