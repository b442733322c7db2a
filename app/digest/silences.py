"""Silences: how long members have been silent as escalation counts it, and what was escalated already."""

from collections.abc import Iterable, Mapping
from datetime import date

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.db import among
from app.models import DecisionRow, Member
from app.outbox.early_decisions import STANDS
from app.people.settings import Organisation, Person
from app.reports.progress import open_tasks
from app.rules.escalation import Step, Steps, Taken
from app.rules.silence import Silence, longest_silence
from app.util.grouped import grouped

SLOT = "escalation"


def steps_of(defaults: Organisation) -> Steps:
    """The organisation's steps."""
    return Steps(
        defaults.escalate_notice_after,
        defaults.escalate_lead_after,
        defaults.escalate_manager_after,
    )


def silences(session: Session, dates: Iterable[tuple[Person, date]]) -> dict[int, Silence]:
    """By member id who is silent on the date given for them, and since when."""
    found: dict[int, Silence] = {}
    for day, some in grouped((day, one) for one, day in dates).items():
        tasks = open_tasks(session, [one.member.id for one in some], day)
        for one in some:
            mine = tasks.get(one.member.id, ())
            long = longest_silence(mine, one.calendar, day, active_since=one.began)
            if long is not None:
                found[one.member.id] = long
    return found


def taken(session: Session, found: Mapping[int, Silence]) -> dict[int, list[Taken]]:
    """By member id the steps taken since their silence began."""
    if not found:
        return {}
    rows = session.execute(
        select(DecisionRow.user_id, DecisionRow.facts).where(
            among(DecisionRow.user_id, list(found)),
            DecisionRow.slot == SLOT,
            DecisionRow.verdict == "send",
            STANDS,
            DecisionRow.local_date > min(one.since for one in found.values()),
        )
    )
    return grouped(
        (member_id, Taken(Step(facts["step"]), date.fromisoformat(facts["since"])))
        for member_id, facts in rows
    )


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
