"""Looking ahead: the same decisions as `plan`, for any dates, writing and sending nothing."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.locale import Both
from app.models import Member
from app.people import values
from app.people.lookup import find
from app.people.settings import Person, organisation, people, put, with_values
from app.people.values import ValuesRefused
from app.reminders.decide_batch import A_WEEK, decide_all, past_of_week
from app.reports.progress import open_tasks_ahead
from app.rules.decision import Decision, Past, Verdict
from app.rules.workdays import DAY, dates
from app.services import Services

LONGEST = 400  # days


@dataclass(frozen=True, slots=True)
class Forecast:
    """What `plan` would decide for one member and local date if no more reports came."""

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


@dataclass(frozen=True, slots=True)
class Compared:
    """The same member and date without and with a change of settings."""

    before: Forecast
    after: Forecast

    @property
    def differs(self) -> bool:
        """True when the change brings another verdict, reason, hour, or other tasks."""
        return _essence(self.before) != _essence(self.after)

    def as_json(self) -> dict[str, Any]:
        """The forecast with the change, and what was before."""
        was = self.before.as_json()
        before = {key: was[key] for key in ("verdict", "reason", "at")}
        return {**self.after.as_json(), "before": before, "differs": self.differs}


def _essence(one: Forecast) -> tuple[object, ...]:
    return one.verdict, one.reason, one.at, set(one.tasks)


def simulate(
    services: Services,
    first: date,
    last: date,
    email: str | None = None,
    changes: Mapping[str, str] | None = None,
) -> Generator[Forecast]:
    """One forecast per active member (or the one) and local date, from `first` to `last`.

    With `changes` (keys as in app/people/values.py) as if they had been made: to the one
    member's own settings, or else to the organisation's. Raises NoSuchMember; ValuesRefused, also
    for a span of more than 400 days.
    """
    check_span(first, last)
    known = values.ORGANISATION if email is None else values.MEMBER_SETTINGS
    wanted = values.read(changes or {}, known)
    with services.db.read() as session:
        members = _whom(session, email)
        defaults = organisation(session, services.config)
        if email is None:
            defaults = with_values(services.config, defaults, wanted)
        else:
            session.expunge(members[0])  # so that nothing of this reaches the database
            put(members[0], wanted)
        good, _broken = people(session, defaults, members)
        for person, decision in ahead(session, good, first, last):
            yield forecast_of(person, decision)


def left_out(services: Services, email: str | None = None) -> dict[str, Both]:
    """Whom `simulate` has nothing to say about, by address, and why.

    Of one member both reasons count; of all only a broken setting (who is not active is not
    expected in the list). Raises NoSuchMember.
    """
    with services.db.read() as session:
        members = _whom(session, email)
        _, broken = people(session, organisation(session, services.config), members)
        out = {one.email: _NOT_ACTIVE for one in members if not one.active}
        for one in members:
            if one.id in broken:
                out[one.email] = Both(
                    f"設定に正しくない値があります({broken[one.id]})。",
                    f"a stored setting makes no sense ({broken[one.id]}).",
                )
    return out


def _whom(session: Session, email: str | None) -> Sequence[Member]:
    if email is not None:
        return [find(session, email)]
    active = select(Member).where(Member.active.is_(True))
    return session.scalars(active.order_by(Member.id)).all()


_NOT_ACTIVE = Both("メンバーが無効になっています。", "the member is not active.")


def compare(
    services: Services, first: date, last: date, email: str | None, changes: Mapping[str, str]
) -> Iterator[Compared]:
    """`simulate` without and with `changes`, side by side; raises what it raises."""
    # Closed also where the other one raises: each holds a connection while it is half through.
    with (
        closing(simulate(services, first, last, email)) as before,
        closing(simulate(services, first, last, email, changes)) as after,
    ):
        for one, other in zip(before, after, strict=True):
            yield Compared(one, other)


def ahead(
    session: Session, some: Sequence[Person], first: date, last: date
) -> Iterator[tuple[Person, Decision]]:
    """The decisions from `first` to `last`, each as of its own hour, if no more reports came.

    Of the days before `first` the recorded decisions count; after that those of this list.
    """
    ids = [one.member.id for one in some]
    past, tasks_on = past_of_week(session, ids, first), open_tasks_ahead(session, ids, first, last)
    for day in dates(first, last):
        for person, decision in decide_all(session, some, day, None, past, tasks=tasks_on(day)):
            yield person, decision
            rhythm = person.rhythm
            known = past.get(person.member.id, ())
            of_week = [one for one in known if one.local_date > day - A_WEEK]
            past[person.member.id] = [
                *of_week,
                Past(day, decision.verdict, decision.reason, rhythm.frequency, rhythm.week_begins),
            ]


def check_span(first: date, last: date) -> None:
    """Raises ValuesRefused for more than 400 days."""
    days = (last - first).days + 1
    if days > LONGEST:
        until = first + (LONGEST - 1) * DAY
        too_many = Both(
            f"{days}日間は長すぎます。{LONGEST}日までにしてください({until} まで)。",
            f"{days} days are too many: at most {LONGEST}, that is until {until}.",
        )
        raise ValuesRefused([("--to", too_many)])


def forecast_of(person: Person, decision: Decision) -> Forecast:
    """The decision as `simulate` tells it."""
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
