"""The tasks and reports of many members at once, as the board shows them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.access.sessions import Me
from app.db import among
from app.models import REMINDERS, Member, OutboxMail, Report, State, Task, Team
from app.people.settings import Organisation, Person, people
from app.rules.standing import BoardRow, days_shown, row
from app.rules.week import MemberFacts, TaskFacts, WeekReport
from app.util.grouped import grouped

_REPORT = (
    Report.id,
    Report.reporter_id,
    Report.counts_for,
    Report.percent,
    Report.status,
    Report.text,
)
_TASK = (
    Task.assignee_id,
    Task.ref,
    Task.title,
    Task.status,
    Task.start_on,
    Task.assigned_on,
    Task.closed_on,
    Task.due_on,
    Task.report_every,
    Task.added_on,
)


def rows_of(
    session: Session, defaults: Organisation, me: Me, members: Sequence[Member], now: datetime
) -> tuple[list[BoardRow], dict[int, str]]:
    """Where these members stand today; by id why nothing can be said of the others."""
    good, broken = people(session, defaults, members)
    first = days_shown(defaults.company(), now.astimezone(me.zone).date())[0]
    facts = read(session, good, first, now)
    return [row(facts[one.member.id], one.member.email, one.rhythm) for one in good], broken


def read(
    session: Session, some: Sequence[Person], first: date, now: datetime
) -> dict[int, MemberFacts]:
    """By member id the tasks open since `first`, each with its last report; no days yet."""
    ids = {one.member.team_id for one in some if one.member.team_id is not None}
    rows = session.execute(select(Team.id, Team.name).where(among(Team.id, ids)))
    teams: dict[int, str] = dict(iter(rows))
    found: dict[int, MemberFacts] = {}
    for today, those in grouped((one.today(now), one) for one in some).items():
        tasks = _tasks(session, [one.member.id for one in those], first, today)
        for one in those:
            found[one.member.id] = MemberFacts(
                id=one.member.id,
                name=one.member.name,
                team=teams.get(one.member.team_id or 0, ""),
                calendar=one.calendar,
                today=today,
                tasks=tasks.get(one.member.id, ()),
            )
    return found


def _tasks(
    session: Session, ids: Sequence[int], first: date, today: date
) -> dict[int, list[TaskFacts]]:
    last = (
        select(Report.id)
        .where(Report.task_id == Task.id, Report.counts_for <= today)
        .order_by(Report.counts_for.desc(), Report.id.desc())
        .limit(1)
        .correlate(Task)
        .scalar_subquery()
    )
    rows: Sequence[Any] = session.execute(
        select(*_TASK, last.label("last"))
        .where(
            among(Task.assignee_id, ids),
            or_(Task.status == "open", Task.closed_on.is_(None), Task.closed_on >= first),
        )
        .order_by(Task.ref)
    ).all()
    # A second statement: joined to the first, PostgreSQL may read all reports there are.
    said = _said(session, {row.last: row.ref for row in rows if row.last is not None})
    known = {row.ref: (said[row.last],) if row.last in said else () for row in rows}
    return grouped((who, TaskFacts(*[*facts, known[facts[0]]])) for who, *facts, _last in rows)


def _said(session: Session, refs: Mapping[int, str]) -> dict[int, WeekReport]:
    """The reports with these ids; `refs` says of which task each is."""
    rows: Sequence[Any] = session.execute(
        select(*_REPORT).where(among(Report.id, list(refs)))
    ).all()
    return {one[0]: WeekReport(one[0], refs[one[0]], *one[1:]) for one in rows}


def reminded(session: Session, days: Iterable[tuple[int, date]]) -> dict[int, datetime]:
    """By member id when the mail server took the last reminder of the date given for them."""
    wanted = dict(days)
    if not wanted:
        return {}
    rows = session.execute(
        select(OutboxMail.user_id, OutboxMail.local_date, func.max(OutboxMail.accepted_at))
        .where(
            among(OutboxMail.user_id, list(wanted)),
            OutboxMail.local_date.between(min(wanted.values()), max(wanted.values())),
            REMINDERS,
            OutboxMail.state == State.ACCEPTED,
        )
        .group_by(OutboxMail.user_id, OutboxMail.local_date)
    )
    return {
        member_id or 0: at
        for member_id, day, at in rows
        if at is not None and wanted.get(member_id or 0) == day
    }
