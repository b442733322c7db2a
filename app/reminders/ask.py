"""Reminding by hand: now, or as of a date, whatever the hour."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import DecisionRow, Member, OutboxMail
from app.people.lookup import find
from app.people.settings import Person, organisation, people
from app.reminders import brake
from app.reminders.decide_batch import decide_all, past_of_week
from app.reminders.plan import BATCH, alert_broken_members, store
from app.rules import hours
from app.rules.decision import Decision, Verdict
from app.services import Services
from app.util.grouped import grouped

QUIET_HOURS = "quiet_hours"  # an answer, never a stored reason: the hour itself is moved then


@dataclass(frozen=True, slots=True)
class Reminded:
    """What `remind` did, or found, for one member."""

    email: str
    local_date: date
    verdict: str
    reason: str | None
    existing: bool
    mail_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    person: Person
    decision: Decision
    moment: datetime  # the instant as of which it was decided
    stored: bool = True


def remind(
    services: Services,
    *,
    now: datetime,
    email: str | None = None,
    on: date | None = None,
    real_now: datetime | None = None,
    confirmed: bool = False,
) -> list[Reminded]:
    """Decides for all active members (or one) at once, ignoring the hour, and queues the mails.

    Each member's own local date, or `on` for all members: then as of that date's hour. Quiet hours
    hold unless `on` is given. An existing decision stands. `real_now` is the clock's instant when
    `now` is a rehearsal's. Without `confirmed` an unusual number is held (see brake).
    Raises NoSuchMember.
    """
    real = real_now or now
    outcomes: list[Reminded] = []
    ids: list[int] = []
    held = None
    if not confirmed:
        number = would_remind(services, now=now, email=email, on=on)
        held = "brake" if number > brake.ALWAYS_ALLOWED else None
    for asked, session in _batches(services, services.db.write, now=now, email=email, on=on):
        if confirmed:
            days = sorted({one.decision.local_date.isoformat() for one in asked})
            brake.allow(session, days, who="remind --yes", now=real)
        stored = [one for one in asked if one.stored]
        by_shift = grouped((one.moment - real, (one.person, one.decision)) for one in stored)
        for shift, decisions in by_shift.items():
            new = store(session, services, decisions, now=real, held=held, clock_shift=shift)
            ids += [] if held else new
        outcomes += _outcomes(session, asked, now=real)
    if held:
        ids += brake.settle(services, real).released
    services.publish(ids)
    return outcomes


def would_remind(
    services: Services, *, now: datetime, email: str | None = None, on: date | None = None
) -> int:
    """How many mails `remind` would make; writes nothing."""
    number = 0
    for asked, session in _batches(services, services.db.read, now=now, email=email, on=on):
        known = _existing(session, asked)
        number += sum(
            one.stored and one.decision.verdict is Verdict.SEND and _key(one) not in known
            for one in asked
        )
    return number


def _batches(
    services: Services,
    transaction: Callable[[], AbstractContextManager[Session]],
    *,
    now: datetime,
    email: str | None,
    on: date | None,
) -> Iterator[tuple[list[_Asked], Session]]:
    """The members in batches, each decided inside its own transaction."""
    after = 0
    while True:
        with transaction() as session:
            members = _members(session, email, after)
            if not members:
                return
            defaults = organisation(session, services.config)
            good, broken = people(session, defaults, members)
            alert_broken_members(session, broken, now)
            yield _decide(session, good, now, on), session
        after = members[-1].id


def _members(session: Session, email: str | None, after: int) -> Sequence[Member]:
    if email is not None:
        member = find(session, email)
        return [member] if member.active and member.id > after else []
    return session.scalars(
        select(Member)
        .where(Member.active.is_(True), Member.id > after)
        .order_by(Member.id)
        .limit(BATCH)
    ).all()


def _decide(
    session: Session, good: Sequence[Person], now: datetime, on: date | None
) -> list[_Asked]:
    by_date = grouped((on or person.today(now), person) for person in good)
    asked: list[_Asked] = []
    for day, some in sorted(by_date.items()):
        # Asking ignores the hour and its catch-up: decided as of the hour, where nothing is late.
        past = past_of_week(session, [one.member.id for one in some], day, later=True)
        for person, decision in decide_all(session, some, day, None, past):
            asked.append(_as_asked(person, decision, now, rehearsed=on is not None))
    return asked


def _as_asked(person: Person, decision: Decision, now: datetime, *, rehearsed: bool) -> _Asked:
    rhythm, day = person.rhythm, decision.local_date
    midnight = hours.end_of(day, rhythm.zone)
    if decision.verdict is Verdict.SKIP:
        # Before the hour a reason not to send may still pass: the hour decides.
        moment = decision.at if rehearsed else now
        return _Asked(person, decision, moment, stored=now >= decision.at)
    if rehearsed:
        return _Asked(person, replace(decision, expires_at=midnight), decision.at)
    if hours.quiet_until(rhythm, now) is not None:
        return _Asked(person, decision, now, stored=False)
    ends = hours.quiet_begins(rhythm, now, midnight)
    return _Asked(person, replace(decision, at=now, expires_at=ends), now)


def _key(one: _Asked) -> tuple[int, date]:
    return one.person.member.id, one.decision.local_date


def _existing(session: Session, asked: Sequence[_Asked]) -> dict[tuple[int, date], DecisionRow]:
    rows = session.scalars(
        select(DecisionRow).where(
            DecisionRow.user_id.in_([one.person.member.id for one in asked]),
            DecisionRow.local_date.in_({one.decision.local_date for one in asked}),
            DecisionRow.slot == "reminder",
        )
    )
    return {(row.user_id, row.local_date): row for row in rows}


def _outcomes(session: Session, asked: Sequence[_Asked], *, now: datetime) -> list[Reminded]:
    rows = _existing(session, asked)
    ids = {row.id for row in rows.values()}
    found = session.execute(
        select(OutboxMail.decision_id, OutboxMail.id).where(
            OutboxMail.decision_id.in_(ids), OutboxMail.n <= 0
        )
    )
    mails = {decision_id: mail_id for decision_id, mail_id in found}
    return [_outcome(one, rows.get(_key(one)), mails, now) for one in asked]


def _outcome(
    one: _Asked, row: DecisionRow | None, mails: dict[int | None, int], now: datetime
) -> Reminded:
    email, day = one.person.member.email, one.decision.local_date
    if row is None:
        reason = one.decision.reason or QUIET_HOURS
        return Reminded(email, day, Verdict.SKIP, reason, existing=False)
    return Reminded(
        email,
        day,
        row.verdict,
        row.reason,
        existing=row.decided_at != now,
        mail_id=mails.get(row.id),
    )
