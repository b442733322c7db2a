"""Recording progress, and the one query that defines which tasks are open and when last reported."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased

from app import due
from app.auth import ReportLink
from app.db import among
from app.due import OpenTask
from app.members.settings import NoSuchMember, Person, organisation, person
from app.models import Member, Report, StatusWord, Task
from app.services import Services

SHOWN = 50  # tasks on one report page; the others come after these


def open_tasks(session: Session, member_ids: Sequence[int], on: date) -> dict[int, list[OpenTask]]:
    """Each member's open, started tasks as of `on`, with the date their last report counts for."""
    last = (
        select(func.max(Report.counts_for))
        .where(Report.task_id == Task.id, Report.counts_for <= on)
        .correlate(Task)
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            Task.assignee_id, Task.ref, Task.start_on, Task.assigned_on, Task.report_every, last
        ).where(among(Task.assignee_id, member_ids), *_open_on(on))
    )
    tasks: dict[int, list[OpenTask]] = {}
    for member_id, ref, start_on, assigned_on, report_every, last_on in rows:
        if member_id is not None:
            task = OpenTask(ref, start_on, assigned_on, report_every, last_on)
            tasks.setdefault(member_id, []).append(task)
    return tasks


def _open_on(day: date) -> tuple[ColumnElement[bool], ...]:
    return (
        or_(Task.status == "open", Task.closed_on > day),
        Task.start_on <= day,
    )


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """A task as a letter or page shows it, with its last report on or before a date."""

    task: Task
    report: Report | None
    reporter: str | None  # the name of whoever reported

    def seen_by(self, member_id: int) -> "TaskDetail":
        """The same, naming the reporter only when it was somebody else than this member."""
        own = self.report is None or self.report.reporter_id == member_id
        return replace(self, reporter=None) if own else self


def details(session: Session, refs: Iterable[str], on: date) -> dict[str, TaskDetail]:
    """The tasks by ref, each with its last report that counts for `on` or before."""
    tasks = list(session.scalars(select(Task).where(among(Task.ref, refs))))
    place = func.row_number().over(
        partition_by=Report.task_id, order_by=(Report.counts_for.desc(), Report.id.desc())
    )
    ranked = (
        select(Report, place.label("place"))
        .where(among(Report.task_id, [task.id for task in tasks]), Report.counts_for <= on)
        .subquery()
    )
    newest = aliased(Report, ranked)
    rows = session.execute(
        select(newest, Member.name)
        .outerjoin(Member, Member.id == newest.reporter_id)
        .where(ranked.c.place == 1)
    )
    last = {report.task_id: (report, name) for report, name in rows}
    return {task.ref: TaskDetail(task, *last.get(task.id, (None, None))) for task in tasks}


class NotYours(Exception):
    """The task does not exist, is not assigned to the member, or was cancelled."""


def record(
    session: Session,
    person: Person,
    ref: str,
    *,
    percent: int,
    status: StatusWord,
    text: str,
    now: datetime,
) -> Report:
    """Records one report of `person` on their task `ref`; `done` closes the task at 100 %.

    Another status opens a done task again: a tap on the wrong button can be put right. Saying
    the same thing again for the same date is the same report, so a form sent twice writes one.
    Raises NotYours for a task that is not theirs, or was cancelled.
    """
    task = session.scalars(
        select(Task)
        .where(Task.ref == ref, Task.assignee_id == person.member.id, Task.status != "cancelled")
        .with_for_update()  # a form sent twice at once: the second one waits, then sees the first
    ).one_or_none()
    if task is None:
        raise NotYours(ref)
    if status == "done":
        percent = 100
    _open_or_close(task, status, now.astimezone(person.rhythm.zone).date())
    report = Report(
        task_id=task.id,
        reporter_id=person.member.id,
        counts_for=due.counts_for(now, person.rhythm.zone, person.calendar),
        percent=percent,
        status=status,
        text=text,
        created_at=now,
    )
    newest = session.scalars(
        select(Report).where(Report.task_id == task.id).order_by(Report.id.desc()).limit(1)
    ).one_or_none()
    if newest is not None and _says(newest) == _says(report):
        return newest
    session.add(report)
    session.flush()
    return report


def _open_or_close(task: Task, status: StatusWord, today: date) -> None:
    wanted = "done" if status == "done" else "open"
    if task.status != wanted:
        task.status = wanted
        task.closed_on = today if status == "done" else None


def _says(report: Report) -> tuple[object, ...]:
    """Everything that makes a report this one, except when it was made."""
    return (report.reporter_id, report.counts_for, report.percent, report.status, report.text)


# --- the page behind a mail's link ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PageTask:
    """A task on the report page. `state` "open": no report yet, and none is overdue."""

    detail: TaskDetail
    state: Literal["unreported", "reported", "open", "done", "cancelled"]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What a report link shows its member. No tasks: the one it named is not theirs any more,
    or everything is reported.
    """

    person: Person
    today: date
    tasks: list[PageTask]  # due first, then the longest silent
    more: int  # unreported tasks that are not among them


@dataclass(frozen=True, slots=True)
class Entry:
    """One report as the member filled it in."""

    ref: str
    percent: int
    status: StatusWord
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the entries: the tasks reported on, and what is unreported still."""

    tasks: list[TaskDetail]
    still: list[TaskDetail]


def page(
    services: Services, link: ReportLink, now: datetime, refs: Sequence[str] = ()
) -> ReportPage:
    """The tasks to report on: the link's one, or those of `refs` (a form that was sent), or all
    that are unreported.

    Unreported means today, or on the mail's date where that lies ahead (a rehearsal): an older
    mail leads to everything that is open now. Raises NoSuchMember for a deleted or inactive one.
    """
    with services.db.read() as session:
        reader = _reader(session, services, link.member_id)
        today = now.astimezone(reader.rhythm.zone).date()
        on = max(link.local_date, today)
        late = _late(session, reader, on)
        named = [link.ref] if link.ref is not None else refs or late
        tasks = _theirs(session, reader, named, on, late)
    shown = tasks[:SHOWN]
    among = {one.task.ref for one in shown}
    return ReportPage(
        person=reader,
        today=today,
        tasks=[PageTask(one, _state(one, late)) for one in shown],
        more=sum(ref not in among for ref in late),
    )


def write(services: Services, link: ReportLink, entries: Iterable[Entry], now: datetime) -> Written:
    """Records the entries in one transaction, those of tasks that are not theirs left out.

    Raises NoSuchMember for a deleted or inactive member.
    """
    refs: list[str] = []
    with services.db.write() as session:
        reader = _reader(session, services, link.member_id)
        # In one order everywhere, so that two forms sent at once cannot lock each other out.
        for entry in sorted(entries, key=lambda one: one.ref):
            with suppress(NotYours):
                record(
                    session,
                    reader,
                    entry.ref,
                    percent=entry.percent,
                    status=entry.status,
                    text=entry.text,
                    now=now,
                )
                refs.append(entry.ref)
        on = max(link.local_date, now.astimezone(reader.rhythm.zone).date())
        late = [ref for ref in _late(session, reader, on) if ref not in refs]
        return Written(
            tasks=_theirs(session, reader, refs, on, late),
            still=_theirs(session, reader, late, on, late),
        )


def _reader(session: Session, services: Services, member_id: int) -> Person:
    member = session.get(Member, member_id)
    if member is None or not member.active:
        raise NoSuchMember(str(member_id))
    return person(session, organisation(session, services.config), member)


def _late(session: Session, reader: Person, on: date) -> list[str]:
    tasks = open_tasks(session, [reader.member.id], on).get(reader.member.id, [])
    return [one.ref for one in due.unreported(tasks, reader.calendar, on)]


def _theirs(
    session: Session, reader: Person, refs: Iterable[str], on: date, late: Sequence[str]
) -> list[TaskDetail]:
    """Those of the tasks that are the reader's, in the order in which letters name them."""
    silence = {ref: place for place, ref in enumerate(late)}
    known = details(session, refs, on).values()
    found = [one.seen_by(reader.member.id) for one in known]
    return sorted(
        (one for one in found if one.task.assignee_id == reader.member.id),
        key=lambda one: (
            one.task.due_on or date.max,
            silence.get(one.task.ref, len(late)),
            one.task.ref,
        ),
    )


def _state(
    detail: TaskDetail, late: Sequence[str]
) -> Literal["unreported", "reported", "open", "done", "cancelled"]:
    if detail.task.status == "cancelled":
        return "cancelled"
    if detail.task.status == "done":
        return "done"
    if detail.task.ref in late:
        return "unreported"
    return "open" if detail.report is None else "reported"
