"""The sentence in a member's own mail that says when the lead will be notified of their silence."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import among
from app.digest.silences import silences, steps_of, taken
from app.models import Member
from app.people.settings import Organisation, Person, people
from app.rules.escalation import Step, next_notification
from app.rules.silence import Silence
from app.rules.workdays import DAY

Notice = tuple[str, date]  # the lead's name, and when


def notices(
    session: Session,
    defaults: Organisation,
    long: Sequence[tuple[Person, date]],
    now: datetime,
) -> dict[tuple[int, date], Notice]:
    """By member id and date of those given, whose mail says when the lead will be notified.

    Left out: members without a lead that can be notified, or whose lead was notified already.
    """
    found = silences(session, long) if long else {}
    before = taken(session, found)
    leads = _leads(session, defaults, [one for one, _ in long if one.member.id in found])
    said: dict[tuple[int, date], Notice] = {}
    for one, day in long:
        silence, lead = found.get(one.member.id), leads.get(one.member.manager_id or 0)
        if silence is None or lead is None or silence.workdays < defaults.escalate_notice_after:
            continue
        notified = [step for step in before.get(one.member.id, ()) if step.step is not Step.NOTICE]
        if any(step.of(silence) for step in notified):
            continue
        when = when_notified(defaults, one, lead, (silence, day), now)
        if when is not None:
            said[one.member.id, day] = (lead.member.name, when)
    return said


def when_notified(
    defaults: Organisation, member: Person, lead: Person, found: tuple[Silence, date], now: datetime
) -> date | None:
    """The lead's date on which they will be notified of `member`, silent so long on that date."""
    today = lead.today(now)
    settled = lead.member.led_through
    return next_notification(
        found[0],
        member.calendar,
        steps_of(defaults),
        (lead.rhythm, lead.calendar),
        on=found[1],
        earliest=max(today, settled + DAY) if settled else today,
        wanted=lead.member.escalations is not False,
    )


def _leads(
    session: Session, defaults: Organisation, some: Sequence[Person]
) -> Mapping[int, Person]:
    ids = {one.member.manager_id for one in some if one.member.manager_id != one.member.id}
    rows = session.scalars(
        select(Member).where(
            among(Member.id, [key for key in ids if key is not None]), Member.active.is_(True)
        )
    ).all()
    good, _broken = people(session, defaults, rows)
    return {one.member.id: one for one in good}
