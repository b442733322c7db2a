"""Looking ahead: the same decisions as `plan`, for any dates, writing and sending nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from app.due import Decision, Past, Verdict
from app.members.settings import Person, find, organisation, people
from app.models import Member
from app.reminders.facts import decide_all, monday_of, past_of_week
from app.services import Services
from app.workdays import DAY


@dataclass(frozen=True, slots=True)
class Forecast:
    """What `plan` would decide for one member and local date if nobody reported any more."""

    email: str
    local_date: date
    verdict: str
    reason: str | None
    at: datetime | None = None  # the hour in the member's zone, of a reminder that would go
    tasks: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As the contract's JSON has it."""
        return {
            "email": self.email,
            "kind": "reminder",
            "local_date": self.local_date.isoformat(),
            "verdict": self.verdict,
            "reason": self.reason,
            "at": self.at.isoformat() if self.at else None,
            "tasks": self.tasks,
        }


def simulate(
    services: Services, first: date, last: date, email: str | None = None
) -> Iterator[Forecast]:
    """One forecast per active member (or the one) and local date, from `first` to `last`.

    Raises NoSuchMember.
    """
    with services.db.read() as session:
        members = (
            [find(session, email)]
            if email is not None
            else session.scalars(
                select(Member).where(Member.active.is_(True)).order_by(Member.id)
            ).all()
        )
        defaults = organisation(session, services.config)
        good, _broken = people(session, defaults, members)
        past = past_of_week(session, [one.member.id for one in good], first)
        day = first
        while day <= last:
            if day == monday_of(day):
                past = {}
            for person, decision in decide_all(session, good, day, None, past):
                yield _forecast(person, decision)
                past.setdefault(person.member.id, []).append(
                    Past(day, decision.verdict, decision.reason, person.rhythm.frequency)
                )
            day += DAY


def _forecast(person: Person, decision: Decision) -> Forecast:
    if decision.verdict is Verdict.SKIP:
        return Forecast(person.member.email, decision.local_date, decision.verdict, decision.reason)
    return Forecast(
        person.member.email,
        decision.local_date,
        decision.verdict,
        None,
        decision.at.astimezone(person.rhythm.zone),
        [one.ref for one in decision.tasks],
    )
