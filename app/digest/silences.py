"""Silences: how long members have been silent as escalation counts it, and what was escalated already."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.db import among
from app.models import DecisionRow, Member, Task
from app.outbox.early_decisions import STANDS
from app.people.settings import Organisation, Person
from app.reports.progress import open_tasks
from app.rules.due import OpenTask
from app.rules.escalation import Silence, Step, Steps, Taken, silence

SLOT = "escalation"


def steps_of(defaults: Organisation) -> Steps:
    """The organisation's steps."""
    return Steps(
        defaults.escalate_notice_after,
        defaults.escalate_lead_after,
        defaults.escalate_manager_after,
    )


def local_date(one: Person, now: datetime) -> date:
    """The member's date at `now`."""
    return now.astimezone(one.rhythm.zone).date()


def silences(session: Session, dates: Iterable[tuple[Person, date]]) -> dict[int, Silence]:
    """By member id who is silent on the date given for them, and since when."""
    by_date: dict[date, list[Person]] = {}
    for one, day in dates:
        by_date.setdefault(day, []).append(one)
    found: dict[int, Silence] = {}
    for day, some in by_date.items():
        tasks = open_tasks(session, [one.member.id for one in some], day)
        added = _added(session, tasks)
        for one in some:
            long = silence_of(one, tasks.get(one.member.id, ()), day, added)
            if long is not None:
                found[one.member.id] = long
    return found


def silence_of(
    one: Person, tasks: Sequence[OpenTask], day: date, added: Mapping[str, date | None]
) -> Silence | None:
    """One member's silence; `added` says by ref since when tasks are known."""
    began = one.member.active_since or one.member.created_at.astimezone(one.rhythm.zone).date()
    return silence(tasks, one.calendar, day, active_since=began, added=added)


def _added(session: Session, tasks: Mapping[int, Sequence[OpenTask]]) -> dict[str, date | None]:
    refs = [task.ref for some in tasks.values() for task in some]
    rows = session.execute(select(Task.ref, Task.added_on).where(among(Task.ref, refs)))
    return {ref: added_on for ref, added_on in rows}


def taken(session: Session, found: Mapping[int, Silence]) -> dict[int, list[Taken]]:
    """By member id the steps taken since their silence began."""
    steps: dict[int, list[Taken]] = {}
    if not found:
        return steps
    rows = session.execute(
        select(DecisionRow.user_id, DecisionRow.facts).where(
            among(DecisionRow.user_id, list(found)),
            DecisionRow.slot == SLOT,
            DecisionRow.verdict == "send",
            STANDS,
            DecisionRow.local_date > min(one.since for one in found.values()),
        )
    )
    for member_id, facts in rows:
        one = Taken(Step(facts["step"]), date.fromisoformat(facts["since"]))
        steps.setdefault(member_id, []).append(one)
    return steps


def below(session: Session, lead: Member) -> list[tuple[Member, Step]]:
    """Whom this person may be notified of: their team, and the teams of those they lead."""
    team = select(Member.id).where(Member.manager_id == lead.id)
    rows = session.scalars(
        select(Member)
        .where(
            Member.active.is_(True),
            Member.id != lead.id,
            or_(Member.manager_id == lead.id, Member.manager_id.in_(team)),
        )
        .order_by(Member.id)
    )
    # In a circle of managers a member may be both: then the nearer one counts.
    return [
        (one, Step.LEAD if one.manager_id == lead.id else Step.MANAGER)
        for one in rows
        if one.manager_id != one.id
    ]
