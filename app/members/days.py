"""Leave, closures and extra workdays (土曜出勤日): the days of a member, or of the company.

`email` None is the company. Spans that overlap become one, and days can be taken out again. A
closure stands above the company's extra workdays, and leave above a member's own: adding an extra
workday on such a day is refused with the reason. A date that is decided already stays decided.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from app import audit
from app.compose.text import composed, date_words
from app.locale import Both
from app.members import spans
from app.members.changes import locked
from app.models import DaysOff, ExtraWorkday, Member
from app.people.lookup import find
from app.people.settings import organisation, person
from app.people.values import ValuesRefused
from app.refused import Code, Refused
from app.rules.workdays import Span, without
from app.services import Services


class NoSuchDays(Refused):
    """None of these days is one of theirs."""


@dataclass(frozen=True, slots=True)
class OwnedDays:
    """One kind of days. `of_member`, `of_company`: what the audit calls them."""

    table: spans.Table
    of_member: str
    of_company: str
    none: Both

    def owned(self, services: Services, email: str | None, since: date | None = None) -> list[Span]:
        """Those that do not end before `since`, the earliest first. Raises NoSuchMember."""
        with services.db.read() as session:
            found = spans.owned(
                session, self.table, find(session, email).id if email is not None else None
            )
        return [span for span in found if since is None or span.last is None or span.last >= since]

    def of_members(
        self, services: Services, since: date, limit: int
    ) -> list[tuple[int, str, Span]]:
        """(member's id, name, days) of members' own that do not end before `since`, the earliest first."""
        with services.db.read() as session:
            return spans.of_members(session, self.table, since, limit)

    def add(
        self, services: Services, email: str | None, days: Span, who: str, now: datetime
    ) -> list[Span]:
        """Adds days (`last` None: until further notice); returns all as they stand.

        A reminder that is decided but not yet sent is not sent on a day off. Raises NoSuchMember;
        ValuesRefused for workdays without an end, and for those on days off of the same owner.
        """
        days = replace(days, name=composed(days.name))
        with services.db.write() as session:
            member = locked(session, email) if email is not None else None
            owner = member.id if member else None
            if self.table is ExtraWorkday:
                _check_workdays(session, owner, days)
            what = f"{self._called(member)}.add"
            audit.note(session, who=who, what=what, now=now, **_noted(member, days))
            return spans.add(session, self.table, owner, days)

    def remove(
        self, services: Services, email: str | None, days: Span, who: str, now: datetime
    ) -> list[Span]:
        """Takes these days out, the rest stays; returns all as they stand.

        Raises NoSuchMember; NoSuchDays when none of them was one.
        """
        with services.db.write() as session:
            member = locked(session, email) if email is not None else None
            left = spans.remove(session, self.table, member.id if member else None, days)
            if left is None:
                raise NoSuchDays(Code.NO_SUCH_DAYS, self.none)
            what = f"{self._called(member)}.remove"
            audit.note(session, who=who, what=what, now=now, **_noted(member, days))
            return left

    def _called(self, member: Member | None) -> str:
        return self.of_member if member else self.of_company


LEAVE = OwnedDays(
    DaysOff,
    "leave",
    "closure",
    Both("その間に休暇はありません。", "There is no leave on these days."),
)
WORKDAYS = OwnedDays(
    ExtraWorkday,
    "workday",
    "workday",
    Both("その間に出勤日はありません。", "There is no extra workday on these days."),
)


def off_today(services: Services, email: str, who: str, now: datetime) -> date:
    """Today, in the member's time zone, is a day of leave; returns the date.

    Raises NoSuchMember.
    """
    with services.db.read() as session:
        member = find(session, email)
        today = person(session, organisation(session, services.config), member).today(now)
    LEAVE.add(services, email, Span(today, today), who, now)
    return today


def _noted(member: Member | None, days: Span) -> dict[str, str | None]:
    return ({"email": member.email} if member else {}) | spans.noted(days)


def _check_workdays(session: Session, owner: int | None, days: Span) -> None:
    if days.last is None:
        endless = Both("出勤日には最後の日が必要です。", "Workdays need a last day.")
        raise ValuesRefused([("last", endless)])
    off = spans.owned(session, DaysOff, owner)
    above = next((span for span in off if without(days, span) != [days]), None)
    if above is not None:
        first = date_words(above.first)
        closed = Both(
            f"{first.ja}からの会社の休業日と重なります。先に休業日を取り消してください。",
            f"It overlaps the company closure from {first.en}. Remove that closure first.",
        )
        on_leave = Both(
            f"{first.ja}からの休暇と重なります。先に休暇を取り消してください。",
            f"It overlaps the leave from {first.en}. Remove that leave first.",
        )
        raise ValuesRefused([("first", closed if owner is None else on_leave)])
