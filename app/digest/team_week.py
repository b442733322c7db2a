"""A team's week, read from the database at once and counted by app/rules/week.py."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from app.db import among
from app.models import Member, Report, Role, Task, Team
from app.people.settings import Organisation, Person, people
from app.rules.week import MemberFacts, Status, TaskFacts, Week, WeekReport, count, week_before
from app.util.grouped import grouped

_SAID = (
    Report.id,
    Task.ref,
    Report.reporter_id,
    Report.counts_for,
    Report.percent,
    Report.status,
    Report.text,
)


def week_of(
    session: Session, defaults: Organisation, reader: Person, today: date, now: datetime
) -> Week:
    """The reader's team in the week before that of `today`, the reader's local date at `now`.

    An admin's is about all active members.
    """
    whom = select(Member).where(Member.active.is_(True)).order_by(Member.team_id, Member.id)
    if reader.member.role != Role.ADMIN:
        whom = whom.where(Member.manager_id == reader.member.id)
    team, _broken = people(session, defaults, session.scalars(whom).all())
    return count(_facts(session, team, today, now), today)


def _facts(
    session: Session, team: Sequence[Person], today: date, now: datetime
) -> list[MemberFacts]:
    first, last = week_before(today)
    ids = [one.member.id for one in team]
    latest = max((one.today(now) for one in team), default=today)
    tasks = _tasks(session, ids, first)
    refs = {task.id: task.ref for some in tasks.values() for task in some}
    said = grouped((one.ref, one) for one in _said(session, refs, first, latest))
    stuck = [ref for ref, those in said.items() if those[-1].status in {"blocked", "at_risk"}]
    since = _since(session, stuck)
    teams = dict(iter(session.execute(select(Team.id, Team.name))))
    own = said_by(session, ids, first, last)
    return [
        MemberFacts(
            id=one.member.id,
            name=one.member.name,
            team=teams.get(one.member.team_id or 0, ""),
            calendar=one.calendar,
            today=one.today(now),
            tasks=[
                _task(task, said.get(task.ref, ()), since, one.today(now))
                for task in tasks.get(one.member.id, ())
            ],
            said=own.get(one.member.id, ()),
        )
        for one in team
    ]


def _tasks(session: Session, ids: Sequence[int], first: date) -> dict[int, list[Task]]:
    """The members' tasks that were open in the week, or may have been."""
    rows = session.scalars(
        select(Task)
        .where(
            among(Task.assignee_id, ids),
            or_(Task.status == "open", Task.closed_on.is_(None), Task.closed_on >= first),
        )
        .order_by(Task.ref)
    )
    return grouped((task.assignee_id or 0, task) for task in rows)


def _said(
    session: Session, tasks: Iterable[int], first: date, latest: date
) -> Iterable[WeekReport]:
    """The tasks' reports from `first` to `latest`, and the last one before that."""
    ids = list(tasks)
    place = func.row_number().over(
        partition_by=Report.task_id, order_by=(Report.counts_for.desc(), Report.id.desc())
    )
    ranked = (
        select(Report.id, place.label("place"))
        .where(among(Report.task_id, ids), Report.counts_for < first)
        .subquery()
    )
    newest = select(ranked.c.id).where(ranked.c.place == 1)
    yield from _read(session, Report.id.in_(newest))
    yield from _read(session, among(Report.task_id, ids), Report.counts_for.between(first, latest))


def said_by(
    session: Session, ids: Sequence[int], first: date, last: date
) -> dict[int, list[WeekReport]]:
    """By member id their own reports that count for `first` to `last`, on whatever task."""
    theirs = (among(Report.reporter_id, ids), Report.counts_for.between(first, last))
    return grouped((one.reporter_id or 0, one) for one in _read(session, *theirs))


def _read(session: Session, *which: ColumnElement[bool]) -> Iterable[WeekReport]:
    rows = session.execute(
        select(*_SAID)
        .join(Task, Task.id == Report.task_id)
        .where(*which)
        .order_by(Report.counts_for, Report.id)
    )
    return (WeekReport(*row) for row in rows)


def _since(session: Session, refs: Sequence[str]) -> dict[str, list[tuple[date, Status]]]:
    """The whole history of these tasks: since when they are as they are lies anywhere in it."""
    rows = session.execute(
        select(Task.ref, Report.counts_for, Report.status)
        .join(Task, Task.id == Report.task_id)
        .where(among(Task.ref, refs))
        .order_by(Report.counts_for, Report.id)
    )
    return grouped((ref, (day, status)) for ref, day, status in rows)


def _task(
    task: Task,
    said: Sequence[WeekReport],
    history: dict[str, list[tuple[date, Status]]],
    today: date,
) -> TaskFacts:
    known = tuple(one for one in said if one.counts_for <= today)
    return TaskFacts(
        ref=task.ref,
        title=task.title,
        status=task.status,
        start_on=task.start_on,
        assigned_on=task.assigned_on,
        closed_on=task.closed_on,
        due_on=task.due_on,
        report_every=task.report_every,
        added_on=task.added_on,
        said=known,
        status_since=_began(history.get(task.ref, ()), today),
    )


def _began(history: Sequence[tuple[date, Status]], today: date) -> date | None:
    """From which date on all reports up to `today` say the same as the last of them."""
    began: date | None = None
    status: Status | None = None
    for day, said in history:
        if day <= today and said != status:
            began, status = day, said
    return began
