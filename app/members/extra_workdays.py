"""Extra workdays (土曜出勤日) of the company or of one member: workdays whatever the weekday.

`email` None is the company. A closure stands above the company's extra workdays, and leave above a
member's own: adding an extra workday on such a day is refused with the reason.
"""

from datetime import date, datetime

from sqlalchemy.orm import Session

from app.locale import Both
from app.members import spans
from app.members.changes import locked
from app.models import Audit, DaysOff, ExtraWorkday, Member
from app.people.lookup import find
from app.people.values import ValuesRefused
from app.refused import Code, Refused
from app.rules.workdays import Span, without
from app.services import Services


class NoExtraWorkday(Refused):
    """None of these days is an extra workday."""

    def __init__(self) -> None:
        sentence = Both("その間に出勤日はありません。", "There is no extra workday on these days.")
        super().__init__(Code.NO_SUCH_DAYS, sentence)


def list_workdays(services: Services, email: str | None, since: date | None = None) -> list[Span]:
    """Those that do not end before `since`, the earliest first. Raises NoSuchMember."""
    with services.db.read() as session:
        owner = find(session, email).id if email else None
        found = spans.owned(session, ExtraWorkday, owner)
    return [span for span in found if since is None or span.last is None or span.last >= since]


def add_workdays(
    services: Services, email: str | None, days: Span, who: str, now: datetime
) -> list[Span]:
    """Adds workdays; returns all as they stand. A date that is decided already stays decided.

    Raises NoSuchMember; ValuesRefused for days without an end, and for days off of the same owner.
    """
    with services.db.write() as session:
        member = locked(session, email) if email else None
        owner = member.id if member else None
        _check(session, owner, days)
        session.add(_noted("workday.add", member, days, who, now))
        return spans.add(session, ExtraWorkday, owner, days)


def remove_workdays(
    services: Services, email: str | None, days: Span, who: str, now: datetime
) -> list[Span]:
    """These days are what their weekday and the holidays make of them again.

    A mail that is decided but not sent is not sent then. Raises NoSuchMember; NoExtraWorkday when
    none of them was one.
    """
    with services.db.write() as session:
        member = locked(session, email) if email else None
        left = spans.remove(session, ExtraWorkday, member.id if member else None, days)
        if left is None:
            raise NoExtraWorkday
        session.add(_noted("workday.remove", member, days, who, now))
        return left


def workdays_from(services: Services, since: date, limit: int) -> list[tuple[int, str, Span]]:
    """(member's id, name, days) of members' own that do not end before `since`, the earliest first."""
    with services.db.read() as session:
        return spans.of_members(session, ExtraWorkday, since, limit)


def _check(session: Session, owner: int | None, days: Span) -> None:
    if days.last is None:
        raise ValuesRefused([("last", _NO_END)])
    off = spans.owned(session, DaysOff, owner)
    above = next((span for span in off if without(days, span) != [days]), None)
    if above is not None:
        raise ValuesRefused([("first", _closed(above) if owner is None else _on_leave(above))])


def _noted(what: str, member: Member | None, days: Span, who: str, now: datetime) -> Audit:
    whose = {"email": member.email} if member else {}
    return Audit(at=now, who=who, what=what, data=whose | spans.noted(days))


_NO_END = Both("出勤日には最後の日が必要です。", "Workdays need a last day.")


def _closed(span: Span) -> Both:
    return Both(
        f"{span.first} からの会社の休業日と重なります。先に休業日を取り消してください。",
        f"It overlaps the company closure from {span.first}. Remove that closure first.",
    )


def _on_leave(span: Span) -> Both:
    return Both(
        f"{span.first} からの休暇と重なります。先に休暇を取り消してください。",
        f"It overlaps the leave from {span.first}. Remove that leave first.",
    )
