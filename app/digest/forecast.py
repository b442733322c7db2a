"""Looking ahead at the mails about a team: by the same rules, writing and sending nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.digest.escalate import Escalation, find_due, may_notify
from app.digest.plan import past_digests
from app.digest.schedule import decide
from app.digest.silences import below
from app.digest.team_week import week_of
from app.models import Kind, Member, Role
from app.people.settings import Organisation, Person, organisation, people
from app.reminders.forecast import check_span
from app.rules import decision, hours
from app.rules.decision import Past, Reason, Verdict
from app.rules.escalation import Step, Taken
from app.rules.workdays import dates
from app.services import Services


@dataclass(frozen=True, slots=True)
class Ahead:
    """A digest, or a step of escalation, that would come if no more reports came.

    `email`: of a digest the lead, of a step the silent member; `notified` is whom the step notifies.
    """

    email: str
    kind: str
    local_date: date
    verdict: str
    reason: str | None
    at: datetime | None
    step: str | None = None
    silent: int | None = None
    notified: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Like a forecast of `simulate`; a step says which, and whom it notifies."""
        plain: dict[str, Any] = {
            "email": self.email,
            "kind": self.kind,
            "local_date": self.local_date.isoformat(),
            "verdict": self.verdict,
            "reason": self.reason,
            "at": self.at.isoformat() if self.at else None,
        }
        more = {"step": self.step, "silent": self.silent, "told": self.notified}
        return plain if self.kind == Kind.WEEKLY_DIGEST else plain | more


def ahead(services: Services, kind: str, first: date, last: date) -> Iterator[Ahead]:
    """Each lead's digests, or the steps of escalation, from `first` to `last`.

    Raises ValuesRefused for a span of more than 400 days.
    """
    check_span(first, last)
    with services.db.read() as session:
        defaults = organisation(session, services.config)
        members = session.scalars(select(Member).where(Member.active.is_(True)).order_by(Member.id))
        leading = [one for one in members if one.role == Role.ADMIN or below(session, one)]
        leads = people(session, defaults, leading)[0]
        if kind == Kind.WEEKLY_DIGEST:
            for one in leads:
                yield from _digests(session, defaults, one, first, last)
        else:
            yield from _steps(session, defaults, leads, first, last)


def _digests(
    session: Session, defaults: Organisation, lead: Person, first: date, last: date
) -> Iterator[Ahead]:
    past = past_digests(session, lead.member.id, first)
    for day in dates(first, last):
        if not day.weekday():
            past = []
        at = hours.hour(lead.rhythm, day)
        found = decide(lead, defaults, day, now=at, past=past)
        if found.reason is None and not week_of(session, defaults, lead, day, at).says_something:
            found = replace(found, verdict=Verdict.SKIP, reason=Reason.NOTHING_UNREPORTED)
        past.append(Past(day, found.verdict, found.reason, hours.Frequency.WEEKLY))
        when = None if found.reason else found.at.astimezone(lead.rhythm.zone)
        yield Ahead(lead.member.email, Kind.WEEKLY_DIGEST, day, found.verdict, found.reason, when)


def _steps(
    session: Session, defaults: Organisation, leads: list[Person], first: date, last: date
) -> Iterator[Ahead]:
    taken: dict[int, list[Taken]] = {}
    notified_on: dict[int, list[date]] = {}
    for day in dates(first, last):
        for lead in leads:
            at = hours.hour(lead.rhythm, day)
            may = may_notify(session, lead, day, also=notified_on.get(lead.member.id, ()))
            for one in find_due(session, defaults, lead, at, also=taken):
                if not (_noticed(one) if one.step is Step.NOTICE else may):
                    continue
                taken.setdefault(one.member.member.id, []).append(
                    Taken(one.step, one.silence.since)
                )
                if one.step is not Step.NOTICE:
                    notified_on.setdefault(lead.member.id, []).append(day)
                yield _ahead(one, lead, at)


def _noticed(one: Escalation) -> bool:
    """Whether the member's own mail comes on that date, and says so."""
    return decision.day_reason(one.member.rhythm, one.member.calendar, one.day) is None


def _ahead(one: Escalation, lead: Person, at: datetime) -> Ahead:
    return Ahead(
        email=one.member.member.email,
        kind=Kind.ESCALATION,
        local_date=one.day,
        verdict="send",
        reason=None,
        at=at.astimezone(lead.rhythm.zone),
        step=one.step,
        silent=one.silence.workdays,
        notified=None if one.step is Step.NOTICE else lead.member.email,
    )
