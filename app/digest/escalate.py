"""Escalation: which members a lead is notified of today, and what those members' mails said beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import among
from app.digest.silences import SLOT, below, silences, steps_of, taken
from app.models import DecisionRow, Kind
from app.outbox import log_records, restored
from app.outbox.early_decisions import STANDS, insert_decisions
from app.outbox.enqueue import NewMail, enqueue
from app.people.settings import Organisation, Person, people
from app.rules import hours
from app.rules.escalation import Step, Steps, Taken, is_due, may_be_notified
from app.rules.silence import Silence
from app.rules.workdays import DAY, week_of
from app.services import Services


@dataclass(frozen=True, slots=True)
class Escalation:
    """One step to take for one member."""

    member: Person
    step: Step
    silence: Silence
    day: date  # the member's


@dataclass(frozen=True, slots=True)
class PlanningContext:
    """What one planning works with. `now` may be a rehearsal's, `shift` ahead of the real clock."""

    session: Session
    services: Services
    defaults: Organisation
    now: datetime
    shift: timedelta

    @property
    def real(self) -> datetime:
        """The real clock's instant."""
        return self.now - self.shift

    def held(self, lead: Person, day: date) -> str | None:
        """What `held` says of a mail to this lead: after a restore it may have gone out already."""
        restore = restored.last_restore(self.session)
        return restore.hold(lead.rhythm.zone, day, week_begins=0) if restore else None


def escalate(context: PlanningContext, lead: Person) -> list[int]:
    """Writes the steps that are due for those below `lead`; one mail, however many they are.

    The mail goes to the lead alone. Returns the new mail's id.
    """
    session, today = context.session, lead.today(context.now)
    found = find_due(session, context.defaults, lead, context.now)
    notified: dict[int, dict[str, Any]] = {}
    if may_notify(session, lead, today):
        rows = [
            _row(one, context.real, lead, today) for one in found if one.step is not Step.NOTICE
        ]
        notified = written(context, rows)
    noticed = _noticed(session, found, steps_of(context.defaults))
    also = written(context, [_row(one, context.real, None, None) for one in noticed])
    mails = [_mail(context, lead, today)] if notified else []
    ids = enqueue(session, context.services, mails, now=context.real)
    log_records.decided(
        session, notified | also, {decision_id: ids[0] for decision_id in notified if ids}
    )
    return ids


def written(context: PlanningContext, rows: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Writes the decisions of these rows where there are none; those that are new, by their ids."""
    new = insert_decisions(
        context.session,
        context.services.config,
        rows,
        early=bool(context.shift),
        returning=(DecisionRow.id, DecisionRow.user_id),
    )
    by_member = {row["user_id"]: row for row in rows}
    return {decision_id: by_member[member_id] for decision_id, member_id in new}


def _mail(context: PlanningContext, lead: Person, today: date) -> NewMail:
    return NewMail(
        kind=Kind.ESCALATION,
        user_id=lead.member.id,
        to_addr=lead.member.email,
        local_date=today,
        not_before=context.real,
        expires_at=hours.end_of(today, lead.rhythm.zone) - context.shift,
        held=context.held(lead, today),
        clock_shift=context.shift,
    )


def may_notify(session: Session, lead: Person, today: date, also: Sequence[date] = ()) -> bool:
    """True when the lead may be notified on their local date.

    `also` are dates on which they would have been notified, when looking ahead.
    """
    first = week_of(today, lead.rhythm.week_begins).first
    this_week = session.scalars(
        select(DecisionRow.told_on).where(
            DecisionRow.told_id == lead.member.id,
            DecisionRow.told_on.between(first, today - DAY),
            DecisionRow.verdict == "send",
            STANDS,
        )
    )
    return may_be_notified(
        lead.rhythm,
        lead.calendar,
        today,
        wanted=lead.member.escalations is not False,
        this_week=[day for day in (*this_week, *also) if day is not None and first <= day < today],
    )


def find_due(
    session: Session,
    defaults: Organisation,
    lead: Person,
    now: datetime,
    also: Mapping[int, Sequence[Taken]] | None = None,
) -> list[Escalation]:
    """The steps that are due at `now` for those below `lead`; of each member the first one.

    `also` are steps, by member id, that would have been taken, when looking ahead.
    """
    roles, steps = below(session, lead.member), steps_of(defaults)
    good, _broken = people(session, defaults, [member for member, _ in roles])
    found = silences(session, [(one, one.today(now)) for one in good])
    before = taken(session, found)
    by_id = {one.member.id: one for one in good}
    due: list[Escalation] = []
    for member, role in roles:
        long, one = found.get(member.id), by_id.get(member.id)
        if long is None or one is None:
            continue
        done = [*before.get(member.id, ()), *(also or {}).get(member.id, ())]
        step = _next_step(role, steps, long, done)
        if step is not None:
            due.append(Escalation(one, step, long, one.today(now)))
    return due


def _next_step(role: Step, steps: Steps, found: Silence, before: Sequence[Taken]) -> Step | None:
    if is_due(role, steps, found, before):
        return role
    lead_notified = any(one.step is Step.LEAD and one.of(found) for one in before)
    noticed = role is Step.MANAGER or lead_notified or not is_due(Step.NOTICE, steps, found, before)
    return None if noticed else Step.NOTICE


def _noticed(session: Session, found: Sequence[Escalation], steps: Steps) -> list[Escalation]:
    """Whose own mail of these days said when the lead will be notified: it becomes a row.

    The mail itself says so by the same rule when it is written (app/letters/notice.py); here it is
    put on record, for the date of that mail.
    """
    waiting = {one.member.member.id: one for one in found if one.step is Step.NOTICE}
    if not waiting:
        return []
    earliest = min(one.day for one in waiting.values()) - hours.LOOK_BACK
    rows = session.execute(
        select(DecisionRow.user_id, func.max(DecisionRow.local_date))
        .where(
            among(DecisionRow.user_id, list(waiting)),
            DecisionRow.slot == "reminder",
            DecisionRow.verdict == "send",
            DecisionRow.local_date >= earliest,
        )
        .group_by(DecisionRow.user_id)
    )
    reminded = dict(iter(rows))
    days = [(one.member, reminded[key]) for key, one in waiting.items() if key in reminded]
    then = silences(session, days)
    return [
        Escalation(one, Step.NOTICE, then[one.member.id], day)
        for one, day in days
        if one.member.id in then and then[one.member.id].workdays >= steps.notice
    ]


def _row(one: Escalation, real: datetime, lead: Person | None, day: date | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "step": one.step,
        "silent": one.silence.workdays,
        "since": one.silence.since.isoformat(),
    }
    if lead is not None:
        facts["told"] = lead.member.email
    return {
        "user_id": one.member.member.id,
        "slot": SLOT,
        "local_date": one.day,
        "verdict": "send",
        "reason": None,
        "facts": facts,
        "at": real,
        "decided_at": real,
        "told_id": lead.member.id if lead else None,
        "told_on": day,
    }
